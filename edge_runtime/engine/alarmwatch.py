"""Verdicts and sensor status to alarms: the stage that follows each machine and each of its sensors.

A condition that has lasted for its on-delay raises an alarm, and one that has been gone for its off-delay
ends it. Delays are in the time of the rows. A row that is unknown says nothing about the machine: it neither
lengthens nor ends a run. Rows that were not judged, such as repeated ones, have no part in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edge_runtime.engine.alarmrows import AlarmRows
from edge_runtime.engine.alarms import HIGH, LOW, MACHINE, MEDIUM, PRIORITIES, SENSOR, Alarm, Change, event_id
from edge_runtime.engine.alarmsensors import Naming, shortest
from edge_runtime.engine.alarmstate import condition_of, state_of
from edge_runtime.engine.condition import Condition
from edge_runtime.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edge_runtime.bundle.metadata import Metadata
    from edge_runtime.engine.alarms import Word
    from edge_runtime.engine.rulebook import MachineRules, Rulebook
    from edge_runtime.records import Results

    Key = tuple[str, str]

__all__ = ["SENSOR_ROWS", "AlarmWatch"]

NANOSECONDS = 1e9
# For so many cadences a sensor's status lasts before it is an alarm: single lost readings are none.
SENSOR_ROWS = 10
ANOMALY, NORMAL, ABOVE = int(Verdict.ANOMALY), int(Verdict.NORMAL), 1.0


class AlarmWatch:
    """The stage of alarms; its states belong to the machine, and outlive the bundle.

    Args:
        metadata: The bundle's: its sensors, its cadence, and the delays if it has any.
        digest: The bundle's, which the alarms name that it raises.

    Attributes:
        rulebook: The on-site rules; None for none. Those that are set hold from the next row on.
    """

    name = "alarms"
    version = 1
    belongs: Literal["bundle", "machine"] = "machine"
    machine_bytes = 0  # as `stage.Asleep` says

    def __init__(self, metadata: Metadata, digest: str) -> None:
        alarms = metadata.alarms
        on_s, off_s = (0.0, 0.0) if alarms is None else (alarms.on_delay_s, alarms.off_delay_s)
        least_s = SENSOR_ROWS * metadata.cadence_seconds
        self._high = None if alarms is None else alarms.high_severity
        self._delays = {
            MACHINE: (round(on_s * NANOSECONDS), round(off_s * NANOSECONDS)),
            SENSOR: (round(max(on_s, least_s) * NANOSECONDS), round(max(off_s, least_s) * NANOSECONDS)),
        }
        self.rulebook: Rulebook | None = None
        self._digest = digest
        self._sensors = metadata.sensor_names
        self._naming = Naming(metadata)
        # Only of machines of which there is something to remember.
        self._machines: dict[str, dict[Key, Condition]] = {}
        # Those of them whose next row may change something even if there is nothing odd about it.
        self._watched: set[str] = set()
        self._changed: set[str] = set()
        self._ended: list[Change] = []  # until `advance` is called

    @property
    def machines(self) -> set[str]:
        """Those of which there is something to remember."""
        return set(self._machines)

    @property
    def is_idle(self) -> bool:
        """Whether rows without anything odd, of whichever machine, change nothing."""
        return not self._watched

    def waits_for(self, machine: str) -> bool:
        """Whether a row of this machine without anything odd may change something."""
        return machine in self._watched

    def watch(self, results: Results) -> list[Change]:
        """Goes on from judged rows; each machine's are in time order.

        Returns:
            What changed, in the order of the rows that led to it.
        """
        rows, groups = AlarmRows(results), results.readings.groups
        found: list[tuple[int, list[Change]]] = []
        for machine, part in groups:
            index = np.arange(part.start, part.stop) if groups.order is None else groups.order[part]
            if machine not in self._watched:
                first = rows.telling[index].argmax()
                if not rows.telling[index[first]]:
                    continue
                index = index[first:]
            found += self._of_machine(machine, rows, index.tolist())
        found.sort(key=lambda one: one[0])
        return [change for _, changes in found for change in changes]

    def tell(self, words: Iterable[Word]) -> tuple[list[Change], list[str]]:
        """Takes up what people said.

        Returns:
            What changed; and a sentence on each word that changed nothing.
        """
        changes, refused = list[Change](), list[str]()
        for word in words:
            key = word.kind, word.subject
            conditions = self._machines.setdefault(word.machine_id, {})
            condition = conditions.setdefault(key, Condition())
            some, why = condition.tell(word)
            changes += some
            if why is not None:
                of = f" of {word.subject}" if word.subject else ""
                refused.append(
                    f"{word.word} by {word.by} for the {word.kind} alarm{of} at {word.machine_id}: {why}"
                )
            self._settle(word.machine_id)
        return changes, refused

    def advance(self, now: int) -> list[Change]:
        """Ends shelvings whose time is over by this clock, nanoseconds since the epoch.

        Returns:
            What changed, with the alarms that were forgotten since the last call.
        """
        changes, self._ended = [*self._ended], []
        # In the order of names: after a restart, machines come back in another order than they began.
        for machine in sorted(
            name for name, some in self._machines.items() if any(one.shelved for one in some.values())
        ):
            for _, condition in sorted(self._machines[machine].items()):
                before = condition.shelved
                changes += condition.end_shelving(now)
                if before is not condition.shelved:
                    self._changed.add(machine)
            self._settle(machine, changed=False)
        return changes

    def forget_the_future(self, latest: int) -> None:
        """Ends alarms that begin after this time, for no row will: they are of a clock that was wrong."""
        for machine in sorted(self._machines):
            for _, condition in sorted(self._machines[machine].items()):
                before = condition.alarm, condition.forming
                self._ended += condition.forget_after(latest)
                if before != (condition.alarm, condition.forming):
                    self._changed.add(machine)
            self._settle(machine, changed=False)

    def _settle(self, machine: str, *, changed: bool = True) -> None:
        """Forgets what there is nothing to remember of."""
        conditions = self._machines.get(machine, {})
        for key in [key for key, condition in conditions.items() if condition.idle]:
            del conditions[key]
        if not conditions:
            self._machines.pop(machine, None)
        if any(condition.watches for condition in conditions.values()):
            self._watched.add(machine)
        else:
            self._watched.discard(machine)
        if changed:
            self._changed.add(machine)

    def _of_machine(
        self, machine: str, rows: AlarmRows, index: list[int]
    ) -> Iterator[tuple[int, list[Change]]]:
        """A machine's rows, one after the other."""
        conditions = self._machines.setdefault(machine, {})
        own = conditions.setdefault((MACHINE, ""), Condition())
        rules = None if self.rulebook is None else self.rulebook.of(machine)
        for row in index:
            if rows.skipped[row]:
                continue
            verdict = rows.verdicts[row]
            changes: list[Change] = []
            if verdict == ANOMALY:
                # Because of which sensors the row counts: with rules some, none, or None at a quiet time.
                places = rows.to_the_fore[row] if rules is None else rules.counting(rows, row)
                if places:
                    changes += self._anomalous(own, machine, rows, row, places, rules)
                elif places is not None and own.watches:
                    changes += self._without(own, MACHINE, rows.times[row], rules)
            elif verdict == NORMAL and own.watches:
                changes += self._without(own, MACHINE, rows.times[row], rules)
            faulty = rows.faulty.get(row, ())
            if faulty or len(conditions) > 1:
                changes += self._of_sensors(conditions, machine, rows, row, faulty, rules)
            if changes:
                yield row, changes
        self._settle(machine)

    def _anomalous(
        self,
        condition: Condition,
        machine: str,
        rows: AlarmRows,
        row: int,
        places: Sequence[int],
        rules: MachineRules | None,
    ) -> list[Change]:
        time, severity = rows.times[row], rows.severity[row]
        alarm = self._found(condition, machine, MACHINE, "", time)
        named = len(alarm.sensors)
        if severity > ABOVE or not named:
            self._naming.name(alarm, rows.results, row, places)
        if alarm.severity is None or severity > alarm.severity:
            alarm.severity = shortest(rows.results.severity[row])
            self._naming.describe_all(alarm, rows.results, row)
        priority = HIGH if self._high is not None and severity >= self._high else MEDIUM
        delay = self._delays[MACHINE][0]
        if rules is not None:
            names = [self._sensors[place] for place in places]
            priority = rules.priority(MACHINE, names, priority)
            delay = max(delay, rules.on_delay(MACHINE, names))
        higher = _is_higher(priority, alarm.priority)
        if alarm is condition.forming:
            alarm.priority = priority if higher else alarm.priority
            return self._raised(condition, delay, time)
        if higher:
            return condition.ask_again(time, priority)
        return condition.further(time) if len(alarm.sensors) > named else []

    def _of_sensors(
        self,
        conditions: dict[Key, Condition],
        machine: str,
        rows: AlarmRows,
        row: int,
        faulty: Sequence[int],
        rules: MachineRules | None,
    ) -> list[Change]:
        time, changes = rows.times[row], list[Change]()
        names = {self._sensors[place] for place in faulty}
        # Of a sensor that this bundle does not have nothing will come any more. They are in an order that
        # does not depend on how the rows are divided.
        for kind, subject in sorted(conditions):
            if kind == SENSOR and subject not in names and conditions[kind, subject].watches:
                changes += self._without(conditions[kind, subject], SENSOR, time, rules)
        for place in faulty:
            name, delay, priority = self._sensors[place], self._delays[SENSOR][0], LOW
            if rules is not None:
                narrowed = rules.of(SENSOR, name)
                if narrowed.is_quiet(time):
                    continue
                delay, priority = max(delay, narrowed.on), narrowed.priority or LOW
            condition = conditions.setdefault((SENSOR, name), Condition())
            alarm = self._found(condition, machine, SENSOR, name, time)
            if alarm is condition.forming:
                alarm.priority = priority
                self._naming.describe_fault(alarm, rows.results, row, place)
                changes += self._raised(condition, delay, time)
            elif _is_higher(priority, alarm.priority):
                changes += condition.ask_again(time, priority)
        return changes

    def _found(self, condition: Condition, machine: str, kind: str, subject: str, time: int) -> Alarm:
        """The alarm that a row with the condition belongs to: the open one, or the one that is forming."""
        condition.clear, condition.latched = None, False
        alarm = condition.alarm
        if alarm is None or not alarm.active:
            alarm = condition.forming
            # A row from before it follows only one of the future that was forgotten.
            if alarm is None or time < alarm.raised:
                identity = event_id(machine, kind, subject, time)
                alarm = Alarm(machine, kind, subject, time, self._digest, identity, LOW)
                condition.forming = alarm
        alarm.rows += 1
        return alarm

    def _raised(self, condition: Condition, delay: int, time: int) -> list[Change]:
        forming = condition.forming
        if forming is None or time - forming.raised < delay:
            return []
        forming.bundle = self._digest
        return condition.rise(time)

    def _without(
        self, condition: Condition, kind: str, time: int, rules: MachineRules | None
    ) -> list[Change]:
        """A row without the condition."""
        condition.forming = None
        alarm = condition.alarm
        if alarm is None or not alarm.active:
            return []
        if condition.clear is None or time < condition.clear:
            condition.clear = time
        delay, latched = self._delays[kind][1], False
        if rules is not None:
            names = [sensor["name"] for sensor in alarm.sensors]
            delay, latched = max(delay, rules.off_delay(kind, names)), rules.latches(kind, names)
        if time - condition.clear < delay:
            return []
        condition.latched = latched
        return [] if latched else condition.fall(time)

    def changed(self) -> set[str]:
        """As `Stage.changed`."""
        changed, self._changed = self._changed, set()
        return changed

    def state(self, machine: str) -> list[Any] | None:
        """Each condition of which there is something to remember; None where there is none."""
        conditions = self._machines.get(machine)
        return [state_of(*key, condition) for key, condition in conditions.items()] if conditions else None

    def restore(self, machine: str, value: Any, _version: int) -> None:
        """As `Stage.restore`."""
        restored = dict(condition_of(machine, each) for each in _list(value))
        self._machines[machine] = restored
        self._settle(machine, changed=False)


def _is_higher(one: str, other: str) -> bool:
    return PRIORITIES.index(one) > PRIORITIES.index(other)


def _list(value: Any) -> Sequence[Any]:
    if not isinstance(value, list):
        raise ValueError("it is no list of conditions")  # noqa: TRY004 - as of every other state
    return value

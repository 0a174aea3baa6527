"""Verdicts and sensor status to alarms: the stage that follows each machine and each of its sensors.

A condition that has lasted for its on-delay raises an alarm, and one that has been gone for its off-delay
ends it. Delays are in the time of the rows. A row that is unknown says nothing about the machine: it neither
lengthens nor ends a run. Rows that were not judged, such as repeated ones, have no part in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edge_runtime.engine.alarmrows import AlarmRows
from edge_runtime.engine.alarms import MACHINE, Change
from edge_runtime.engine.alarmstate import condition_of, state_of
from edge_runtime.engine.alarmsteps import Steps
from edge_runtime.engine.condition import Condition
from edge_runtime.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edge_runtime.bundle.metadata import Metadata
    from edge_runtime.engine.alarms import Word
    from edge_runtime.engine.rulebook import Rulebook
    from edge_runtime.records import Results

    Key = tuple[str, str]

__all__ = ["AlarmWatch"]

ANOMALY, NORMAL = int(Verdict.ANOMALY), int(Verdict.NORMAL)


class AlarmWatch:
    """The stage of alarms; its states belong to the machine, and outlive the bundle.

    Args:
        metadata: The bundle's: its sensors, its cadence, and the delays if it has any.
        digest: The bundle's, which the alarms name that it raises.
        repeat: Nanoseconds after which a high alarm that nobody acknowledged is told again; None for never.

    Attributes:
        rulebook: The on-site rules; None for none. Those that are set hold from the next row on.
    """

    name = "alarms"
    version = 1
    belongs: Literal["bundle", "machine"] = "machine"
    machine_bytes = 0  # as `stage.Asleep` says

    def __init__(self, metadata: Metadata, digest: str, repeat: int | None = None) -> None:
        self.rulebook: Rulebook | None = None
        self._repeat = repeat
        self._steps = Steps(metadata, digest)
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

    def advance(self, now: int, *, repeats: bool = True) -> list[Change]:
        """Ends shelvings whose time is over, and tells again what nobody has acknowledged.

        Args:
            now: Nanoseconds since the epoch.
            repeats: Whether that is believed to be the time, so that anything is told again.

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
        if self._repeat is not None and repeats:
            changes += self._repeated(now, self._repeat)
        return changes

    def _repeated(self, now: int, after: int) -> list[Change]:
        changes = []
        for machine in sorted(self._machines):
            for _, condition in sorted(self._machines[machine].items()):
                before = condition.told
                changes += condition.repeat(now, after)
                if before != condition.told:
                    self._changed.add(machine)
        return changes

    def open_alarms(self, machine: str) -> list[dict[str, Any]]:
        """The fields of a machine's alarms that are not over: of the machine, then of its sensors."""
        conditions = self._machines.get(machine, {})
        return [
            condition.fields(condition.alarm)
            for _, condition in sorted(conditions.items())
            if condition.alarm is not None
        ]

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
                    changes += self._steps.anomalous(own, machine, rows, row, places, rules)
                elif places is not None and own.watches:
                    changes += self._steps.without(own, MACHINE, rows.times[row], rules)
            elif verdict == NORMAL and own.watches:
                changes += self._steps.without(own, MACHINE, rows.times[row], rules)
            faulty = rows.faulty.get(row, ())
            if faulty or len(conditions) > 1:
                changes += self._steps.of_sensors(conditions, machine, rows, row, faulty, rules)
            if changes:
                yield row, changes
        self._settle(machine)

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


def _list(value: Any) -> Sequence[Any]:
    if not isinstance(value, list):
        raise ValueError("it is no list of conditions")  # noqa: TRY004 - as of every other state
    return value

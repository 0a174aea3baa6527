"""What one row does to the conditions of its machine: raise an alarm, add to it, or let it return."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.engine.alarms import HIGH, LOW, MACHINE, MEDIUM, PRIORITIES, SENSOR, Alarm, Change, event_id
from edge_runtime.engine.alarmsensors import Naming, shortest
from edge_runtime.engine.condition import Condition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.bundle.metadata import Metadata
    from edge_runtime.engine.alarmrows import AlarmRows
    from edge_runtime.engine.rulebook import MachineRules

    Key = tuple[str, str]

__all__ = ["SENSOR_ROWS", "Steps"]

NANOSECONDS = 1e9
# For so many cadences a sensor's status lasts before it is an alarm: single lost readings are none.
SENSOR_ROWS = 10
ABOVE = 1.0


class Steps:
    """Follows conditions row by row, with the delays of one bundle; what is known of them is the conditions'.

    Args:
        metadata: The bundle's: its sensors, its cadence, and the delays if it has any.
        digest: The bundle's, which the alarms name that it raises.
    """

    def __init__(self, metadata: Metadata, digest: str) -> None:
        alarms = metadata.alarms
        on_s, off_s = (0.0, 0.0) if alarms is None else (alarms.on_delay_s, alarms.off_delay_s)
        least_s = SENSOR_ROWS * metadata.cadence_seconds
        self._high = None if alarms is None else alarms.high_severity
        self._delays = {
            MACHINE: (round(on_s * NANOSECONDS), round(off_s * NANOSECONDS)),
            SENSOR: (round(max(on_s, least_s) * NANOSECONDS), round(max(off_s, least_s) * NANOSECONDS)),
        }
        self._digest = digest
        self._sensors = metadata.sensor_names
        self._naming = Naming(metadata)

    def anomalous(
        self,
        condition: Condition,
        machine: str,
        rows: AlarmRows,
        row: int,
        places: Sequence[int],
        rules: MachineRules | None,
    ) -> list[Change]:
        """A row that counts as anomalous.

        Args:
            condition: That of the machine itself.
            machine: The machine.
            rows: Rows.
            row: Which of them.
            places: The sensors because of which it counts.
            rules: The on-site rules for the machine; None for none.

        Returns:
            What changed.
        """
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

    def of_sensors(
        self,
        conditions: dict[Key, Condition],
        machine: str,
        rows: AlarmRows,
        row: int,
        faulty: Sequence[int],
        rules: MachineRules | None,
    ) -> list[Change]:
        """A row's readings that cannot be used, and those that can again.

        Args:
            conditions: The machine's, to which those of sensors are added.
            machine: The machine.
            rows: Rows.
            row: Which of them.
            faulty: The places of sensors whose readings cannot be used.
            rules: The on-site rules for the machine; None for none.

        Returns:
            What changed.
        """
        time, changes = rows.times[row], list[Change]()
        names = {self._sensors[place] for place in faulty}
        # Of a sensor that this bundle does not have nothing will come any more. They are in an order that
        # does not depend on how the rows are divided.
        for kind, subject in sorted(conditions):
            if kind == SENSOR and subject not in names and conditions[kind, subject].watches:
                changes += self.without(conditions[kind, subject], SENSOR, time, rules)
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

    def without(self, condition: Condition, kind: str, time: int, rules: MachineRules | None) -> list[Change]:
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


def _is_higher(one: str, other: str) -> bool:
    return PRIORITIES.index(one) > PRIORITIES.index(other)

"""Rules as the alarm engine asks them: what they say, all together, of one machine and its sensors."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.engine.alarms import MACHINE, PRIORITIES
from edge_runtime.engine.quiet import QuietTimes
from edge_runtime.engine.rules import ABOVE, BELOW

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge_runtime.engine.alarmrows import AlarmRows
    from edge_runtime.engine.rules import Rule

__all__ = ["MachineRules", "Narrowed", "Rulebook"]

NANOSECONDS = 1e9


@dataclass(slots=True)
class Narrowed:
    """What all rules together say of one sensor's part in a kind of alarm.

    Attributes:
        above: Whether a reading above what was expected counts.
        below: Whether one below it does.
        least: How far it must be from what was expected, in its unit.
        factor: How many times the threshold the row's score must reach; 0 for what the verdict asks.
        on: The least on-delay, nanoseconds.
        off: The least off-delay.
        quiet: When nothing is raised.
        priority: Of the alarm; None for the one that it has without rules.
        latch: Whether the alarm stays active until it is reset.
    """

    above: bool = True
    below: bool = True
    least: float = 0.0
    factor: float = 0.0
    on: int = 0
    off: int = 0
    quiet: tuple[QuietTimes, ...] = ()
    priority: str | None = None
    latch: bool = False

    def deviates(self, actual: float, expected: float) -> bool:
        """Whether a reading deviates as it must to count.

        A deviation that is not known, because the sensor's own reading was filled, rules nothing out.
        """
        deviation = actual - expected
        if not isfinite(deviation):
            return True
        if (deviation <= 0 and not self.below) or (deviation >= 0 and not self.above):
            return False
        return abs(deviation) >= self.least

    def is_quiet(self, time: int) -> bool:
        """Whether nothing is raised at this time, nanoseconds since the epoch."""
        return any(quiet.holds(time) for quiet in self.quiet)


class MachineRules:
    """What rules say of one machine.

    Args:
        rules: Those that are for it.
        sensors: The bundle's.
    """

    def __init__(self, rules: Sequence[Rule], sensors: Sequence[str]) -> None:
        self._rules, self._sensors = rules, sensors
        # Only of sensors that were asked for: of many machines, most never alarm.
        self._known: dict[tuple[str, str | None], Narrowed] = {}

    def of(self, kind: str, sensor: str | None) -> Narrowed:
        """What they say of a sensor's part in a kind of alarm; of no sensor, what they say of all."""
        found = self._known.get((kind, sensor))
        if found is None:
            found = self._known[kind, sensor] = _narrowed(self._rules, kind, sensor)
        return found

    def counting(self, rows: AlarmRows, row: int) -> list[int] | None:
        """Of an anomalous row, the sensors because of which it counts.

        Sensors that come to the fore and do not deviate as they must are taken out of the score, and what
        remains of it must reach the threshold; else the others would alarm in their place.

        Args:
            rows: Rows.
            row: Which of them.

        Returns:
            The sensors' places, in the order in which `rows` has them, and none where the row is as one that
            is not anomalous; None where it would count, but at a quiet time.
        """
        results, out, quiet, passing = rows.results, list[int](), list[int](), list[int]()
        for place in rows.to_the_fore[row]:
            narrowed = self.of(MACHINE, self._sensors[place])
            actual = results.readings.values.item(row, place)
            if not narrowed.deviates(actual, results.scores.expected.item(row, place)):
                out.append(place)
            elif narrowed.quiet and narrowed.is_quiet(rows.times[row]):
                quiet.append(place)
            else:
                passing.append(place)
        found = self._reaching(passing, rows, row, [*out, *quiet])
        if not found and quiet and self._reaching([*passing, *quiet], rows, row, out):
            return None
        return found

    def _reaching(self, places: list[int], rows: AlarmRows, row: int, out: list[int]) -> list[int]:
        """Those of some sensors for which the score is great enough, without what others gave to it."""
        severity, least = rows.severity[row], 0.0
        if out:
            errors = rows.results.scores.errors[row].astype(np.float64)
            total = errors.sum()  # 0 in a row that is held although every reading is as expected
            severity, least = severity * float(1 - errors[out].sum() / total) if total else 0.0, 1.0
        return [
            place for place in places if severity >= max(least, self.of(MACHINE, self._sensors[place]).factor)
        ]

    def on_delay(self, kind: str, names: Iterable[str]) -> int:
        """The least that an alarm must last, nanoseconds: what the sensor asks that asks least."""
        return min(self.of(kind, name).on for name in names)

    def off_delay(self, kind: str, names: Iterable[str]) -> int:
        """The least that it must be over, nanoseconds: what the sensor asks that asks most."""
        return max([self.of(kind, None).off, *(self.of(kind, name).off for name in names)])

    def latches(self, kind: str, names: Iterable[str]) -> bool:
        """Whether an alarm that names these sensors stays active until it is reset."""
        return self.of(kind, None).latch or any(self.of(kind, name).latch for name in names)

    def priority(self, kind: str, names: Iterable[str], usual: str) -> str:
        """The highest that one of these sensors gives an alarm, which without rules has the usual one."""
        return max((self.of(kind, name).priority or usual for name in names), key=PRIORITIES.index)


class Rulebook:
    """The rules in force, by machine.

    Args:
        rules: All of them.
        sensors: The bundle's.
    """

    def __init__(self, rules: Iterable[Rule], sensors: Sequence[str]) -> None:
        self._rules = tuple(rules)
        self._sensors = sensors
        self._of: dict[str, tuple[int, ...]] = {}
        # Most machines have the same rules.
        self._made: dict[tuple[int, ...], MachineRules] = {}

    def of(self, machine: str) -> MachineRules | None:
        """What they say of a machine; None for nothing."""
        own = self._of.get(machine)
        if own is None:
            own = tuple(number for number, rule in enumerate(self._rules) if rule.is_for(machine))
            self._of[machine] = own
        if not own:
            return None
        if own not in self._made:
            self._made[own] = MachineRules([self._rules[number] for number in own], self._sensors)
        return self._made[own]


def _narrowed(rules: Sequence[Rule], kind: str, sensor: str | None) -> Narrowed:
    """What those say together that are for a kind, and for this sensor or for all; for all alone if None."""
    own = [rule for rule in rules if rule.kind == kind and rule.sensor in (None, sensor)]
    directions = {rule.direction for rule in own} & {ABOVE, BELOW}
    both = len(directions) != 1  # two that exclude each other must not silence the machine
    priorities = [rule.priority for rule in own if rule.priority is not None]
    return Narrowed(
        above=both or ABOVE in directions,
        below=both or BELOW in directions,
        least=max((rule.least_deviation or 0.0 for rule in own), default=0.0),
        factor=max((rule.threshold_factor or 0.0 for rule in own), default=0.0),
        on=_most_ns(rule.on_delay_s for rule in own),
        off=_most_ns(rule.off_delay_s for rule in own),
        quiet=tuple(QuietTimes(rule.quiet, rule.time_zone) for rule in own if rule.quiet),
        priority=max(priorities, key=PRIORITIES.index, default=None),
        latch=any(rule.latch for rule in own),
    )


def _most_ns(delays: Iterable[float | None]) -> int:
    return round(max((delay or 0.0 for delay in delays), default=0.0) * NANOSECONDS)

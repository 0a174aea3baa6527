"""Alarms under on-site rules, row by row: a model that is as plain as the sentences it was written from."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edge_runtime.engine.rules import Rule

__all__ = ["PlainAlarms", "PlainRow"]

SECOND = 1_000_000_000
ORDER = ["low", "medium", "high"]


@dataclass(frozen=True)
class PlainRow:
    """A judged row.

    Attributes:
        machine: Its machine.
        time: Nanoseconds since the epoch.
        verdict: "normal", "anomaly" or "unknown"; "" for a row that was not judged.
        severity: Score divided by the threshold.
        errors: Each sensor's part of the score.
        readings: Each sensor's.
        expected: What each was expected to be.
        faulty: The places of the sensors whose readings cannot be used.
    """

    machine: str
    time: int
    verdict: str
    severity: float
    errors: tuple[int, ...]
    readings: tuple[float, ...]
    expected: tuple[float, ...]
    faulty: tuple[int, ...]


@dataclass
class PlainAlarm:
    """An alarm, from its first row on."""

    raised: int
    priority: str = "low"
    sensors: list[str] = field(default_factory=list)
    severity: float | None = None
    rows: int = 0
    revision: int = 0
    returned: int | None = None


@dataclass
class PlainCondition:
    """A machine or one of its sensors: its alarm, the one that is forming, and since when it is gone."""

    alarm: PlainAlarm | None = None
    forming: PlainAlarm | None = None
    gone: int | None = None

    @property
    def active(self) -> PlainAlarm | None:
        return None if self.alarm is None or self.alarm.returned is not None else self.alarm


class PlainAlarms:
    """All machines.

    Args:
        names: The sensors'.
        on: A kind of alarm to its on-delay, nanoseconds.
        off: The same for the off-delay.
        high: Severity from which on an alarm of a machine has a high priority.
        quiet: The text of each quiet time to what it says of the time that a clock shows.
    """

    def __init__(
        self,
        names: Sequence[str],
        on: Mapping[str, int],
        off: Mapping[str, int],
        high: float,
        quiet: Mapping[str, Callable[[datetime], bool]],
    ) -> None:
        self.names, self.on, self.off, self.high, self.quiet = names, on, off, high, quiet
        self.conditions: dict[tuple[str, str, str], PlainCondition] = {}
        self.changes: list[dict[str, Any]] = []

    def row(self, row: PlainRow, rules: Sequence[Rule]) -> None:
        """Goes on from a row, under the rules that are in force then."""
        if not row.verdict:
            return
        own = [rule for rule in rules if fits(rule.machine, row.machine)]
        if row.verdict == "anomaly":
            most = row.errors.index(max(row.errors))
            fore = [p for p, error in enumerate(row.errors) if 4 * error >= sum(row.errors) or p == most]
            names = [self.names[p] for p in fore if deviates(holding(own, "machine", self.names[p]), row, p)]
            asleep = [name for name in names if self.is_quiet(own, "machine", name, row.time)]
            others = [self.names[p] for p in fore if self.names[p] not in names]
            passing = self.reaching(row, own, names, others)
            loud = self.reaching(row, own, [one for one in names if one not in asleep], [*others, *asleep])
            passing = passing if asleep or loud else []
            if not passing:
                self.without(row, own, "machine", "")
            elif loud:
                self.machine(row, own, sorted(loud, key=lambda name: -row.errors[self.names.index(name)]))
        elif row.verdict == "normal":
            self.without(row, own, "machine", "")
        faulty = [self.names[p] for p in row.faulty]
        for name in sorted(set(self.names) - set(faulty)):
            self.without(row, own, "sensor", name)
        for name in faulty:
            if not self.is_quiet(own, "sensor", name, row.time):
                self.sensor(row, own, name)

    def reaching(self, row: PlainRow, own: Sequence[Rule], names: list[str], out: list[str]) -> list[str]:
        """Those of some sensors for which the score is high enough without what others gave to it."""
        without = sum(row.errors[self.names.index(name)] for name in out)
        rest = 1 - without / sum(row.errors) if any(row.errors) else 0.0
        severity = row.severity * rest if out else row.severity
        return [
            name
            for name in names
            if severity
            >= max([float(bool(out)), *(r.threshold_factor or 0.0 for r in holding(own, "machine", name))])
        ]

    def is_quiet(self, own: Sequence[Rule], kind: str, name: str, time: int) -> bool:
        moment = datetime.fromtimestamp(time // SECOND, UTC)
        return any(
            self.quiet[text](moment.astimezone(ZoneInfo(rule.time_zone)))
            for rule in holding(own, kind, name)
            for text in rule.quiet
        )

    def machine(self, row: PlainRow, own: Sequence[Rule], names: list[str]) -> None:
        """An anomalous row that counts because of these sensors, the one with the greatest share first."""
        alarm = self.found(row, "machine", "")
        further = [name for name in names if name not in alarm.sensors]
        if row.severity <= 1 and alarm.sensors:
            further = []  # it is held: its sensors say nothing
        alarm.sensors += further
        alarm.severity = row.severity if alarm.severity is None else max(alarm.severity, row.severity)
        usual = "high" if row.severity >= self.high else "medium"
        priority = max((highest(holding(own, "machine", name)) or usual for name in names), key=ORDER.index)
        least = min(longest(rule.on_delay_s for rule in holding(own, "machine", name)) for name in names)
        self.lasts(row, "machine", "", max(priority, alarm.priority, key=ORDER.index), least, further)

    def sensor(self, row: PlainRow, own: Sequence[Rule], name: str) -> None:
        """A row in which a sensor's reading cannot be used."""
        alarm, rules = self.found(row, "sensor", name), holding(own, "sensor", name)
        alarm.sensors = [name]
        self.lasts(row, "sensor", name, highest(rules) or "low", longest(r.on_delay_s for r in rules), [])

    def found(self, row: PlainRow, kind: str, subject: str) -> PlainAlarm:
        condition = self.conditions.setdefault((row.machine, kind, subject), PlainCondition())
        condition.gone = None
        alarm = condition.active or condition.forming
        if alarm is None:
            alarm = condition.forming = PlainAlarm(row.time)
        alarm.rows += 1
        return alarm

    def lasts(
        self, row: PlainRow, kind: str, subject: str, priority: str, delay: int, further: list[str]
    ) -> None:
        condition = self.conditions[row.machine, kind, subject]
        alarm, forming = condition.active, condition.forming
        if alarm is not None:
            if ORDER.index(priority) > ORDER.index(alarm.priority):
                alarm.priority = priority
                self.told("priority", row, kind, subject, alarm)
            elif further:
                self.told("sensor", row, kind, subject, alarm)
        elif forming is not None:
            forming.priority = priority
            if row.time - forming.raised >= max(delay, self.on[kind]):
                if condition.alarm is not None:
                    self.told("replaced", row, kind, subject, condition.alarm)
                condition.alarm, condition.forming = forming, None
                self.told("raised", row, kind, subject, forming)

    def without(self, row: PlainRow, own: Sequence[Rule], kind: str, subject: str) -> None:
        """A row that is as a normal one."""
        condition = self.conditions.get((row.machine, kind, subject), PlainCondition())
        condition.forming, alarm = None, condition.active
        if alarm is None:
            return
        condition.gone = row.time if condition.gone is None else condition.gone
        asked = [
            rule.off_delay_s for rule in own if rule.kind == kind and rule.sensor in (None, *alarm.sensors)
        ]
        if row.time - condition.gone >= max(self.off[kind], longest(asked)):
            alarm.returned, condition.gone = condition.gone, None
            self.told("returned", row, kind, subject, alarm)

    def told(self, change: str, row: PlainRow, kind: str, subject: str, alarm: PlainAlarm) -> None:
        alarm.revision += 1
        self.changes.append(
            {
                "change": change,
                "time": row.time,
                "machine_id": row.machine,
                "kind": kind,
                "subject": subject,
                "revision": alarm.revision,
                "priority": alarm.priority,
                "severity": alarm.severity,
                "raised": alarm.raised,
                "returned": alarm.returned,
                "sensors": list(alarm.sensors),
                "rows": alarm.rows,
            }
        )


def fits(pattern: str, name: str) -> bool:
    """Whether a name is of a pattern in which only a star is special."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(fits(pattern[1:], name[start:]) for start in range(len(name) + 1))
    return name[:1] == pattern[0] and fits(pattern[1:], name[1:])


def holding(own: Sequence[Rule], kind: str, name: str) -> list[Rule]:
    """Of a machine's rules, those for a sensor's part in a kind of alarm."""
    return [rule for rule in own if rule.kind == kind and rule.sensor in (None, name)]


def deviates(rules: Sequence[Rule], row: PlainRow, place: int) -> bool:
    """Whether a sensor's reading is as far from what was expected, and on that side, as it must be."""
    deviation = row.readings[place] - row.expected[place]
    if not isfinite(deviation):
        return True
    if any(rule.least_deviation is not None and abs(deviation) < rule.least_deviation for rule in rules):
        return False
    directions = {rule.direction for rule in rules} - {"both"}
    if directions == {"above"}:
        return deviation > 0
    return deviation < 0 if directions == {"below"} else True


def highest(rules: Sequence[Rule]) -> str | None:
    return max((rule.priority for rule in rules if rule.priority is not None), key=ORDER.index, default=None)


def longest(delays: Any) -> int:
    return max((int(delay * SECOND) for delay in delays if delay is not None), default=0)

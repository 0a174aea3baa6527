"""What the delays of alarms are, and what they do: for the screen, for metrics.json and for the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_runtime.bundle.judging import Alarms
    from trainer.calibration.alarm_counts import AlarmFigures

__all__ = ["WITH", "WITHOUT", "AlarmDelays", "alarm_rows", "alarm_sentence"]

PLACES = {"validation": "validation", "injected": "injected faults", "test": "test"}
WITHOUT, WITH = "each change of verdict", "with delays"


@dataclass(frozen=True, slots=True, eq=False)
class AlarmDelays:
    """What was chosen, and what it does.

    Attributes:
        alarms: What the bundle says.
        validation: Figures of validation without delays, where each change of verdict rings, and with them.
        injected: The same of the injected faults; None where there is no room for any.
        test: The same of test rows, which decided nothing.
    """

    alarms: Alarms
    validation: tuple[AlarmFigures, AlarmFigures]
    injected: tuple[AlarmFigures, AlarmFigures] | None
    test: tuple[AlarmFigures, AlarmFigures]

    def table(self) -> str:
        """For the screen."""
        rows = [("Alarms", WITHOUT, WITH), *alarm_rows(self.to_dict())]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows]
        return "\n".join([*lines, alarm_sentence(self.alarms)])

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        alarms = self.alarms
        pairs = {"validation": self.validation, "injected": self.injected, "test": self.test}
        return {
            "on_delay_s": alarms.on_delay_s,
            "off_delay_s": alarms.off_delay_s,
            "high_severity": alarms.high_severity,
            "rows": alarms.rows,
            **{
                name: None if pair is None else {"without": _facts(pair[0]), "with": _facts(pair[1])}
                for name, pair in pairs.items()
            },
        }

    @property
    def metrics(self) -> dict[str, float]:
        """For the record of a run."""
        found = {"on_delay_s": self.alarms.on_delay_s, "off_delay_s": self.alarms.off_delay_s}
        if self.alarms.high_severity is not None:
            found["high_severity"] = self.alarms.high_severity
        for name, (without, delayed) in {"val": self.validation, "test": self.test}.items():
            found |= {f"{name}_false_a_day_without": without.a_day, f"{name}_false_a_day": delayed.a_day}
        return {f"alarms_{name}": value for name, value in found.items()}


def alarm_sentence(alarms: Alarms) -> str:
    """The delays and the priority, for people."""
    high = alarms.high_severity
    priority = "no alarm is high" if high is None else f"priority is high from severity {high:g} on"
    return f"On-delay {alarms.on_delay_s:g} s, off-delay {alarms.off_delay_s:g} s; {priority}."


def alarm_rows(recorded: object) -> list[tuple[str, str, str]]:
    """For tables: a figure's name, its value without delays, and with them.

    Args:
        recorded: What `AlarmDelays.to_dict` gave, perhaps from a file; a figure that is not there is "-".
    """
    found = []
    for place, title in PLACES.items():
        pair = _part(recorded, place)
        without, delayed = _part(pair, "without"), _part(pair, "with")
        if place != "injected" and pair:
            found.append((f"false alarms a day, {title}", _figure(without), _figure(delayed)))
        if without.get("faults"):
            found += [
                (f"faults found, {title}", _found(without), _found(delayed)),
                (f"of the others in an alarm before, {title}", _before(without), _before(delayed)),
                (f"found ones with a single alarm, {title}", _single(without), _single(delayed)),
                (f"median delay, {title}", _delay(without), _delay(delayed)),
            ]
    return found


def _part(document: object, name: str) -> dict[str, Any]:
    part = document.get(name) if isinstance(document, dict) else None
    return part if isinstance(part, dict) else {}


def _number(facts: dict[str, Any], name: str) -> float | None:
    value = facts.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _figure(facts: dict[str, Any]) -> str:
    value = _number(facts, "false_alarms_a_day")
    return "-" if value is None else f"{value:.1f}"


def _found(facts: dict[str, Any]) -> str:
    found, faults = _number(facts, "found"), _number(facts, "faults")
    return "-" if found is None or faults is None else f"{found:,} of {faults:,}"


def _before(facts: dict[str, Any]) -> str:
    value = _number(facts, "in_alarm_since_before")
    return "-" if value is None else f"{value:,}"


def _single(facts: dict[str, Any]) -> str:
    value = _number(facts, "found_with_one_alarm")
    return "-" if value is None else f"{value:.1%}"


def _delay(facts: dict[str, Any]) -> str:
    value = _number(facts, "median_delay_s")
    return "-" if value is None else f"{value:g} s"


def _facts(figures: AlarmFigures) -> dict[str, Any]:
    return {
        "false_alarms": figures.false_alarms,
        "false_alarms_a_day": figures.a_day,
        "machine_days": figures.days,
        "faults": len(figures.alarms),
        "found": int(figures.found.sum()),
        "in_alarm_since_before": int(figures.since_before.sum()),
        "found_with_one_alarm": figures.single,
        "median_delay_s": figures.delay_s,
    }

"""What to look at: events that were missed, and alarms about nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from trainer.data.stretches import ALARM_JOIN_NS, Stretch, stretches
from trainer.evaluation.events import false_alarms, first_alarms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.report.scored import Scored

__all__ = ["Finding", "alarms", "false_findings", "missed_findings"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A stretch to look at.

    Attributes:
        stretch: Which machine's, from when to when; its kind, where it is an event of a known one.
        peak: Row of the highest score in it, among the scored rows.
        severity: That score over the threshold.
        sensor: The sensor with the largest error in that row, by its column.
        expected: What it should have read there, raw units.
        actual: What it read.
        note: What else to know of it, for people; may be empty.
    """

    stretch: Stretch
    peak: int
    severity: float
    sensor: int
    expected: float
    actual: float
    note: str = ""


def missed_findings(scored: Scored) -> list[Finding]:
    """The events that no alarm found, the longest first."""
    found = []
    for event, first in zip(scored.events, first_alarms(*_verdicts(scored)), strict=True):
        if first is None:
            up = scored.flagged[scored.within(event)].any()
            note = "the alarm was up since before" if up else ""
            found.append(replace(_finding(scored, event), note=note))
    return sorted(found, key=lambda one: one.stretch.start - one.stretch.stop)


def false_findings(scored: Scored) -> list[Finding]:
    """The alarms that touch no event, the highest first."""
    return _highest_first([_finding(scored, alarm) for alarm in false_alarms(*_verdicts(scored))])


def _verdicts(
    scored: Scored,
) -> tuple[tuple[Stretch, ...], NDArray[np.int64], NDArray[np.str_], NDArray[np.bool_]]:
    """The events, and times, machines and verdicts of the rows that count."""
    rows = scored.counted
    return scored.events, scored.times[rows], scored.machines[rows], scored.flagged[rows]


def alarms(scored: Scored) -> list[Finding]:
    """Every alarm, the highest first."""
    all_of_them = stretches(scored.times, scored.machines, scored.flagged, join_ns=ALARM_JOIN_NS)
    return _highest_first([_finding(scored, alarm) for alarm in all_of_them])


def _highest_first(found: list[Finding]) -> list[Finding]:
    return sorted(found, key=lambda one: -one.severity)


def _finding(scored: Scored, stretch: Stretch) -> Finding:
    rows = scored.within(stretch)
    peak = rows.start + int(np.argmax(scored.severity[rows]))
    sensor = int(np.argmax(scored.errors[peak]))
    return Finding(
        stretch,
        peak,
        float(scored.severity[peak]),
        sensor,
        float(scored.expected[peak, sensor]),
        float(scored.values[peak, sensor]),
    )

"""What to look at: events that were missed, and alarms about nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainer.data.stretches import ALARM_JOIN_NS, Stretch, stretches
from trainer.evaluation.events import false_alarms, first_flags

if TYPE_CHECKING:
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
    """

    stretch: Stretch
    peak: int
    severity: float
    sensor: int
    expected: float
    actual: float


def missed_findings(scored: Scored) -> list[Finding]:
    """The events without a flagged row, the longest first."""
    events = scored.events
    firsts = first_flags(events, scored.times, scored.machines, scored.flagged)
    found = [_finding(scored, event) for event, first in zip(events, firsts, strict=True) if first is None]
    return sorted(found, key=lambda one: one.stretch.start - one.stretch.stop)


def false_findings(scored: Scored) -> list[Finding]:
    """The alarms that touch no event, the highest first."""
    wrong = false_alarms(scored.events, scored.times, scored.machines, scored.flagged)
    return _highest_first([_finding(scored, alarm) for alarm in wrong])


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

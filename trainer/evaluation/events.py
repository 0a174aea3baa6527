"""Events instead of rows: which faults were found, how soon, and how often an alarm was about nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.data.stretches import (
    ALARM_JOIN_NS,
    SECOND_NS,
    SLACK_NS,
    Stretch,
    by_machine,
    observed_seconds,
    runs_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Delays", "EventReport", "false_alarms", "first_flags", "match_events"]

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Delays:
    """From an event's first row to the first flagged one, seconds, over the events that were found."""

    median: float
    p90: float


@dataclass(frozen=True, slots=True)
class EventReport:
    """Events against flagged rows.

    Attributes:
        injected: Number of events there were.
        found: Number of those with a flagged row.
        by_kind: Kind to (injected, found).
        delays_s: How long finding took; None where nothing was found.
        false_alarms: Runs of flagged rows that touch no event.
        false_alarms_per_day: Of one machine; 0 where no time was observed.
        machine_days: Time observed, summed over the machines.
    """

    injected: int
    found: int
    by_kind: dict[str, tuple[int, int]]
    delays_s: Delays | None
    false_alarms: int
    false_alarms_per_day: float
    machine_days: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def match_events(
    true: Sequence[Stretch],
    rows_times: NDArray[np.int64],
    rows_machines: NDArray[np.str_],
    rows_flags: NDArray[np.bool_],
    *,
    slack_ns: int = SLACK_NS,
    join_ns: int = ALARM_JOIN_NS,
) -> EventReport:
    """Compares events with flagged rows.

    An event is found when a row of its machine within it, both ends included, is flagged. Flagged rows that
    touch no event of their machine, each widened by `slack_ns` on both sides, are false alarms, counted by
    runs.

    Args:
        true: The events, in any order.
        rows_times: [rows] ns, in any order.
        rows_machines: [rows] machine ids.
        rows_flags: [rows] whether the row was called anomalous.
        slack_ns: How far from an event an alarm may lie and still be about it.
        join_ns: Flagged rows no further apart are one alarm.
    """
    by_kind = {kind: [0, 0] for kind in sorted({event.kind for event in true})}
    delays: list[float] = []
    for event, first in zip(true, first_flags(true, rows_times, rows_machines, rows_flags), strict=True):
        by_kind[event.kind][0] += 1
        if first is not None:
            by_kind[event.kind][1] += 1
            delays.append((first - event.start) / SECOND_NS)
    wrong = false_alarms(true, rows_times, rows_machines, rows_flags, slack_ns=slack_ns, join_ns=join_ns)
    seconds = sum(observed_seconds(rows_times[index]) for _, index in by_machine(rows_times, rows_machines))
    days = seconds / DAY_S
    return EventReport(
        injected=len(true),
        found=len(delays),
        by_kind={kind: (injected, found) for kind, (injected, found) in by_kind.items()},
        delays_s=Delays(float(np.median(delays)), float(np.quantile(delays, 0.9))) if delays else None,
        false_alarms=len(wrong),
        false_alarms_per_day=len(wrong) / days if days else 0.0,
        machine_days=days,
    )


def first_flags(
    true: Sequence[Stretch],
    rows_times: NDArray[np.int64],
    rows_machines: NDArray[np.str_],
    rows_flags: NDArray[np.bool_],
) -> list[int | None]:
    """When each event was found, ns: its first flagged row, both ends included; None for one that was missed.

    The arguments are those of `match_events`.
    """
    flagged = {
        machine: rows_times[index][rows_flags[index]]
        for machine, index in by_machine(rows_times, rows_machines)
    }
    nothing = np.empty(0, np.int64)
    found: list[int | None] = []
    for event in true:
        times = flagged.get(event.machine, nothing)
        first = int(np.searchsorted(times, event.start))
        found.append(int(times[first]) if first < len(times) and times[first] <= event.stop else None)
    return found


def false_alarms(
    true: Sequence[Stretch],
    rows_times: NDArray[np.int64],
    rows_machines: NDArray[np.str_],
    rows_flags: NDArray[np.bool_],
    *,
    slack_ns: int = SLACK_NS,
    join_ns: int = ALARM_JOIN_NS,
) -> list[Stretch]:
    """The alarms that touch no event, in order of machine and time; the arguments are `match_events`'s."""
    found: list[Stretch] = []
    for machine, index in by_machine(rows_times, rows_machines):
        events = [event for event in true if event.machine == machine]
        starts = np.array([event.start for event in events], np.int64) - slack_ns
        stops = np.array([event.stop for event in events], np.int64) + slack_ns
        alarms = runs_of(machine, rows_times[index], rows_flags[index], None, join_ns)
        found += [a for a in alarms if not ((starts <= a.stop) & (stops >= a.start)).any()]
    return found

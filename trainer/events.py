"""Anomalies as events instead of rows: how many were found, how soon, and how often there was a false alarm.

Pure functions on times, machines and flags; a row is an instant, so nothing here knows of models or files.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.event_labels import LabelledEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["JOIN_SECONDS", "EventReport", "find_alarms", "label_runs", "match_events"]

# Flags less than a minute apart are one alarm to an operator.
JOIN_SECONDS = 60.0
DAY_NS = 86_400e9


@dataclass(frozen=True, slots=True)
class EventReport:
    """Events beside alarms.

    Attributes:
        injected: Number of events with at least one row.
        found: Number of them with at least one flagged row.
        injected_by_kind: Kind to number of events.
        found_by_kind: Kind to number of events found.
        delays: Seconds from each found event's start to its first flagged row, in order of machine and start.
        alarms: Number of alarms, as `find_alarms` joins flags.
        false_alarms: Number of alarms that touch no event.
        machine_days: Time watched: every machine's rows times its usual step, in days.
    """

    injected: int
    found: int
    injected_by_kind: dict[str, int]
    found_by_kind: dict[str, int]
    delays: tuple[float, ...]
    alarms: int
    false_alarms: int
    machine_days: float

    @property
    def median_delay_seconds(self) -> float | None:
        """Of the events found; None where none was."""
        return float(np.median(self.delays)) if self.delays else None

    @property
    def false_alarms_per_day(self) -> float | None:
        """Of one machine; None where no machine has two rows."""
        return self.false_alarms / self.machine_days if self.machine_days else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "injected": self.injected,
            "found": self.found,
            "injected_by_kind": dict(self.injected_by_kind),
            "found_by_kind": dict(self.found_by_kind),
            "median_delay_seconds": self.median_delay_seconds,
            "longest_delay_seconds": max(self.delays, default=None),
            "alarms": self.alarms,
            "false_alarms": self.false_alarms,
            "false_alarms_per_day": self.false_alarms_per_day,
            "machine_days": self.machine_days,
        }


def label_runs(
    times: NDArray[np.int64],
    machines: NDArray[np.str_],
    labels: NDArray[np.bool_],
    kinds: NDArray[np.str_] | None = None,
) -> tuple[LabelledEvent, ...]:
    """Every run of labelled rows of one machine, and of one kind where kinds are known, as an event.

    Args:
        times: [rows] int64 nanoseconds, in any order.
        machines: [rows] machine ids.
        labels: [rows] True in anomalous rows.
        kinds: [rows] what kind of anomaly.

    Returns:
        By machine and start. An event stops a nanosecond after its last row.
    """
    order = np.lexsort((times, machines))
    times, machines, labels = times[order], machines[order], labels[order]
    kinds = np.full(len(times), "") if kinds is None else kinds[order]
    begins = labels.copy()
    begins[1:] &= ~labels[:-1] | (machines[1:] != machines[:-1]) | (kinds[1:] != kinds[:-1])
    starts = np.flatnonzero(begins)
    # A run ends where another begins or where rows are no longer labelled, whichever is first.
    unlabelled = np.append(np.flatnonzero(~labels), len(labels))
    following = unlabelled[np.searchsorted(unlabelled, starts)]
    stops = np.minimum(np.append(starts[1:], len(labels)), following)
    return tuple(
        LabelledEvent(str(machines[start]), str(kinds[start]), int(times[start]), int(times[stop - 1]) + 1)
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)
    )


def find_alarms(
    times: NDArray[np.int64],
    machines: NDArray[np.str_],
    flags: NDArray[np.bool_],
    *,
    join_seconds: float = JOIN_SECONDS,
) -> tuple[LabelledEvent, ...]:
    """Flagged rows as alarms: those of one machine that are at most so many seconds apart are one.

    Args:
        times: [rows] int64 nanoseconds, in any order.
        machines: [rows] machine ids.
        flags: [rows] True where anomalous by the detector.
        join_seconds: Longest time between two flags of one alarm.

    Returns:
        By machine and start, of kind "". An alarm stops a nanosecond after its last flag.
    """
    times, machines = times[flags], machines[flags]
    if not len(times):
        return ()
    order = np.lexsort((times, machines))
    times, machines = times[order], machines[order]
    breaks = (np.diff(times) > join_seconds * 1e9) | (machines[1:] != machines[:-1])
    starts = np.concatenate([[0], np.flatnonzero(breaks) + 1])
    stops = np.append(starts[1:], len(times))
    return tuple(
        LabelledEvent(str(machines[start]), "", int(times[start]), int(times[stop - 1]) + 1)
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)
    )


def match_events(
    events: Sequence[LabelledEvent],
    times: NDArray[np.int64],
    machines: NDArray[np.str_],
    flags: NDArray[np.bool_],
    *,
    join_seconds: float = JOIN_SECONDS,
) -> EventReport:
    """Holds events against flagged rows.

    An event without any row of its machine counts for nothing: nobody could have found it. Flags shortly
    before or after an event that join its alarm are not false: a fault shows before its label and takes a
    while to fade.

    Args:
        events: What really happened.
        times: [rows] int64 nanoseconds of the rows that were judged, in any order.
        machines: [rows] machine ids.
        flags: [rows] True where anomalous by the detector.
        join_seconds: As for `find_alarms`.
    """
    injected: Counter[str] = Counter()
    found: Counter[str] = Counter()
    delays: list[float] = []
    alarms = find_alarms(times, machines, flags, join_seconds=join_seconds)
    false_alarms, watched_ns = len(alarms), 0.0
    for machine in np.unique(machines).tolist():
        of_it = machines == machine
        rows, flagged = np.sort(times[of_it]), np.sort(times[of_it & flags])
        steps = np.diff(rows)
        watched_ns += len(rows) * float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
        its_events = sorted((e for e in events if e.machine == machine), key=lambda e: (e.start_ns, e.stop_ns))
        for event in its_events:
            if not _any_within(rows, event):
                continue
            injected[event.kind] += 1
            if _any_within(flagged, event):
                found[event.kind] += 1
                delays.append(float(flagged[np.searchsorted(flagged, event.start_ns)] - event.start_ns) / 1e9)
        false_alarms -= sum(
            any(e.start_ns < alarm.stop_ns and alarm.start_ns < e.stop_ns for e in its_events)
            for alarm in alarms
            if alarm.machine == machine
        )
    return EventReport(
        injected.total(),
        found.total(),
        dict(sorted(injected.items())),
        dict(sorted(found.items())),
        tuple(delays),
        len(alarms),
        false_alarms,
        watched_ns / DAY_NS,
    )


def _any_within(instants: NDArray[np.int64], event: LabelledEvent) -> bool:
    """Whether one of these sorted instants lies in the event."""
    first = int(np.searchsorted(instants, event.start_ns))
    return first < len(instants) and int(instants[first]) < event.stop_ns

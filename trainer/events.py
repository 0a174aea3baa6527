"""Events instead of rows: which faults were found, how soon, and how often an alarm was about nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

__all__ = [
    "ALARM_JOIN_NS",
    "SLACK_NS",
    "Delays",
    "EventReport",
    "Stretch",
    "false_alarms",
    "first_flags",
    "match_events",
    "observed_seconds",
    "series_starts",
    "stretches",
]

SECOND_NS = 1_000_000_000
DAY_S = 86_400.0
# Flagged rows no further apart are one alarm.
ALARM_JOIN_NS = 60 * SECOND_NS
# An alarm may lie so far from an event and still be about it.
SLACK_NS = 30 * SECOND_NS
# So many usual steps without a row are a hole in the data: nothing is known to go on across it.
HOLE_STEPS = 10


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of one machine's time.

    Attributes:
        machine: Machine id.
        start: Time of its first row, ns.
        stop: Time of its last row, ns, inclusive.
        kind: What happened; empty where nobody says.
    """

    machine: str
    start: int
    stop: int
    kind: str = ""

    def __post_init__(self) -> None:
        if self.stop < self.start:
            raise TrainingError("a stretch ends before it starts", where=f"{self.machine} at {self.start}")


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


def stretches(
    times: NDArray[np.int64],
    machines: NDArray[np.str_],
    flags: NDArray[np.bool_],
    kinds: NDArray[np.str_] | None = None,
    *,
    join_ns: int = 0,
) -> list[Stretch]:
    """Runs of flagged rows, each machine by itself, in order of machine and time.

    A run ends at a row that is not flagged, at another kind, and at a hole in the data, unless the next
    flagged row of the same kind comes within `join_ns`.

    Args:
        times: [rows] ns, in any order.
        machines: [rows] machine ids.
        flags: [rows] whether the row belongs to a run.
        kinds: [rows] what a flagged row is of; None where nobody says.
        join_ns: The longest time between two flagged rows of one run that are not neighbours.
    """
    return [
        run
        for machine, index in _by_machine(times, machines)
        for run in _runs(
            machine, times[index], flags[index], None if kinds is None else kinds[index], join_ns
        )
    ]


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
    seconds = sum(observed_seconds(rows_times[index]) for _, index in _by_machine(rows_times, rows_machines))
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
        for machine, index in _by_machine(rows_times, rows_machines)
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
    for machine, index in _by_machine(rows_times, rows_machines):
        events = [event for event in true if event.machine == machine]
        starts = np.array([event.start for event in events], np.int64) - slack_ns
        stops = np.array([event.stop for event in events], np.int64) + slack_ns
        alarms = _runs(machine, rows_times[index], rows_flags[index], None, join_ns)
        found += [a for a in alarms if not ((starts <= a.stop) & (stops >= a.start)).any()]
    return found


def series_starts(
    times: NDArray[np.int64], machines: NDArray[np.str_]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The rows' order by machine and time, and where in it a machine begins or goes on after a hole."""
    orders = [index for _, index in _by_machine(times, machines)]
    new = [np.append(True, np.diff(times[index]) > HOLE_STEPS * _step(times[index])) for index in orders]
    if not orders:
        return np.empty(0, np.intp), np.empty(0, np.bool_)
    return np.concatenate(orders), np.concatenate(new)


def _by_machine(
    times: NDArray[np.int64], machines: NDArray[np.str_]
) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """Every machine with the indices of its rows in order of time."""
    names, codes = np.unique(machines, return_inverse=True)
    order = np.lexsort((times, codes))
    ends = np.cumsum(np.bincount(codes, minlength=len(names)))
    for name, index in zip(names, np.split(order, ends[:-1]), strict=True) if len(names) else ():
        yield str(name), index


def _runs(
    machine: str,
    times: NDArray[np.int64],
    flags: NDArray[np.bool_],
    kinds: NDArray[np.str_] | None,
    join_ns: int,
) -> list[Stretch]:
    """Of one machine, times ascending."""
    index = np.flatnonzero(flags)
    if not len(index):
        return []
    gaps = np.diff(times[index])
    neighbours = (np.diff(index) == 1) & (gaps <= HOLE_STEPS * _step(times))
    goes_on = neighbours | (gaps <= join_ns)
    if kinds is not None:
        goes_on &= kinds[index][1:] == kinds[index][:-1]
    cuts = np.flatnonzero(~goes_on)
    firsts, lasts = index[np.append(0, cuts + 1)], index[np.append(cuts, len(index) - 1)]
    return [
        Stretch(machine, int(times[first]), int(times[last]), "" if kinds is None else str(kinds[first]))
        for first, last in zip(firsts, lasts, strict=True)
    ]


def _step(times: NDArray[np.int64]) -> float:
    """The usual time between two rows, ns."""
    steps = np.diff(times)
    steps = steps[steps > 0]
    return float(np.median(steps)) if len(steps) else 0.0


def observed_seconds(times: NDArray[np.int64]) -> float:
    """Seconds that the rows stand for: a row after a hole stands for one step, not for the hole."""
    step = _step(times)
    steps = np.diff(times)
    return float(np.where(steps > HOLE_STEPS * step, step, steps).sum() + step) / SECOND_NS

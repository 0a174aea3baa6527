"""Stretches of a machine's time: runs of flagged rows, and what is a hole between two rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = [
    "ALARM_JOIN_NS",
    "HOLE_STEPS",
    "SECOND_NS",
    "SLACK_NS",
    "Stretch",
    "by_machine",
    "observed_seconds",
    "row_seconds",
    "runs_of",
    "series_starts",
    "stretches",
]

SECOND_NS = 1_000_000_000
# Flagged rows no further apart are one alarm.
ALARM_JOIN_NS = 60 * SECOND_NS
# The tolerance: an alarm may lie so far from an event and still be about it, and one that begins so shortly
# before it has found it.
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
        for machine, index in by_machine(times, machines)
        for run in runs_of(
            machine, times[index], flags[index], None if kinds is None else kinds[index], join_ns
        )
    ]


def series_starts(
    times: NDArray[np.int64], machines: NDArray[np.str_]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The rows' order by machine and time, and where in it a machine begins or goes on after a hole."""
    orders = [index for _, index in by_machine(times, machines)]
    new = [np.append(True, np.diff(times[index]) > HOLE_STEPS * _step(times[index])) for index in orders]
    if not orders:
        return np.empty(0, np.intp), np.empty(0, np.bool_)
    return np.concatenate(orders), np.concatenate(new)


def by_machine(
    times: NDArray[np.int64], machines: NDArray[np.str_]
) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """Every machine with the indices of its rows in order of time."""
    names, codes = np.unique(machines, return_inverse=True)
    order = np.lexsort((times, codes))
    ends = np.cumsum(np.bincount(codes, minlength=len(names)))
    for name, index in zip(names, np.split(order, ends[:-1]), strict=True) if len(names) else ():
        yield str(name), index


def runs_of(
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


def row_seconds(times: NDArray[np.int64]) -> NDArray[np.float64]:
    """[rows] seconds that each row of one machine stands for, times ascending.

    They last until the next row; a row before a hole, and the last one, stand for one usual step.
    """
    return _lengths(times) / SECOND_NS


def observed_seconds(times: NDArray[np.int64]) -> float:
    """Seconds that the rows stand for: a row after a hole stands for one step, not for the hole."""
    return float(_lengths(times).sum()) / SECOND_NS


def _lengths(times: NDArray[np.int64]) -> NDArray[np.float64]:
    """[rows] ns."""
    step = _step(times)
    steps = np.diff(times)
    return np.append(np.where(steps > HOLE_STEPS * step, step, steps), np.full(min(len(times), 1), step))

"""Scores as a series of each machine: alarms above a level, the time observed, and parts of that time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainer.data.stretches import ALARM_JOIN_NS, observed_seconds, series_starts

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DAY_S", "GAUSS", "NONE_SEEN", "PARTS", "Peaks", "ScoreSeries", "parts_of_time", "student"]

DAY_S = 86_400.0
# A history is divided into few parts: what happens on one day hangs together, often on one week.
PARTS = 8
# Where so many alarms are expected, there is none in a tenth of the cases.
NONE_SEEN = 2.303
# The 95th percentile of the normal distribution, and of Student's t by its degrees of freedom, from 1 on.
GAUSS = 1.645
STUDENT = (6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812)


@dataclass(frozen=True, slots=True)
class Peaks:
    """Alarms above a level.

    Attributes:
        heights: [alarms] the highest score of each.
        rows: [alarms] the row where each begins.
    """

    heights: NDArray[np.float64]
    rows: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.heights)


@dataclass(frozen=True, slots=True)
class ScoreSeries:
    """Scores by machine, and by time within it.

    Attributes:
        scores: [rows] all finite.
        times: [rows] ns.
        machines: [rows] machine ids.
        clear: [rows] False where an alarm would be about an event: such rows are no time observed.
        begins: [rows] where a machine begins, or goes on after a hole.
        seconds: [rows] that each row stands for; 0 where it is not clear.
    """

    scores: NDArray[np.float64]
    times: NDArray[np.int64]
    machines: NDArray[np.str_]
    clear: NDArray[np.bool_]
    begins: NDArray[np.bool_]
    seconds: NDArray[np.float64]

    @staticmethod
    def of(
        scores: NDArray[np.floating],
        times: NDArray[np.int64],
        machines: NDArray[np.str_],
        disturbed: NDArray[np.bool_] | None = None,
    ) -> ScoreSeries:
        """Of rows in any order; `disturbed` are those that are not clear, None for none."""
        order, begins = series_starts(times, machines)
        times, machines = times[order], machines[order]
        clear = np.ones(len(order), np.bool_) if disturbed is None else ~disturbed[order]
        seconds = np.zeros(len(order))
        firsts = np.flatnonzero(np.append(True, machines[1:] != machines[:-1])) if len(order) else ()
        for first, stop in zip(firsts, np.append(firsts[1:], len(order)), strict=True) if len(order) else ():
            seconds[first:stop] = observed_seconds(times[first:stop]) / (stop - first)
        return ScoreSeries(
            scores[order].astype(np.float64), times, machines, clear, begins, np.where(clear, seconds, 0.0)
        )

    @property
    def machine_days(self) -> float:
        """Time observed, summed over the machines."""
        return float(self.seconds.sum()) / DAY_S

    def parts(self, count: int = PARTS) -> NDArray[np.intp]:
        """[rows] which part of its machine's time a row belongs to."""
        return parts_of_time(self.machines, count)

    def peaks(self, level: float) -> Peaks:
        """The alarms above a level that touch no row which is not clear.

        Rows above it are one alarm if they are neighbours, or no further than a minute apart, as the
        evaluation joins them.
        """
        above = np.flatnonzero(self.scores > level)
        if not len(above):
            return Peaks(np.empty(0), np.empty(0, np.intp))
        near = np.diff(self.times[above]) <= ALARM_JOIN_NS
        near |= (np.diff(above) == 1) & ~self.begins[above[1:]]
        near &= self.machines[above][1:] == self.machines[above][:-1]
        starts = np.append(0, np.flatnonzero(~near) + 1)
        first, last = above[starts], above[np.append(starts[1:], len(above)) - 1]
        before = np.append(0, np.cumsum(~self.clear))
        own = before[last + 1] == before[first]
        return Peaks(np.maximum.reduceat(self.scores[above], starts)[own], first[own])

    def rate(self, level: float) -> float:
        """Alarms a machine and day above a level; 0 where no time was observed."""
        days = self.machine_days
        return len(self.peaks(level)) / days if days else 0.0


def student(freedom: int) -> float:
    """The 95th percentile of Student's t; of more than ten degrees of freedom, that of ten."""
    return STUDENT[min(freedom, len(STUDENT)) - 1]


def parts_of_time(machines: NDArray[np.str_], count: int) -> NDArray[np.intp]:
    """[rows] the part of its machine's time that a row belongs to, 0 for the earliest; equal numbers of rows.

    Args:
        machines: [rows] machine ids; rows by machine, and by time within it.
        count: How many parts each machine's time has.
    """
    if not len(machines):
        return np.empty(0, np.intp)
    firsts = np.flatnonzero(np.append(True, machines[1:] != machines[:-1]))
    rows = np.diff(np.append(firsts, len(machines)))
    within = np.arange(len(machines)) - np.repeat(firsts, rows)
    part: NDArray[np.intp] = within * count // np.repeat(rows, rows)
    return part

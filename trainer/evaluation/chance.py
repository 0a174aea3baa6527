"""What the same alarms find at random times: what a detector's figures are to be held against.

A machine's verdicts are moved along its rows by a random number of them, and what leaves at the end comes in
at the start. So there are as many alarms as before and as long, and only their times are left to chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["SHIFTS", "Chance", "RandomAlarms"]

SHIFTS = 100
# Sums of pieces that are looked up at once, for memory.
CHUNK = 1_000_000


@dataclass(frozen=True, slots=True)
class RandomAlarms:
    """Figures of the same alarms at random times, each the mean over the shifts.

    Attributes:
        events_found: Number of events that they find.
        f1: Of rows.
        precision: Of rows; 0 where nothing is flagged.
        shifts: How often they were moved.
    """

    events_found: float
    f1: float
    precision: float
    shifts: int = SHIFTS


class Chance:
    """Adds up machines; the shifts of each are drawn in the order in which the machines come.

    Args:
        seed: Of the shifts.
    """

    def __init__(self, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        self._found = np.zeros(SHIFTS)
        self._hits = np.zeros(SHIFTS)
        self._flagged = 0
        self._anomalous = 0

    def add(
        self,
        flags: NDArray[np.bool_],
        truth: NDArray[np.bool_],
        firsts: NDArray[np.intp],
        stops: NDArray[np.intp],
    ) -> None:
        """A machine.

        Args:
            flags: [rows] the verdicts, in order of time.
            truth: [rows] whether the row is anomalous.
            firsts: [events] the first row in which an alarm may begin that finds the event.
            stops: [events] the first row after the last such one.
        """
        self._flagged += int(flags.sum())
        self._anomalous += int(truth.sum())
        if not flags.any():
            return
        shifts = self._random.integers(0, len(flags), SHIFTS)
        rises = flags & ~np.roll(flags, 1)
        edges = np.flatnonzero(np.diff(truth, prepend=False, append=False))
        for part, sums in _moved(rises, firsts, stops, shifts):
            self._found[part] += (sums > 0).sum(1)
        for part, sums in _moved(flags, edges[::2], edges[1::2], shifts):
            self._hits[part] += sums.sum(1)

    def figures(self) -> RandomAlarms | None:
        """The means; None where no row is anomalous."""
        if not self._anomalous:
            return None
        return RandomAlarms(
            float(self._found.mean()),
            float((2 * self._hits / (self._flagged + self._anomalous)).mean()),
            float((self._hits / max(self._flagged, 1)).mean()),
        )


def _moved(
    marks: NDArray[np.bool_],
    firsts: NDArray[np.intp],
    stops: NDArray[np.intp],
    shifts: NDArray[np.int64],
) -> Iterator[tuple[slice, NDArray[np.int64]]]:
    """Some shifts at a time, and [shifts, pieces] marks within each piece of rows after them.

    A piece sees what was as many rows before it as the marks are moved.
    """
    if not len(firsts):
        return
    before = np.concatenate([[0], np.cumsum(np.tile(marks, 2))])
    size = max(1, CHUNK // len(firsts))
    for start in range(0, len(shifts), size):
        part = slice(start, start + size)
        begins = (firsts[None, :] - shifts[part, None]) % len(marks)
        yield part, before[begins + (stops - firsts)[None, :]] - before[begins]

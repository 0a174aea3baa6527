"""Runs of readings that lie near the first of them: where they begin and end, and how long they are.

Where two readings in succession are farther apart than twice the distance, a run surely ends, whatever it
began with. So most readings need no closer look, and those of a block are compared at once.
"""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Breaks", "all_short", "follow", "last_break", "long_stretches"]

# Differences of float32 are rounded: what is beyond twice the distance by less is looked at closely.
ROUNDED = 1 + 1e-6
# So many steps in succession that are not surely apart are rare where a sensor does not stand still.
STEPS_LOOKED_FOR = 64


class Breaks:
    """Finds between which readings in succession a run surely ends.

    Args:
        within: [sensors] how far a reading of a run may be from its first one.
    """

    def __init__(self, within: Sequence[float]) -> None:
        with np.errstate(over="ignore"):  # beyond what float32 holds, no two readings are surely apart
            self._apart = np.array([2 * ROUNDED * each for each in within]).astype(np.float32)
        # The same over and over, as long as a block's steps one after the other.
        self._aparts = np.empty(0, np.float32)

    def between(self, values: NDArray[np.float32]) -> NDArray[np.bool_]:
        """[rows - 1, sensors] whether one surely ends, whatever its first reading is.

        Readings may be infinite or far apart: invalid differences and overflows are for the caller to ignore.

        Args:
            values: [rows, sensors] raw units.
        """
        sensors = len(self._apart)
        # numpy is several times as fast on two long rows as on many short ones.
        flat = values.reshape(-1)
        steps = flat[sensors:] - flat[:-sensors]
        np.abs(steps, out=steps)
        if len(self._aparts) < len(steps):
            self._aparts = np.tile(self._apart, len(values))
        # After a missing reading, and between infinities, it is not sure.
        found: NDArray[np.bool_] = steps > self._aparts[: len(steps)]
        return found.reshape(-1, sensors)


def all_short(breaks: NDArray[np.bool_], steps: int) -> bool:
    """Whether no sensor has that many steps in succession without a break; False if in doubt.

    Args:
        breaks: As `Breaks.between` gives them.
        steps: How many.
    """
    # One sensor after the other, a byte a step: where two of them meet, there is doubt.
    return steps > 0 and bytes(min(steps, STEPS_LOOKED_FOR)) not in breaks.T.tobytes()


def last_break(breaks: NDArray[np.bool_], place: int) -> int:
    """The row at which a sensor's last run surely began; 0 where none did."""
    row = len(breaks)
    while row and not breaks[row - 1, place]:
        row -= 1
    return row


def long_stretches(breaks: NDArray[np.bool_], most: int, run: int) -> list[tuple[int, int]]:
    """Where a run can be long enough: first row and end of such stretches, and of the last one in any case.

    Args:
        breaks: [rows - 1] of one sensor, as `Breaks.between` gives them.
        most: So many readings are enough.
        run: Number of readings of the run before these rows.
    """
    bounds = np.concatenate([[0], np.flatnonzero(breaks) + 1, [len(breaks) + 1]])
    lengths = np.diff(bounds)
    lengths[0] += run
    some = (*np.flatnonzero(lengths[:-1] >= most).tolist(), len(lengths) - 1)
    return [(int(bounds[one]), int(bounds[one + 1])) for one in some]


def follow(readings: list[float], run: int, anchor: float, within: float) -> tuple[list[int], float]:
    """How long the run of readings is at each of them, and what the run under way began with.

    Args:
        readings: One sensor's, in order; NaN where one is missing.
        run: Number of readings before them that the run has.
        anchor: The first of these; NaN where there is none.
        within: How far from it a reading of the run may be.
    """
    runs = []
    for reading in readings:
        if -within <= reading - anchor <= within:
            run += 1
        elif not isnan(reading):
            anchor, run = reading, 1
        runs.append(run)
    return runs, anchor

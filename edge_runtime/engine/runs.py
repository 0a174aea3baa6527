"""Runs of readings that lie near the first of them: where they begin and end, and how long they are.

Where two readings in succession are farther apart than twice the distance, a run surely ends, whatever it
began with. So most readings need no closer look, and those of a block are compared at once.
"""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.bundle.caps import LARGEST

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["all_short", "breaks_between", "continued", "follow", "last_stretch", "surely_apart"]

# Differences of float32 are rounded: what is beyond twice the distance by less is looked at closely.
ROUNDED = 1 + 1e-6
# So many steps in succession that are not surely apart are rare where a sensor does not stand still.
STEPS_LOOKED_FOR = 4


def breaks_between(values: NDArray[np.float32], apart: NDArray[np.float32]) -> NDArray[np.bool_]:
    """[rows - 1, sensors] Between which readings a run surely ends, whatever its first reading is.

    Readings may be infinite or far apart: invalid differences and overflows are for the caller to ignore.

    Args:
        values: [rows, sensors] raw units.
        apart: [sensors] as `surely_apart` gives it.
    """
    steps = values[1:] - values[:-1]
    np.abs(steps, out=steps)
    # After a missing reading, and between infinities, it is not sure.
    found: NDArray[np.bool_] = steps > apart
    return found


def all_short(breaks: NDArray[np.bool_], steps: int) -> bool:
    """Whether no sensor has that many steps in succession without a break; False if in doubt.

    Args:
        breaks: As `breaks_between` gives them.
        steps: How many.
    """
    calm, together = ~breaks, 1
    while 2 * together <= min(steps, STEPS_LOOKED_FOR):
        calm = calm[:-together] & calm[together:]
        together *= 2
    return steps > 0 and not np.count_nonzero(calm)


def last_stretch(breaks: NDArray[np.bool_], place: int) -> slice:
    """The rows from a sensor's last break on."""
    row = len(breaks)
    while row and not breaks[row - 1, place]:
        row -= 1
    return slice(row, len(breaks) + 1)


def surely_apart(within: Iterable[float]) -> NDArray[np.float32]:
    """[sensors] What `breaks_between` takes, for the distance of a run's readings from its first one."""
    found: NDArray[np.float32] = np.minimum([2 * ROUNDED * each for each in within], LARGEST).astype(
        np.float32
    )
    return found


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


def continued(readings: list[float], run: int, anchor: float, within: float) -> tuple[int, float]:
    """The run under way after readings that are all there, and its first reading; else as `follow`."""
    start, apart = len(readings) - 1, 2 * within * ROUNDED
    while start and abs(readings[start] - readings[start - 1]) <= apart:
        start -= 1
    if start:  # there a run surely began
        run, anchor = 1, readings[start]
        start += 1
    for reading in readings[start:]:
        if -within <= reading - anchor <= within:
            run += 1
        else:
            run, anchor = 1, reading
    return run, anchor

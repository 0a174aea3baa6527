"""Blocks of time to resample: what happens within an hour of a machine hangs together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer.data.stretches import observed_seconds

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["HOUR_NS", "time_blocks"]

HOUR_NS = 3_600 * 1_000_000_000


def time_blocks(
    times: NDArray[np.int64], machines: NDArray[np.str_], block_ns: int = HOUR_NS
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Each row's block, and the seconds that each block stands for.

    Args:
        times: [rows] ns; rows by machine, and by time within it.
        machines: [rows] machine ids.
        block_ns: Length of a block.
    """
    periods = times // block_ns
    new = np.append(True, (periods[1:] != periods[:-1]) | (machines[1:] != machines[:-1]))
    blocks = np.cumsum(new) - 1
    starts = np.flatnonzero(new)
    rows = np.diff(np.append(starts, len(times)))
    # A row stands for the usual step of its machine, so that a hole in the data counts for nothing.
    seconds = np.zeros(len(starts))
    for machine in np.unique(machines):
        own = machines[starts] == machine
        seconds[own] = rows[own] * observed_seconds(times[machines == machine]) / rows[own].sum()
    return blocks, seconds

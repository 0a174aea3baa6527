"""The rows that a bundle proves itself with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import TrainingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.data import Split

__all__ = ["golden_rows"]

ROWS = 32


def golden_rows(split: Split, rows: int = ROWS) -> NDArray[np.float32]:
    """The first run of so many consecutive finite rows of one machine, or else the longest run there is.

    Returns:
        [up to rows, sensors] float32 in raw units.

    Raises:
        TrainingError: No row is finite.
    """
    order = np.lexsort((split.times, split.machines))
    machines, finite = split.machines[order], split.finite[order]
    index = np.flatnonzero(finite)
    if not len(index):
        raise TrainingError("no row has all of its readings", where=str(split.path))
    breaks = (np.diff(index) > 1) | (machines[index][1:] != machines[index][:-1])
    starts = np.concatenate([[0], np.flatnonzero(breaks) + 1])
    lengths = np.minimum(np.diff(np.append(starts, len(index))), rows)
    best = int(np.argmax(lengths))
    chosen: NDArray[np.float32] = split.values[order[index[starts[best] :][: lengths[best]]]]
    return chosen

"""The rows that a bundle proves itself with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import TrainingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.data.split import Split

__all__ = ["GoldenRows", "golden_rows"]

ROWS = 32


@dataclass(frozen=True, slots=True)
class GoldenRows:
    """Consecutive rows of one machine, oldest first.

    Attributes:
        readings: [rows, sensors] float32, raw units.
        times: [rows] int64 ns.
    """

    readings: NDArray[np.float32]
    times: NDArray[np.int64]


def golden_rows(split: Split, rows: int = ROWS) -> GoldenRows:
    """The first run of so many consecutive finite rows of one machine, or else the longest run there is.

    Raises:
        TrainingError: No row is finite.
    """
    order = np.lexsort((split.times, split.machines))
    machines, finite = split.machines[order], split.finite[order]
    index = np.flatnonzero(finite)
    if not len(index):
        raise TrainingError("every row lacks at least one reading", where=str(split.path))
    breaks = (np.diff(index) > 1) | (machines[index][1:] != machines[index][:-1])
    starts = np.concatenate([[0], np.flatnonzero(breaks) + 1])
    lengths = np.minimum(np.diff(np.append(starts, len(index))), rows)
    best = int(np.argmax(lengths))
    chosen = order[index[starts[best] :][: lengths[best]]]
    return GoldenRows(split.values[chosen], split.times[chosen])

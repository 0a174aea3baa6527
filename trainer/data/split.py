"""One table of training data as arrays: its rows, what is labelled of them, and which of them count."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Split"]


@dataclass(frozen=True, slots=True)
class Split:
    """One table.

    A row is normal, anomalous or ignored. Ignored rows, of maintenance or of a start-up say, are scored with
    the others, since the next row's score may depend on them, but nothing is learnt from them, and no figure
    counts them.

    Attributes:
        path: The file.
        times: [rows] int64 nanoseconds since the epoch, UTC.
        machines: [rows] machine ids, a numpy unicode array.
        values: [rows, sensors] float32 in raw units; NaN where a reading is missing.
        labels: [rows] bool, True in anomalous rows, False in ignored ones; None without labels.
        kinds: [rows] kind of anomaly, empty where unknown; None where the table has no kinds.
        ignored: [rows] bool, True in ignored rows; None where there are none.
        finite: [rows] bool, whether every reading of the row is there and finite.
    """

    path: Path
    times: NDArray[np.int64]
    machines: NDArray[np.str_]
    values: NDArray[np.float32]
    labels: NDArray[np.bool_] | None
    kinds: NDArray[np.str_] | None
    ignored: NDArray[np.bool_] | None = None
    finite: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "finite", np.isfinite(self.values).all(1))

    def __len__(self) -> int:
        return len(self.times)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Split:
        """The rows that a numpy index or mask selects."""
        return Split(
            self.path,
            self.times[rows],
            self.machines[rows],
            self.values[rows],
            None if self.labels is None else self.labels[rows],
            None if self.kinds is None else self.kinds[rows],
            None if self.ignored is None else self.ignored[rows],
        )

    @property
    def counted(self) -> NDArray[np.bool_]:
        """[rows] bool: not ignored."""
        return np.ones(len(self), np.bool_) if self.ignored is None else ~self.ignored

    @property
    def normal(self) -> NDArray[np.bool_]:
        """[rows] bool: finite, and neither anomalous nor ignored."""
        rows = self.finite & self.counted
        return rows if self.labels is None else rows & ~self.labels

    @property
    def passed(self) -> NDArray[np.bool_]:
        """[rows] bool: what whatever has a memory is shown in training, the normal and the ignored rows."""
        return self.normal if self.ignored is None else self.normal | (self.finite & self.ignored)

    @property
    def normal_values(self) -> NDArray[np.float32]:
        """The readings of the normal rows."""
        return self.values[self.normal]

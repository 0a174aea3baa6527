"""The rows that the history keeps, as columns."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.records import COMPLETE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Rows"]


@dataclass(slots=True, eq=False)
class Rows:
    """Judged rows of one machine and one bundle, in the order of their times.

    Attributes:
        times: [rows] int64 nanoseconds since the epoch, increasing.
        values: [rows, sensors] float32 readings in raw units, NaN where one is missing.
        severity: [rows] float32.
        verdicts: [rows] int8 codes of `Verdict`.
        reasons: [rows] int8 codes of `Reason`.
        degraded: [rows] int16, the place of the one sensor without which the row was judged, or `COMPLETE`.
        faults: [rows, sensors] int8 codes of `Reason`: why a sensor's reading cannot be used; NONE for one
            that can.
        numbers: [rows] int64 numbers of the commits that stored the rows, never decreasing.
    """

    times: NDArray[np.int64]
    values: NDArray[np.float32]
    severity: NDArray[np.float32]
    verdicts: NDArray[np.int8]
    reasons: NDArray[np.int8]
    degraded: NDArray[np.int16]
    faults: NDArray[np.int8]
    numbers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.times)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Rows:
        """The rows that a numpy index, mask or slice selects; of a slice, they share the arrays."""
        return Rows(*(column[rows] for column in self._columns()))

    @staticmethod
    def joined(blocks: Sequence[Rows]) -> Rows:
        """Blocks, at least one, of equal sensors, one after the other."""
        if len(blocks) == 1:
            return blocks[0]
        columns = zip(*(block._columns() for block in blocks), strict=True)  # noqa: SLF001
        return Rows(*(np.concatenate(parts) for parts in columns))

    @staticmethod
    def empty(sensors: int) -> Rows:
        """A block without rows."""
        return Rows(
            np.empty(0, np.int64),
            np.empty((0, sensors), np.float32),
            np.empty(0, np.float32),
            np.empty(0, np.int8),
            np.empty(0, np.int8),
            np.full(0, COMPLETE, np.int16),
            np.empty((0, sensors), np.int8),
            np.empty(0, np.int64),
        )

    def _columns(self) -> list[NDArray[Any]]:
        return [getattr(self, field.name) for field in fields(self)]

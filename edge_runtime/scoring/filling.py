"""The reading that a row lacks, filled by a linear regression on the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.bundle.caps import LARGEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge_runtime.bundle.judging import Absence
    from edge_runtime.bundle.metadata import Sensor

__all__ = ["Filling", "in_turns"]


class Filling:
    """Fills one reading a row.

    Args:
        absent: The regression of each sensor, in order.
        sensors: The bundle's; what is filled lies within the physical range, where one is stated.
    """

    def __init__(self, absent: Sequence[Absence], sensors: Sequence[Sensor]) -> None:
        self._intercepts = np.asarray([each.intercept for each in absent], np.float64)
        self._coefficients = np.asarray([each.coefficients for each in absent], np.float64)
        ranges = np.asarray([sensor.physical_range or (-LARGEST, LARGEST) for sensor in sensors], np.float32)
        self._low, self._high = ranges.astype(np.float64).T

    def fill(self, values: NDArray[np.float32], lacking: NDArray[np.intp]) -> NDArray[np.float32]:
        """The rows with the reading in it that each of them lacks.

        Sums are of float64 and of each row by itself, so a row gives the same whatever rows are beside it.

        Args:
            values: [rows, sensors] raw units; finite but for the sensor that is lacking, whatever that reads.
            lacking: [rows] which sensor.
        """
        row = np.arange(len(values))
        others = values.astype(np.float64)
        others[row, lacking] = 0.0
        others *= self._coefficients[lacking]
        found = others.sum(1) + self._intercepts[lacking]
        filled = values.copy()
        filled[row, lacking] = np.clip(found, self._low[lacking], self._high[lacking])
        return filled


def in_turns(filling: Filling, rows: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Golden rows with one sensor after the other filled, until all rows and all sensors have had their turn.

    Args:
        filling: What fills them.
        rows: [rows, sensors] raw units, all finite.

    Returns:
        [turns] which row each is; and [turns, sensors] the rows with the reading filled.
    """
    turns = np.arange(max(rows.shape))
    index = turns % len(rows)
    return index, filling.fill(rows[index], turns % rows.shape[1])

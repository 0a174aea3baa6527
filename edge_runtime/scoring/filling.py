"""The reading that a row lacks, filled by a linear regression on the others; for bundles that say how."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.bundle.caps import LARGEST
from edge_runtime.records import COMPLETE, Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge_runtime.bundle.judging import Absence, Degraded
    from edge_runtime.bundle.metadata import Sensor
    from edge_runtime.records import Readings, Scores

__all__ = ["Filling", "StandIn", "in_turns"]


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


class StandIn:
    """Finds the rows of which a single reading cannot be used, and fills it.

    Args:
        degraded: How, as the bundle says.
        sensors: The bundle's.
    """

    def __init__(self, degraded: Degraded, sensors: Sequence[Sensor]) -> None:
        self._filling = Filling(degraded.absent, sensors)

    def fill(self, readings: Readings, faults: NDArray[np.int8]) -> tuple[Readings, NDArray[np.int16] | None]:
        """The readings with what stands in for those that are lacking.

        Args:
            readings: The rows, which stay as they are.
            faults: [rows, sensors] codes of `Reason`: which readings cannot be used.

        Returns:
            The same rows, filled; and [rows] the sensor that was filled, or `COMPLETE`, None where no row
            lacks one sensor alone.
        """
        values = readings.values
        rows = np.flatnonzero(np.count_nonzero(faults, axis=1) == 1)
        if not len(rows):
            return readings, None
        places = faults[rows].argmax(1)
        filled = values.copy()
        filled[rows] = self._filling.fill(values[rows], places)
        lacking = np.full(len(values), COMPLETE, np.int16)
        lacking[rows] = places
        return readings.with_values(filled), lacking

    def settle(
        self, scores: Scores, reasons: NDArray[np.int8], lacking: NDArray[np.int16]
    ) -> NDArray[np.int16] | None:
        """Which rows were judged without a sensor, and whose score those rows' is; in place.

        Args:
            scores: Of all rows.
            reasons: [rows] codes of `Reason`; a row that has one was not judged.
            lacking: As `fill` gave it.
        """
        lacking[reasons != Reason.NONE] = COMPLETE
        if (lacking == COMPLETE).all():
            return None
        self._share(scores, lacking)
        return lacking

    @staticmethod
    def _share(scores: Scores, lacking: NDArray[np.int16]) -> None:
        """Gives what a filled sensor has of its row's score to the others, in proportion; in place.

        What was filled is no reading, so it must not be what stands out. Where the others have no share, each
        gets the same.
        """
        rows = np.flatnonzero(lacking != COMPLETE)
        places = lacking[rows]
        shares = scores.errors[rows].astype(np.float64)
        count = np.arange(len(rows))
        shares[count, places] = 0.0
        nothing = ~(shares.sum(1) > 0)
        shares[nothing] = 1.0
        shares[count, places] = 0.0
        shares *= (scores.score[rows] / shares.sum(1))[:, None]
        scores.errors[rows] = shares

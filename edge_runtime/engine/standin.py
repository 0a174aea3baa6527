"""Rows that lack one sensor alone are judged without it; for bundles that say how."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.records import COMPLETE, Reason
from edge_runtime.scoring.filling import Filling

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.bundle.judging import Degraded
    from edge_runtime.bundle.metadata import Metadata
    from edge_runtime.engine.quality import Quality
    from edge_runtime.records import Readings, Scores

__all__ = ["StandIn"]


class StandIn:
    """Finds the rows of which a single reading cannot be used, and fills it.

    Args:
        degraded: How, as the bundle says.
        metadata: The bundle's.
        quality: Which readings can be used.
    """

    def __init__(self, degraded: Degraded, metadata: Metadata, quality: Quality) -> None:
        self._filling = Filling(degraded.absent, metadata.sensors)
        self._quality = quality

    def fill(
        self, readings: Readings, faults: NDArray[np.int8]
    ) -> tuple[Readings, NDArray[np.int8] | None, NDArray[np.int16] | None]:
        """The readings with what stands in for those that are lacking.

        Args:
            readings: The rows, which stay as they are.
            faults: [rows] codes of `Reason`, as `Quality.check` gives them.

        Returns:
            The same rows, filled; [rows] the faults that are left, None for none; and [rows] the sensor that
            was filled, or `COMPLETE`, None where no row lacks one sensor alone.
        """
        values = readings.values
        rows = np.flatnonzero(faults)
        unusable = self._quality.unusable(values[rows])
        alone = np.count_nonzero(unusable, axis=1) == 1
        if not alone.any():
            return readings, faults, None
        rows, places = rows[alone], unusable[alone].argmax(1)
        filled = values.copy()
        filled[rows] = self._filling.fill(values[rows], places)
        lacking = np.full(len(values), COMPLETE, np.int16)
        lacking[rows] = places
        faults[rows] = Reason.NONE
        return readings.with_values(filled), faults if faults.any() else None, lacking

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

"""Sensor faults that a single reading shows: it is missing, not finite or out of range."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.records import Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Metadata

__all__ = ["Quality", "row_reasons"]

LARGEST = float(np.finfo(np.float32).max)
FEW_ROWS, MANY_ROWS = 16, 16_384
NO_FAULT = np.int8(np.iinfo(np.int8).max)


class Quality:
    """Checks readings against what a sensor can give.

    Args:
        metadata: The bundle's: its sensors' physical ranges.

    Attributes:
        ranges: [sensors] lowest and highest reading, of the physical range or of what float32 holds.
    """

    def __init__(self, metadata: Metadata) -> None:
        ranges = [sensor.physical_range or (-LARGEST, LARGEST) for sensor in metadata.sensors]
        self._low, self._high = np.asarray(ranges, np.float32).T
        self.ranges = list(zip(self._low.tolist(), self._high.tolist(), strict=True))
        # The ranges over and over, as long as a block's readings one after the other.
        self._lows = self._highs = np.empty(0, np.float32)

    def check(self, values: NDArray[np.float32]) -> NDArray[np.int8] | None:
        """Why readings cannot be used, [rows, sensors] codes of `Reason`; None where all can.

        Args:
            values: [rows, sensors] raw units.
        """
        # Neither NaN nor an infinity is within; what is left to find is rare.
        if self._all_within(values):
            return None
        faults = np.zeros(values.shape, np.int8)
        faults[(values < self._low) | (values > self._high)] = Reason.OUT_OF_RANGE
        faults[~np.isfinite(values)] = Reason.NOT_FINITE
        faults[np.isnan(values)] = Reason.MISSING
        return faults

    def _all_within(self, values: NDArray[np.float32]) -> bool:
        if not FEW_ROWS < len(values) <= MANY_ROWS:
            return bool(((values >= self._low) & (values <= self._high)).all())
        # numpy is several times as fast on two long rows as on many short ones.
        flat = values.reshape(-1)
        if len(self._lows) < len(flat):
            self._lows, self._highs = (np.tile(each, len(values)) for each in (self._low, self._high))
        lows, highs = self._lows[: len(flat)], self._highs[: len(flat)]
        return bool(((flat >= lows) & (flat <= highs)).all())


def row_reasons(faults: NDArray[np.int8]) -> NDArray[np.int8]:
    """[rows] The reason for which a row is unknown: of several sensors' faults that of the lowest code.

    Args:
        faults: [rows, sensors] codes of `Reason`.
    """
    reasons: NDArray[np.int8] = np.where(faults == 0, NO_FAULT, faults).min(axis=1)
    reasons[reasons == NO_FAULT] = Reason.NONE
    return reasons

"""Sensor faults: which rows say nothing about the machine, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.records import Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Metadata

__all__ = ["Quality"]

LARGEST = float(np.finfo(np.float32).max)
FEW_ROWS, MANY_ROWS = 16, 16_384


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
        """The reason of each row that must not be scored, [rows] codes of `Reason`; None where all may be.

        Args:
            values: [rows, sensors] raw units.
        """
        # Neither NaN nor an infinity is within; what is left to find is rare.
        if self._all_within(values):
            return None
        reasons = np.zeros(len(values), np.int8)
        reasons[((values < self._low) | (values > self._high)).any(1)] = Reason.OUT_OF_RANGE
        reasons[~np.isfinite(values).all(1)] = Reason.NOT_FINITE
        reasons[np.isnan(values).any(1)] = Reason.MISSING
        return reasons

    def unusable(self, values: NDArray[np.float32]) -> NDArray[np.bool_]:
        """[rows, sensors] which readings are missing, not finite or out of range."""
        unusable: NDArray[np.bool_] = ~((values >= self._low) & (values <= self._high))
        return unusable

    def _all_within(self, values: NDArray[np.float32]) -> bool:
        if not FEW_ROWS < len(values) <= MANY_ROWS:
            return bool(((values >= self._low) & (values <= self._high)).all())
        # numpy is several times as fast on two long rows as on many short ones.
        flat = values.reshape(-1)
        if len(self._lows) < len(flat):
            self._lows, self._highs = (np.tile(each, len(values)) for each in (self._low, self._high))
        lows, highs = self._lows[: len(flat)], self._highs[: len(flat)]
        return bool(((flat >= lows) & (flat <= highs)).all())

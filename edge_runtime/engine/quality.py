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

    def check(self, values: NDArray[np.float32]) -> NDArray[np.int8] | None:
        """The reason of each row that must not be scored, [rows] codes of `Reason`; None where all may be.

        Args:
            values: [rows, sensors] raw units.
        """
        # Neither NaN nor an infinity is within; what is left to find is rare.
        within = (values >= self._low) & (values <= self._high)
        if within.all():
            return None
        reasons = np.zeros(len(values), np.int8)
        reasons[((values < self._low) | (values > self._high)).any(1)] = Reason.OUT_OF_RANGE
        reasons[~np.isfinite(values).all(1)] = Reason.NOT_FINITE
        reasons[np.isnan(values).any(1)] = Reason.MISSING
        return reasons

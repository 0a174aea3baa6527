"""Fixed limits, as an operator sets them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import TrainingError
from trainer.evaluation.baselines.base import scored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from trainer.data.split import Split

__all__ = ["FixedLimits"]


class FixedLimits:
    """A fixed limit a sensor; the score is the largest excess over a limit, as a part of that limit.

    Args:
        sensors: Names of the columns.
        limits: Sensor to its lowest and highest allowed reading, infinite for none; a sensor without is not
            watched.

    Raises:
        TrainingError: None of the sensors has a limit.
    """

    name = "fixed limits"
    threshold = 0.0

    def __init__(self, sensors: Sequence[str], limits: Mapping[str, tuple[float, float]]) -> None:
        self._bounds: list[tuple[int, float, float]] = []  # column, sign, limit
        for column, sensor in enumerate(sensors):
            low, high = limits.get(sensor, (-math.inf, math.inf))
            if math.isfinite(low):
                self._bounds.append((column, -1.0, low))
            if math.isfinite(high):
                self._bounds.append((column, 1.0, high))
        if not self._bounds:
            raise TrainingError(
                "no sensor has a limit",
                where="fixed limits",
                hint=f"give limits for some of {', '.join(sensors)}",
            )

    def score(self, rows: Split) -> NDArray[np.float64]:
        """Above 0 where a reading is beyond a limit; below, how far away the nearest limit is."""
        return scored(self._excess, rows)

    def _excess(self, rows: Split) -> NDArray[np.float64]:
        values = rows.values.astype(np.float64)
        excess = [
            sign * (values[:, column] - limit) / (abs(limit) or 1.0) for column, sign, limit in self._bounds
        ]
        found: NDArray[np.float64] = np.max(excess, axis=0)
        return found

"""Simple detectors to compare with: what a detector with training has to beat.

Each has a name, a threshold and `score(rows)`; a row is flagged when its score is above the threshold. A row
with a reading that is not finite has no score: NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from edge_runtime.errors import TrainingError
from trainer.labels import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["DEFAULT_LIMITS", "Baseline", "FixedLimits", "Mahalanobis", "MaxZ"]


class Baseline(Protocol):
    """What every one of them is."""

    @property
    def name(self) -> str:
        """For a table."""
        ...

    @property
    def threshold(self) -> float:
        """A row is flagged when its score is above."""
        ...

    def score(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """[rows, sensors] in raw units → [rows], higher is worse."""
        ...


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

    def __init__(
        self, sensors: Sequence[str], limits: Mapping[str, tuple[float, float]] = DEFAULT_LIMITS
    ) -> None:
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
                mend=f"give limits for some of {', '.join(sensors)}",
            )

    def score(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Above 0 where a reading is beyond a limit; below, how far away the nearest limit is."""
        values = np.asarray(rows, np.float64)
        excess = [
            sign * (values[:, column] - limit) / (abs(limit) or 1.0) for column, sign, limit in self._bounds
        ]
        return _unless_finite(values, np.max(excess, axis=0))


@dataclass(frozen=True, slots=True)
class Mahalanobis:
    """The distance from the normal rows' mean in units of their covariance (Mahalanobis, 1936).

    Attributes:
        mean: [sensors] of the training rows.
        precision: [sensors, sensors], the inverse of their covariance.
        threshold: A quantile of the normal validation rows' scores.
    """

    name: ClassVar[str] = "Mahalanobis distance"
    mean: NDArray[np.float64]
    precision: NDArray[np.float64]
    threshold: float

    @staticmethod
    def fit(
        train_rows: NDArray[np.floating[Any]], val_normal_rows: NDArray[np.floating[Any]], quantile: float
    ) -> Mahalanobis:
        """Fits on normal rows in raw units; those that are not finite are left out.

        Raises:
            TrainingError: Too few rows, or no quantile.
        """
        rows = _finite(train_rows)
        # A sensor that never moves, or repeats another one, would make the covariance singular.
        covariance = np.atleast_2d(np.cov(rows, rowvar=False))
        unfinished = Mahalanobis(
            rows.mean(0), np.linalg.pinv(covariance, hermitian=True).astype(np.float64), 0.0
        )
        return Mahalanobis(
            unfinished.mean,
            unfinished.precision,
            _quantile(unfinished.score(_finite(val_normal_rows)), quantile),
        )

    def score(self, rows: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """The distance of each row."""
        values = np.asarray(rows, np.float64)
        away = values - self.mean
        squared = np.einsum("ri,ij,rj->r", away, self.precision, away, optimize=True)
        return _unless_finite(values, np.sqrt(np.maximum(squared, 0.0)))


@dataclass(frozen=True, slots=True)
class MaxZ:
    """The largest distance of any one sensor from its mean, in standard deviations.

    Attributes:
        mean: [sensors] of the training rows.
        deviation: [sensors], positive.
        threshold: A quantile of the normal validation rows' scores.
    """

    name: ClassVar[str] = "largest z-score"
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    threshold: float

    @staticmethod
    def fit(
        train_rows: NDArray[np.floating[Any]], val_normal_rows: NDArray[np.floating[Any]], quantile: float
    ) -> MaxZ:
        """Fits on normal rows in raw units; those that are not finite are left out.

        Raises:
            TrainingError: Too few rows, or no quantile.
        """
        rows = _finite(train_rows)
        deviation = rows.std(0)
        unfinished = MaxZ(rows.mean(0), np.where(deviation > 0, deviation, 1.0), 0.0)
        return MaxZ(
            unfinished.mean,
            unfinished.deviation,
            _quantile(unfinished.score(_finite(val_normal_rows)), quantile),
        )

    def score(self, rows: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """The largest |z| of each row."""
        values = np.asarray(rows, np.float64)
        return _unless_finite(values, np.abs((values - self.mean) / self.deviation).max(1))


def _finite(rows: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    values = np.asarray(rows, np.float64)
    values = values[np.isfinite(values).all(1)]
    if len(values) < 2:  # noqa: PLR2004 - one row has no spread
        raise TrainingError("a baseline needs at least two normal rows with all of their readings")
    return values


def _quantile(scores: NDArray[np.float64], quantile: float) -> float:
    if not 0 < quantile < 1:
        raise TrainingError(f"{quantile:g} is not between 0 and 1", where="quantile")
    return float(np.quantile(scores, quantile))


def _unless_finite(values: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.where(np.isfinite(values).all(1), scores, np.nan)
    return found

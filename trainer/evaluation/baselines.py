"""Simple detectors to compare with: what a detector with training has to beat.

Each has a name, a threshold and `score(rows)`; a row is flagged when its score is above the threshold. A row
with a reading that is not finite has no score: NaN.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np

from edge_runtime.errors import MissingExtraError, TrainingError
from trainer.labels.methods import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]

__all__ = [
    "DEFAULT_LIMITS",
    "FITTED",
    "Baseline",
    "FixedLimits",
    "IsolationForest",
    "Mahalanobis",
    "MaxZ",
    "PcaQ",
    "PcaT2",
    "SumZ",
]

# Of the variance, what the principal components must explain.
EXPLAINED = 0.95


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
                hint=f"give limits for some of {', '.join(sensors)}",
            )

    def score(self, rows: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Above 0 where a reading is beyond a limit; below, how far away the nearest limit is."""
        values = np.asarray(rows, np.float64)
        excess = [
            sign * (values[:, column] - limit) / (abs(limit) or 1.0) for column, sign, limit in self._bounds
        ]
        return _unless_finite(values, np.max(excess, axis=0))


class _Fitted(ABC):
    """A statistic learnt from normal rows; its threshold is a quantile of it on normal validation rows."""

    name: ClassVar[str]

    def __init__(self, statistic: Statistic, threshold: float) -> None:
        self._statistic = statistic
        self.threshold = threshold

    @staticmethod
    @abstractmethod
    def learn(rows: NDArray[np.float64]) -> Statistic:
        """The statistic of these normal rows, [rows, sensors] in raw units, all finite."""

    @classmethod
    def fit(
        cls,
        train_rows: NDArray[np.floating[Any]],
        val_normal_rows: NDArray[np.floating[Any]],
        quantile: float,
    ) -> Self:
        """Fits on normal rows in raw units; those that are not finite are left out.

        Raises:
            TrainingError: Too few rows, or no quantile.
        """
        if not 0 < quantile < 1:
            raise TrainingError(f"{quantile:g} is not between 0 and 1", where="quantile")
        statistic = cls.learn(_finite(train_rows))
        return cls(statistic, float(np.quantile(statistic(_finite(val_normal_rows)), quantile)))

    def score(self, rows: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """The statistic of each row; NaN where a reading is not finite."""
        values = np.asarray(rows, np.float64)
        return _unless_finite(values, self._statistic(np.nan_to_num(values)))


class MaxZ(_Fitted):
    """The largest distance of any one sensor from its mean, in standard deviations."""

    name = "largest z-score"

    @staticmethod
    def learn(rows: NDArray[np.float64]) -> Statistic:
        """The largest |z| of each row."""
        z_scores = _z_scores(rows)
        return lambda values: np.abs(z_scores(values)).max(1)


class SumZ(_Fitted):
    """The sum of all sensors' distances from their means, in standard deviations."""

    name = "sum of z-scores"

    @staticmethod
    def learn(rows: NDArray[np.float64]) -> Statistic:
        """The sum of the |z| of each row."""
        z_scores = _z_scores(rows)
        return lambda values: np.abs(z_scores(values)).sum(1)


class Mahalanobis(_Fitted):
    """The distance from the normal rows' mean in units of their covariance (Mahalanobis, 1936)."""

    name = "Mahalanobis distance"

    @staticmethod
    def learn(rows: NDArray[np.float64]) -> Statistic:
        """The distance of each row."""
        mean = rows.mean(0)
        # A sensor that never moves, or repeats another one, would make the covariance singular.
        precision = np.linalg.pinv(np.atleast_2d(np.cov(rows, rowvar=False)), hermitian=True)

        def distance(values: NDArray[np.float64]) -> NDArray[np.float64]:
            away = values - mean
            squared = np.einsum("ri,ij,rj->r", away, precision, away, optimize=True)
            found: NDArray[np.float64] = np.sqrt(np.maximum(squared, 0.0))
            return found

        return distance


class PcaT2(_Fitted):
    """Hotelling's T² of the leading principal components (Hotelling, 1931; Jackson and Mudholkar, 1979)."""

    name = "PCA T²"

    @staticmethod
    def learn(rows: NDArray[np.float64]) -> Statistic:
        """T² of each row."""
        z_scores, axes, variances = _components(rows)
        return lambda values: (((z_scores(values) @ axes) ** 2) / variances).sum(1)


class PcaQ(_Fitted):
    """The squared distance from the leading principal components (Jackson and Mudholkar, 1979)."""

    name = "PCA Q"

    @staticmethod
    def learn(rows: NDArray[np.float64]) -> Statistic:
        """Q of each row."""
        z_scores, axes, _ = _components(rows)

        def residual(values: NDArray[np.float64]) -> NDArray[np.float64]:
            z = z_scores(values)
            squared: NDArray[np.float64] = ((z - z @ axes @ axes.T) ** 2).sum(1)
            return squared

        return residual


class IsolationForest(_Fitted):
    """How few random cuts set a row apart (Liu, Ting and Zhou, 2008), by scikit-learn with a fixed seed."""

    name = "Isolation Forest"

    @staticmethod
    def learn(rows: NDArray[np.float64]) -> Statistic:
        """The forest's anomaly score of each row."""
        try:
            from sklearn.ensemble import IsolationForest as Forest  # noqa: PLC0415 - slow
        except ImportError:
            raise MissingExtraError("comparing with an Isolation Forest", "workstation") from None
        forest = Forest(n_estimators=100, random_state=0).fit(rows)
        return lambda values: -np.asarray(forest.score_samples(values), np.float64)


FITTED: tuple[type[_Fitted], ...] = (MaxZ, SumZ, PcaT2, PcaQ, Mahalanobis, IsolationForest)


def _z_scores(rows: NDArray[np.float64]) -> Statistic:
    mean, deviation = rows.mean(0), rows.std(0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    return lambda values: (values - mean) / deviation


def _components(
    rows: NDArray[np.float64],
) -> tuple[Statistic, NDArray[np.float64], NDArray[np.float64]]:
    """Z-scores, the axes [sensors, components] that explain most of their variance, and their variances."""
    z_scores = _z_scores(rows)
    variances, axes = np.linalg.eigh(np.atleast_2d(np.cov(z_scores(rows), rowvar=False)))
    variances, axes = variances[::-1], axes[:, ::-1]
    kept = int(np.searchsorted(np.cumsum(variances) / variances.sum(), EXPLAINED)) + 1
    return z_scores, axes[:, :kept], np.maximum(variances[:kept], 1e-12)


def _finite(rows: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    values = np.asarray(rows, np.float64)
    values = values[np.isfinite(values).all(1)]
    if len(values) < 2:  # noqa: PLR2004 - one row has no spread
        raise TrainingError("a baseline needs at least two normal rows with all of their readings")
    return values


def _unless_finite(values: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.where(np.isfinite(values).all(1), scores, np.nan)
    return found

"""Simple detectors that look at a row alone."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import MissingExtraError, TrainingError
from trainer.evaluation.baselines.base import FittedBaseline, shrunk_distance, z_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.data.split import Split
    from trainer.evaluation.baselines.base import SplitStatistic, Statistic

__all__ = ["IsolationForest", "Mahalanobis", "MaxZ", "PcaQ", "PcaT2", "SumZ"]

# Of the variance, what the principal components must explain.
EXPLAINED = 0.95


class _ByRow(FittedBaseline):
    """A statistic of the readings of one row."""

    @classmethod
    def learn(cls, rows: Split) -> SplitStatistic:
        """As `FittedBaseline.learn`."""
        statistic = cls.of_readings(rows.normal_values.astype(np.float64))
        return lambda split: statistic(split.values.astype(np.float64))

    @staticmethod
    @abstractmethod
    def of_readings(rows: NDArray[np.float64]) -> Statistic:
        """The statistic of these normal rows, [rows, sensors] in raw units, all finite."""


class MaxZ(_ByRow):
    """The largest distance of any one sensor from its mean, in standard deviations."""

    name = "largest z-score"

    @staticmethod
    def of_readings(rows: NDArray[np.float64]) -> Statistic:
        """The largest |z| of each row."""
        z = z_scores(rows)
        return lambda values: np.abs(z(values)).max(1)


class SumZ(_ByRow):
    """The sum of all sensors' distances from their means, in standard deviations."""

    name = "sum of z-scores"

    @staticmethod
    def of_readings(rows: NDArray[np.float64]) -> Statistic:
        """The sum of the |z| of each row."""
        z = z_scores(rows)
        return lambda values: np.abs(z(values)).sum(1)


class Mahalanobis(_ByRow):
    """The distance from the normal rows' mean in units of their covariance (Mahalanobis, 1936).

    The covariance is that of the z-scores, shrunk as Ledoit and Wolf have it.
    """

    name = "Mahalanobis distance"

    @staticmethod
    def of_readings(rows: NDArray[np.float64]) -> Statistic:
        """The distance of each row."""
        z = z_scores(rows)
        squared = shrunk_distance(z(rows), "comparing with the Mahalanobis distance")
        return lambda values: np.sqrt(squared(z(values)))


class PcaT2(_ByRow):
    """Hotelling's T² of the leading principal components (Hotelling, 1931; Jackson and Mudholkar, 1979)."""

    name = "PCA T²"

    @staticmethod
    def of_readings(rows: NDArray[np.float64]) -> Statistic:
        """T² of each row."""
        z, axes, variances = _components(rows)
        return lambda values: (((z(values) @ axes) ** 2) / variances).sum(1)


class PcaQ(_ByRow):
    """The squared distance from the leading principal components (Jackson and Mudholkar, 1979)."""

    name = "PCA Q"

    @staticmethod
    def of_readings(rows: NDArray[np.float64]) -> Statistic:
        """Q of each row.

        Raises:
            TrainingError: All components are leading ones, so that rows have no distance from them.
        """
        z, axes, _ = _components(rows)
        if axes.shape[0] == axes.shape[1]:
            raise TrainingError(
                f"all of the principal components are needed for {EXPLAINED:.0%} of the variance, "
                "and leave nothing over",
                where="PCA Q",
            )

        def residual(values: NDArray[np.float64]) -> NDArray[np.float64]:
            own = z(values)
            squared: NDArray[np.float64] = ((own - own @ axes @ axes.T) ** 2).sum(1)
            return squared

        return residual


class IsolationForest(_ByRow):
    """How few random cuts set a row apart (Liu, Ting and Zhou, 2008), by scikit-learn with a fixed seed."""

    name = "Isolation Forest"

    @staticmethod
    def of_readings(rows: NDArray[np.float64]) -> Statistic:
        """The forest's anomaly score of each row."""
        try:
            from sklearn.ensemble import IsolationForest as Forest  # noqa: PLC0415 - slow
        except ImportError:
            raise MissingExtraError("comparing with an Isolation Forest", "workstation") from None
        forest = Forest(n_estimators=100, random_state=0).fit(rows)
        return lambda values: -np.asarray(forest.score_samples(values), np.float64)


def _components(
    rows: NDArray[np.float64],
) -> tuple[Statistic, NDArray[np.float64], NDArray[np.float64]]:
    """Z-scores, the axes [sensors, components] that explain most of their variance, and their variances."""
    z = z_scores(rows)
    variances, axes = np.linalg.eigh(np.atleast_2d(np.cov(z(rows), rowvar=False)))
    variances, axes = variances[::-1], axes[:, ::-1]
    kept = int(np.searchsorted(np.cumsum(variances) / variances.sum(), EXPLAINED)) + 1
    return z, axes[:, :kept], np.maximum(variances[:kept], 1e-12)

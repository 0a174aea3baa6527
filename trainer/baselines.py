"""What a detector has to beat: fixed limits, the largest z-score, and the Mahalanobis distance.

Each scores raw rows, higher is worse, and is fitted on the same normal rows as the detector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from edge_runtime.errors import TrainingError, UsageError
from trainer.evaluate import Evaluation, evaluate
from trainer.labels import DEFAULT_LIMITS, Limit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from trainer.data import Split, TrainingData

__all__ = ["Baseline", "FixedLimits", "LargestZ", "Mahalanobis", "assess_baselines", "fit_baselines"]


class Baseline(Protocol):
    """Scores rows without being a network."""

    def score(self, rows: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Scores raw rows, [rows, sensors] to [rows]."""
        ...


@dataclass(frozen=True, slots=True)
class FixedLimits:
    """The rule that most plants run: an alarm when a reading leaves its limits.

    The score is how far the worst reading is outside, as part of its limit; below 0 within. Its threshold is 0.

    Attributes:
        low: [sensors] lowest normal reading; minus infinity for none.
        high: [sensors] highest normal reading; infinity for none.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @staticmethod
    def of(sensors: Sequence[str], limits: Mapping[str, Limit] = DEFAULT_LIMITS) -> FixedLimits:
        """Limits by the sensors' names.

        Raises:
            UsageError: None of the sensors has limits.
        """
        if not any(name in limits for name in sensors):
            raise UsageError(f"no limits for {', '.join(sensors)}")
        pairs = np.array([limits.get(name, (-np.inf, np.inf)) for name in sensors], np.float64)
        return FixedLimits(pairs[:, 0], pairs[:, 1])

    def score(self, rows: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """How far the worst reading is outside its limits, [rows]."""
        values = rows.astype(np.float64)
        outside = np.full(values.shape, -np.inf)
        for excess, limit in ((self.low - values, self.low), (values - self.high, self.high)):
            there = np.isfinite(limit)
            size = np.where(there & (limit != 0), np.abs(limit), 1.0)
            outside = np.maximum(outside, np.where(there, excess / size, -np.inf))
        worst: NDArray[np.float64] = outside.max(1)
        return worst


@dataclass(frozen=True, slots=True)
class LargestZ:
    """The largest distance of a reading from its mean, in standard deviations.

    Attributes:
        mean: [sensors].
        deviation: [sensors]; 1 for a sensor that never moves.
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @staticmethod
    def fit(normal: NDArray[np.floating[Any]]) -> LargestZ:
        """Fits on normal rows, [rows, sensors]."""
        rows = _enough(normal)
        deviation = rows.std(0)
        return LargestZ(rows.mean(0), np.where(deviation > 0, deviation, 1.0))

    def score(self, rows: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """The largest |z| of each row."""
        largest: NDArray[np.float64] = np.abs((rows - self.mean) / self.deviation).max(1)
        return largest


@dataclass(frozen=True, slots=True)
class Mahalanobis:
    """The distance from the mean, in units of how the normal rows spread (Mahalanobis 1936).

    Attributes:
        mean: [sensors].
        deviation: [sensors]; 1 for a sensor that never moves.
        precision: [sensors, sensors] pseudo-inverse of the correlation, so that sensors that move as one, or
            not at all, do no harm.
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    precision: NDArray[np.float64]

    @staticmethod
    def fit(normal: NDArray[np.floating[Any]]) -> Mahalanobis:
        """Fits on normal rows, [rows, sensors].

        Raises:
            TrainingError: There are not two of them.
        """
        z = LargestZ.fit(normal)
        scaled = (normal - z.mean) / z.deviation
        correlation = np.atleast_2d(np.cov(scaled, rowvar=False, bias=True))
        return Mahalanobis(z.mean, z.deviation, np.linalg.pinv(correlation, hermitian=True))

    def score(self, rows: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """The distance of each row."""
        scaled = (rows - self.mean) / self.deviation
        squared = np.einsum("ij,jk,ik->i", scaled, self.precision, scaled, optimize=True)
        distance: NDArray[np.float64] = np.sqrt(np.maximum(squared, 0.0))
        return distance


def fit_baselines(
    data: TrainingData, *, percentile: float = 99.0, limits: Mapping[str, Limit] = DEFAULT_LIMITS
) -> dict[str, tuple[Baseline, float]]:
    """Every baseline with its threshold: fixed limits have their own, the others this percentile.

    Args:
        data: Train fits, the normal rows of val give the threshold; test is not looked at.
        percentile: Of the normal validation rows' scores.
        limits: For the fixed limits, which are left out where no sensor has any.

    Raises:
        TrainingError: Train or val has too few normal rows.
    """
    found: dict[str, tuple[Baseline, float]] = {}
    if any(name in limits for name in data.sensors):
        found["fixed_limits"] = (FixedLimits.of(data.sensors, limits), 0.0)
    normal, val = data.train.normal_values, data.val.normal_values
    if not len(val):
        raise TrainingError("no normal rows", where=str(data.val.path), mend="take a longer history")
    fitted: dict[str, Baseline] = {"largest_z": LargestZ.fit(normal), "mahalanobis": Mahalanobis.fit(normal)}
    for name, baseline in fitted.items():
        found[name] = (baseline, float(np.percentile(baseline.score(val), percentile)))
    return found


def assess_baselines(
    data: TrainingData, *, percentile: float = 99.0, limits: Mapping[str, Limit] = DEFAULT_LIMITS
) -> dict[str, Evaluation]:
    """How every baseline does on test; empty where test has no labels or no complete row."""
    test: Split = data.test
    rows = test.finite
    if test.labels is None or not rows.any():
        return {}
    labels = test.labels[rows]
    kinds = None if test.kinds is None else test.kinds[rows]
    return {
        name: evaluate(
            baseline.score(test.values[rows]), threshold, labels, kinds, test.times[rows], test.machines[rows]
        )
        for name, (baseline, threshold) in fit_baselines(data, percentile=percentile, limits=limits).items()
    }


def _enough(normal: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    if len(normal) < 2:  # noqa: PLR2004
        raise TrainingError("a baseline needs two normal rows", mend="take a longer history")
    return normal.astype(np.float64)

"""What the simple detectors have in common: a name, a threshold, and a score for each row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np

from edge_runtime.errors import MissingExtraError, TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from trainer.data.split import Split

    Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
    SplitStatistic = Callable[[Split], NDArray[np.float64]]

__all__ = ["Baseline", "FittedBaseline", "scored", "shrunk_distance", "z_scores"]


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

    def score(self, rows: Split) -> NDArray[np.float64]:
        """[rows], higher is worse; NaN for a row with a reading that is missing or not finite.

        Args:
            rows: In any order, of any machines.
        """
        ...


class FittedBaseline(ABC):
    """A statistic learnt from normal rows; its threshold is a quantile of it on normal validation rows."""

    name: ClassVar[str]

    def __init__(self, statistic: SplitStatistic, threshold: float) -> None:
        self._statistic = statistic
        self.threshold = threshold

    @staticmethod
    @abstractmethod
    def learn(rows: Split) -> SplitStatistic:
        """The statistic that the normal ones of these rows give, which all have every reading.

        What it gives is for rows that have every reading as well, in any order, of any machines.

        Raises:
            TrainingError: The rows do not determine it.
        """

    @classmethod
    def fit(cls, train: Split, val: Split, quantile: float) -> Self:
        """Fits on the normal rows of training; the threshold is a quantile of those of validation.

        Ignored rows are left out, as if they were not there.

        Raises:
            TrainingError: Too few rows, or no quantile.
            MissingExtraError: scikit-learn is needed, and is not installed.
        """
        if not 0 < quantile < 1:
            raise TrainingError(f"{quantile:g} is not between 0 and 1", where="quantile")
        train, val = (rows.take(rows.counted & rows.finite) for rows in (train, val))
        for rows in (train, val):
            if rows.normal.sum() < 2:  # noqa: PLR2004 - one row has no spread
                raise TrainingError(
                    "a baseline needs at least two normal rows with all of their readings",
                    where=str(rows.path),
                )
        found = cls(cls.learn(train), np.inf)
        found.threshold = float(np.quantile(found.score(val)[val.normal], quantile))
        return found

    def score(self, rows: Split) -> NDArray[np.float64]:
        """As `Baseline.score`."""
        return scored(self._statistic, rows)


def scored(statistic: SplitStatistic, rows: Split) -> NDArray[np.float64]:
    """[rows] of a statistic that wants every reading; NaN where one is missing."""
    found = np.full(len(rows), np.nan)
    if rows.finite.any():
        found[rows.finite] = statistic(rows.take(rows.finite))
    return found


def z_scores(rows: NDArray[np.float64]) -> Statistic:
    """Distances from these rows' means in their standard deviations; in units where a sensor stands still."""
    mean, deviation = rows.mean(0), rows.std(0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    return lambda values: (values - mean) / deviation


def shrunk_distance(rows: NDArray[np.float64], what: str) -> Statistic:
    """The squared Mahalanobis distance from 0, by a shrunk covariance of these rows.

    The covariance is drawn towards a multiple of the identity, as far as the rows leave it uncertain (Ledoit
    and Wolf, 2004, "A well-conditioned estimator for large-dimensional covariance matrices"). So sensors that
    repeat one another do not make it singular.

    Args:
        rows: [rows, columns] in comparable units, with means of about 0.
        what: For which purpose, in an error.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    try:
        from sklearn.covariance import LedoitWolf  # noqa: PLC0415 - slow
    except ImportError:
        raise MissingExtraError(what, "workstation") from None
    precision: NDArray[Any] = LedoitWolf().fit(rows).precision_

    def squared(values: NDArray[np.float64]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = np.einsum("ri,ij,rj->r", values, precision, values, optimize=True)
        return np.maximum(found, 0.0)

    return squared

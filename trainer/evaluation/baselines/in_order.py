"""Simple detectors that look at a row and at those before it, machine by machine.

A machine's first row begins anew, and so does its first one after a hole in the data (`series_starts` in
`trainer/data/stretches.py`). A row that lacks a reading is passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import TrainingError
from trainer.data.stretches import series_starts
from trainer.evaluation.baselines.base import FittedBaseline, shrunk_distance, z_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.data.split import Split
    from trainer.evaluation.baselines.base import SplitStatistic

__all__ = ["Autoregression", "Mewma"]

# Of the newest row in the moving average.
WEIGHT = 0.1


class Mewma(FittedBaseline):
    """T² of an exponentially weighted moving average of the z-scores, for small shifts that last.

    The chart of Lowry, Woodall, Champ and Rigdon (1992, "A multivariate exponentially weighted moving average
    control chart"): averages begin at 0, the weight of a new row is 0.1, and the covariance of an average is
    the exact one of so many independent rows. That of the z-scores is shrunk as Ledoit and Wolf have it.
    """

    name = "MEWMA"

    @staticmethod
    def learn(rows: Split) -> SplitStatistic:
        """T² of each row's average."""
        normal = rows.normal_values.astype(np.float64)
        z = z_scores(normal)
        squared = shrunk_distance(z(normal), "comparing with a MEWMA chart")

        def statistic(split: Split) -> NDArray[np.float64]:
            order, starts = series_starts(split.times, split.machines)
            averages = _averages(z(split.values[order].astype(np.float64)), starts)
            index = np.arange(len(order))
            ages = 1 + index - np.maximum.accumulate(np.where(starts, index, 0))
            shares = WEIGHT / (2 - WEIGHT) * (1 - (1 - WEIGHT) ** (2.0 * ages))
            found = np.empty(len(order))
            found[order] = squared(averages) / shares
            return found

        return statistic


class Autoregression(FittedBaseline):
    """T² of what a row is off from its forecast by the row before, for changes in how sensors move.

    Each sensor's z-score is forecast by all of the row before, by least squares (a vector autoregression of
    order 1: Lütkepohl, 2005, "New introduction to multiple time series analysis"); the residuals' covariance
    is shrunk as Ledoit and Wolf have it. A row that begins anew counts as having stood there all along.
    """

    name = "autoregression"

    @staticmethod
    def learn(rows: Split) -> SplitStatistic:
        """T² of each row's residual.

        Raises:
            TrainingError: Hardly any two normal rows follow one another.
        """
        z = z_scores(rows.normal_values.astype(np.float64))
        order, starts = series_starts(rows.times, rows.machines)
        own, normal = z(rows.values[order].astype(np.float64)), rows.normal[order]
        pairs = np.flatnonzero(~starts[1:] & normal[1:] & normal[:-1])
        if len(pairs) < 2:  # noqa: PLR2004 - one residual has no spread
            raise TrainingError(
                "hardly any two normal training rows follow one another", where="autoregression"
            )
        coefficients = np.linalg.lstsq(_shown(own[pairs]), own[pairs + 1], rcond=None)[0]

        def residuals(now: NDArray[np.float64], before: NDArray[np.float64]) -> NDArray[np.float64]:
            found: NDArray[np.float64] = now - _shown(before) @ coefficients
            return found

        learnt = residuals(own[pairs + 1], own[pairs])
        squared = shrunk_distance(learnt, "comparing with an autoregression")

        def statistic(split: Split) -> NDArray[np.float64]:
            order, starts = series_starts(split.times, split.machines)
            now = z(split.values[order].astype(np.float64))
            before = np.where(starts[:, None], now, np.roll(now, 1, axis=0))
            found = np.empty(len(order))
            found[order] = squared(residuals(now, before))
            return found

        return statistic


def _shown(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """[rows, 1 + sensors] with a column of ones."""
    return np.column_stack([np.ones(len(rows)), rows])


def _averages(rows: NDArray[np.float64], starts: NDArray[np.bool_]) -> NDArray[np.float64]:
    """[rows, sensors] of [rows, sensors] in order of time, each series from 0."""
    found = np.empty_like(rows)
    average = np.zeros(rows.shape[1])
    for row, (new, begins) in enumerate(zip(rows, starts.tolist(), strict=True)):
        average = WEIGHT * new if begins else average + WEIGHT * (new - average)
        found[row] = average
    return found

"""What training says of a threshold that was chosen on validation: whether validation was calm."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from trainer.calibration.calibrate import short_margin

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.calibration.calibrate import MarginRule
    from trainer.calibration.debounce import ScoredRows

__all__ = ["MOST", "TrainingScores", "fitting_margin"]

# By so much a threshold is raised at most, for training may hold faults that nobody labelled.
MOST = 1.5


@dataclass(frozen=True, slots=True)
class TrainingScores:
    """Scores of the normal training rows.

    Attributes:
        scores: [rows] all finite.
        machines: [rows] machine ids.
    """

    scores: NDArray[np.float32]
    machines: NDArray[np.str_]

    @staticmethod
    def of(scored: ScoredRows) -> TrainingScores:
        """Of the rows of training as a trained detector scored them."""
        return TrainingScores(scored.scores[scored.normal], scored.machines[scored.normal])

    def margin(self, machine: str | None = None) -> MarginRule:
        """What finds the margin of a threshold; of one machine's own, by that machine's rows."""
        rows = self.scores if machine is None else self.scores[self.machines == machine]
        return partial(fitting_margin, training=rows)


def fitting_margin(scores: NDArray[np.float32], percentile: float, training: NDArray[np.float32]) -> float:
    """The larger of what so few rows call for, and of what training calls for.

    Where the same percentile of training is above that of validation, validation was calm: there are normal
    rows that it did not show. The threshold is raised to that of training, but by half of itself at most.

    Args:
        scores: [rows] of normal validation rows.
        percentile: That the threshold is chosen by.
        training: [rows] scores of normal training rows.
    """
    short = short_margin(len(scores), percentile)
    if not len(training) or not len(scores) or not 0 < percentile < 100:  # noqa: PLR2004
        return short
    own, before = (float(np.percentile(part.astype(np.float64), percentile)) for part in (scores, training))
    return max(short, min(before / own, MOST)) if own > 0 else short

"""Smoothing of the score over the last rows, which holds what lasts and lets go of what does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import TrainingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ScoreSmoothing"]

# Of the normal training rows' scores, so that a single row cannot hold the mean above any threshold.
CAP_QUANTILE = 0.998
NO_CAP = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class ScoreSmoothing:
    """Each error is the greater of the row's own and the mean of the last rows', and the score is their sum.

    A spike is over as soon as its row's own score is; an oscillation is held through its zero crossings. The
    cap bounds what one row leaves behind.

    Attributes:
        rows: Rows of the mean, the newest among them, at least 2.
        cap: Highest score that goes into the mean: the errors of rows above it are scaled down to it.
    """

    rows: int
    cap: float

    @staticmethod
    def fit(rows: int, scores: NDArray[np.floating[Any]], *, capped: bool = True) -> ScoreSmoothing:
        """A smoothing over so many rows; its cap, if any, is taken from normal rows' own scores, [rows]."""
        if not capped:
            return ScoreSmoothing(rows, NO_CAP)
        return ScoreSmoothing(rows, float(np.float32(np.quantile(scores.astype(np.float64), CAP_QUANTILE))))

    def to_dict(self) -> dict[str, Any]:
        """The smoothing as JSON-ready values."""
        return {"rows": self.rows, "cap": self.cap}

    @staticmethod
    def from_dict(document: dict[str, Any]) -> ScoreSmoothing:
        """The inverse of `to_dict`.

        Raises:
            TrainingError: A field is missing or wrong.
        """
        rows, cap = document.get("rows"), document.get("cap")
        if not isinstance(rows, int) or rows < 2 or not isinstance(cap, float) or not cap > 0:  # noqa: PLR2004
            raise TrainingError("not the description of a smoothing", where="smoothing.json")
        return ScoreSmoothing(rows, cap)

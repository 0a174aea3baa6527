"""The threshold, chosen on validation scores alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from edge_runtime.bundle.metadata import Threshold
from edge_runtime.errors import TrainingError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ThresholdMethod", "best_f1_threshold", "calibrate", "percentile_threshold"]

ThresholdMethod = Literal["percentile", "best-f1"]


def calibrate(
    method: ThresholdMethod,
    scores: NDArray[np.float32],
    labels: NDArray[np.bool_] | None,
    *,
    percentile: float = 99.0,
) -> Threshold:
    """The threshold by one of the methods.

    Args:
        method: "percentile" or "best-f1".
        scores: [rows] of validation, all finite.
        labels: [rows] True where anomalous; None where nothing is labelled.
        percentile: For "percentile", which one of the normal rows' scores.

    Raises:
        TrainingError: The rows do not allow it.
        UsageError: The percentile is out of range.
    """
    if method == "best-f1":
        if labels is None or not labels.any():
            raise TrainingError(
                "the best F1 needs labelled anomalies, and validation has none",
                where="--threshold best-f1",
                mend="use --threshold percentile, or label some in the val table",
            )
        return best_f1_threshold(scores, labels)
    return percentile_threshold(scores if labels is None else scores[~labels], percentile)


def percentile_threshold(normal_scores: NDArray[np.float32], percentile: float) -> Threshold:
    """This percentile of the normal rows' scores."""
    if not 0 < percentile < 100:  # noqa: PLR2004
        raise UsageError(f"{percentile:g} is not between 0 and 100", where="--percentile")
    if not len(normal_scores):
        raise TrainingError("validation has no normal rows", mend="take a longer history")
    value = float(np.percentile(normal_scores.astype(np.float64), percentile))
    return _threshold(value, "percentile", percentile / 100, None, len(normal_scores))


def best_f1_threshold(scores: NDArray[np.float32], labels: NDArray[np.bool_]) -> Threshold:
    """Where the F1 of "score above threshold" is highest: half-way between the two scores around it."""
    order = np.argsort(-scores.astype(np.float64), kind="stable")
    ranked, found = scores[order].astype(np.float64), np.cumsum(labels[order])
    above = np.arange(1, len(ranked) + 1)
    f1 = 2 * found / (above + found[-1])
    # Rows of equal score are on the same side, and a threshold below every score would flag all.
    last_of_equals = np.append(ranked[1:] < ranked[:-1], False)
    if not last_of_equals.any():
        raise TrainingError("every validation row has the same score", mend="check the sensors' columns")
    best = int(np.argmax(np.where(last_of_equals, f1, -1.0)))
    return _threshold((ranked[best] + ranked[best + 1]) / 2, "best_f1", None, "f1", len(scores))


def _threshold(value: float, method: str, quantile: float | None, metric: str | None, rows: int) -> Threshold:
    if not value > 0:
        raise TrainingError(
            "the threshold would be 0: the model reproduces validation exactly, so nothing moves in it",
            mend="check that the sensors' columns change",
        )
    return Threshold(float(value), method, quantile, metric, rows)

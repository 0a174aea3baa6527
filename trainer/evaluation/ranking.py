"""How well scores rank rows, whatever the threshold: ROC AUC, average precision, and levels to cut at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import MissingExtraError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ranked", "ranking", "score_levels"]


def ranked(scores: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """[rows] the same with what overflowed to infinity made finite: the rank is what counts."""
    return np.nan_to_num(scores.astype(np.float64))


def ranking(scores: NDArray[np.floating[Any]], truth: NDArray[np.bool_]) -> tuple[float | None, float | None]:
    """ROC AUC and average precision; None unless both classes are there.

    Args:
        scores: [rows], higher is worse, none NaN.
        truth: [rows] whether the row is anomalous.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    if not truth.any() or truth.all():
        return None, None
    try:
        from sklearn.metrics import average_precision_score, roc_auc_score  # noqa: PLC0415
    except ImportError:
        raise MissingExtraError("evaluating a detector", "workstation") from None
    finite = ranked(scores)
    return float(roc_auc_score(truth, finite)), float(average_precision_score(truth, finite))


def score_levels(scores: NDArray[np.float64], truth: NDArray[np.bool_], count: int) -> NDArray[np.float64]:
    """[levels] scores to cut at, ascending, the lowest score first.

    All scores where they are few. Otherwise `count` quantiles of all rows and as many of the anomalous ones,
    which are few, and without which a curve would be coarse where it matters.
    """
    distinct = np.unique(scores)
    if len(distinct) <= 2 * count:
        return distinct
    parts = np.linspace(0, 1, count)
    levels = [np.quantile(part, parts, method="lower") for part in (scores, scores[truth]) if len(part)]
    return np.unique(np.concatenate(levels))

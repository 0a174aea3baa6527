"""How many rows of each class stand at or above each score: the ROC curve, and precision against recall.

The figures are those of scikit-learn to the last bit, without the two seconds that importing it takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Curve = tuple[NDArray[np.float64], NDArray[np.float64]]

__all__ = ["average_precision", "precision_recall_curve", "roc_area", "roc_curve"]


def roc_curve(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> Curve:
    """The parts of normal and of anomalous rows above each score, from (0, 0) to (1, 1); corners only.

    Args:
        truth: [rows] whether the row is anomalous; both classes must be there.
        scores: [rows], higher is worse, all finite.
    """
    normal, anomalous = _counts(truth, scores)
    kept = _ends_and((np.diff(normal, 2) != 0) | (np.diff(anomalous, 2) != 0), len(normal))
    normal, anomalous = (np.append(0.0, counts[kept]) for counts in (normal, anomalous))
    return normal / normal[-1], anomalous / anomalous[-1]


def roc_area(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """The area under `roc_curve`."""
    normal, anomalous = roc_curve(truth, scores)
    return float((np.diff(normal) * (anomalous[1:] + anomalous[:-1]) / 2).sum())


def precision_recall_curve(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> Curve:
    """Precision and recall above each score, the lowest first; at the end precision 1 and recall 0.

    Of points with one recall, only the first and the last are there.

    Args:
        truth: As for `roc_curve`.
        scores: As for `roc_curve`.
    """
    normal, anomalous = _counts(truth, scores)
    moves = np.diff(anomalous) != 0
    kept = _ends_and(moves[:-1] | moves[1:], len(normal))
    return _precision_recall(normal[kept], anomalous[kept])


def average_precision(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """The mean of precision over recall, as a sum of steps: of `precision_recall_curve` at every score."""
    precision, recall = _precision_recall(*_counts(truth, scores))
    return max(0.0, -float((np.diff(recall) * precision[:-1]).sum()))


def _counts(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> Curve:
    """[distinct scores] normal and anomalous rows at or above each, the highest score first."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    anomalous = truth[order].astype(np.float64).cumsum()[last]
    return 1 + last.astype(np.float64) - anomalous, anomalous


def _ends_and(inner: NDArray[np.bool_], points: int) -> NDArray[np.bool_]:
    """[points] all of these, where there are two at most."""
    return np.ones(points, np.bool_) if points <= 2 else np.concatenate([[True], inner, [True]])  # noqa: PLR2004


def _precision_recall(normal: NDArray[np.float64], anomalous: NDArray[np.float64]) -> Curve:
    precision, recall = anomalous / (anomalous + normal), anomalous / anomalous[-1]
    return np.append(precision[::-1], 1.0), np.append(recall[::-1], 0.0)

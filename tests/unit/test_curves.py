"""The curves of ranked rows are scikit-learn's, to the last bit: bundles state their figures."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from trainer.evaluation.curves import average_precision, precision_recall_curve, roc_area, roc_curve


@pytest.mark.parametrize("rows", [2, 3, 10, 1000, 100_000])
@pytest.mark.parametrize("distinct", [1, 2, 7, 10**9])
@pytest.mark.parametrize("rare", [0.5, 0.01])
def test_they_are_scikit_learns(rows: int, distinct: int, rare: float) -> None:
    random = np.random.default_rng([rows, distinct])
    truth = random.random(rows) < rare
    truth[:2] = False, True
    scores = (random.integers(0, distinct, rows) * 0.1 + truth * random.integers(0, 2, rows)).astype(
        np.float64
    )
    theirs = metrics.roc_curve(truth, scores)[:2]
    for mine, their in zip(roc_curve(truth, scores), theirs, strict=True):
        np.testing.assert_array_equal(mine, their)
    theirs = metrics.precision_recall_curve(truth, scores, drop_intermediate=True)[:2]
    for mine, their in zip(precision_recall_curve(truth, scores), theirs, strict=True):
        np.testing.assert_array_equal(mine, their)
    assert roc_area(truth, scores) == metrics.roc_auc_score(truth, scores)
    assert average_precision(truth, scores) == metrics.average_precision_score(truth, scores)


def test_scores_of_any_size_are_ranked() -> None:
    scores = np.array([-1.7e308, 1.7e308, 5e-324, 0.0, -0.0, 1.0])
    truth = np.array([False, True, True, False, True, False])
    assert roc_area(truth, scores) == metrics.roc_auc_score(truth, scores)
    assert average_precision(truth, scores) == metrics.average_precision_score(truth, scores)

"""The threshold from validation scores."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.metrics import f1_score

from edge_runtime.bundle.metadata import Hold
from edge_runtime.engine.hysteresis import HoldCounter
from edge_runtime.errors import TrainingError, UsageError
from edge_runtime.records import Groups
from trainer.calibration.calibrate import (
    best_f1_threshold,
    calibrate,
    percentile_threshold,
    short_margin,
    verdicts,
)
from trainer.calibration.margin import fitting_margin

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCORES = np.array([0.1, 0.2, 0.3, 0.4, 5.0, 6.0, 0.35], np.float32)
LABELS = np.array([0, 0, 0, 0, 1, 1, 1], np.bool_)


def test_the_percentile_is_that_of_normal_rows() -> None:
    threshold = calibrate("percentile", SCORES, LABELS, percentile=50)
    assert threshold.value == pytest.approx(0.25)
    assert (threshold.method, threshold.quantile, threshold.metric, threshold.rows) == (
        "percentile",
        0.5,
        None,
        4,
    )


def test_the_margin_multiplies_the_percentile() -> None:
    plain = calibrate("percentile", SCORES, LABELS, percentile=50)
    wide = calibrate("percentile", SCORES, LABELS, percentile=50, margin=2.5)
    assert wide.value == pytest.approx(2.5 * plain.value)
    for margin in (0.0, -1.0, float("nan")):
        with pytest.raises(UsageError, match="is not a positive factor"):
            percentile_threshold(SCORES, 50, margin=margin)


def test_without_labels_every_row_is_normal() -> None:
    assert calibrate("percentile", SCORES, None, percentile=50).value == pytest.approx(0.35)


def test_the_best_f1_is_between_two_scores() -> None:
    threshold = calibrate("best-f1", SCORES, LABELS)
    # Above 0.4 are 2 of 3 anomalies and nothing else: 0.8; above 0.3 all three and one more: 6/7.
    assert threshold.value == pytest.approx(0.325)
    assert (threshold.method, threshold.quantile, threshold.metric, threshold.rows) == (
        "best_f1",
        None,
        "f1",
        7,
    )


def test_no_other_threshold_has_a_better_f1() -> None:
    random = np.random.default_rng(5)
    labels = random.random(500) < 0.2
    scores = np.round(random.random(500) + labels * 0.5, 2).astype(np.float32)  # with many equal ones
    found = f1_score(labels, scores > best_f1_threshold(scores, labels).value)
    assert found == max(f1_score(labels, scores > value) for value in np.unique(scores)[:-1])


def test_best_f1_needs_anomalies() -> None:
    for labels in (None, np.zeros(7, np.bool_)):
        with pytest.raises(TrainingError, match="needs labelled anomalies.*--threshold percentile"):
            calibrate("best-f1", SCORES, labels)


@pytest.mark.parametrize("percentile", [0, 100, -1, float("nan")])
def test_a_percentile_is_within_0_and_100(percentile: float) -> None:
    with pytest.raises(UsageError, match="is not between 0 and 100"):
        percentile_threshold(SCORES, percentile)


def test_a_threshold_of_zero_is_refused() -> None:
    with pytest.raises(TrainingError, match="the threshold would be 0"):
        percentile_threshold(np.zeros(100, np.float32), 99)


def test_scores_that_are_all_equal_are_refused() -> None:
    with pytest.raises(TrainingError, match="the same score"):
        best_f1_threshold(np.ones(4, np.float32), np.array([0, 1, 0, 1], np.bool_))


def waves() -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.str_]]:
    """Two machines whose anomalies oscillate through zero, in the order of time."""
    random = np.random.default_rng(8)
    scores = random.gamma(2.0, 0.5, 6000)
    labels = (np.arange(6000) // 100) % 7 == 3
    scores[labels] += 20 * np.sin(np.arange(labels.sum()) / 2) ** 2
    return scores.astype(np.float32), labels, np.repeat(["a", "b"], 3000)


def test_the_best_f1_is_that_of_the_held_verdict() -> None:
    scores, labels, machines = waves()
    times, hold = np.arange(6000), Hold(1, 1, 10, 5.5)
    held = calibrate("best-f1", scores, labels, machines=machines, hold=hold)
    plain = calibrate("best-f1", scores, labels, machines=machines)

    def figure(value: float) -> float:
        threshold = replace(held, value=value)
        return float(f1_score(labels, verdicts(scores, threshold, times, machines)))

    assert held.hold == hold
    assert figure(held.value) > figure(plain.value) + 0.01
    assert figure(held.value) >= max(figure(value) for value in np.linspace(0.1, 20, 100)) - 0.002


def test_verdicts_are_those_of_the_gateway_whatever_the_order_of_the_rows() -> None:
    scores, _, machines = waves()
    threshold = replace(
        calibrate("percentile", scores, None, percentile=95, hold=Hold(1, 1, 10, 5.5)), per_machine={"b": 3.0}
    )
    times = np.arange(6000)
    shuffled = np.random.default_rng(1).permutation(6000)
    wanted = np.empty(6000, np.bool_)
    for machine in ("a", "b"):
        rows = machines == machine
        above = scores[rows] > (3.0 if machine == "b" else threshold.value)
        wanted[rows] = HoldCounter(threshold.hold).apply(Groups.of(machines[rows]), above)
    found = verdicts(scores[shuffled], threshold, times[shuffled], machines[shuffled])
    np.testing.assert_array_equal(found, wanted[shuffled])


def test_the_fewer_rows_the_wider_the_margin() -> None:
    assert short_margin(100, 99.55) == pytest.approx(1 + 1 / 1.45)
    assert short_margin(100_000, 99.55) < 1.003
    plain = percentile_threshold(SCORES, 99.0).value
    wanted = plain * short_margin(len(SCORES), 99.0)
    assert percentile_threshold(SCORES, 99.0, margin=None).value == pytest.approx(wanted)


def test_a_calm_validation_is_told_by_training() -> None:
    calm = np.random.default_rng(0).exponential(1, 20_000).astype(np.float32)
    percentile = float(np.percentile(calm.astype(np.float64), 99.0))
    short = short_margin(len(calm), 99.0)
    for part, margin in ((0.5, short), (1.0, short), (1.3, 1.3), (1.5, 1.5), (40.0, 1.5)):
        rule = partial(fitting_margin, training=np.float32(part) * calm)
        found = percentile_threshold(calm, 99.0, margin=rule)
        assert found.value == pytest.approx(margin * percentile, rel=1e-5)
    assert fitting_margin(calm, 99.0, calm[:0]) == short
    # Where validation is short, the margin for that may be the larger one.
    assert fitting_margin(calm[:100], 99.0, 1.2 * calm) == short_margin(100, 99.0)

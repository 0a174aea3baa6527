"""What simple detectors are given of ours: the same smoothing, margin, debounce, hold and phase."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.bundles import make_checkpoint

from edge_runtime.bundle.metadata import Debounce, Hold, Threshold
from trainer.calibration.calibrate import verdicts
from trainer.calibration.margin import fitting_margin
from trainer.calibration.treatment import Treated, Treatment, held_limits
from trainer.data.split import Split
from trainer.detector.averaging import ResidualAverage
from trainer.detector.features import InputFeatures
from trainer.detector.smoothing import NO_CAP, ScoreSmoothing
from trainer.evaluation.baselines import FITTED, FittedBaseline, FixedLimits, MaxZ, SumZ
from trainer.experiment.checkpoint import Checkpoint

SECOND_NS = 10**9
HOLD = Hold(1.0, 1.0, 10.0, 5.5)
NOTHING = Treatment()
MIX = np.array([[1.0, 0.5, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.1]])


def rows_of(values: np.ndarray, seed: int = 0) -> Split:
    times = (np.arange(len(values), dtype=np.int64) + 10_000 * seed) * SECOND_NS
    return Split(Path("rows.csv"), times, np.full(len(values), "m"), values.astype(np.float32), None, None)


def normal(rows: int, seed: int) -> Split:
    return rows_of(np.random.default_rng(seed).normal(size=(rows, 3)) @ MIX, seed)


TRAIN, VAL, TEST = normal(3000, 1), normal(1000, 2), normal(2000, 3)


@pytest.mark.parametrize("kind", FITTED, ids=lambda kind: kind.name)
def test_without_anything_to_give_only_the_margin_is_left(kind: type[FittedBaseline]) -> None:
    plain, treated = kind.fit(TRAIN, VAL, 0.99), Treated.fit(kind, TRAIN, VAL, 99.0, NOTHING)
    scores, flagged = treated.judge(TEST)
    np.testing.assert_array_equal(scores, plain.score(TEST))
    # A hundredth of 1,000 rows is above: the margin is 1 + 1 / 11, unless training asks for more.
    calm, before = (plain.score(rows).astype(np.float32) for rows in (VAL, TRAIN))
    margin = fitting_margin(calm, 99.0, before)
    assert margin >= 1 + 1 / 11
    assert treated.threshold.value == pytest.approx(plain.threshold * margin, rel=1e-6)
    np.testing.assert_array_equal(flagged, scores > treated.threshold.value)


def test_the_score_is_smoothed_as_a_trained_detector_smooths_it() -> None:
    treatment = Treatment(smooth=4)
    treated, plain = Treated.fit(MaxZ, TRAIN, VAL, 99.0, treatment), MaxZ.fit(TRAIN, VAL, 0.99)
    spiky = replace(TEST, values=np.where(np.arange(2000)[:, None] == 50, 90, TEST.values))
    own, (scores, _) = plain.score(spiky), treated.judge(spiky)
    cap = float(np.float32(np.quantile(plain.score(TRAIN), 0.998)))
    capped = np.minimum(own, cap)
    by_definition = [max(own[row], sum(capped[max(0, row - 3) : row + 1]) / 4) for row in range(len(own))]
    np.testing.assert_allclose(scores, by_definition, rtol=1e-9)
    assert own[50] > 10 * cap  # but what the spike leaves behind is bounded
    assert scores[51:54].max() <= max(cap, own[51:54].max())
    loose, _ = Treated.fit(MaxZ, TRAIN, VAL, 99.0, replace(treatment, cap=False)).judge(spiky)
    assert loose[51] == pytest.approx(own[48:52].sum() / 4)


def test_each_machine_is_smoothed_by_itself_in_the_order_of_time() -> None:
    treated = Treated.fit(SumZ, TRAIN, VAL, 99.0, Treatment(smooth=5, hold=HOLD))
    names = np.where(np.arange(2000) % 2 == 0, "a", "b")
    two = replace(TEST, machines=names)
    order = np.random.default_rng(4).permutation(2000)
    shuffled = treated.judge(two.take(order))
    for found, wanted in zip(shuffled, treated.judge(two), strict=True):
        np.testing.assert_array_equal(found, wanted[order])
    for name in ("a", "b"):
        own = np.flatnonzero(names == name)
        np.testing.assert_array_equal(treated.judge(two)[0][own], treated.judge(two.take(own))[0])


def test_the_verdict_has_the_hold_and_the_debounce() -> None:
    values = TEST.values.copy()
    values[100:120:2] += 30  # every other row
    values[500] += 30
    broken = replace(TEST, values=values)
    _, plain = Treated.fit(MaxZ, TRAIN, VAL, 99.9, NOTHING).judge(broken)
    _, held = Treated.fit(MaxZ, TRAIN, VAL, 99.9, Treatment(hold=Hold(1.0, 0.1, 10.0, 5.5))).judge(broken)
    _, twice = Treated.fit(MaxZ, TRAIN, VAL, 99.9, Treatment(debounce=Debounce(2, 3))).judge(broken)
    assert (plain[100:120].sum(), held[112:119].sum(), plain[500], twice[500]) == (10, 7, True, False)
    np.testing.assert_array_equal(twice[102:120], np.arange(18) % 2 == 0)  # 2 of the last 3 rows are above


def test_the_phase_is_regressed_out_of_the_readings() -> None:
    rng = np.random.default_rng(5)

    def cycles(rows: int, first: int) -> Split:
        seconds = first + np.arange(rows)
        wave = np.sin(2 * np.pi * seconds / 60) + 0.5 * np.cos(6 * np.pi * seconds / 60)
        values = np.column_stack([20 + 10 * wave, 5 - 3 * wave]) + rng.normal(size=(rows, 2)) * 0.1
        return replace(rows_of(values), times=seconds * SECOND_NS)

    train, val, test = cycles(3000, 0), cycles(1001, 3007), cycles(2000, 5003)
    values = test.values.copy()
    values[1000:1100, 0] = 20  # the mean: usual as a reading, but not at every phase
    test = replace(test, values=values)
    scores, flagged = Treated.fit(MaxZ, train, val, 99.9, Treatment(period=60.0, harmonics=3)).judge(test)
    blind, _ = Treated.fit(MaxZ, train, val, 99.9, NOTHING).judge(test)
    assert flagged[1000:1100].mean() > 0.8
    assert np.delete(flagged, np.arange(1000, 1100)).mean() < 0.01
    assert blind[1000:1100].max() < 2
    # A mean of noise alone is left: about as many deviations as three sensors of it have.
    assert np.median(np.delete(scores, np.arange(1000, 1100))) == pytest.approx(1, abs=0.2)


def test_machines_have_their_own_thresholds_if_they_have_rows_enough() -> None:
    def two(rows: int, seed: int) -> Split:
        loud = np.where(np.arange(rows) % 2 == 0, 1.0, 3.0)
        made = normal(rows, seed)
        return replace(
            made, values=made.values * loud[:, None].astype(np.float32), machines=np.where(loud > 1, "b", "a")
        )

    train, val, test = two(6000, 1), two(6000, 2), two(6000, 3)
    treated = Treated.fit(MaxZ, train, val, 99.0, Treatment(per_machine=True))
    own = treated.threshold.per_machine
    assert own["b"] / own["a"] == pytest.approx(3, rel=0.2)
    scores, flagged = treated.judge(test)
    np.testing.assert_array_equal(flagged, scores > 1)
    assert (
        Treated.fit(MaxZ, train, normal(1000, 2), 99.0, Treatment(per_machine=True)).threshold.per_machine
        == {}
    )


def test_a_row_that_lacks_a_reading_has_neither_score_nor_verdict() -> None:
    values = TEST.values.copy()
    values[::7, 1] = np.nan
    values[3] += 40
    scores, flagged = Treated.fit(SumZ, TRAIN, VAL, 99.0, Treatment(smooth=11, hold=HOLD)).judge(
        replace(TEST, values=values)
    )
    assert np.isnan(scores).tolist() == (np.arange(2000) % 7 == 0).tolist()
    assert not flagged[::7].any()
    assert flagged[3]


def test_fixed_limits_are_held_too() -> None:
    detector = FixedLimits(["a", "b", "c"], {"a": (-np.inf, 20.0)})
    values = np.zeros((40, 3))
    values[10:18, 0] = 30
    held = held_limits(detector, Treatment(hold=HOLD), rows_of(values))
    above = (np.arange(40) >= 10) & (np.arange(40) < 18)
    assert detector.score(rows_of(values))[above].min() > 0
    threshold = Threshold(0.5, "percentile", None, None, 1, HOLD)
    rows = rows_of(values)
    np.testing.assert_array_equal(held, verdicts(above.astype(float), threshold, rows.times, rows.machines))
    assert held[18:20].all()
    assert not held[25:].any()


def test_it_is_read_from_a_trained_detector(tmp_path: Path) -> None:
    made = Checkpoint.load(make_checkpoint(tmp_path, train=100))
    threshold = replace(made.threshold, hold=HOLD, debounce=Debounce(2, 3))
    parts = replace(
        made.parts,
        smoothing=ScoreSmoothing(7, NO_CAP),
        features=InputFeatures(sensors=4, period=3600.0, harmonics=2),
        average=ResidualAverage(0.1),
    )
    found = Treatment.of(parts, threshold)
    assert found == Treatment(
        smooth=7, cap=False, hold=HOLD, debounce=Debounce(2, 3), period=3600.0, harmonics=2
    )
    assert found.described() == (
        "the mean of the last 7 rows, a margin by the same rule, the debounce 2 of 3, the hold, "
        "2 harmonics of 3600 s regressed out"
    )
    bare = replace(made.parts, smoothing=None, features=None)
    assert Treatment.of(bare, replace(made.threshold, hold=Hold())) == NOTHING

"""What part of later normal rows is flagged: the range holds, and is as narrow as the history allows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge_runtime.bundle.metadata import Debounce, Hold, Threshold
from trainer.calibration.calibrate import percentile_threshold, verdicts
from trainer.calibration.debounce import ScoredRows
from trainer.calibration.expected import ExpectedShare, expected_share

SECOND = 1_000_000_000
A_DAY = 1_440  # rows
HOLD = Hold(1, 1, 10, 5.5)


def scored(
    seed: int, days: int, *, spread: float = 0.0, rise: float = 0.0, machines: tuple[str, ...] = ("m",)
) -> ScoredRows:
    """A row a minute. Days have levels of their own, by a logarithmic spread, and the levels rise."""
    random = np.random.default_rng(seed)
    rows = days * A_DAY
    parts, times = [], []
    for _ in machines:
        noise = np.convolve(random.gamma(2.0, 0.5, rows + 4), np.ones(5) / 5, "valid")
        level = np.exp(spread * random.standard_normal(days) + rise * np.arange(days))
        parts.append(np.repeat(level, A_DAY) * noise)
        times.append(np.arange(rows, dtype=np.int64) * 60 * SECOND)
    count = len(machines) * rows
    return ScoredRows(
        np.concatenate(parts).astype(np.float32),
        np.concatenate(times),
        np.repeat(machines, rows),
        np.ones(count, np.bool_),
    )


def chosen(rows: ScoredRows, hold: Hold = HOLD) -> Threshold:
    return percentile_threshold(rows.scores[rows.normal], 99.5, hold=hold)


def flagged(rows: ScoredRows, threshold: Threshold) -> float:
    return float(verdicts(rows.scores, threshold, rows.times, rows.machines)[rows.normal].mean())


def found(validation: ScoredRows, training: ScoredRows | None, threshold: Threshold) -> ExpectedShare:
    expected = expected_share(validation, training, threshold)
    assert expected is not None
    return expected


@pytest.mark.parametrize("machines", [("m",), ("a", "b", "c")])
def test_for_steady_scores_the_range_is_narrow_and_holds(machines: tuple[str, ...]) -> None:
    held, highs = [], []
    days = 40 // len(machines)
    for run in range(20):
        validation = scored(run, days, machines=machines)
        training = scored(100 + run, 3 * days, machines=machines)
        threshold = chosen(validation)
        expected = found(validation, training, threshold)
        highs.append(expected.high)
        assert expected.low <= 0.005 <= expected.high
        assert expected.validation == flagged(validation, threshold)
        held.append(
            expected.low <= flagged(scored(200 + run, 16, machines=machines), threshold) <= expected.high
        )
    assert np.mean(held) >= 0.9
    assert np.median(highs) < 0.01


def test_days_that_differ_widen_the_range_and_it_holds() -> None:
    held, highs = [], []
    for run in range(20):
        validation, training = scored(run, 8, spread=0.3), scored(100 + run, 24, spread=0.3)
        threshold = chosen(validation)
        expected = found(validation, training, threshold)
        highs.append(expected.high)
        held.append(expected.low <= flagged(scored(200 + run, 16, spread=0.3), threshold) <= expected.high)
    assert np.mean(held) >= 0.9
    assert np.median(highs) >= 0.03


def test_a_drift_from_training_to_validation_is_expected_to_go_on() -> None:
    history = scored(1, 48, rise=0.04)
    days = history.times // (A_DAY * 60 * SECOND)
    training, validation, later = (
        history.part((days >= first) & (days < stop)) for first, stop in ((0, 24), (24, 32), (32, 40))
    )
    threshold = chosen(validation)
    expected = found(validation, training, threshold)
    alone = found(validation, None, threshold)
    assert (expected.windows, alone.windows) == (3, 0)
    assert alone.high < expected.high
    assert 0.03 < flagged(later, threshold) < expected.high


def test_anomalous_and_ignored_rows_count_as_nothing() -> None:
    validation, training = scored(2, 8), scored(3, 24)
    threshold = chosen(validation, Hold())
    wanted = found(validation, training, threshold)
    event = np.arange(len(validation.scores)) % 1000 >= 980
    normal = validation.normal & ~event
    scores = np.where(event, 1000.0, validation.scores).astype(np.float32)
    labelled = replace(validation, scores=scores, normal=normal)
    ignored = replace(labelled, ignored=event)
    expected = found(labelled, training, threshold)
    assert found(ignored, training, threshold) == expected
    assert expected.rows == normal.sum()
    assert expected.machine_days == pytest.approx(8 * normal.mean(), rel=0.001)
    assert expected.validation == pytest.approx(wanted.validation, abs=0.001)
    assert expected.high == pytest.approx(wanted.high, rel=0.5)
    # In training too.
    late = np.arange(len(training.scores)) % 1000 >= 980
    trained = replace(
        training,
        scores=np.where(late, 1000.0, training.scores).astype(np.float32),
        normal=training.normal & ~late,
    )
    assert found(validation, trained, threshold).high == pytest.approx(wanted.high, rel=0.5)


def test_the_whole_verdict_is_measured_with_its_hold_debounce_and_thresholds_per_machine() -> None:
    validation, training = scored(4, 8, machines=("a", "b")), scored(5, 24, machines=("a", "b"))
    plain = chosen(validation, Hold())
    held = replace(plain, hold=Hold(3, 1, 10, 0))
    debounced = replace(plain, debounce=Debounce(3, 5))
    shares = [found(validation, training, one).validation for one in (debounced, plain, held)]
    wanted = [flagged(validation, one) for one in (debounced, plain, held)]
    assert shares == wanted == sorted(set(wanted))
    highs = [found(validation, None, one).high for one in (plain, held)]
    assert highs[1] > 1.5 * highs[0]
    # A machine ten times as loud, with a threshold ten times as high, changes nothing.
    factor = np.where(validation.machines == "b", 10, 1).astype(np.float32)
    loud = replace(validation, scores=validation.scores * factor)
    own = replace(plain, per_machine={"b": 10 * plain.value})
    assert found(loud, None, own).high == pytest.approx(highs[0], rel=1e-6)


def test_a_threshold_above_every_score_is_chosen_again_as_far_above() -> None:
    validation = scored(6, 8)
    threshold = replace(chosen(validation), value=3 * float(validation.scores.max()))
    expected = found(validation, scored(7, 24), threshold)
    assert expected.validation == 0
    assert expected.high < 0.002


def test_a_short_validation_promises_little_and_a_shorter_one_nothing() -> None:
    validation = scored(8, 1)
    threshold = chosen(validation)
    expected = found(validation, None, threshold)
    assert expected.rarest == "2.3 a day"
    assert expected.fewest == "1,440 normal validation rows promise no fewer false alarms than 2.3 a day"
    assert found(scored(8, 10), None, threshold).rarest == "one in 4.3 days"
    few = validation.part(np.arange(len(validation.scores)) < 60)
    assert found(few, scored(9, 1).part(np.arange(A_DAY) < 60), threshold).windows == 0
    assert expected_share(few.part(np.arange(60) < 49), None, threshold) is None
    many = ScoredRows(
        np.ones(60, np.float32), np.arange(60) * SECOND, np.arange(60).astype(str), np.ones(60, np.bool_)
    )
    assert expected_share(many, None, threshold) is None


def test_a_range_is_written_with_two_digits() -> None:
    assert str(ExpectedShare(0.00001, 0.0234, 0.005, 8, 3, 100, 1.0)) == "0% to 2.3% of normal rows"
    assert str(ExpectedShare(0.0012, 1.0, 0.005, 8, 0, 100, 1.0)) == "0.12% to 100% of normal rows"

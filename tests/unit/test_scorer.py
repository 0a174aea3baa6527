from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.bundles import make_bundle, normal_rows

from edge_runtime import Readings, Reason, Scorer, Verdict, load_bundle
from edge_runtime.bundle.metadata import Hold
from edge_runtime.errors import SensorMismatchError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge_runtime import Bundle, Results


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_bundle(make_bundle(tmp_path_factory.mktemp("bundle")))


def block(values: NDArray[np.float32], machines: list[str] | None = None) -> Readings:
    rows = len(values)
    return Readings(np.array(machines or ["press"] * rows), np.arange(rows, dtype=np.int64), values)


def mixed() -> NDArray[np.float32]:
    """64 normal rows with every eighth far off."""
    values = normal_rows(64, seed=9)
    values[::8] *= 3
    return values


def outputs(results: Results) -> NDArray[Any]:
    return np.column_stack(
        [
            results.scores.score,
            results.scores.errors,
            results.scores.expected,
            results.severity,
            results.verdicts,
        ]
    )


def test_far_off_rows_are_anomalies_and_normal_rows_are_not(bundle: Bundle) -> None:
    results = Scorer(bundle).score(block(mixed()))
    wanted = np.zeros(64, np.int8)
    wanted[::8] = Verdict.ANOMALY
    over = results.scores.score.astype(np.float64) > bundle.metadata.threshold.value
    assert results.verdicts.tolist() == over.tolist()
    assert (results.verdicts[::8] == Verdict.ANOMALY).all()
    assert (results.verdicts != wanted).sum() <= 4  # the threshold is the 99 % quantile of normal rows
    assert results.reasons.tolist() == [Reason.NONE] * 64


def test_the_errors_sum_to_the_score_and_severity_is_the_part_of_the_threshold(bundle: Bundle) -> None:
    results = Scorer(bundle).score(block(mixed()))
    np.testing.assert_allclose(results.scores.errors.sum(1), results.scores.score, rtol=1e-5)
    np.testing.assert_allclose(
        results.severity, results.scores.score / bundle.metadata.threshold.value, rtol=1e-6
    )
    assert [results.severity.dtype, results.scores.score.dtype] == [np.float32, np.float32]
    assert results.scores.expected.shape == (64, 4)


def test_a_row_scores_the_same_alone_and_in_any_block(bundle: Bundle) -> None:
    values = mixed()
    scorer = Scorer(bundle)
    together = scorer.score(block(values)).scores.score
    alone = np.concatenate([scorer.score(block(values[i : i + 1])).scores.score for i in range(64)])
    np.testing.assert_allclose(alone, together, rtol=1e-5, atol=1e-7)


def test_missing_and_infinite_readings_are_unknown_and_move_nothing_else(bundle: Bundle) -> None:
    values = mixed()
    scorer = Scorer(bundle)
    wanted = outputs(scorer.score(block(values)))
    values[3, 1] = np.nan
    values[5, 0] = np.inf
    values[7] = [np.nan, np.inf, 1, 1]
    results = scorer.score(block(values))
    broken = [3, 5, 7]
    assert results.verdicts[broken].tolist() == [Verdict.UNKNOWN] * 3
    assert results.reasons[broken].tolist() == [Reason.MISSING, Reason.NOT_FINITE, Reason.MISSING]
    for column in (results.scores.score, results.scores.errors, results.scores.expected, results.severity):
        assert np.isnan(column[broken]).all()
    whole = np.setdiff1d(np.arange(64), broken)
    np.testing.assert_allclose(outputs(results)[whole], wanted[whole], rtol=1e-5, atol=1e-6)


def test_rows_that_are_not_scorable_carry_the_reason_they_were_given(bundle: Bundle) -> None:
    values = normal_rows(4)
    values[2, 0] = np.nan
    scorable = np.array([True, False, False, False])
    reasons = np.array(
        [Reason.NONE, Reason.OUT_OF_RANGE, Reason.TIME_BACKWARDS, Reason.OUT_OF_RANGE], np.int8
    )
    results = Scorer(bundle).score(block(values), scorable=scorable, reasons=reasons)
    assert results.verdicts.tolist() == [Verdict.NORMAL, *[Verdict.UNKNOWN] * 3]
    assert results.reasons.tolist() == reasons.tolist()
    assert np.isnan(results.scores.score).tolist() == [False, True, True, True]


def test_the_callers_arrays_are_left_alone(bundle: Bundle) -> None:
    values = normal_rows(4)
    values[1, 1] = np.nan
    scorable, reasons = np.array([True, True, False, True]), np.array([0, 0, 4, 0], np.int8)
    copies = values.copy(), scorable.copy(), reasons.copy()
    Scorer(bundle).score(block(values), scorable=scorable, reasons=reasons)
    np.testing.assert_array_equal(values, copies[0])
    np.testing.assert_array_equal(scorable, copies[1])
    np.testing.assert_array_equal(reasons, copies[2])


@pytest.mark.parametrize("huge", [1e30, -3e38])
def test_a_reading_so_far_off_that_its_score_overflows_is_unknown_never_normal(
    bundle: Bundle, huge: float
) -> None:
    values = normal_rows(3)
    values[1, 2] = huge
    results = Scorer(bundle).score(block(values))
    assert results.verdicts.tolist() == [Verdict.NORMAL, Verdict.UNKNOWN, Verdict.NORMAL]
    assert results.reasons[1] == Reason.NOT_FINITE
    assert np.isnan(results.severity[1])
    assert np.isnan(results.scores.expected[1]).all()


@pytest.mark.parametrize("rows", [0, 1])
def test_blocks_of_no_row_and_of_none_that_is_usable(bundle: Bundle, rows: int) -> None:
    results = Scorer(bundle).score(block(np.full((rows, 4), np.nan, np.float32)))
    assert len(results) == rows
    assert results.scores.errors.shape == (rows, 4)
    assert results.verdicts.tolist() == [Verdict.UNKNOWN] * rows


def test_readings_of_other_sensors_are_refused_by_name(bundle: Bundle) -> None:
    with pytest.raises(
        SensorMismatchError, match="3 sensors, but the bundle takes 4; give temperature, vibration"
    ):
        Scorer(bundle).score(block(np.zeros((1, 3), np.float32)))


def test_a_machine_with_a_threshold_of_its_own_is_judged_by_it(tmp_path: Path) -> None:
    bundle = load_bundle(make_bundle(tmp_path, per_machine={"loud": 1e6, "quiet": 1e-6}))
    values = np.repeat(mixed()[:1], 3, axis=0)
    results = Scorer(bundle).score(block(values, ["loud", "quiet", "other"]))
    assert results.verdicts.tolist() == [Verdict.NORMAL, Verdict.ANOMALY, Verdict.ANOMALY]
    score = float(results.scores.score[0])
    np.testing.assert_allclose(
        results.severity, [score / 1e6, score / 1e-6, score / bundle.metadata.threshold.value], rtol=1e-5
    )


def test_the_hold_runs_per_machine_across_calls_and_unknown_rows_leave_it_alone(tmp_path: Path) -> None:
    path = make_bundle(tmp_path, hold=Hold(rise=1, fall=1, cap=3, level=1))
    normal, off = normal_rows(1)[0], normal_rows(1)[0] * 3
    lost = np.array([np.nan] * 4, np.float32)
    feed = [off, off, lost, off, normal, off, normal, normal, off]
    wanted = [1, 1, 2, 1, 1, 1, 1, 0, 1]
    whole = Scorer(load_bundle(path)).score(block(np.array(feed, np.float32)))
    assert whole.verdicts.tolist() == wanted
    first = Scorer(load_bundle(path))
    found = [int(first.score(block(row[None])).verdicts[0]) for row in feed[:4]]
    changes = json.loads(json.dumps(first.changes()))
    assert changes["hold"] == {"press": 3.0}
    second = Scorer(load_bundle(path))
    second.restore(changes)
    found += [int(second.score(block(row[None])).verdicts[0]) for row in feed[4:]]
    assert found == wanted


def test_mixed_machines_hold_apart(tmp_path: Path) -> None:
    scorer = Scorer(load_bundle(make_bundle(tmp_path, hold=Hold(rise=1, fall=1, cap=2, level=0.5))))
    normal, off = normal_rows(1)[0], normal_rows(1)[0] * 3
    rows = np.array([off, normal, off, normal, normal, normal], np.float32)
    results = scorer.score(block(rows, ["a", "b", "a", "b", "a", "b"]))
    assert results.verdicts.tolist() == [1, 0, 1, 0, 1, 0]
    assert scorer.changes()["hold"] == {"a": 1.0}


def test_what_another_bundle_left_is_not_gone_on_with(tmp_path: Path) -> None:
    hold = Hold(rise=1, fall=1, cap=3, level=1)
    first = Scorer(load_bundle(make_bundle(tmp_path, "a.onnx", hold=hold, smooth=5)))
    first.score(block(np.repeat(normal_rows(1) * 3, 4, axis=0)))
    other = Scorer(load_bundle(make_bundle(tmp_path, "b.onnx", hold=hold, smooth=5, seed=1)))
    other.restore(first.changes())
    assert other.changes()["hold"] == {}

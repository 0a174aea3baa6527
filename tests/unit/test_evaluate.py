"""Detectors against labels: figures by hand, and as people, JSON and MLflow get them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score, roc_auc_score

from edge_runtime.errors import TrainingError
from trainer.evaluation.evaluate import Evaluation, evaluate

SECOND = 1_000_000_000
COUNT = 4000
TIMES = np.arange(COUNT, dtype=np.int64) * SECOND
MACHINES = np.full(COUNT, "m")
TRUTH = (np.arange(COUNT) // 50) % 8 == 3
KINDS = np.where(TRUTH, np.where(np.arange(COUNT) < 2000, "SPIKE", "DRIFT"), "")
SCORES = np.random.default_rng(0).gamma(2.0, 1.0, COUNT) + 3.0 * TRUTH


def test_figures_on_rows_are_those_of_scikit_learn() -> None:
    found = evaluate(SCORES, 4.0, TRUTH, KINDS, TIMES, MACHINES)
    flags = SCORES > 4.0
    assert found.f1 == pytest.approx(f1_score(TRUTH, flags))
    assert found.precision == pytest.approx(precision_score(TRUTH, flags))
    assert found.recall == pytest.approx(recall_score(TRUTH, flags))
    assert found.accuracy == pytest.approx((flags == TRUTH).mean())
    assert found.roc_auc == pytest.approx(roc_auc_score(TRUTH, SCORES))
    assert found.average_precision == pytest.approx(average_precision_score(TRUTH, SCORES))
    assert (found.tp, found.fp) == ((flags & TRUTH).sum(), (flags & ~TRUTH).sum())
    assert found.tn + found.fp + found.fn + found.tp == found.rows == COUNT
    for kind in ("SPIKE", "DRIFT"):
        assert found.recall_by_kind[kind] == pytest.approx(flags[kind == KINDS].mean())
    assert found.events is not None
    assert found.events.injected == 10


def test_the_volume_under_the_surface_is_between_chance_and_1() -> None:
    found = evaluate(SCORES, 4.0, TRUTH, KINDS, TIMES, MACHINES)
    assert found.vus_pr is not None
    assert found.vus_roc is not None
    assert TRUTH.mean() < found.vus_pr < 1
    assert 0.5 < found.vus_roc < 1


def test_rows_without_a_score_are_left_out_and_never_flagged() -> None:
    gone = np.arange(COUNT) % 4 == 0
    scores = np.where(gone, np.nan, SCORES)
    found = evaluate(scores, 4.0, TRUTH, KINDS, TIMES, MACHINES, verdicts=np.ones(COUNT, np.bool_))
    assert (found.rows, found.unknown, found.flagged) == (3000, 1000, 3000)
    assert found.tp + found.fn == (TRUTH & ~gone).sum()
    assert found.roc_auc == pytest.approx(roc_auc_score(TRUTH[~gone], SCORES[~gone]))


def test_verdicts_take_the_place_of_the_threshold() -> None:
    verdicts = TRUTH.copy()
    verdicts[:5] = True
    found = evaluate(SCORES, 1e9, TRUTH, KINDS, TIMES, MACHINES, verdicts=verdicts)
    assert (found.recall, found.fp) == (1.0, 5)
    assert found.roc_auc == pytest.approx(roc_auc_score(TRUTH, SCORES))


def test_a_score_that_overflowed_is_the_highest() -> None:
    scores = SCORES.copy()
    scores[np.flatnonzero(TRUTH)[:3]] = np.inf
    found = evaluate(scores, 4.0, TRUTH, KINDS, TIMES, MACHINES)
    assert found.roc_auc is not None
    assert found.roc_auc > roc_auc_score(TRUTH, SCORES)


def test_without_labels_there_are_no_figures() -> None:
    found = evaluate(SCORES, 4.0, None, None, TIMES, MACHINES)
    assert not found.labelled
    assert found.metrics() == {}
    assert "unlabelled: only the rate of alarms is known" in found.table()
    assert found.alarm_rate == (SCORES > 4).mean()
    assert f"{(SCORES > 4).sum():,}" in found.table()


def test_without_anomalies_what_needs_them_is_undefined() -> None:
    found = evaluate(SCORES, 4.0, np.zeros(COUNT, np.bool_), None, TIMES, MACHINES)
    figures = found.f1, found.recall, found.roc_auc, found.vus_pr, found.precision
    assert figures == (None, None, None, None, None)
    assert "no row is labelled anomalous: only the rate of false alarms is known" in found.table()
    assert "precision" not in found.table()
    assert f"({(SCORES > 4).mean():.2%})" in found.table()
    assert set(found.intervals) == {"false_alarm_rate", "false_alarms_per_day"}
    needing = {"f1", "f1_low", "vus_pr", "precision", "precision_low", "recall", "roc_auc"}
    assert not needing & found.metrics().keys()
    assert found.metrics()["fp"] == (SCORES > 4).sum()
    assert found.metrics()["false_alarms"] > 0
    quiet = evaluate(SCORES, 1e9, np.zeros(COUNT, np.bool_), None, TIMES, MACHINES)
    assert quiet.precision is None


def test_nothing_flagged_that_should_be_has_a_precision_of_0() -> None:
    found = evaluate(SCORES, 1e9, TRUTH, None, TIMES, MACHINES)
    assert (found.precision, found.recall, found.f1) == (0.0, 0.0, 0.0)
    assert found.recall_by_kind == {}


def test_arrays_of_unequal_length_are_an_error() -> None:
    with pytest.raises(TrainingError, match="4000 scores, but 3999 times"):
        evaluate(SCORES, 4.0, TRUTH, KINDS, TIMES[1:], MACHINES)


def document_events(found: Evaluation) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(found.to_dict(), allow_nan=False))["events"]
    return document


def test_intervals_are_in_the_table_the_json_and_the_metrics() -> None:
    verdicts = (SCORES > 4.0) & TRUTH
    verdicts[750] = True  # more than a minute from any event
    found = evaluate(SCORES, 4.0, TRUTH, KINDS, TIMES, MACHINES, verdicts=verdicts)
    low, high = found.intervals["f1"]
    assert found.f1 is not None
    assert low < found.f1 < high
    line = next(line for line in found.table().splitlines() if line.startswith("F1"))
    assert line.split(maxsplit=1)[1] == f"{found.f1:.3f}  ({low:.3f} to {high:.3f})"
    alarms = next(line for line in found.table().splitlines() if line.startswith("false alarms"))
    assert " per machine and day, " in alarms
    assert (found.metrics()["f1_low"], found.metrics()["f1_high"]) == (low, high)
    assert "false_alarms_per_day_low" in found.metrics()
    for name in ("alarm_minutes_per_day", "false_alarm_rate", "alarm_precision"):
        assert found.metrics()[name] == document_events(found)[name]
    chance = document_events(found)["random_alarms"]
    assert found.metrics()["events_found_by_random_alarms"] == chance["events_found"]
    assert found.metrics()["f1_of_random_alarms"] == chance["f1"]
    assert found.metrics()["precision_of_random_alarms"] == chance["precision"]
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["intervals"]["f1"] == [low, high]
    assert document["vus_pr"] == found.vus_pr


def test_a_figure_without_an_interval_stands_alone() -> None:
    bare = Evaluation(
        rows=1, unknown=0, flagged=0, labelled=True, f1=0.5, tp=1, recall_by_kind={"SPIKE": 1.0}
    )
    lines = bare.table().splitlines()
    assert f"{'F1':<20}{'0.500':>12}" in lines
    assert f"{'recall SPIKE':<20}{'1.000':>12}" in lines
    assert bare.interval("f1") == ""


def test_a_table_says_plainly_that_an_alarm_that_is_always_on_finds_nothing() -> None:
    found = evaluate(SCORES, 0.0, TRUTH, KINDS, TIMES, MACHINES)
    assert found.flagged == COUNT
    lines = [" ".join(line.split()) for line in found.table().splitlines()]
    assert "normal rows flagged 100.00%" in lines
    assert (
        "alarm minutes a day 1,440.0 (of one machine's 1,440 of normal time: it is up more often than not)"
        in lines
    )
    assert any(line.startswith("events found 0 of 10 (an alarm begins,") for line in lines)
    assert any(line.startswith("up since before 10 (missed: ") for line in lines)
    assert not any(line.startswith("delay") for line in lines)
    # What stands below every table of these rows is what this detector comes to.
    assert found.always_anomalous == pytest.approx((found.f1, found.precision))
    quiet = evaluate(SCORES, 1e9, TRUTH, KINDS, TIMES, MACHINES)
    assert quiet.always_anomalous == found.always_anomalous
    assert quiet.metrics()["f1_always_anomalous"] == pytest.approx(found.f1)
    assert quiet.metrics()["precision_always_anomalous"] == pytest.approx(found.precision)
    assert quiet.always_line in quiet.table()
    assert f"F1 {found.f1:.3f}, precision {found.precision:.3f}, but no event found" in quiet.always_line


def test_the_figures_of_alarms_are_those_of_the_rows_outside_events() -> None:
    found = evaluate(SCORES, 4.0, TRUTH, KINDS, TIMES, MACHINES)
    assert found.events is not None
    assert found.events.false_alarm_rate == found.fp / (found.fp + found.tn)
    # Rows as far apart as each other: minutes and rows say the same.
    assert found.events.alarm_minutes_per_day == pytest.approx(1440 * found.events.false_alarm_rate)
    chance = found.events.random_alarms
    assert chance is not None
    assert f"{chance.events_found:.1f} of 10 events found, F1 {chance.f1:.3f}" in found.table()
    assert found.precision is not None
    assert chance.precision == pytest.approx(TRUTH.mean(), abs=0.05) != pytest.approx(found.precision)

"""Ignored rows: nothing is learnt from them and no figure counts them, but what has a memory passes them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from support.history import write_history

from edge_runtime.bundle.metadata import Hold
from edge_runtime.errors import TrainingError
from trainer.calibration.assess import assess, choose_threshold
from trainer.calibration.calibrate import calibrate
from trainer.calibration.debounce import ScoredRows
from trainer.data.choice import Columns
from trainer.data.training_data import TrainingData, read_training_data
from trainer.evaluation.injected import inject
from trainer.experiment.compare import compare
from trainer.experiment.plan import Plan
from trainer.experiment.run import run_fit
from trainer.fitting.dataset import create_dataloaders
from trainer.fitting.fit import Settings, fit, shown_rows
from trainer.fitting.rows import fit_scaler
from trainer.report import Run, build_page
from trainer.report.findings import missed_findings
from trainer.report.scored import score_split
from trainer.sweep.objective import choose_objective
from trainer.tracking import NoTracker

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.calibration.calibrate import ThresholdMethod
    from trainer.data.split import Split

HOLD = Hold(1.0, 1.0, 10.0, 5.5)
# Neither scaled nor scored by what came before.
PLAIN = Settings(epochs=1, smooth=1, noise=0.1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    folder = write_history(tmp_path_factory.mktemp("history"), train=1200, val=1200, test=1200)
    return read_training_data(folder, Columns())


def ignoring(split: Split, rows: slice, factor: float = 50.0) -> Split:
    """With these rows ignored, and far off; one of them is labelled all the same in the file."""
    values, ignored = split.values.copy(), np.zeros(len(split), np.bool_)
    values[rows] *= factor
    ignored[rows] = True
    assert split.labels is not None
    return replace(split, values=values, ignored=ignored, labels=split.labels & ~ignored)


@pytest.fixture(scope="module")
def disturbed(data: TrainingData) -> TrainingData:
    rows = slice(100, 160)
    return replace(
        data, train=ignoring(data.train, rows), val=ignoring(data.val, rows), test=ignoring(data.test, rows)
    )


@pytest.fixture(scope="module")
def without(disturbed: TrainingData) -> TrainingData:
    """The same without those rows."""
    train, val, test = (s.take(s.counted) for s in (disturbed.train, disturbed.val, disturbed.test))
    return replace(disturbed, train=train, val=val, test=test)


def test_a_detector_without_memory_is_what_it_would_be_without_them(
    disturbed: TrainingData, without: TrainingData
) -> None:
    ours, theirs = fit(disturbed, PLAIN), fit(without, PLAIN)
    for own, other in zip(ours.parts.network.parameters(), theirs.parts.network.parameters(), strict=True):
        assert torch.equal(own, other)
    assert ours.parts.whitening is not None
    assert theirs.parts.whitening is not None
    np.testing.assert_array_equal(ours.parts.whitening.matrix, theirs.parts.whitening.matrix)
    none = Hold()
    methods: tuple[ThresholdMethod, ...] = ("percentile", "best-f1")
    for method in methods:
        chosen = [
            choose_threshold(each.val, ours.detector, method, percentile=99.0, hold=none)
            for each in (disturbed, without)
        ]
        assert chosen[0] == chosen[1]
        found = [assess(each.test, ours.detector, chosen[0]) for each in (disturbed, without)]
        assert found[0].to_dict() == found[1].to_dict()
    assert compare(disturbed, {}, 99.0) == compare(without, {}, 99.0)


def test_they_do_not_make_an_alarm_begin(disturbed: TrainingData) -> None:
    test = disturbed.test
    assert test.labels is not None
    # The last rows before an event are ignored, while the alarm is on.
    first = np.flatnonzero(test.labels)[0]
    machine = test.machines == test.machines[first]
    before = np.sort(test.times[machine & (test.times < test.times[first])])[-5:]
    ignored = machine & np.isin(test.times, before)
    assert ignored.sum() == 5
    detector = fit(disturbed, PLAIN)
    threshold = choose_threshold(disturbed.val, detector.detector, "percentile", percentile=99.0, hold=Hold())
    always = replace(threshold, value=1e-12)
    test = replace(test, ignored=ignored)
    evaluation = assess(test, detector.detector, always).evaluation
    assert evaluation is not None
    assert evaluation.events is not None
    assert evaluation.rows == len(test) - ignored.sum()
    assert evaluation.events.injected > 0
    assert (evaluation.events.found, evaluation.events.alarm_minutes_per_day) == (0, 1440.0)
    missed = missed_findings(score_split(test, detector.detector, always))
    assert [one.note for one in missed] == ["the alarm was up since before"] * evaluation.events.injected


def test_a_window_looks_back_on_them(disturbed: TrainingData) -> None:
    train = disturbed.train
    scaler = fit_scaler("standard", train)
    features = Settings(window=2).features(4)
    shown = shown_rows(train, scaler, features)
    assert len(shown) == train.normal.sum()
    drawn = np.flatnonzero(train.normal)
    order = np.lexsort((train.times, train.machines))
    # The row after the ignored ones sees the last of them; that before them is none the wiser.
    places = drawn[np.argsort(np.argsort(order)[drawn])]
    after = int(np.flatnonzero(places == 160)[0])
    scaled = scaler.transform(train.values)
    np.testing.assert_allclose(shown[after], np.concatenate([scaled[160], scaled[159]]), rtol=1e-6)
    loaders = create_dataloaders(disturbed, scaler, batch_size=64, seed=0, features=features)
    np.testing.assert_array_equal(
        np.sort(torch.cat(list(loaders.train)).numpy(), axis=0), np.sort(shown, axis=0)
    )


def test_a_hold_passes_them_when_the_best_f1_is_looked_for() -> None:
    scores = np.r_[np.full(40, 0.1), np.full(10, 5.0), np.full(10, 1.0), np.full(40, 0.1)].astype(np.float32)
    labels = np.zeros(100, np.bool_)
    labels[50:60] = True
    counted = np.ones(100, np.bool_)
    counted[40:50] = False
    found = calibrate("best-f1", scores, labels & counted, hold=HOLD, counted=counted)
    assert found.rows == 90
    # What is counted goes up to 1: a threshold there, not at the 5 of the rows that do not count.
    assert found.value <= 1.0
    everything = calibrate("percentile", scores, None, percentile=99.0)
    assert everything.value > 1.0
    assert calibrate("percentile", scores, None, percentile=99.0, counted=counted).value <= 1.0
    with pytest.raises(TrainingError, match="validation has none"):
        calibrate("best-f1", scores, ~counted, hold=HOLD, counted=counted)


def test_a_budget_neither_watches_them_nor_takes_them_for_anomalies() -> None:
    times = np.arange(6) * 10**9
    normal = np.array([True, True, False, False, True, True])
    ignored = np.array([False, False, True, False, False, False])
    scores = ScoredRows(np.ones(6, np.float32), times, np.full(6, "a"), normal, ignored)
    assert np.flatnonzero(scores.anomalous).tolist() == [3]
    earlier, later = scores.halves()
    assert earlier.ignored is not None
    assert earlier.ignored.tolist() == [False, False, True]
    assert not earlier.anomalous.any()
    assert later.anomalous.tolist() == [True, False, False]


def test_no_fault_is_put_into_them_and_no_objective_counts_them(disturbed: TrainingData) -> None:
    broken = inject(disturbed.val, disturbed.train.normal_values, None)
    assert broken.split.ignored is not None
    assert broken.split.labels is not None
    assert not (broken.split.labels & broken.split.ignored).any()
    fitted = fit(disturbed, PLAIN).detector
    objective = choose_objective(disturbed, "faults")
    assert 0 < objective.measure(fitted, None).figure <= 1  # type: ignore[arg-type]


def test_the_report_shows_them_without_flagging_them(disturbed: TrainingData) -> None:
    detector = fit(disturbed, PLAIN).detector
    threshold = choose_threshold(disturbed.val, detector, "percentile", percentile=99.0, hold=Hold())
    scored = score_split(disturbed.test, detector, threshold)
    assert (~scored.counted).sum() == 60
    assert scored.severity[~scored.counted].min() > 1
    assert not scored.flagged[~scored.counted].any()
    assert not scored.undisturbed[~scored.counted].any()


def test_a_test_of_ignored_rows_alone_is_said(disturbed: TrainingData, tmp_path: Path) -> None:
    ignored = np.ones(len(disturbed.test), np.bool_)
    data = replace(disturbed, test=replace(disturbed.test, ignored=ignored))
    results = run_fit(data, Plan(output=tmp_path, settings=PLAIN), NoTracker())
    assert results.test.rows == 0
    assert "no row counts: each is ignored, or lacks a reading" in results.table()
    with pytest.raises(TrainingError, match="no row counts"):
        compare(data, {}, 99.0)
    page = build_page(Run.load(tmp_path), data)
    assert "No test row counts: each is ignored, or lacks a reading." in page
    assert "Unlabelled" not in page


def test_nothing_but_ignored_rows_is_said(data: TrainingData) -> None:
    train = replace(data.train, ignored=~data.train.labels if data.train.labels is not None else None)
    with pytest.raises(TrainingError, match="every row is labelled as anomalous, or ignored"):
        fit(replace(data, train=train), PLAIN)

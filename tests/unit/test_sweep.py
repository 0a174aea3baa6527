"""`edge-train sweep`: trials compared on validation alone, each an MLflow run under one parent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.commands import assert_one_clear_line
from support.history import write_history

from edge_runtime import load_bundle
from edge_runtime.errors import TrainingError, UsageError
from trainer.data import Columns, TrainingData, read_training_data
from trainer.injected import FAULTS, LENGTH, inject
from trainer.sweep import SweepPlan, best_settings, run_sweep
from trainer.tracking import NoTracker

if TYPE_CHECKING:
    from pathlib import Path

    from support.commands import Command

    from trainer.sweep_results import Trial


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_history(tmp_path_factory.mktemp("history"), train=1000, val=2000, test=400)


@pytest.fixture(scope="module")
def data(folder: Path) -> TrainingData:
    return read_training_data(folder, Columns())


def no_tracker(_name: str) -> NoTracker:
    return NoTracker()


def test_trials_are_ranked_kept_and_the_same_again_and_can_be_gone_on_with(
    tmp_path: Path, data: TrainingData
) -> None:
    seen: list[tuple[Trial, float | None]] = []
    plan = SweepPlan(output=tmp_path / "a", trials=4, epochs=1)
    found = run_sweep(data, plan, no_tracker, lambda trial, best: seen.append((trial, best)))
    assert [trial.number for trial, _ in seen] == [0, 1, 2, 3]
    assert found.ranked[0].f1 == max(t.f1 for t in found.trials if t.f1 is not None) == seen[-1][1]
    assert not found.injected
    again = run_sweep(data, SweepPlan(output=tmp_path / "b", trials=4, epochs=1), no_tracker)
    assert again.trials == found.trials
    more = run_sweep(data, SweepPlan(output=tmp_path / "a", trials=6, epochs=1, resume=True), no_tracker)
    assert more.trials[:4] == found.trials
    assert len(more.trials) == 6
    settings = best_settings(more, epochs=3, seed=7)
    assert (settings.epochs, settings.seed) == (3, 7)
    assert settings.model == more.ranked[0].settings["model"]
    with pytest.raises(UsageError, match="there is a sweep in it already"):
        run_sweep(data, plan, no_tracker)
    with pytest.raises(UsageError, match="no sweep in it to resume"):
        run_sweep(data, SweepPlan(output=tmp_path / "c", resume=True), no_tracker)


def test_the_test_split_decides_nothing(tmp_path: Path, data: TrainingData) -> None:
    first = run_sweep(data, SweepPlan(output=tmp_path / "a", trials=3, epochs=1), no_tracker)
    data.test.values[:] *= 3
    try:
        second = run_sweep(data, SweepPlan(output=tmp_path / "b", trials=3, epochs=1), no_tracker)
    finally:
        data.test.values[:] /= 3
    assert second.trials == first.trials


def test_without_labels_faults_are_put_into_validation(tmp_path: Path, data: TrainingData) -> None:
    object.__setattr__(data.val, "labels", np.zeros(len(data.val), np.bool_))
    found = run_sweep(data, SweepPlan(output=tmp_path, trials=2, epochs=1), no_tracker)
    assert found.injected
    assert "faults put into validation" in found.table()
    assert found.ranked


@pytest.mark.parametrize("fault", [*FAULTS, None])
def test_a_fault_is_of_one_sensor_and_of_the_rows_that_say_so(data: TrainingData, fault: str | None) -> None:
    made = inject(data.test, data.train.normal_values, fault)
    order = np.lexsort((data.test.times, data.test.machines))
    before = data.test.values[order]
    changed = made.split.values != before
    assert made.split.labels is not None
    assert made.split.kinds is not None
    for start, sensor in zip(made.starts, made.sensors, strict=True):
        rows = slice(start, start + LENGTH)
        others = np.delete(changed[rows], sensor, axis=1)
        assert not others.any()
        assert changed[rows, sensor].mean() > 0.8
        assert made.split.labels[rows].all()
        assert fault is None or set(made.split.kinds[rows]) == {fault}
        changed[rows, sensor] = False
    assert not changed.any()


def test_too_short_a_history_has_no_room_for_faults(data: TrainingData) -> None:
    object.__setattr__(data.test, "labels", np.ones(len(data.test), np.bool_))
    with pytest.raises(TrainingError, match="no fault can be put into them"):
        inject(data.test, data.train.normal_values, None)


def test_the_command_tries_records_and_trains_the_best(
    tmp_path: Path, folder: Path, command: Command
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    done = command(
        *("edge-train", "sweep", "--data", folder, "-o", tmp_path / "s", "--trials", 2, "--epochs", 1),
        *("--tracking-uri", uri),
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(b"trial ") == 2
    document = json.loads((tmp_path / "s" / "sweep.json").read_text())
    assert len(document["trials"]) == 2
    bundle = load_bundle(tmp_path / "s" / "best" / "bundle.onnx")
    best = max(document["trials"], key=lambda trial: trial["f1"])
    assert bundle.metadata.model.kind == best["settings"]["model"]

    from mlflow import MlflowClient  # noqa: PLC0415

    client = MlflowClient(uri, uri)
    experiment = client.get_experiment_by_name("edge-detect")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    parents = {run.data.tags.get("mlflow.parentRunId") for run in runs}
    names = {run.info.run_name for run in runs}
    assert names == {"sweep", "trial-0", "trial-1", "best"}
    assert parents == {None, next(run.info.run_id for run in runs if run.info.run_name == "sweep")}
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_what_makes_no_sense_is_refused(tmp_path: Path, folder: Path, command: Command) -> None:
    for words, option in ((("--trials", 0), "--trials"), (("--timeout", "soon"), "not a duration")):
        done = command("edge-train", "sweep", "--data", folder, "-o", tmp_path, "--no-mlflow", *words)
        assert_one_clear_line(done, 2, option)

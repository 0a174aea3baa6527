"""The training loop, and the run from data to bundle."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch
from support.history import machine_rows, write_history

import trainer.experiment.exporter
from edge_runtime import Engine, Readings, load_bundle
from edge_runtime.errors import TrainingError, UsageError
from trainer.calibration.calibrate import verdicts
from trainer.data.choice import Columns
from trainer.data.split import Split
from trainer.data.training_data import TrainingData, read_training_data
from trainer.experiment.checkpoint import Checkpoint
from trainer.experiment.exporter import find_exporter
from trainer.experiment.plan import Plan
from trainer.experiment.provenance import data_digest, git_revision, provenance
from trainer.experiment.run import run_fit
from trainer.fitting.fit import Epoch, Settings, fit
from trainer.models.autoencoder import SensorAutoencoder
from trainer.models.base import TrainedModel
from trainer.tracking import NoTracker

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.experiment.results import Results

SENSORS = ("temperature", "vibration", "pressure", "power")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_history(tmp_path_factory.mktemp("history"))


@pytest.fixture(scope="module")
def data(folder: Path) -> TrainingData:
    return read_training_data(folder, Columns())


def run(data: TrainingData, output: Path, *, seed: int = 0, epochs: int = 3) -> Results:
    return run_fit(
        data, Plan(output=output, settings=Settings(seed=seed, epochs=epochs), plots=False), NoTracker()
    )


def test_a_machine_without_a_complete_normal_row_is_not_named_as_trained(
    folder: Path, tmp_path: Path
) -> None:
    for name in ("train", "val", "test"):
        frame = pd.read_csv(folder / f"{name}.csv")
        lacking = frame[frame["machine_id"] == "press-1"].assign(machine_id="lacking", vibration=np.nan)
        faulty = frame[frame["machine_id"] == "press-1"].assign(machine_id="faulty", anomaly=1)
        pd.concat([frame, lacking, faulty]).to_csv(tmp_path / f"{name}.csv", index=False)
    data = read_training_data(tmp_path, Columns())
    assert set(data.train.machines) == {"press-1", "press-2", "lacking", "faulty"}
    assert provenance(data, seed=0, revision=None).machines == ("press-1", "press-2")


def test_the_network_has_5064_parameters(data: TrainingData) -> None:
    network = fit(data, Settings(epochs=1)).parts.network
    assert network.parameter_count == 5064
    widths = [layer.out_features for layer in network.layers if isinstance(layer, torch.nn.Linear)]
    assert widths == [64, 32, 4, 32, 64, 4]


def test_training_lowers_the_validation_loss(data: TrainingData) -> None:
    fitted = fit(data, Settings(epochs=30, noise=0.05))
    assert fitted.best is not None
    variance = float(fitted.parts.scaler.transform(data.val.normal_values).var(0).mean())
    assert fitted.best.val_loss < 0.25 * variance
    assert fitted.best.val_loss == min(epoch.val_loss for epoch in fitted.history)
    assert fitted.best.val_loss < fitted.history[0].val_loss


@pytest.mark.parametrize("seed", range(6))
def test_no_seed_gives_a_network_that_only_knows_the_mean(data: TrainingData, seed: int) -> None:
    fitted = fit(data, Settings(epochs=15, seed=seed, batch_size=64))
    assert fitted.best is not None
    scaled = fitted.parts.scaler.transform(data.val.normal_values)
    assert fitted.best.val_loss < 0.5 * float(scaled.var(0).mean())


def test_the_best_epochs_network_is_kept(data: TrainingData) -> None:
    # With a learning rate this high the loss goes up and down.
    settings = Settings(epochs=12, learning_rate=0.1, batch_size=64)
    fitted = fit(data, settings)
    assert fitted.best is not None
    best = fitted.best.number
    assert 1 < best < len(fitted.history)
    assert fitted.best.val_loss == min(epoch.val_loss for epoch in fitted.history)
    # A run that ends at the best epoch has the very same network.
    until_best = fit(data, replace(settings, epochs=best))
    for ours, theirs in zip(
        fitted.parts.network.parameters(), until_best.parts.network.parameters(), strict=True
    ):
        assert torch.equal(ours, theirs)
    assert not fitted.parts.network.training


def test_training_stops_when_patience_is_at_its_end(data: TrainingData) -> None:
    fitted = fit(data, Settings(epochs=100, patience=4, learning_rate=0.01))
    assert len(fitted.history) < 100
    assert fitted.history[-1].learning_rate < 0.01


def test_each_epoch_is_reported(data: TrainingData) -> None:
    seen: list[Epoch] = []
    fitted = fit(data, Settings(epochs=3), seen.append)
    assert [epoch.number for epoch in seen] == [1, 2, 3]
    assert tuple(seen) == fitted.history
    assert all(0 < epoch.train_loss < 1 and 0 < epoch.val_loss < 1 for epoch in seen)


def weights(data: TrainingData, **options: Any) -> torch.Tensor:
    network = fit(data, Settings(epochs=2, **options)).parts.network
    return torch.nn.utils.parameters_to_vector(network.parameters())


def test_each_option_of_training_changes_what_is_learnt(data: TrainingData) -> None:
    plain = weights(data)
    assert torch.equal(weights(data, weight_decay=0.01, clip_norm=1.0, dropout=0.0, stride=1), plain)
    options: list[dict[str, Any]] = [
        {"dropout": 0.2},
        {"weight_decay": 1.0},
        {"clip_norm": 0.01},
        {"clip_norm": 0.0},
        {"stride": 3},
    ]
    for option in options:
        assert not torch.equal(weights(data, **option), plain), option
    assert weights(data, weight_decay=10.0).norm() < plain.norm()


@pytest.mark.parametrize("model", ["autoencoder", "variational", "convolutional"])
def test_units_are_silent_in_training_alone(model: str, data: TrainingData) -> None:
    network = fit(data, Settings(epochs=1, model=model, dropout=0.5)).parts.network
    assert isinstance(network, TrainedModel)
    rows = torch.rand(50, 4)
    found = network.deviations if network.uncertain else network
    assert torch.equal(found(rows), found(rows))
    network.train()
    assert not torch.equal(found(rows), found(rows))


def test_training_leaves_the_processs_settings_alone(data: TrainingData) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    threads = torch.get_num_threads()
    fit(data, Settings(epochs=1, seed=77))
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_loss_that_explodes_is_said(data: TrainingData) -> None:
    with pytest.raises(
        TrainingError, match="the loss is not finite in epoch 1; choose a smaller --learning-rate"
    ):
        fit(data, Settings(epochs=2, learning_rate=1e30))


@pytest.mark.parametrize(
    ("option", "settings"),
    [
        ("--epochs", {"epochs": 0}),
        ("--batch-size", {"batch_size": 0}),
        ("--learning-rate", {"learning_rate": 0.0}),
        ("--patience", {"patience": 0}),
        ("--seed", {"seed": -1}),
        ("--noise", {"noise": -0.1}),
    ],
)
def test_settings_check_themselves(option: str, settings: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=f"{option}: .* is out of range"):
        Settings(**settings)  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_bundle(data: TrainingData, tmp_path: Path) -> None:
    first, second = run(data, tmp_path / "a"), run(data, tmp_path / "b")
    assert first.digest == second.digest
    assert first.bundle.read_bytes() == second.bundle.read_bytes()
    assert load_bundle(first.bundle).digest == first.digest
    assert run(data, tmp_path / "c", seed=1).digest != first.digest


def test_the_test_split_decides_nothing(folder: Path, data: TrainingData, tmp_path: Path) -> None:
    other = write_history(tmp_path / "data")
    for name in ("train.csv", "val.csv"):
        (other / name).write_bytes((folder / name).read_bytes())
    frame = pd.read_csv(other / "test.csv")
    frame.assign(temperature=frame["temperature"] * 3, anomaly=1 - frame["anomaly"]).to_csv(
        other / "test.csv", index=False
    )
    before = run(data, tmp_path / "a")
    after = run(read_training_data(other, Columns()), tmp_path / "b")
    assert after.threshold == before.threshold
    assert after.validation.metrics == before.validation.metrics
    assert after.test.metrics != before.test.metrics
    for ours, theirs in zip(
        *(Checkpoint.load(r.output / "checkpoint").parts.network.parameters() for r in (before, after)),
        strict=True,
    ):
        assert torch.equal(ours, theirs)


def test_what_is_written_agrees(data: TrainingData, tmp_path: Path) -> None:
    results = run(data, tmp_path)
    written = json.loads((tmp_path / "metrics.json").read_text())
    metadata = load_bundle(tmp_path / "bundle.onnx").metadata
    checkpoint = Checkpoint.load(tmp_path / "checkpoint")
    assert written["digest"] == results.digest
    assert written["epochs"] == 3
    assert written["parameters"] == 5064 == metadata.model.parameters
    assert written["threshold"]["value"] == metadata.threshold.value == checkpoint.threshold.value
    assert {"f1", "precision", "recall", "accuracy", "roc_auc", "average_precision"} <= set(written["test"])
    assert metadata.metrics.test["f1"] == written["test"]["f1"]
    assert metadata.metrics.validation["f1"] == written["validation"]["f1"]
    assert metadata.sensor_names == SENSORS
    assert metadata.cadence_seconds == 1.0
    assert metadata.limits.p99_latency_us is None
    assert len(metadata.golden.scores) == 32
    provenance = metadata.provenance
    assert (provenance.created, provenance.mlflow_run_id, provenance.git_revision) == (None, None, None)
    assert provenance.machines == ("press-1", "press-2")
    assert provenance.data_digest == data_digest((data.train, data.val, data.test))
    assert provenance.time_start == "2024-10-04T00:00:00Z"
    assert provenance.versions["torch"] == torch.__version__
    normal = data.train.normal_values
    assert [s.training_range for s in metadata.sensors] == [
        (float(low), float(high)) for low, high in zip(normal.min(0), normal.max(0), strict=True)
    ]


def test_units_and_ranges_reach_the_bundle(data: TrainingData, tmp_path: Path) -> None:
    known = replace(
        data, units={"power": "kW"}, physical_ranges={"power": (0.0, 9.0), "pressure": (0.0, 200.0)}
    )
    plan = Plan(
        output=tmp_path,
        settings=Settings(epochs=1),
        units={"temperature": "°C"},
        physical_ranges={"power": (0.0, 2000.0)},
        cadence_seconds=5.0,
        plots=False,
    )
    metadata = load_bundle(run_fit(known, plan, NoTracker()).bundle).metadata
    assert [sensor.unit for sensor in metadata.sensors] == ["°C", "", "", "kW"]
    assert [s.physical_range for s in metadata.sensors] == [None, None, (0.0, 200.0), (0.0, 2000.0)]
    assert metadata.cadence_seconds == 5.0
    with pytest.raises(UsageError, match="--unit: 'heat' is not a sensor; the sensors are temperature, vib"):
        run_fit(data, Plan(output=tmp_path, units={"heat": "K"}), NoTracker())


def test_without_labels_only_the_alarm_rate_is_known(data: TrainingData, tmp_path: Path) -> None:
    results = run(replace(data, test=replace_labels(data)), tmp_path)
    assert set(results.test.metrics) == {"alarm_rate"}
    assert 0 < results.test.metrics["alarm_rate"] < 1
    assert "f1" in results.validation.metrics
    assert "unlabelled: only the rate of alarms is known" in results.table()
    assert not {"F1", "precision", "ROC AUC"} & set(results.table().split())


def replace_labels(data: TrainingData) -> Split:
    test = data.test
    return Split(test.path, test.times, test.machines, test.values, None, None)


def test_rows_with_missing_readings_are_counted_and_left_out(data: TrainingData, tmp_path: Path) -> None:
    test = data.test
    values = test.values.copy()
    values[5, 1] = np.nan
    holed = Split(test.path, test.times, test.machines, values, test.labels, test.kinds)
    results = run(replace(data, test=holed), tmp_path)
    assert (results.test.rows, results.test.not_scored) == (1999, 1)
    assert "1 of validation and test" in results.table()


def test_a_missing_exporter_is_said_before_training(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer.experiment.exporter, "entry_points", lambda **_: ())
    with pytest.raises(UsageError, match="no exporter is installed.*pip install"):
        run(data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_exporter_is_the_projects() -> None:
    assert find_exporter().__module__ == "export.write"


def test_pytorch_and_the_bundle_agree_on_100_000_rows(data: TrainingData, tmp_path: Path) -> None:
    results = run(data, tmp_path, epochs=10)
    bundle = load_bundle(results.bundle)
    checkpoint = Checkpoint.load(tmp_path / "checkpoint")
    frame = machine_rows(100_000, day=7, machine="press-9")
    values = frame[list(SENSORS)].to_numpy(np.float32)
    score, errors, expected = checkpoint.detector.score(values)
    readings = Readings(np.full(len(frame), "press-9"), np.arange(len(frame), dtype=np.int64), values)
    found = Engine(bundle).feed(readings).results
    golden = bundle.metadata.golden
    relative, absolute = golden.relative_tolerance, golden.absolute_tolerance
    np.testing.assert_allclose(found.scores.score, score, rtol=relative, atol=absolute)
    np.testing.assert_allclose(found.scores.errors, errors, rtol=relative, atol=absolute)
    np.testing.assert_allclose(found.scores.expected, expected, rtol=1e-5)
    assert len(found) == 100_000
    close = np.abs(score / checkpoint.threshold.value - 1) < 1e-4
    assert close.sum() < 10  # nor would one of them be held differently for long
    wanted = verdicts(score, checkpoint.threshold, readings.times, readings.machines)
    assert ((found.verdicts == 1) != wanted).sum() <= 10 * close.sum()


def test_a_revision_is_of_the_projects_own_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*words: str) -> str:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        done = subprocess.run(
            ("git", "-C", tmp_path, *identity, *words), check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "-q")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-q", "-m", "first")
    commit = git("rev-parse", "HEAD")
    (tmp_path / "inner").mkdir()
    monkeypatch.setenv("GIT_DIR", "/nowhere")  # as a hook may leave it
    assert git_revision(tmp_path) == commit
    assert git_revision(tmp_path / "inner") is None
    (tmp_path / "file").write_text("2")
    assert git_revision(tmp_path) == f"{commit}-dirty"


def test_any_number_of_sensors_and_widths() -> None:
    network = SensorAutoencoder(7, (9, 2, 9))
    assert network(torch.zeros(5, 7)).shape == (5, 7)
    assert network.parameter_count == 7 * 9 + 9 + 9 * 2 + 2 + 2 * 9 + 9 + 9 * 7 + 7


def test_the_linear_model_is_the_mahalanobis_distance_with_expectations(
    data: TrainingData, tmp_path: Path
) -> None:
    results = run_fit(
        data, Plan(output=tmp_path, settings=Settings(model="linear", smooth=1), plots=False), NoTracker()
    )
    assert results.best is None
    assert results.parameters == 20
    rows = data.train.normal_values.astype(np.float64)
    away = data.test.values[:200].astype(np.float64) - rows.mean(0)
    wanted = np.einsum("ri,ij,rj->r", away, np.linalg.inv(np.cov(rows.T)), away) / 4
    checkpoint = Checkpoint.load(tmp_path / "checkpoint")
    score, _, expected = checkpoint.detector.score(data.test.values[:200])
    np.testing.assert_allclose(score, wanted, rtol=0.01, atol=0.01)
    # What a sensor is expected to read does not depend on what it reads.
    moved = data.test.values[:200].copy()
    moved[:, 2] += 50
    np.testing.assert_allclose(checkpoint.detector.score(moved)[2][:, 2], expected[:, 2], rtol=1e-4)

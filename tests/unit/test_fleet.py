"""Fleets: what is trained together is what would be trained alone, and each machine gets its bundle."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import torch
from support.history import machine_rows

from edge_runtime import Engine, Readings, load_bundle
from edge_runtime.errors import TrainingError, UsageError
from trainer.calibration.calibrate import verdicts
from trainer.data.choice import Columns
from trainer.data.training_data import read_training_data
from trainer.detector import Detector
from trainer.detector.parts import DetectorParts
from trainer.experiment.plan import Plan
from trainer.fitting.fit import Settings, fit
from trainer.fleet.machines import Machine, by_machine, folder_name, made_ready
from trainer.fleet.pool import train_fleet
from trainer.fleet.run import run_fleet
from trainer.fleet.stack import NetworkStack
from trainer.models.autoencoder import SensorAutoencoder

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from support.commands import Here

# Normal training rows differ, so that steps and the filling of the last batch do.
ROWS = {"press-1": 700, "press-2": 420, "press-3": 512, "oven 4/b": 300}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("fleet")
    for day, (name, share) in enumerate({"train": 1.0, "val": 0.4, "test": 0.6}.items()):
        parts = [machine_rows(int(rows * share), day=day, machine=machine) for machine, rows in ROWS.items()]
        if name == "train":
            parts.append(machine_rows(20, day=day, machine="new"))
        pd.concat(parts).sample(frac=1.0, random_state=1).to_csv(made / f"{name}.csv", index=False)
    return made


@pytest.fixture(scope="module")
def settings() -> Settings:
    return Settings(epochs=4, batch_size=128, device="cpu")


@pytest.fixture(scope="module")
def machines(folder: Path, settings: Settings) -> list[Machine]:
    data = read_training_data(folder, Columns())
    return [made_ready(name, own, settings) for name, own in by_machine(data) if name != "new"]


def scores(machine: Machine, network: torch.nn.Module) -> NDArray[np.float32]:
    test = machine.data.test
    parts = DetectorParts(network, machine.scaler, machine.features)  # type: ignore[arg-type]
    return Detector(parts).score(test.values[test.finite])[0]


def networks(machines: list[Machine], settings: Settings, threads: int = 1) -> list[SensorAutoencoder]:
    found = []
    for trained in train_fleet(machines, settings, threads=threads):
        assert isinstance(trained, tuple)
        found.append(trained[0].network)
    return found


def test_together_is_as_alone(machines: list[Machine], settings: Settings) -> None:
    together = networks(machines, settings)
    for machine, network in zip(machines, together, strict=True):
        (alone,) = networks([machine], settings)
        np.testing.assert_allclose(scores(machine, network), scores(machine, alone), rtol=1e-4)
    firsts = [next(network.parameters()) for network in together]
    assert not torch.equal(firsts[0], firsts[1])


def test_neither_order_nor_threads_matter(
    machines: list[Machine], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.fleet.pool.MAX_STACKED", {"cpu": 2})
    there = networks(machines, settings)
    back = networks(machines[::-1], settings, threads=3)[::-1]
    for ours, theirs in zip(there, back, strict=True):
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "how", [{"learning_rate": 1e-3}, {"learning_rate": 0.01, "patience": 4, "epochs": 40}]
)
def test_without_noise_it_is_what_fit_trains(
    machines: list[Machine], settings: Settings, how: dict[str, float]
) -> None:
    # Fit draws its noise from one generator for everything; all else is the same.
    quiet = replace(settings, noise=0.0, **how)  # type: ignore[arg-type]
    lengths = set()
    for machine, trained in zip(machines, train_fleet(machines, quiet), strict=True):
        assert isinstance(trained, tuple)
        fitted = fit(machine.data, quiet)
        ours, theirs = trained[0].history, fitted.history
        assert [e.best for e in ours] == [e.best for e in theirs]
        assert [e.learning_rate for e in ours] == pytest.approx([e.learning_rate for e in theirs])
        assert [e.train_loss for e in ours] == pytest.approx([e.train_loss for e in theirs], rel=1e-3)
        assert [e.val_loss for e in ours] == pytest.approx([e.val_loss for e in theirs], rel=1e-3)
        assert scores(machine, trained[0].network) == pytest.approx(
            scores(machine, fitted.parts.network), rel=1e-2, abs=1e-6
        )
        lengths.add(len(ours))
    if "patience" in how:  # some stopped before others, and went out of the stack
        assert len(lengths) > 1


def test_with_noise_it_is_as_good_as_fit(machines: list[Machine], settings: Settings) -> None:
    longer = replace(settings, epochs=30)
    for machine, network in zip(machines, networks(machines, longer), strict=True):
        ours, theirs = scores(machine, network), scores(machine, fit(machine.data, longer).parts.network)
        assert np.corrcoef(np.log(ours), np.log(theirs))[0, 1] > 0.9, machine.name


def test_the_gradient_is_autograds() -> None:
    torch.manual_seed(5)
    start = SensorAutoencoder(3, (8, 2, 8), 6)
    stack = NetworkStack(start, 3, 16, "cpu")
    stack.weights += 0.05 * torch.randn_like(stack.weights)
    shown, wanted = torch.randn(3, 16, 6), torch.randn(3, 16, 3)
    gradients = stack.backward(stack.forward(shown).sub_(wanted).mul_(2 / wanted[0].numel()))
    for i in range(3):
        network = stack.network(stack.weights[i])
        torch.nn.functional.mse_loss(network(shown[i]), wanted[i]).backward()  # type: ignore[no-untyped-call]
        for parameter in network.parameters():
            assert parameter.grad is not None
            parameter.data = parameter.grad
        flat = NetworkStack(network, 1, 16, "cpu").weights[0]
        torch.testing.assert_close(gradients[i], flat, rtol=1e-5, atol=1e-7)


def test_a_machine_whose_loss_explodes_leaves_the_others_alone(
    machines: list[Machine], settings: Settings
) -> None:
    broken = machines[1]
    huge = replace(broken.shown, train=broken.shown.train * 1e30)
    mixed = [machines[0], replace(broken, shown=huge), *machines[2:]]
    found = train_fleet(mixed, settings)
    assert isinstance(found[1], TrainingError)
    assert "not finite in epoch 1" in str(found[1])
    for i in (0, 2, 3):
        trained = found[i]
        assert isinstance(trained, tuple)
        (alone,) = networks([machines[i]], settings)
        np.testing.assert_allclose(
            scores(machines[i], trained[0].network), scores(machines[i], alone), rtol=1e-4
        )


def test_only_autoencoders_make_a_fleet(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="--recipe: a fleet consists of autoencoders, and cannot use the model 'linear'"
    ):
        run_fleet(
            read_training_data(folder, Columns()),
            Plan(output=tmp_path / "none", settings=Settings(model="linear"), plots=False),
        )
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(("field", "value"), [("dropout", 0.1), ("stride", 2)])
def test_a_fleet_refuses_what_its_stack_cannot_do(
    field: str, value: float, machines: list[Machine], settings: Settings
) -> None:
    with pytest.raises(UsageError, match=f"--{field}: a fleet has no such option"):
        list(train_fleet(machines, replace(settings, **{field: value}), threads=1))  # type: ignore[arg-type]


@pytest.mark.parametrize(("field", "value"), [("weight_decay", 5.0), ("clip_norm", 0.01), ("clip_norm", 0.0)])
def test_a_fleets_steps_are_those_of_fit(
    field: str, value: float, machines: list[Machine], settings: Settings
) -> None:
    machine = machines[0]
    changed = replace(settings, noise=0.0, **{field: value})  # type: ignore[arg-type]
    (network,) = networks([machine], changed)
    (plain,) = networks([machine], replace(settings, noise=0.0))
    ours, without, alone = (
        torch.nn.utils.parameters_to_vector(each.parameters()).detach()
        for each in (network, plain, fit(machine.data, changed).parts.network)
    )
    assert (ours - alone).norm() < 0.05 * (without - alone).norm()


def test_a_folders_name_is_safe_and_its_own() -> None:
    names = [
        "press-1",
        "press/1",
        "press 1",
        "..",
        "",
        "../press-1",
        "fleet.json",
        "Ofen 4 µ",
        "x" * 300,
        "x" * 301,
    ]
    folders = [folder_name(name) for name in names]
    assert folders[0] == "press-1"
    assert len(set(folders)) == len(folders)
    for folder in folders:
        assert folder.strip(".") == folder
        assert folder != "fleet.json"
        assert set(folder) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
        assert 0 < len(folder) < 128


def test_each_machine_has_only_its_own_rows(folder: Path) -> None:
    data = read_training_data(folder, Columns())
    parts = dict(by_machine(data))
    assert set(parts) == {*ROWS, "new"}
    for name, rows in ROWS.items():
        assert set(parts[name].train.machines) == {name}
        assert len(parts[name].train) == rows
    assert len(parts["new"].val) == 0


def test_every_machine_gets_a_bundle_that_judges_as_training_did(
    folder: Path, settings: Settings, tmp_path: Path
) -> None:
    data = read_training_data(folder, Columns())
    ensemble = replace(settings, members=2, differences=True)
    left: list[str] = []
    done = run_fleet(
        data,
        Plan(output=tmp_path, settings=ensemble, plots=False),
        threads=2,
        on_left_out=lambda one: left.append(one.machine),
    )
    listed = json.loads((tmp_path / "fleet.json").read_text())
    assert {entry["machine"] for entry in listed["machines"]} == set(ROWS) == set(done.results)
    assert left == ["new"] == [entry["machine"] for entry in listed["left_out"]]
    parts = dict(by_machine(data))
    for entry in listed["machines"]:
        bundle = load_bundle(tmp_path / entry["folder"] / "bundle.onnx")
        results, test = done.results[entry["machine"]], parts[entry["machine"]].test
        assert bundle.digest == entry["digest"]
        assert bundle.metadata.provenance.machines == (entry["machine"],)
        assert entry["threshold"] == bundle.metadata.threshold.value
        assert entry["rows"]["test"] == test.finite.sum()
        assert entry["metrics"]["test"] == results.test.metrics
        rows = np.argsort(test.times)
        rows = rows[test.finite[rows]]
        judged = Engine(bundle).feed(Readings(test.machines[rows], test.times[rows], test.values[rows]))
        flagged = verdicts(judged.score, results.threshold, test.times[rows], test.machines[rows])
        assert flagged.mean() == pytest.approx(results.test.alarm_rate)
    assert "left out" in done.table()


def test_the_command(here: Here, folder: Path, tmp_path: Path) -> None:
    done = here("edge-train", "fleet", "--data", folder, "-o", "fleet", "--epochs", 1, "--recipe", "plain")
    assert done.returncode == 0, done.stderr.decode()
    moved, left_out = done.stderr.decode().splitlines()  # so few rows are of one load each
    assert moved.startswith("WARNING: power of press-1 moved from ")
    assert left_out == f"left out: new: {folder / 'val.csv'}: no row of this machine"
    assert "4 machines" in done.stdout.decode()
    assert sorted(p.name for p in (tmp_path / "fleet" / "press-1").iterdir()) == [
        "bundle.onnx",
        "checkpoint",
        "metrics.json",
    ]


def test_no_machine_left_is_an_error(here: Here, tmp_path: Path) -> None:
    for name in ("train", "val", "test"):
        machine_rows(20, machine="new").to_csv(tmp_path / f"{name}.csv", index=False)
    done = here("edge-train", "fleet", "--data", tmp_path)
    assert done.returncode == 1
    few, left_out, error = done.stderr.decode().splitlines()
    assert few.startswith("WARNING: the threshold comes from only ")
    assert "left out: new: " in left_out
    assert "too few rows: " in left_out
    assert "no machine is left" in error

"""The model registry: a fit that registers, a champion, and its export by name; on a real SQLite store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.commands import assert_one_clear_line
from support.history import write_history

from edge_runtime import load_bundle
from edge_runtime.errors import UsageError
from trainer.data.choice import Columns
from trainer.data.training_data import read_training_data
from trainer.experiment.plan import Plan
from trainer.experiment.run import run_fit
from trainer.fitting.fit import Settings
from trainer.tracking import Tracker, promote

if TYPE_CHECKING:
    from pathlib import Path

    from support.commands import Command, Here


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with two versions of `pump`, of which the first is the champion."""
    folder = tmp_path_factory.mktemp("registry")
    data = read_training_data(write_history(folder / "data", train=400, val=200, test=200), Columns())
    uri = f"sqlite:///{folder}/mlflow.db"
    for version, components in (("1", 1), ("2", 2)):
        plan = Plan(
            output=folder / version,
            settings=Settings(model="pca", components=components, smooth=1),
            plots=False,
            register="pump",
            champion=version == "1",
        )
        with Tracker(uri, "edge-detect", None) as tracker:
            run_fit(data, plan, tracker)
    return uri


def exported(here: Here, source: str, path: Path, store: str) -> int:
    """The components of the model that is exported."""
    done = here("edge-export", source, "-o", path, "--tracking-uri", store)
    assert done.returncode == 0, done.stderr
    bundle = load_bundle(path)
    assert bundle.metadata.provenance.mlflow_run_id is not None
    return len(bundle.metadata.sensors)


def test_the_champion_is_exported_by_name_and_another_can_be_promoted(
    tmp_path: Path, here: Here, store: str
) -> None:
    first, second = tmp_path / "first.onnx", tmp_path / "second.onnx"
    assert exported(here, "models:/pump@champion", first, store) == 4
    done = here("edge-train", "promote", "pump", "--tracking-uri", store)
    assert done.returncode == 0, done.stderr
    assert b"version 2 of pump is the champion, replacing version 1" in done.stdout
    exported(here, "models:/pump@champion", second, store)
    runs = [load_bundle(path).metadata.provenance.mlflow_run_id for path in (first, second)]
    assert runs[0] != runs[1]
    back = here("edge-train", "promote", "pump", "--version", "1", "--tracking-uri", store)
    assert b"replacing version 2" in back.stdout


def test_what_is_expected_of_later_rows_is_recorded(store: str) -> None:
    from mlflow import MlflowClient  # noqa: PLC0415 - slow

    client = MlflowClient(store)
    version = client.get_model_version("pump", "1")
    assert version.run_id is not None
    metrics = client.get_run(version.run_id).data.metrics
    low, high = metrics["expected_flagged_low"], metrics["expected_flagged_high"]
    assert 0 <= low < 0.0045 < high <= 1
    assert "expected_alarms_high" not in metrics  # no budget was asked for


@pytest.mark.parametrize("words", [("motor",), ("pump", "--version", "9")])
def test_what_is_not_there_cannot_be_promoted(words: tuple[str, ...], here: Here, store: str) -> None:
    assert_one_clear_line(
        here("edge-train", "promote", *words, "--tracking-uri", store), 2, "MLflow knows no such"
    )


@pytest.mark.parametrize("name", ["pump@champion", "pump/1"])
def test_a_model_is_promoted_by_its_name_alone(name: str, store: str) -> None:
    with pytest.raises(UsageError, match="not the name of a registered model; give the name alone"):
        promote(name, None, store)


def test_a_run_is_gone_on_with_and_a_lost_one_is_started_anew(store: str) -> None:
    with Tracker(store, "edge-detect", "sweep") as first:
        first.log_metrics({"found": 1.0})
    with Tracker(store, "edge-detect", "sweep", again=first.run_id) as again:
        again.log_metrics({"found": 2.0})
        run = again._client.get_run(again.run_id)
        assert (run.info.status, run.data.metrics) == ("RUNNING", {"found": 2.0})
    assert again.run_id == first.run_id
    assert again._client.get_run(again.run_id).info.status == "FINISHED"
    with Tracker(store, "edge-detect", "sweep", again="f" * 32) as other:
        assert other.run_id not in {first.run_id, "f" * 32}


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path, here: Here) -> None:
    done = here("edge-train", "promote", "pump", "--tracking-uri", f"sqlite:///{tmp_path}/none.db")
    assert_one_clear_line(done, 2, "no MLflow run is kept here")
    assert not (tmp_path / "none.db").exists()


def test_a_champion_has_to_be_registered(tmp_path: Path, command: Command) -> None:
    done = command("edge-train", "fit", "--data", tmp_path, "--champion")
    assert_one_clear_line(done, 2, "--champion", "requires --register")

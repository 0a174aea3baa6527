"""The model registry: runs registered, one of their versions the champion, and that one exported."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import pytest
from support.bundles import make_checkpoint
from support.history import write_history

from edge_runtime.bundle.load import load_bundle
from edge_runtime.errors import UsageError
from export.cli import main as export
from export.resolve import resolve
from trainer.cli import main as train
from trainer.tracking import NoTracker, Registered, Tracker, promote

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow takes seconds to make one."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    with Tracker(f"sqlite:///{path}", "others", None):
        pass
    return path


@pytest.fixture
def uri(tmp_path: Path, empty_store: Path) -> str:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


def registered(tmp_path: Path, uri: str, *, seed: int, champion: bool = False) -> tuple[Registered, str]:
    """A run that holds a checkpoint, registered as pump; and its id."""
    folder = make_checkpoint(tmp_path / f"checkpoint-{seed}", seed=seed)
    with Tracker(uri, "pumps", None) as tracker:
        tracker.log_folder(folder, "checkpoint")
        assert tracker.run_id is not None
        return tracker.register("pump", champion=champion), tracker.run_id


def run_of(uri: str, source: str) -> str | None:
    with resolve(source, uri) as found:
        return found.run_id


def test_a_model_is_registered_promoted_and_resolved_by_its_alias(tmp_path: Path, uri: str) -> None:
    first, first_run = registered(tmp_path, uri, seed=0)
    second, second_run = registered(tmp_path, uri, seed=1)
    assert (first, second) == (Registered("pump", "1"), Registered("pump", "2"))
    with pytest.raises(UsageError, match=r"models:/pump@champion .*no such run or model version"):
        run_of(uri, "models:/pump@champion")

    assert promote("pump", None, uri) == Registered("pump", "2", champion=True, before=None)
    assert run_of(uri, "models:/pump@champion") == second_run
    assert promote("pump", "1", uri) == Registered("pump", "1", champion=True, before="2")
    assert run_of(uri, "models:/pump@champion") == first_run
    assert run_of(uri, "models:/pump/2") == second_run
    assert str(promote("pump", "1", uri)) == "pump, version 1, is still the champion"

    third, third_run = registered(tmp_path, uri, seed=2, champion=True)
    assert third == Registered("pump", "3", champion=True, before="1")
    assert run_of(uri, "models:/pump@champion") == third_run


@pytest.mark.parametrize(
    ("name", "version", "said"),
    [
        ("valve", None, "no such run or model version"),
        ("pump", "9", "no such run or model version"),
        ("pump@champion", None, "not the name of a registered model"),
        ("pump/1", None, "not the name of a registered model"),
    ],
)
def test_what_cannot_be_promoted_is_said(
    tmp_path: Path, uri: str, name: str, version: str | None, said: str
) -> None:
    registered(tmp_path, uri, seed=0)
    with pytest.raises(UsageError, match=said):
        promote(name, version, uri)


def test_no_store_is_made_to_promote_in(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no MLflow run is kept here, so not 'pump'"):
        promote("pump", None, f"sqlite:///{tmp_path}/mlflow.db")
    assert not list(tmp_path.iterdir())
    with pytest.raises(UsageError, match="registered with MLflow, which is off"):
        NoTracker().register("pump", champion=True)


def test_a_run_is_gone_on_with_and_a_lost_one_is_started_anew(uri: str) -> None:
    with Tracker(uri, "pumps", "sweep") as first:
        first.log_metrics({"found": 1.0})
    with Tracker(uri, "pumps", "sweep", again=first.run_id) as again:
        again.log_metrics({"found": 2.0})
        run = again._client.get_run(again.run_id)
        assert (run.info.status, run.data.metrics) == ("RUNNING", {"found": 2.0})
    assert again.run_id == first.run_id
    assert again._client.get_run(again.run_id).info.status == "FINISHED"
    with Tracker(uri, "pumps", "sweep", again="f" * 32) as other:
        assert other.run_id not in {first.run_id, "f" * 32}


def test_the_commands_register_promote_and_export(
    tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(main: Callable[[], None], *words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["program", *words, "--tracking-uri", uri])
        with pytest.raises(SystemExit) as done:
            main()
        printed = capsys.readouterr()
        assert done.value.code == (2 if printed.err else 0), printed.err
        return printed.err or printed.out

    data, output = write_history(tmp_path / "data", train=1200, val=600, test=600), tmp_path / "pump.onnx"
    fit = ("fit", "--data", str(data), "--model", "linear", "-o", str(tmp_path / "fit"))
    assert "pump, version 1, is the champion" in run(train, *fit, "--register", "pump", "--champion")
    run(export, "models:/pump@champion", "-o", str(output))
    exported = load_bundle(output).metadata.provenance.mlflow_run_id
    assert exported == run_of(uri, "models:/pump/1") == run_of(uri, "pump")
    assert run(train, "promote", "pump", "--version", "1") == "pump, version 1, is still the champion\n"
    assert run(train, "promote", "valve").startswith("edge-train: models:/valve in sqlite:///")
    assert run(train, *fit, "--champion") == "edge-train: --champion: goes with --register NAME\n"

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import pytest
from support.bundles import make_checkpoint

from edge_runtime.errors import UsageError
from edge_runtime.loading.load import load_bundle
from edge_runtime.version import __version__
from export.cli import main
from export.resolve import Resolved, resolve

if TYPE_CHECKING:
    from pathlib import Path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["edge-export", *arguments])
    with pytest.raises(SystemExit) as done:
        main()
    return int(done.value.code or 0)


def test_a_folder_becomes_a_bundle_and_a_table_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_checkpoint(tmp_path / "checkpoint")
    output = tmp_path / "b.onnx"
    assert run(monkeypatch, str(folder), "-o", str(output)) == 0
    bundle = load_bundle(output)
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert rows["bundle"] == str(output)
    assert rows["size"] == f"{bundle.size:,} bytes"
    assert rows["digest"] == bundle.digest
    assert rows["golden"].startswith("rows  32;")
    assert rows["random"].startswith("rows  4,096;")
    assert bundle.metadata.provenance.mlflow_run_id is None


def test_the_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"edge-export {__version__}\n"


@pytest.mark.parametrize("source", ["no/such/folder", "pyproject.toml"])
def test_a_source_that_is_no_folder_exits_2_with_one_line(
    tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("")
    assert run(monkeypatch, source, "-o", "b.onnx") == 2
    assert capsys.readouterr().err == (
        f"edge-export: {source}: no such folder; "
        "name a checkpoint folder, an MLflow run or models:/NAME/VERSION\n"
    )
    assert not (tmp_path / "b.onnx").exists()


def test_an_empty_folder_exits_1_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, str(tmp_path), "-o", str(tmp_path / "b.onnx")) == 1
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert "not a checkpoint: a file is missing; name the folder that 'edge-train fit' wrote" in printed


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    with resolve(str(tmp_path)) as found:
        assert found == Resolved(tmp_path)


def test_a_path_that_is_not_there_is_not_looked_up_in_mlflow(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"), resolve(str(tmp_path / "none")):
        pass


@pytest.fixture
def tracked(tmp_path: Path) -> tuple[str, str]:
    """Address of a tracking store, and the id of its run: it holds a checkpoint, registered as `press`."""
    import mlflow  # noqa: PLC0415

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = mlflow.MlflowClient(uri, uri)
    experiment = client.create_experiment("presses", artifact_location=(tmp_path / "artifacts").as_uri())
    run = client.create_run(experiment, start_time=1_767_225_600_000)
    folder = make_checkpoint(tmp_path / "local")
    client.log_artifacts(run.info.run_id, str(folder), "checkpoint")
    client.set_terminated(run.info.run_id)
    shutil.rmtree(folder)
    client.create_registered_model("press")
    version = client.create_model_version("press", f"runs:/{run.info.run_id}/checkpoint", run.info.run_id)
    client.set_registered_model_alias("press", "live", version.version)
    return uri, run.info.run_id


def test_runs_and_registered_models_become_the_same_bundle(
    tmp_path: Path, tracked: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, run_id = tracked
    made = []
    for i, source in enumerate([run_id, f"runs:/{run_id}", "models:/press/1", "models:/press@live", "press"]):
        output = tmp_path / f"{i}.onnx"
        assert run(monkeypatch, source, "-o", str(output), "--tracking-uri", uri) == 0, source
        made.append(output.read_bytes())
    assert len(set(made)) == 1
    provenance = load_bundle(tmp_path / "0.onnx").metadata.provenance
    assert provenance.mlflow_run_id == run_id
    assert provenance.created is not None
    assert provenance.created.startswith("2026-01-01T00:00:00")


@pytest.mark.parametrize(
    "source", ["f" * 32, "runs:/nothing", "models:/none/3", "models:/press/9", "models:/press@none", "none"]
)
def test_a_run_or_model_that_is_not_there_is_one_line(
    tmp_path: Path,
    tracked: tuple[str, str],
    source: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    uri, _ = tracked
    capsys.readouterr()
    assert run(monkeypatch, source, "-o", str(tmp_path / "b.onnx"), "--tracking-uri", uri) in {1, 2}
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("edge-export: ")]
    assert len(errors) == 1
    assert not (tmp_path / "b.onnx").exists()

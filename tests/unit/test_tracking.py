"""What a fit says of an MLflow store that fails, and how it ends: real SQLite files, a refusing server."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.commands import assert_one_clear_line
from support.history import write_history
from support.mlflowserver import fake_mlflow
from support.running import WAIT_S, running
from support.smalldisk import small_disk

from edge_runtime import load_bundle
from edge_runtime.errors import TrainingError
from trainer.data.choice import Columns
from trainer.data.training_data import read_training_data
from trainer.experiment.plan import Plan
from trainer.experiment.run import run_fit
from trainer.fitting.fit import Settings
from trainer.tracking import Tracker
from trainer.tracking.failures import failed
from trainer.tracking.names import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.commands import Command, Here
    from support.running import Running

FIT = ("edge-train", "fit", "-q", "--model", "pca", "--no-plots")
NO = '{"error_code": "PERMISSION_DENIED", "message": "Permission denied"}'


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_history(tmp_path_factory.mktemp("history") / "data", train=2000, val=1000, test=1000)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one run."""
    path = tmp_path_factory.mktemp("whole") / "m.db"
    with Tracker(f"sqlite:///{path}", "first", None) as tracker:
        tracker.log_metrics({"figure": 1.0})
    return path


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as store:
        for statement in statements:
            store.execute(statement)
        store.commit()


def damage_start(path: Path) -> None:
    path.write_bytes(b"not a database" * 100)


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def of_a_later_version(path: Path) -> None:
    change(path, "UPDATE alembic_version SET version_num = 'ffffffffffff'")


def half_upgraded(path: Path) -> None:
    change(path, "UPDATE alembic_version SET version_num = 'a8c4a736bde6'")


def of_another_program(path: Path) -> None:
    path.unlink()
    change(path, "CREATE TABLE things (name TEXT)", "INSERT INTO things VALUES ('mine')")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (damage_start, ("damaged", "restore a copy")),
        (cut_off, ("damaged", "restore a copy")),
        (of_a_later_version, ("a later version of MLflow", "pip install --upgrade mlflow")),
        (half_upgraded, ("an earlier version of MLflow", "mlflow db upgrade")),
        (of_another_program, ("not one of MLflow's", "--tracking-uri")),
    ],
)
def test_a_store_that_cannot_be_used_is_refused_and_left_as_it_was(
    whole: Path, tmp_path: Path, spoil: Callable[[Path], None], words: tuple[str, ...]
) -> None:
    path = tmp_path / "m.db"
    path.write_bytes(whole.read_bytes())
    spoil(path)
    before = path.read_bytes()
    with pytest.raises(TrainingError) as caught, Tracker(f"sqlite:///{path}", "first", None):
        pass
    for word in words:
        assert word in str(caught.value)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_store_without_a_run_that_was_broken_off_is_made_again(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    path.write_bytes(whole.read_bytes())
    change(path, *(f"DELETE FROM {name}" for name in ("metrics", "latest_metrics", "tags", "runs")))  # noqa: S608
    change(path, "DELETE FROM experiments WHERE name = 'first'", "DROP TABLE logged_models")
    half_upgraded(path)
    with Tracker(f"sqlite:///{path}", "first", None) as tracker:
        tracker.log_metrics({"figure": 2.0})
    with closing(sqlite3.connect(path)) as store:
        assert store.execute("SELECT status FROM runs").fetchall() == [("FINISHED",)]
        assert store.execute("SELECT name FROM experiments").fetchall() == [("Default",), ("first",)]
        assert store.execute("SELECT COUNT(*) FROM logged_models").fetchall() == [(0,)]


def test_a_full_disk_is_told_of_before_the_training_and_leaves_nothing(
    data: Path, tmp_path: Path, command: Command
) -> None:
    folder = tmp_path / "small"
    with small_disk(folder) as mounted:
        if not mounted:
            pytest.skip("needs the right to mount")
        (folder / "filler").write_bytes(bytes(1_600_000))
        store = ("--tracking-uri", f"sqlite:///{folder}/m.db")
        done = command(*FIT, "--data", data, "-o", tmp_path / "out", *store)
        assert_one_clear_line(done, 1, "the disk is full", "free some disk space")
        assert [path.name for path in folder.iterdir()] == ["filler"]
    assert not (tmp_path / "out").exists()


def refusal(uri: str, data: Path, output: Path) -> str:
    """What is said of a store before anything is trained."""
    plan = Plan(output=output, settings=Settings(model="pca"), plots=False, register="pump")
    with pytest.raises(TrainingError) as caught, Tracker(uri, "edge-detect", None) as tracker:
        run_fit(read_training_data(data, Columns()), plan, tracker)
    assert not (output / "checkpoint").exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_server_that_cannot_be_reached_is_told_of_before_the_training(data: Path, tmp_path: Path) -> None:
    said = refusal("http://127.0.0.1:9", data, tmp_path / "out")
    assert said.startswith("http://127.0.0.1:9: the server cannot be reached")
    assert "is running" in said


@pytest.mark.parametrize(
    ("refused", "code", "body", "word"),
    [
        ("runs/create", 403, NO, "the server refuses this login"),
        ("experiments/get-by-name", 401, "<html>", "the server refuses this login"),
        ("experiments/get-by-name", 404, "<html>", "not an MLflow server"),
        ("runs/create", 200, "<html>", "not an MLflow server"),
        ("registered-models/get", 404, "no models here", "one without what is asked for"),
    ],
)
def test_a_server_that_refuses_is_told_of_before_the_training(
    data: Path, tmp_path: Path, refused: str, code: int, body: str, word: str
) -> None:
    with fake_mlflow(tmp_path / "artifacts") as server:
        server.refused[refused] = code, body
        said = refusal(server.url, data, tmp_path / "out")
    assert said.startswith(server.url)
    assert word in said


def test_artifacts_that_cannot_be_kept_are_told_of_before_the_training(data: Path, tmp_path: Path) -> None:
    with fake_mlflow(Path("/proc/artifacts")) as server:
        said = refusal(server.url, data, tmp_path / "out")
    assert "/proc/artifacts" in said
    assert server.statuses == ["FAILED"]


def test_a_finished_bundle_is_named_though_the_record_failed_afterwards(
    data: Path, tmp_path: Path, here: Here
) -> None:
    with fake_mlflow(tmp_path / "artifacts") as server:
        server.refused["runs/set-tag"] = 403, NO
        done = here(*FIT, "--data", data, "-o", tmp_path / "out", "--tracking-uri", server.url)
    bundle = tmp_path / "out" / "bundle.onnx"
    first, last = done.stderr.decode().splitlines()
    assert done.returncode == 1
    assert str(bundle) in first
    assert load_bundle(bundle).digest in first
    assert last.startswith(f"edge-train: {server.url}: the server refuses this login")


def begins(fit: Running) -> None:
    """Waits until the first epoch is over: the table of the columns comes before."""
    assert any(fit.says().startswith("epoch   1") for _ in range(20))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_a_fit_and_its_run_is_killed(
    whole: Path, data: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    (tmp_path / "m.db").write_bytes(whole.read_bytes())
    words = ("edge-train", "fit", "--data", data, "-o", tmp_path / "out", "--epochs", 10**6)
    with running(
        tmp_path, *words, "--patience", 10**6, "--tracking-uri", f"sqlite:///{tmp_path}/m.db"
    ) as fit:
        begins(fit)
        fit.process.send_signal(number)
        assert fit.process.stderr is not None
        *_, last = fit.process.stderr.read().decode().splitlines()
        assert fit.process.wait(WAIT_S) == code
    assert last == f"edge-train: ended by {number.name}"
    with closing(sqlite3.connect(tmp_path / "m.db")) as store:
        runs = store.execute("SELECT status FROM runs ORDER BY start_time").fetchall()
    assert runs == [("FINISHED",), ("KILLED",)]


def test_nohup_keeps_a_fit_from_ending_with_its_terminal(data: Path, tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    words = ("edge-train", "fit", "--data", data, "-o", tmp_path / "out", "--no-mlflow", "--epochs", 10**6)
    try:
        with running(tmp_path, *words, "--patience", 10**6) as fit:
            begins(fit)
            fit.process.send_signal(signal.SIGHUP)
            for _ in range(50):
                assert fit.says().startswith("epoch")
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("error", "what"),
    [
        ("(sqlite3.OperationalError) attempt to write a readonly database\n[SQL: ...]", "cannot be written"),
        ("[Errno 30] Read-only file system: '/x'", "cannot be written (Read-only file system: '/x')"),
        ("(sqlite3.OperationalError) database is locked", "another program keeps the database locked"),
        ("HTTPSConnectionPool(host='h'): Read timed out. (read timeout=15)", "does not answer in time"),
        ("No module named 'psycopg2'", "a package for this kind of store is missing"),
        ("something new", "MLflow failed (something new)"),
    ],
)
def test_what_is_known_of_a_failure_is_said_in_one_line_without_the_login(error: str, what: str) -> None:
    found = str(failed(Store("postgresql://user:secret@host/db"), ValueError(error)))
    assert what in found
    assert found.startswith("postgresql://host/db: ")
    assert "\n" not in found
    assert "secret" not in str(failed(Store("http://u:secret@h"), ValueError("no http://u:secret@h here")))

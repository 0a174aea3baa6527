"""`edge-train sweep`: what trials are judged by, going on after an interruption, and the best fit."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from support.history import write_history

from edge_runtime.errors import InputError, TrainingError, UsageError
from edge_runtime.loading.load import load_bundle
from trainer.cli import main
from trainer.data.choice import Columns
from trainer.data.training_data import TrainingData, read_training_data
from trainer.fitting.fit import Settings
from trainer.sweep import SweepPlan, SweepResults, Tried, Watcher, run_sweep
from trainer.sweep.space import HOLDS, starts
from trainer.tracking import NoTracker, Tracker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CLOSED = ("linear", "pca")
# Tests that run in the background of a shell pass on that Ctrl-C is to be ignored.
HEEDFUL = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from trainer.cli import main
main()
"""
SHORT = ("--epochs", "1", "--seed", "3", "--sensor", "power", "--sensor", "pressure")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_history(tmp_path_factory.mktemp("history"), train=1600, val=1600, test=800)


@pytest.fixture(scope="module")
def data(folder: Path) -> TrainingData:
    return read_training_data(folder, Columns())


def untracked(name: str, *, parent: str | None = None, again: str | None = None) -> NoTracker:
    assert name
    assert parent is again is None
    return NoTracker()


def sweep(data: TrainingData, output: Path, *, watcher: Watcher | None = None, **plan: Any) -> SweepResults:
    wanted = SweepPlan(**{"output": output, "models": CLOSED, "plots": False, **plan})
    return run_sweep(data, wanted, untracked, watcher or Watcher())


def found(results: SweepResults) -> list[tuple[Any, ...]]:
    return [(trial.number, trial.figure, trial.parameters) for trial in results.tried]


def interrupt_after(number: int) -> Callable[[Tried, Tried | None], None]:
    def on_trial(trial: Tried, _best: Tried | None) -> None:
        if trial.number == number:
            raise KeyboardInterrupt

    return on_trial


def test_a_sweep_ends_with_the_best_trained_as_a_normal_fit(data: TrainingData, tmp_path: Path) -> None:
    results = sweep(data, tmp_path / "sweep", trials=12)
    assert [trial.number for trial in results.tried] == list(range(1, 13))
    best = results.best
    assert best is not None
    assert best.figure == max(trial.figure or 0 for trial in results.tried)
    begun = starts(CLOSED, calibrated=True)
    assert [trial.recipe for trial in results.tried] == [start.recipe for start in begun] + [None] * 8
    assert [trial.parameters for trial in results.tried[:4]] == [start.parameters for start in begun]
    comparison, chosen = results.comparison, results.chosen
    assert comparison is not None
    assert chosen is not None
    assert comparison.default == results.tried[0]
    assert chosen == (best if comparison.better else results.tried[0])
    assert results.fit is not None
    threshold = load_bundle(tmp_path / "sweep" / "best" / "bundle.onnx").metadata.threshold
    assert threshold.quantile == pytest.approx(chosen.parameters["percentile"] / 100)
    assert threshold.hold == HOLDS[chosen.parameters["hold"]]

    written = json.loads((tmp_path / "sweep" / "sweep.json").read_text())
    assert written["best"]["number"] == best.number
    assert written["chosen"]["number"] == chosen.number
    assert written["better_than_default"] is comparison.better
    assert [trial["recipe"] for trial in written["trials"]][:5] == [*(s.recipe for s in begun), None]
    assert len(written["trials"]) == 12
    assert written["fit"]["digest"] == results.fit.digest
    assert written["fit"]["test"]["f1"] == results.fit.test.metrics["f1"]
    assert sum(written["importance"]["all"].values()) == pytest.approx(1, abs=0.01)
    lines = results.table().splitlines()
    assert lines[0].startswith("The best 10 of 12 trials, by F1 on validation, each half")
    assert [line.split()[0] for line in lines[2:12]] == [str(trial.number) for trial in results.ranked[:10]]
    assert lines[1].split()[:3] == ["trial", "figure", "recipe"]
    assert lines[-1] == written["conclusion"] == comparison.sentences()


def test_an_interrupted_sweep_goes_on_as_if_it_had_not_been(data: TrainingData, tmp_path: Path) -> None:
    whole = sweep(data, tmp_path / "whole", trials=13)
    plan = SweepPlan(output=tmp_path / "parts", models=CLOSED, plots=False, trials=13)

    def broken_off(name: str, *, parent: str | None = None, again: str | None = None) -> NoTracker:
        if name == "trial 1":
            raise KeyboardInterrupt
        return untracked(name, parent=parent, again=again)

    broken = run_sweep(data, plan, broken_off, Watcher())
    assert (broken.interrupted, broken.tried, broken.fit, broken.best) == (True, (), None, None)
    assert broken.table() == "No trial has a figure, of 0."
    plan = replace(plan, resume=True)
    broken = run_sweep(data, plan, untracked, Watcher(on_trial=interrupt_after(11)))
    assert (broken.interrupted, found(broken)) == (True, found(whole)[:11])
    assert json.loads((tmp_path / "parts" / "sweep.json").read_text())["interrupted"] is True
    ended = run_sweep(data, plan, untracked, Watcher())
    assert not ended.interrupted
    assert found(ended) == found(whole)
    assert ended.fit is not None
    assert whole.fit is not None
    assert ended.fit.digest == whole.fit.digest


def test_the_test_split_decides_nothing(data: TrainingData, tmp_path: Path) -> None:
    test = data.test
    others = replace(data, test=replace(test, values=test.values[::-1] * 2, labels=None))
    ours, theirs = (sweep(which, tmp_path / name, trials=3) for name, which in (("a", data), ("b", others)))
    assert found(ours) == found(theirs)


def test_a_sweep_is_gone_on_with_under_the_same_terms_alone(data: TrainingData, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no sweep to resume; leave out --resume"):
        sweep(data, tmp_path, resume=True)
    sweep(data, tmp_path, trials=1)
    with pytest.raises(UsageError, match="a sweep exists already; continue it with --resume"):
        sweep(data, tmp_path)
    with pytest.raises(UsageError, match="started with seed 0, not 1; continue with"):
        sweep(data, tmp_path, resume=True, settings=Settings(seed=1))
    with pytest.raises(UsageError, match="started with models linear,pca, not linear"):
        sweep(data, tmp_path, resume=True, models=("linear",))
    with pytest.raises(UsageError, match="started with objective held_out_f1, not injected"):
        sweep(data, tmp_path, resume=True, goal="faults")
    (tmp_path / "trials.db").write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(InputError, match="cannot be used as the trials of a sweep"):
        sweep(data, tmp_path, resume=True)


def test_a_trial_that_fails_does_not_end_the_sweep(data: TrainingData, tmp_path: Path) -> None:
    hopeless = Settings(learning_rate=1e30, epochs=1)
    said: list[str] = []
    watcher = Watcher(on_trial=lambda trial, best: said.append(trial.line(4, best)))
    results = sweep(
        data,
        tmp_path / "a",
        trials=4,
        models=("autoencoder", "linear"),
        settings=hopeless,
        watcher=watcher,
    )
    assert [trial.figure is None for trial in results.tried] == [True, True, True, False]
    assert "recipe best: " in said[0]
    assert "the loss is not finite" in said[0]
    assert "best" in said[3]
    assert results.best == results.chosen == results.tried[3]
    assert "of 4 trials, 3 of which failed" in results.table()
    assert "The default recipe has no figure, so nothing can be compared with it; trial 4" in results.table()
    with pytest.raises(TrainingError, match="none of 1 trial could be trained"):
        sweep(data, tmp_path / "b", trials=1, models=("autoencoder",), settings=hopeless)


def test_no_trial_is_begun_when_the_time_is_over(data: TrainingData, tmp_path: Path) -> None:
    ticks = count(step=40.0)
    results = sweep(data, tmp_path, trials=9, timeout=130.0, watcher=Watcher(clock=lambda: next(ticks)))
    assert len(results.tried) == 2  # begun at 40 and at 120
    assert results.fit is not None


@pytest.mark.parametrize("wrong", [{"trials": 0}, {"timeout": 0.0}, {"models": ("pca", "pca")}])
def test_a_plan_checks_itself(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        SweepPlan(output=tmp_path, **wrong)


def test_each_trial_is_a_run_under_the_sweeps_own(data: TrainingData, tmp_path: Path) -> None:
    from mlflow import MlflowClient  # noqa: PLC0415

    uri = f"sqlite:///{tmp_path}/mlflow.db"

    def track(name: str, *, parent: str | None = None, again: str | None = None) -> Tracker:
        return Tracker(uri, "sweeps", name, parent=parent, again=again)

    plan = SweepPlan(output=tmp_path / "sweep", models=CLOSED, trials=2, plots=False)
    watcher = Watcher(on_trial=interrupt_after(1))
    assert run_sweep(data, plan, track, watcher).interrupted
    results = run_sweep(data, replace(plan, resume=True, register="pump"), track, Watcher())

    client = MlflowClient(uri, uri)
    (experiment,) = client.search_experiments(filter_string="name = 'sweeps'")
    runs = client.search_runs([experiment.experiment_id])
    named = {run.info.run_name: run for run in runs}
    assert set(named) == {"sweep", "trial 1", "trial 2", "best"}
    parent = named.pop("sweep")
    assert {run.data.tags["mlflow.parentRunId"] for run in named.values()} == {parent.info.run_id}
    assert {run.info.status for run in runs} == {"FINISHED"}
    figures = [named[f"trial {n}"].data.metrics["held_out_f1"] for n in (1, 2)]
    assert figures == [trial.figure for trial in results.tried]
    assert results.chosen is not None
    assert parent.data.metrics == {"held_out_f1": results.chosen.figure, "trials": 2}
    assert named["trial 2"].data.params["recipe"] == "mewma"
    assert client.get_model_version("pump", "1").run_id == named["best"].info.run_id


def test_the_command_says_how_to_train_the_best_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["edge-train", *words])
        with pytest.raises(SystemExit) as done:
            main()
        printed = capsys.readouterr()
        assert done.value.code == 0, printed.err
        return printed.out

    common = ("--no-mlflow", "-o", str(tmp_path / "sweep"))
    out = run("sweep", "--data", str(folder), "--model", "autoencoder", "--trials", "1", *common, *SHORT)
    (again,) = (line for line in out.splitlines() if line.startswith("To train it again, run: "))
    words = shlex.split(again.removeprefix("To train it again, run: edge-train "))
    assert words[-2:] == ["--recipe", "best"]
    run(*words, "--no-mlflow", "--no-plots", "-o", str(tmp_path / "again"))
    digests = [load_bundle(tmp_path / way / "bundle.onnx").digest for way in ("sweep/best", "again")]
    assert digests[0] == digests[1]


def test_ctrl_c_ends_it_with_what_there_is(folder: Path, tmp_path: Path) -> None:
    words = ("--data", folder, "-o", tmp_path / "s", "--model", "linear", "--no-mlflow", "--trials", "100000")
    with subprocess.Popen(
        [sys.executable, "-c", HEEDFUL, "sweep", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        try:
            assert program.stderr is not None
            line = program.stderr.readline()
            assert line.startswith("trial   1 of 100000  0."), line
            assert line.endswith("recipe linear\n")
            program.send_signal(signal.SIGINT)
            printed, errors = program.communicate(timeout=300)
        finally:
            program.kill()
    assert program.returncode == 130, errors
    assert "Traceback" not in errors
    done = len(json.loads((tmp_path / "s" / "sweep.json").read_text())["trials"])
    trials = "1 trial" if done == 1 else f"{done:,} trials"
    assert f"of {trials}, by F1 on validation" in printed
    assert f"Interrupted after {trials}: --resume continues to 100000, --resume --trials {done}" in printed
    assert not (tmp_path / "s" / "best").exists()

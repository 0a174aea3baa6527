"""`edge-train sweep`: recipes and other ways to train, tried on validation; one of them trained for good."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_runtime.errors import counted
from trainer.cli.choices import DeviceChoice, ModelChoice
from trainer.cli.doubts import Strict, look_at_splits
from trainer.cli.ending import ended_by_signals
from trainer.cli.table_options import (
    Data,
    Drop,
    IgnoreValue,
    LabelColumn,
    Machines,
    NormalValue,
    SensorColumns,
    column_words,
    columns_of,
    say,
)
from trainer.cli.tracking_options import (
    Experiment,
    Mlflow,
    TrackingUri,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer.cli.ending import Ending
    from trainer.fitting.fit import Epoch
    from trainer.sweep import SweepResults, Tried, Watcher
    from trainer.tracking import NoTracker, Tracker


from trainer.cli.training_options import (
    BatchSize,
    Device,
    Epochs,
    LearningRate,
    Patience,
    Seed,
    need_data,
    need_torch,
    training_settings,
)

__all__ = ["sweep"]

# As a shell says of a program that SIGINT ended.
INTERRUPTED = 130
# What a sweep's trials have in common, and 'fit' has an option for.
SAME = ("epochs", "batch_size", "learning_rate", "patience", "seed")


class GoalChoice(StrEnum):
    """What a trial is judged by."""

    AUTO = "auto"
    F1 = "f1"
    FAULTS = "faults"


def sweep(
    ctx: typer.Context,
    *,
    data: Data,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the trials, sweep.json and the fit.")
    ] = Path("build/sweep"),
    trials: Annotated[
        int, typer.Option(help="Total number of trials, including those before --resume.")
    ] = 20,
    timeout: Annotated[
        str | None,
        typer.Option(
            help="Time after which no further trial is started, such as 10m. [default: unlimited]",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume the sweep in --output, with the same options.")
    ] = False,
    goal: Annotated[
        GoalChoice,
        typer.Option(
            help="Figure by which trials are ranked. f1: F1 of the verdict on labelled "
            "validation rows, where the threshold for each half of the time blocks is "
            "chosen on the other half. faults: average precision on normal validation "
            "rows into which faults are injected. auto: f1 if there are enough labels, "
            "else faults."
        ),
    ] = GoalChoice.AUTO,
    model: Annotated[
        list[ModelChoice] | None,
        typer.Option(
            help="Kind of model to try. May be repeated. Without the autoencoder, the recipe of the first "
            "kind counts as the default recipe. [default: all]",
            show_default=False,
        ),
    ] = None,
    epochs: Epochs = 100,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = 1e-3,
    patience: Patience = 10,
    device: Device = DeviceChoice.AUTO,
    seed: Seed = 0,
    sensor: SensorColumns = None,
    label_column: LabelColumn = None,
    normal_value: NormalValue = None,
    ignore_value: IgnoreValue = None,
    drop: Drop = None,
    machine: Machines = None,
    strict: Strict = False,
    mlflow: Mlflow = True,
    tracking_uri: TrackingUri = None,
    experiment: Experiment = "edge-detect",
    register: Annotated[
        str | None,
        typer.Option(
            help="Name under which the fit is registered with MLflow. [default: it is not registered]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Try the recipes on validation, then other settings; train the best if it is better than the default.

    The recipes come first, beginning with the default one. Further trials choose model, widths, scaler,
    noise, smoothing and calibration. A trial counts as better than the default recipe only beyond the
    uncertainty of the figure; otherwise the default recipe is trained. Ctrl-C ends the search and prints the
    results so far; --resume continues it.
    """
    import shlex
    from dataclasses import asdict

    from edge_runtime.errors import MissingExtraError, UsageError
    from edge_runtime.timeparse import parse_duration

    if register is not None and not mlflow:
        raise UsageError("requires MLflow, which --no-mlflow turns off", where="--register")
    seconds = None if timeout is None else parse_duration(timeout) / 1e9
    need_data(data)
    need_torch()
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise MissingExtraError("a sweep", "workstation") from None

    from trainer.data.training_data import read_training_data
    from trainer.experiment.provenance import git_revision
    from trainer.fitting.settings import Settings
    from trainer.sweep import SweepPlan, run_sweep
    from trainer.sweep.results import options_of
    from trainer.sweep.space import MODELS
    from trainer.tracking import NoTracker, Tracker

    plan = SweepPlan(
        output=output,
        settings=Settings(**training_settings(ctx)),
        models=tuple(kind.value for kind in model) if model else MODELS,
        trials=trials,
        timeout=seconds,
        goal=goal.value,
        resume=resume,
        revision=git_revision(),
        register=register,
    )
    columns = columns_of(ctx, tuple(sensor or ()), label_column, normal_value, ignore_value, drop, machine)
    table = read_training_data(data, columns)
    say(table.remarks)

    def track(name: str, *, parent: str | None = None, again: str | None = None) -> Tracker | NoTracker:
        return Tracker(tracking_uri, experiment, name, parent=parent, again=again) if mlflow else NoTracker()

    look_at_splits(table, data, strict=strict, percentile=None)
    with ended_by_signals() as ending:
        results = run_sweep(table, plan, track, _watcher(trials, ending))
    defaults = asdict(Settings())
    same: dict[str, object] = {
        name: value for name in SAME if (value := getattr(plan.settings, name)) != defaults[name]
    }
    words = ["edge-train", "fit", "--data", str(data), *column_words(columns, sensors=True)]
    if results.chosen is not None:
        words += [*_options(same), *options_of(results.chosen)]
    _report(results, shlex.join(words), trials)


def _options(same: Mapping[str, object]) -> list[str]:
    """The options of `fit` for what all trials have in common."""
    return [word for name, value in same.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def _watcher(trials: int, ending: Ending) -> Watcher:
    """A line a trial on standard error, and on a terminal the epochs of the one that is running."""
    import sys

    from trainer.sweep import Watcher

    live = sys.stderr.isatty()

    def on_trial(trial: Tried, best: Tried | None) -> None:
        sys.stderr.write(("\r\033[K" if live else "") + trial.line(trials, best) + "\n")
        ending.check()

    def on_epoch(number: int, epoch: Epoch) -> None:
        if live:
            what = f"trial {number:>3} of {trials}" if number else "training"
            sys.stderr.write(f"\r\033[K{what}: epoch {epoch.number}, loss {epoch.val_loss:.6f} …")
            sys.stderr.flush()
        ending.check()

    return Watcher(on_trial, on_epoch)


def _report(results: SweepResults, again: str, trials: int) -> None:
    """The end of the command's output.

    Args:
        results: What was found.
        again: The command that trains the same once more.
        trials: How many there were to be.
    """
    import sys

    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
    typer.echo(results.table())
    typer.echo(f"\nAll trials: {results.output / 'sweep.json'}")
    if results.interrupted:
        done = len(results.tried)
        trains = f", --resume --trials {done} trains what is to be taken" if results.best else ""
        typer.echo(f"Interrupted after {counted(done, 'trial')}: --resume continues to {trials}{trains}.")
        raise typer.Exit(INTERRUPTED)
    if results.fit is not None:
        typer.echo(f"To train it again, run: {again}\n\n{results.fit.table()}")

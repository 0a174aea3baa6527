"""`edge-train fit`: from prepared tables to a trained, tested and exported detector."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from trainer.cli.table_options import (
    Data,
    LabelColumn,
    MachineColumn,
    SensorColumns,
    TimeColumn,
)
from trainer.cli.tracking_options import (
    Experiment,
    Mlflow,
    TrackingUri,
)

__all__ = ["fit", "need_torch"]

MLFLOW = "MLflow"
COLUMN_OPTIONS = ("--time-column", "--machine-column", "--label-column")


class ScalerChoice(StrEnum):
    """How readings are scaled."""

    MINMAX = "minmax"
    STANDARD = "standard"


class DeviceChoice(StrEnum):
    """What trains."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class ModelChoice(StrEnum):
    """What predicts the sensors."""

    AUTOENCODER = "autoencoder"
    VARIATIONAL = "variational"
    CONVOLUTIONAL = "convolutional"
    LINEAR = "linear"
    PCA = "pca"


class RecipeChoice(StrEnum):
    """A named way to train."""

    BEST = "best"
    PLAIN = "plain"
    VARIATIONAL = "variational"
    WINDOW = "window"
    CONVOLUTIONAL = "convolutional"
    LINEAR = "linear"
    MEWMA = "mewma"
    AUTOREGRESSION = "autoregression"
    PCA = "pca"


class ThresholdChoice(StrEnum):
    """How the threshold is chosen."""

    PERCENTILE = "percentile"
    BEST_F1 = "best-f1"


def fit(
    *,
    data: Data,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the bundle, checkpoint, metrics and plots.")
    ] = Path("build/fit"),
    sensor: SensorColumns = None,
    time_column: TimeColumn = None,
    machine_column: MachineColumn = None,
    label_column: LabelColumn = None,
    recipe: Annotated[
        RecipeChoice | None,
        typer.Option(
            help="What the options below default to where they say so. [default: the model's own, or best]",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the training rows, at most.")] = 100,
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Rows of a training step. [default: 256, doubled until an epoch has 200 steps or fewer]",
            show_default=False,
        ),
    ] = None,
    learning_rate: Annotated[float, typer.Option(help="AdamW's first learning rate.")] = 1e-3,
    patience: Annotated[
        int, typer.Option(help="Epochs without a gain of 0.2 % in validation loss before stopping.")
    ] = 10,
    device: Annotated[
        DeviceChoice, typer.Option(help="What computes; auto takes a GPU that PyTorch can use.")
    ] = DeviceChoice.AUTO,
    seed: Annotated[
        int, typer.Option(help="Decides every random choice: the same seed gives the same bundle.")
    ] = 0,
    scaler: Annotated[
        ScalerChoice | None,
        typer.Option(help="How readings are scaled. [best: minmax]", show_default=False),
    ] = None,
    model: Annotated[
        ModelChoice | None,
        typer.Option(
            help="What predicts the sensors; linear and pca are in closed form. [best: autoencoder]",
            show_default=False,
        ),
    ] = None,
    widths: Annotated[
        str | None,
        typer.Option(help="An autoencoder's hidden widths. [best: 64,32,4,32,64]", show_default=False),
    ] = None,
    kernels: Annotated[
        str | None,
        typer.Option(help="Rows of a convolutional one's convolutions. [default: 5,5]", show_default=False),
    ] = None,
    beta: Annotated[
        float | None,
        typer.Option(help="Weight of a variational one's divergence. [default: 0.0001]", show_default=False),
    ] = None,
    components: Annotated[
        int | None,
        typer.Option(help="Of pca. [default: as many as hold 90 % of the variance]", show_default=False),
    ] = None,
    members: Annotated[
        int | None,
        typer.Option(help="Networks whose mean counts, in one bundle. [best: 2]", show_default=False),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(
            help="Show the network the last rows, so many with the newest. [best: 1]", show_default=False
        ),
    ] = None,
    differences: Annotated[
        bool | None,
        typer.Option(
            "--differences/--no-differences",
            help="Show it the change since the row before. [best: yes]",
            show_default=False,
        ),
    ] = None,
    rolling: Annotated[
        int | None,
        typer.Option(
            help="Show it mean and standard deviation over so many rows, such as 10. [best: 0]",
            show_default=False,
        ),
    ] = None,
    period: Annotated[
        float | None,
        typer.Option(
            help="Show it the phase of what repeats every so many seconds from midnight UTC on: 86400 for "
            "the time of day, 60 for a load cycle of a minute.",
            show_default=False,
        ),
    ] = None,
    harmonics: Annotated[
        int | None,
        typer.Option(help="Sines and cosines of that phase. [default: 3]", show_default=False),
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(
            help="Noise on the scaled input while training; 0 for none. [best: 0.15]", show_default=False
        ),
    ] = None,
    whiten: Annotated[
        bool | None,
        typer.Option(
            "--whiten/--no-whiten",
            help="Weigh residuals by their covariance in normal rows. [best: yes]",
            show_default=False,
        ),
    ] = None,
    smooth: Annotated[
        int | None,
        typer.Option(
            help="Rows over which the score is smoothed; 1 for none. [best: 11]", show_default=False
        ),
    ] = None,
    cap: Annotated[
        bool | None,
        typer.Option(
            "--cap/--no-cap",
            help="Bound what one row may add to the smoothed score. [best: yes]",
            show_default=False,
        ),
    ] = None,
    average: Annotated[
        float | None,
        typer.Option(
            help="Average residuals over the last rows, with this weight of the newest, such as 0.1.",
            show_default=False,
        ),
    ] = None,
    threshold: Annotated[
        ThresholdChoice, typer.Option(help="Of normal validation rows' scores, or by best F1 on validation.")
    ] = ThresholdChoice.PERCENTILE,
    percentile: Annotated[
        float | None,
        typer.Option(help="For --threshold percentile. [best: 99.55]", show_default=False),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(help="Multiplies the percentile: above 1 where validation is short."),
    ] = 1.0,
    false_alarms: Annotated[
        str | None,
        typer.Option(
            help="Instead of --threshold: how often a machine may cry wolf, such as 1/day or 1/week.",
            show_default=False,
        ),
    ] = None,
    debounce: Annotated[
        str | None,
        typer.Option(
            help="With --false-alarms: K,N flags a row when K of the last N are above the threshold. "
            "[default: what is best on labelled validation, else 1,1]",
            show_default=False,
        ),
    ] = None,
    per_machine: Annotated[
        bool,
        typer.Option(help="Give each machine with 2,000 normal validation rows or more its own threshold."),
    ] = False,
    hold: Annotated[
        str | None,
        typer.Option(
            help="RISE,FALL,CAP,LEVEL: an anomaly is held while a counter of rows above the threshold less "
            "rows below is above the level; or none. [best: 1,1,10,5.5]",
            show_default=False,
        ),
    ] = None,
    physical_range: Annotated[
        list[str] | None,
        typer.Option(
            help="Lowest and highest reading of a sensor, such as temperature=-40:150; may be repeated.",
            show_default=False,
        ),
    ] = None,
    unit: Annotated[
        list[str] | None,
        typer.Option(help="A sensor's unit, such as temperature=°C; may be repeated.", show_default=False),
    ] = None,
    cadence: Annotated[
        float | None,
        typer.Option(
            help="Seconds between two rows of a machine. [default: as in the data]", show_default=False
        ),
    ] = None,
    mlflow: Mlflow = True,
    tracking_uri: TrackingUri = None,
    experiment: Experiment = "edge-detect",
    run_name: Annotated[str | None, typer.Option(help="MLflow run name.", show_default=False)] = None,
    register: Annotated[
        str | None, typer.Option(help="Register the model under this name with MLflow.", show_default=False)
    ] = None,
    champion: Annotated[
        bool, typer.Option("--champion", help="With --register: make this version the champion.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Train a detector on prepared tables, test it, and export it as one bundle."""
    import shlex

    from edge_runtime.errors import UsageError
    from trainer.cli.losses import show_losses
    from trainer.cli.pairs import (
        parse_debounce,
        parse_hold,
        parse_ranges,
        parse_sizes,
        parse_units,
    )

    if register is not None and not mlflow:
        raise UsageError("needs MLflow, which --no-mlflow turns off", where="--register")
    if champion and register is None:
        raise UsageError("goes with --register", where="--champion")
    ranges, units = parse_ranges(physical_range or []), parse_units(unit or [])
    chosen = {
        "scaler": scaler and scaler.value,
        "model": model and model.value,
        "widths": None if widths is None else parse_sizes(widths, "--widths"),
        "kernels": None if kernels is None else parse_sizes(kernels, "--kernels"),
        "beta": beta,
        "components": components,
        "members": members,
        "window": window,
        "differences": differences,
        "rolling": rolling,
        "period": period,
        "harmonics": harmonics,
        "noise": noise,
        "whiten": whiten,
        "smooth": smooth,
        "cap": cap,
        "average": average,
    }
    if debounce is not None and false_alarms is None:
        raise UsageError("goes with --false-alarms", where="--debounce")
    given_debounce = None if debounce is None else parse_debounce(debounce)
    given_hold = None if hold is None else parse_hold(hold)
    if not data.is_dir():
        raise UsageError("no such folder", where=f"--data {data}", hint="make it with 'edge-train prepare'")
    need_torch()

    from trainer.calibration.budget import AlarmBudget
    from trainer.data import Columns, read_training_data
    from trainer.fit import Settings
    from trainer.provenance import git_revision
    from trainer.recipes import RECIPES, own_recipe
    from trainer.run import Plan, run_fit
    from trainer.tracking import NoTracker, Tracker

    budget = None if false_alarms is None else AlarmBudget.parse(false_alarms)
    named_recipe = recipe.value if recipe is not None else own_recipe(model and model.value)
    how = RECIPES[named_recipe]
    plan = Plan(
        output=output,
        settings=Settings(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            patience=patience,
            seed=seed,
            device=device.value,
            **{**how.settings, **{name: value for name, value in chosen.items() if value is not None}},
        ),
        method=threshold.value,
        percentile=how.percentile if percentile is None else percentile,
        margin=margin,
        hold=how.hold if given_hold is None else given_hold,
        debounce=given_debounce,
        per_machine=per_machine,
        recipe=named_recipe,
        budget=budget,
        units=units,
        physical_ranges=ranges,
        cadence_seconds=cadence,
        revision=git_revision(),
        register=register,
        champion=champion,
    )
    columns = Columns(tuple(sensor or ()), time_column, machine_column, label_column)
    training_data = read_training_data(data, columns)
    tracker = Tracker(tracking_uri, experiment, run_name) if mlflow else NoTracker()
    with tracker, show_losses(epochs * plan.settings.members, patience, quiet=quiet) as on_epoch:
        results = run_fit(training_data, plan, tracker, on_epoch)
    if not quiet:
        typer.echo(results.table())
        named = dict(zip(COLUMN_OPTIONS, (time_column, machine_column, label_column), strict=True))
        words = ["edge-train", "report", "--data", str(data), "--fit", str(output)]
        words += [word for option, name in named.items() if name is not None for word in (option, name)]
        typer.echo(f"\nAll of it on one page: {shlex.join(words)}")


def need_torch() -> None:
    """Says which extra is missing before anything is read."""
    from edge_runtime.errors import MissingExtraError

    try:
        import pandas  # noqa: F401, ICN001
        import torch  # noqa: F401
    except ImportError:
        raise MissingExtraError("training", "workstation") from None

"""`edge-train fit`: from prepared tables to a trained, tested and exported detector."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from trainer.cli.tracking_options import (  # noqa: TC001 - typer evaluates the annotations
    Experiment,
    Mlflow,
    TrackingUri,
)

__all__ = ["fit"]

MLFLOW = "MLflow"


class ScalerChoice(StrEnum):
    """How readings are scaled."""

    MINMAX = "minmax"
    STANDARD = "standard"


class ModelChoice(StrEnum):
    """What predicts the sensors."""

    AUTOENCODER = "autoencoder"
    LINEAR = "linear"


class ThresholdChoice(StrEnum):
    """How the threshold is chosen."""

    PERCENTILE = "percentile"
    BEST_F1 = "best-f1"


def fit(  # noqa: PLR0913 - one parameter an option
    *,
    data: Annotated[
        Path,
        typer.Option(
            help="Folder with train, val and test as .csv, .csv.gz or .parquet, as 'prepare' writes it."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the bundle, checkpoint, metrics and plots.")
    ] = Path("build/fit"),
    sensor: Annotated[
        list[str] | None,
        typer.Option(
            help="A sensor's column; may be repeated. [default: every column of numbers]", show_default=False
        ),
    ] = None,
    time_column: Annotated[
        str | None, typer.Option(help="Column of the times. [default: time]", show_default=False)
    ] = None,
    machine_column: Annotated[
        str | None,
        typer.Option(help="Column of the machine ids. [default: machine_id, if any]", show_default=False),
    ] = None,
    label_column: Annotated[
        str | None,
        typer.Option(help="Column that is 0 in normal rows. [default: anomaly, if any]", show_default=False),
    ] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the training rows, at most.")] = 100,
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Rows of a training step. [default: 256, doubled until an epoch has 1,000 steps or fewer]",
            show_default=False,
        ),
    ] = None,
    learning_rate: Annotated[float, typer.Option(help="AdamW's first learning rate.")] = 1e-3,
    patience: Annotated[
        int, typer.Option(help="Epochs without a gain of 0.2 % in validation loss before stopping.")
    ] = 10,
    seed: Annotated[
        int, typer.Option(help="Decides every random choice: the same seed gives the same bundle.")
    ] = 0,
    scaler: Annotated[ScalerChoice, typer.Option(help="How readings are scaled.")] = ScalerChoice.MINMAX,
    model: Annotated[
        ModelChoice, typer.Option(help="What predicts the sensors; linear is in closed form.")
    ] = ModelChoice.AUTOENCODER,
    widths: Annotated[str, typer.Option(help="The autoencoder's hidden widths.")] = "64,32,4,32,64",
    noise: Annotated[float, typer.Option(help="Noise on the scaled input while training; 0 for none.")] = 0.2,
    whiten: Annotated[
        bool,
        typer.Option("--whiten/--no-whiten", help="Weigh residuals by their covariance in normal rows."),
    ] = True,
    smooth: Annotated[
        int, typer.Option(help="Rows over which the score is smoothed; 1 for none, and no memory.")
    ] = 11,
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
    percentile: Annotated[float, typer.Option(help="For --threshold percentile.")] = 99.6,
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
    hold: Annotated[
        str,
        typer.Option(
            help="RISE,FALL,CAP,LEVEL: an anomaly is held while a counter of rows above the threshold less "
            "rows below is above the level; or none."
        ),
    ] = "1,1,10,5.5",
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
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Train a detector on prepared tables, test it, and export it as one bundle."""
    from edge_runtime.errors import UsageError  # noqa: PLC0415
    from trainer.cli.losses import show_losses  # noqa: PLC0415
    from trainer.cli.pairs import parse_hold, parse_ranges, parse_units, parse_widths  # noqa: PLC0415

    if register is not None and not mlflow:
        raise UsageError("needs MLflow, which --no-mlflow turns off", where="--register")
    sizes, ranges, units = parse_widths(widths), parse_ranges(physical_range or []), parse_units(unit or [])
    if not data.is_dir():
        raise UsageError("no such folder", where=f"--data {data}", mend="make it with 'edge-train prepare'")
    _need_torch()

    from trainer.budget import AlarmBudget  # noqa: PLC0415
    from trainer.data import Columns, read_training_data  # noqa: PLC0415
    from trainer.fit import Settings  # noqa: PLC0415
    from trainer.provenance import git_revision  # noqa: PLC0415
    from trainer.run import Plan, run_fit  # noqa: PLC0415
    from trainer.tracking import NoTracker, Tracker  # noqa: PLC0415

    budget = None if false_alarms is None else AlarmBudget.parse(false_alarms)
    plan = Plan(
        output=output,
        settings=Settings(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            patience=patience,
            seed=seed,
            scaler=scaler.value,
            widths=sizes,
            noise=noise,
            whiten=whiten,
            smooth=smooth,
            model=model.value,
            average=average,
        ),
        method=threshold.value,
        percentile=percentile,
        margin=margin,
        hold=parse_hold(hold),
        budget=budget,
        units=units,
        physical_ranges=ranges,
        cadence_seconds=cadence,
        revision=git_revision(),
        register=register,
    )
    columns = Columns(tuple(sensor or ()), time_column, machine_column, label_column)
    training_data = read_training_data(data, columns)
    tracker = Tracker(tracking_uri, experiment, run_name) if mlflow else NoTracker()
    with tracker, show_losses(epochs, patience, quiet=quiet) as on_epoch:
        results = run_fit(training_data, plan, tracker, on_epoch)
    if not quiet:
        typer.echo(results.table())


def _need_torch() -> None:
    """Says which extra is missing before anything is read."""
    from edge_runtime.errors import MissingExtraError  # noqa: PLC0415

    try:
        import pandas  # noqa: F401, ICN001, PLC0415
        import torch  # noqa: F401, PLC0415
    except ImportError:
        raise MissingExtraError("training", "workstation") from None

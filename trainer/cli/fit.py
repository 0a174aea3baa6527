"""`edge-train fit`: from prepared tables to a trained, tested and exported detector."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trainer.cli.doubts import Strict, look_at_splits, warn
from trainer.cli.ending import ended_by_signals, naming_bundle
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
    show_roles,
)
from trainer.cli.tracking_options import (
    Experiment,
    Mlflow,
    TrackingUri,
)

if TYPE_CHECKING:
    from trainer.data import TrainingData

__all__ = ["fit", "need_torch"]

MLFLOW = "MLflow"
NO_OWN = (
    "--per-machine: val has no row of a machine that is trained on, so none of those gets a threshold of its "
    "own; machines of val may"
)


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
    ctx: typer.Context,
    *,
    data: Data,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the bundle, checkpoint, metrics and plots.")
    ] = Path("build/fit"),
    sensor: SensorColumns = None,
    label_column: LabelColumn = None,
    normal_value: NormalValue = None,
    ignore_value: IgnoreValue = None,
    drop: Drop = None,
    machine: Machines = None,
    recipe: Annotated[
        RecipeChoice | None,
        typer.Option(
            help="Recipe that sets the options below; their help states the values of the "
            "recipe best. [default: the recipe with the name of --model if there is one, "
            "else best]",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(help="Maximum number of passes over the training rows.")] = 100,
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Number of rows in a training step. [default: 256, doubled until an epoch has"
            " at most 200 steps]",
            show_default=False,
        ),
    ] = None,
    learning_rate: Annotated[float, typer.Option(help="Initial learning rate of AdamW.")] = 1e-3,
    patience: Annotated[
        int,
        typer.Option(
            help="Number of epochs without a 0.2 % improvement in validation loss after which training stops."
        ),
    ] = 10,
    device: Annotated[
        DeviceChoice, typer.Option(help="Device for training. With auto, a GPU is used if PyTorch finds one.")
    ] = DeviceChoice.AUTO,
    seed: Annotated[
        int, typer.Option(help="Seed of every random choice. The same seed gives the same bundle.")
    ] = 0,
    scaler: Annotated[
        ScalerChoice | None,
        typer.Option(help="Method by which readings are scaled. [recipe best: minmax]", show_default=False),
    ] = None,
    model: Annotated[
        ModelChoice | None,
        typer.Option(
            help="Model that predicts the sensors. The models linear and pca are fitted in "
            "closed form. [recipe best: autoencoder]",
            show_default=False,
        ),
    ] = None,
    widths: Annotated[
        str | None,
        typer.Option(
            help="Widths of the hidden layers of an autoencoder. [recipe best: 64,32,4,32,64]",
            show_default=False,
        ),
    ] = None,
    kernels: Annotated[
        str | None,
        typer.Option(
            help="Number of rows that each convolution of a convolutional autoencoder covers. [default: 5,5]",
            show_default=False,
        ),
    ] = None,
    beta: Annotated[
        float | None,
        typer.Option(
            help="Weight of the divergence term in the loss of a variational autoencoder. [default: 0.0001]",
            show_default=False,
        ),
    ] = None,
    components: Annotated[
        int | None,
        typer.Option(
            help="Number of principal components of the model pca. [default: enough for 90 % "
            "of the variance]",
            show_default=False,
        ),
    ] = None,
    members: Annotated[
        int | None,
        typer.Option(
            help="Number of networks in the ensemble. The bundle uses the mean of their "
            "outputs. [recipe best: 2]",
            show_default=False,
        ),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(
            help="Number of rows that the network sees at once, including the newest. [recipe best: 1]",
            show_default=False,
        ),
    ] = None,
    differences: Annotated[
        bool | None,
        typer.Option(
            "--differences/--no-differences",
            help="Show the network the change from the previous row. [recipe best: yes]",
            show_default=False,
        ),
    ] = None,
    rolling: Annotated[
        int | None,
        typer.Option(
            help="Number of rows, such as 10, over which a rolling mean and standard deviation"
            " are shown to the network. With 0, they are not shown. [recipe best: 0]",
            show_default=False,
        ),
    ] = None,
    period: Annotated[
        float | None,
        typer.Option(
            help="Length in seconds of a cycle, counted from midnight UTC, whose phase is "
            "shown to the network: 86400 for the time of day, 60 for a load cycle of one "
            "minute.",
            show_default=False,
        ),
    ] = None,
    harmonics: Annotated[
        int | None,
        typer.Option(
            help="Number of harmonics (pairs of sine and cosine) that describe the phase of "
            "--period. [default: 3]",
            show_default=False,
        ),
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(
            help="Standard deviation of the noise added to the scaled input during training. "
            "With 0, no noise is added. [recipe best: 0.15]",
            show_default=False,
        ),
    ] = None,
    whiten: Annotated[
        bool | None,
        typer.Option(
            "--whiten/--no-whiten",
            help="Weight residuals by their covariance in normal rows. [recipe best: yes]",
            show_default=False,
        ),
    ] = None,
    smooth: Annotated[
        int | None,
        typer.Option(
            help="Number of rows over which the score is smoothed. With 1, it is not smoothed."
            " [recipe best: 11]",
            show_default=False,
        ),
    ] = None,
    cap: Annotated[
        bool | None,
        typer.Option(
            "--cap/--no-cap",
            help="Limit how much a single row may add to the smoothed score. [recipe best: yes]",
            show_default=False,
        ),
    ] = None,
    average: Annotated[
        float | None,
        typer.Option(
            help="Average the residuals exponentially over the last rows. The value is the "
            "weight of the newest row, such as 0.1.",
            show_default=False,
        ),
    ] = None,
    threshold: Annotated[
        ThresholdChoice,
        typer.Option(
            help="How the threshold is chosen: as a percentile of the scores of normal "
            "validation rows, or for the best F1 on validation."
        ),
    ] = ThresholdChoice.PERCENTILE,
    percentile: Annotated[
        float | None,
        typer.Option(help="Percentile for --threshold percentile. [recipe best: 99.55]", show_default=False),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(
            help="Factor applied to the percentile's score. A factor above 1 allows for a "
            "short validation period."
        ),
    ] = 1.0,
    false_alarms: Annotated[
        str | None,
        typer.Option(
            help="Accepted rate of false alarms for each machine, such as 1/day or 1/week. It "
            "replaces --threshold.",
            show_default=False,
        ),
    ] = None,
    debounce: Annotated[
        str | None,
        typer.Option(
            help="Debounce as K,N, for use with --false-alarms: a row is flagged when K of the"
            " last N rows are above the threshold. [default: the best on labelled "
            "validation, else 1,1]",
            show_default=False,
        ),
    ] = None,
    per_machine: Annotated[
        bool,
        typer.Option(
            help="Give its own threshold to each machine that has at least 2,000 normal validation rows."
        ),
    ] = False,
    hold: Annotated[
        str | None,
        typer.Option(
            help="Hysteresis of the verdict as RISE,FALL,CAP,LEVEL: a counter rises with each "
            "row above the threshold, up to the cap, and falls with each row below it; "
            "the anomaly is held while the counter is above the level. With none, "
            "anomalies are not held. [recipe best: 1,1,10,5.5]",
            show_default=False,
        ),
    ] = None,
    physical_range: Annotated[
        list[str] | None,
        typer.Option(
            help="Lowest and highest possible reading of a sensor, such as "
            "temperature=-40:150. May be repeated.",
            show_default=False,
        ),
    ] = None,
    unit: Annotated[
        list[str] | None,
        typer.Option(help="Unit of a sensor, such as temperature=°C. May be repeated.", show_default=False),
    ] = None,
    cadence: Annotated[
        float | None,
        typer.Option(
            help="Time between two rows of a machine, in seconds. [default: the cadence of the data]",
            show_default=False,
        ),
    ] = None,
    mlflow: Mlflow = True,
    tracking_uri: TrackingUri = None,
    experiment: Experiment = "edge-detect",
    run_name: Annotated[
        str | None,
        typer.Option(
            help="Name of the MLflow run. [default: a name that MLflow chooses]", show_default=False
        ),
    ] = None,
    register: Annotated[
        str | None,
        typer.Option(
            help="Name under which the model is registered with MLflow. [default: the model is"
            " not registered]",
            show_default=False,
        ),
    ] = None,
    champion: Annotated[
        bool,
        typer.Option("--champion", help="Make the registered version the champion; for use with --register."),
    ] = False,
    strict: Strict = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and warnings only.")] = False,
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
        raise UsageError("requires MLflow, which --no-mlflow turns off", where="--register")
    if champion and register is None:
        raise UsageError("requires --register", where="--champion")
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
        raise UsageError("requires --false-alarms", where="--debounce")
    given_debounce = None if debounce is None else parse_debounce(debounce)
    given_hold = None if hold is None else parse_hold(hold)
    if not data.is_dir():
        raise UsageError("no such folder", where=f"--data {data}", hint="create it with 'edge-train prepare'")
    need_torch()

    from trainer.calibration.budget import AlarmBudget
    from trainer.data import read_training_data
    from trainer.fit import Settings
    from trainer.provenance import git_revision
    from trainer.recipes import RECIPES, own_recipe
    from trainer.run import Plan, refuse_options, run_fit
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
    columns = columns_of(ctx, tuple(sensor or ()), label_column, normal_value, ignore_value, drop, machine)
    training_data = read_training_data(data, columns)
    refuse_options(training_data, plan)
    also = _tell(training_data, output.name, per_machine=per_machine, quiet=quiet)
    by_percentile = plan.percentile if plan.method == "percentile" and budget is None else None
    doubts = look_at_splits(training_data, data, strict=strict, percentile=by_percentile)
    tracker = Tracker(tracking_uri, experiment, run_name) if mlflow else NoTracker()
    losses = show_losses(epochs * plan.settings.members, patience, quiet=quiet)
    with ended_by_signals() as ending, naming_bundle() as on_bundle, tracker, losses as show_epoch:

        def on_epoch(epoch: Any) -> None:
            show_epoch(epoch)
            ending.check()

        results = run_fit(training_data, plan, tracker, on_epoch, on_bundle, doubts=doubts)
    warn(results.doubts[len(doubts) :])
    if not quiet:
        typer.echo(results.table())
        words = ["edge-train", "report", "--data", str(data), "--fit", str(output)]
        words += [*column_words(columns, sensors=False), *also]
        typer.echo(f"\nFor a report on one page, run: {shlex.join(words)}")


def _tell(tables: TrainingData, name: str, *, per_machine: bool, quiet: bool) -> list[str]:
    """Says what there is to know of the tables, and returns what has to be added to commands that score them.

    Args:
        tables: The splits.
        name: Of the detector that comes of them.
        per_machine: Whether machines are to get thresholds of their own.
        quiet: Whether nothing is said.
    """
    from trainer.machines import strangers, trained_on

    trained = {name: trained_on(tables.train)}
    new = list(strangers(tables.test, trained, wanted=True, by_machine=tables.by_machine))
    if not quiet:
        show_roles(tables.roles)
        say([*tables.remarks, *new])
        if per_machine and not set(trained[name]) & set(tables.val.machines.tolist()):
            say([NO_OWN])
    return ["--any-machine"] if new and not tables.by_machine else []


def need_torch() -> None:
    """Says which extra is missing before anything is read."""
    from edge_runtime.errors import MissingExtraError

    try:
        import pandas  # noqa: F401, ICN001
        import torch  # noqa: F401
    except ImportError:
        raise MissingExtraError("training", "workstation") from None

"""`edge-train fit`: from prepared tables to a trained, tested and exported detector."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trainer.cli.choices import DeviceChoice, ThresholdChoice
from trainer.cli.doubts import Strict, look_at_splits, warn
from trainer.cli.ending import ended_by_signals, naming_bundle
from trainer.cli.model_options import (
    Adapt,
    Average,
    Beta,
    Cap,
    Clamp,
    Components,
    Differences,
    Dropout,
    Floor,
    Harmonics,
    Kernels,
    Lasting,
    LastingWeight,
    Members,
    Model,
    Noise,
    Period,
    Rolling,
    Scaler,
    Smooth,
    Sudden,
    TwoChannels,
    Whiten,
    Widths,
    Window,
    model_settings,
)
from trainer.cli.sensor_options import MaxRate, PhysicalRange, SensorStatus, Unit
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
from trainer.cli.threshold_options import (
    AlarmDelays,
    Clean,
    Debounce,
    Degraded,
    FalseAlarms,
    Hold,
    Margin,
    Percentile,
    PerMachine,
    Threshold,
)
from trainer.cli.tracking_options import (
    Experiment,
    Mlflow,
    TrackingUri,
)
from trainer.cli.training_options import (
    BatchSize,
    Cadence,
    ClipNorm,
    Device,
    Epochs,
    LearningRate,
    Patience,
    Quiet,
    Recipe,
    Seed,
    Stride,
    WeightDecay,
    need_data,
    need_torch,
    training_settings,
)

if TYPE_CHECKING:
    from trainer.data.training_data import TrainingData
    from trainer.fitting.recipes import Recipe as RecipeSettings
    from trainer.fitting.settings import Settings

__all__ = ["fit"]

NO_OWN = (
    "--per-machine: val has no row of a machine that is trained on, so none of those gets a threshold of its "
    "own; machines of val may"
)

# What undoes an option that a recipe sets.
UNDONE = {"whiten": "--whiten", "clamp": "--clamp none"}


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
    recipe: Recipe = None,
    epochs: Epochs = 100,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = 1e-3,
    patience: Patience = 10,
    weight_decay: WeightDecay = 0.01,
    clip_norm: ClipNorm = 1.0,
    stride: Stride = 1,
    device: Device = DeviceChoice.AUTO,
    seed: Seed = 0,
    scaler: Scaler = None,
    model: Model = None,
    widths: Widths = None,
    kernels: Kernels = None,
    beta: Beta = None,
    components: Components = None,
    members: Members = None,
    window: Window = None,
    differences: Differences = None,
    rolling: Rolling = None,
    period: Period = None,
    harmonics: Harmonics = None,
    noise: Noise = None,
    whiten: Whiten = None,
    smooth: Smooth = None,
    cap: Cap = None,
    average: Average = None,
    dropout: Dropout = None,
    clamp: Clamp = None,
    two_channels: TwoChannels = None,
    lasting: Lasting = None,
    lasting_weight: LastingWeight = None,
    sudden: Sudden = None,
    floor: Floor = None,
    adapt: Adapt = None,
    threshold: Threshold = ThresholdChoice.PERCENTILE,
    percentile: Percentile = None,
    margin: Margin = None,
    false_alarms: FalseAlarms = None,
    debounce: Debounce = None,
    per_machine: PerMachine = False,
    hold: Hold = None,
    degraded: Degraded = None,
    sensor_status: SensorStatus = None,
    max_rate: MaxRate = None,
    alarm_delays: AlarmDelays = None,
    clean: Clean = False,
    physical_range: PhysicalRange = None,
    unit: Unit = None,
    cadence: Cadence = None,
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
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Draw plots, as PNG files.")] = True,
    strict: Strict = False,
    quiet: Quiet = False,
) -> None:
    """Train a detector on prepared tables, test it, and export it as one bundle."""
    import shlex
    from dataclasses import replace

    from edge_runtime.errors import UsageError
    from trainer.cli.losses import show_losses, show_sensors
    from trainer.cli.pairs import (
        parse_debounce,
        parse_hold,
        parse_ranges,
        parse_rates,
        parse_units,
    )

    if register is not None and not mlflow:
        raise UsageError("requires MLflow, which --no-mlflow turns off", where="--register")
    if champion and register is None:
        raise UsageError("requires --register", where="--champion")
    ranges, units = parse_ranges(physical_range or []), parse_units(unit or [])
    chosen = model_settings(ctx)
    if debounce is not None and false_alarms is None:
        raise UsageError("requires --false-alarms", where="--debounce")
    given_debounce = None if debounce is None else parse_debounce(debounce)
    given_hold = None if hold is None else parse_hold(hold)
    need_data(data)
    need_torch()

    from trainer.calibration.budget import AlarmBudget
    from trainer.data.training_data import read_training_data
    from trainer.experiment.plan import Plan, refuse_options
    from trainer.experiment.provenance import git_revision
    from trainer.experiment.run import run_fit
    from trainer.fitting.recipes import RECIPES, own_recipe
    from trainer.tracking import NoTracker, Tracker

    budget = None if false_alarms is None else AlarmBudget.parse(false_alarms)
    named_recipe = recipe.value if recipe is not None else own_recipe(model and model.value)
    how = RECIPES[named_recipe]
    plan = Plan(
        output=output,
        settings=_settings(training_settings(ctx), how, chosen, named_recipe),
        method=threshold.value,
        percentile=how.percentile if percentile is None else percentile,
        margin=margin,
        hold=how.hold if given_hold is None else given_hold,
        debounce=given_debounce,
        per_machine=per_machine,
        degraded=how.degraded if degraded is None else degraded,
        sensor_status=how.sensor_status if sensor_status is None else sensor_status,
        max_rates=parse_rates(max_rate or []),
        alarm_delays=how.alarm_delays if alarm_delays is None else alarm_delays,
        clean=clean,
        plots=plots,
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
    if cadence is not None:
        training_data = replace(training_data, cadence_seconds=cadence)
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

        results = run_fit(
            training_data, plan, tracker, on_epoch, on_bundle, show_sensors(quiet=quiet), doubts=doubts
        )
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
    from trainer.data.machines import strangers, trained_on

    trained = {name: trained_on(tables.train)}
    new = list(strangers(tables.test, trained, wanted=True, by_machine=tables.by_machine))
    if not quiet:
        show_roles(tables.roles)
        say([*tables.remarks, *new])
        if per_machine and not set(trained[name]) & set(tables.val.machines.tolist()):
            say([NO_OWN])
    return ["--any-machine"] if new and not tables.by_machine else []


def _settings(training: dict[str, Any], how: RecipeSettings, chosen: dict[str, Any], recipe: str) -> Settings:
    """How to train, by the options, and by the recipe where an option was not given.

    Raises:
        UsageError: A value is out of range, or options do not go together.
    """
    from edge_runtime.errors import UsageError
    from trainer.fitting.settings import Settings

    try:
        return Settings(**{**training, **how.beside(chosen), **chosen})
    except UsageError as error:
        option = (error.where or "").removeprefix("--").removeprefix("no-").replace("-", "_")
        if option not in how.settings or option in chosen:
            raise
        if option in UNDONE:
            hint = f"recipe '{recipe}' sets it, so add {UNDONE[option]}"
            raise UsageError(error.what, where=error.where, hint=hint) from None
        hint = f"recipe '{recipe}' sets {error.where}; choose another --recipe, or leave it out"
        raise UsageError(error.what, where="--recipe", hint=hint) from None

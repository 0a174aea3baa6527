"""`edge-train fleet`: a detector of its own for each machine of the tables, all of them trained at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trainer.cli.choices import DeviceChoice, RecipeChoice, ThresholdChoice
from trainer.cli.doubts import Strict, look_at_splits

if TYPE_CHECKING:
    from trainer.fleet.results import LeftOut

from trainer.cli.table_options import (
    Data,
    Drop,
    IgnoreValue,
    LabelColumn,
    Machines,
    NormalValue,
    SensorColumns,
    columns_of,
    say,
)
from trainer.cli.threshold_options import FalseAlarms, Margin, Percentile, Threshold
from trainer.cli.training_options import (
    BatchSize,
    Cadence,
    ClipNorm,
    Device,
    Epochs,
    LearningRate,
    Patience,
    Quiet,
    Seed,
    WeightDecay,
    need_data,
    need_torch,
    training_settings,
)

__all__ = ["fleet"]


def fleet(
    ctx: typer.Context,
    *,
    data: Data,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder for fleet.json and for a subfolder for each machine."),
    ] = Path("build/fleet"),
    sensor: SensorColumns = None,
    label_column: LabelColumn = None,
    normal_value: NormalValue = None,
    ignore_value: IgnoreValue = None,
    drop: Drop = None,
    machine: Machines = None,
    recipe: Annotated[
        RecipeChoice, typer.Option(help="Recipe for training. It must be one of an autoencoder.")
    ] = RecipeChoice.BEST,
    epochs: Epochs = 100,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = 1e-3,
    patience: Patience = 10,
    weight_decay: WeightDecay = 0.01,
    clip_norm: ClipNorm = 1.0,
    device: Device = DeviceChoice.AUTO,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of threads that train on a CPU. [default: the number of processors]",
            show_default=False,
        ),
    ] = None,
    seed: Seed = 0,
    threshold: Threshold = ThresholdChoice.PERCENTILE,
    percentile: Percentile = None,
    margin: Margin = None,
    false_alarms: FalseAlarms = None,
    degraded: Annotated[
        bool,
        typer.Option(
            "--degraded",
            help="Judge rows that lack a single sensor without it, each sensor with a threshold of its own. "
            "Each machine is then scored once more for each of its sensors.",
        ),
    ] = False,
    sensor_status: Annotated[
        bool,
        typer.Option(
            "--sensor-status",
            help="Find sensors that stand still for three times as long as they ever did in normal "
            "rows of their machine's training and validation; their readings are not used.",
        ),
    ] = False,
    alarm_delays: Annotated[
        bool,
        typer.Option(
            "--alarm-delays",
            help="Choose for how long each machine must be anomalous until an alarm is raised, and normal "
            "until it returns, so that no fault of its validation is lost.",
        ),
    ] = False,
    cadence: Cadence = None,
    strict: Strict = False,
    quiet: Quiet = False,
) -> None:
    """Train a separate detector for each machine, hundreds at once, and export one bundle per machine."""
    import sys

    from edge_runtime.errors import UsageError
    from trainer.cli.progress import progress_bar

    need_data(data)
    need_torch()

    from contextlib import nullcontext
    from dataclasses import replace

    from trainer.calibration.budget import AlarmBudget
    from trainer.data.training_data import read_training_data
    from trainer.experiment.plan import Plan
    from trainer.experiment.provenance import git_revision
    from trainer.fitting.fit import Settings
    from trainer.fitting.recipes import RECIPES
    from trainer.fleet.run import run_fleet

    how = RECIPES[recipe.value]
    plan = Plan(
        output=output,
        settings=Settings(**{**training_settings(ctx), **how.settings}),
        method=threshold.value,
        percentile=how.percentile if percentile is None else percentile,
        margin=margin,
        hold=how.hold,
        degraded=degraded,
        sensor_status=sensor_status,
        alarm_delays=alarm_delays,
        recipe=recipe.value,
        budget=None if false_alarms is None else AlarmBudget.parse(false_alarms),
        cadence_seconds=cadence,
        revision=git_revision(),
        plots=False,
    )
    columns = columns_of(ctx, tuple(sensor or ()), label_column, normal_value, ignore_value, drop, machine)
    tables = read_training_data(data, columns)
    if cadence is not None:
        tables = replace(tables, cadence_seconds=cadence)
    if tables.by_machine:
        raise UsageError(
            "each machine is in one table alone, and a fleet needs its rows in all three",
            where=f"--data {data}",
            hint="prepare the history by time, such as with --split 70/15/15",
        )
    if not quiet:
        say(tables.remarks)

    by_percentile = plan.percentile if plan.method == "percentile" and plan.budget is None else None
    look_at_splits(tables, data, strict=strict, percentile=by_percentile)

    def left_out(left: LeftOut) -> None:
        sys.stderr.write(f"left out: {left.machine}: {left.why}\n")

    with nullcontext(lambda _part: None) if quiet else progress_bar("fleet", 1.0) as on_progress:
        done = run_fleet(tables, plan, threads=threads, on_left_out=left_out, on_progress=on_progress)
    if not quiet:
        typer.echo(done.table())

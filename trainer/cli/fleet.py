"""`edge-train fleet`: a detector of its own for each machine of the tables, all of them trained at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trainer.cli.doubts import Strict, look_at_splits
from trainer.cli.fit import DeviceChoice, RecipeChoice, ThresholdChoice, need_torch

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
    epochs: Annotated[
        int, typer.Option(help="Maximum number of passes over the training rows of each machine.")
    ] = 100,
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Number of rows in a training step of a machine. [default: chosen as by 'fit']",
            show_default=False,
        ),
    ] = None,
    learning_rate: Annotated[float, typer.Option(help="Initial learning rate of AdamW.")] = 1e-3,
    patience: Annotated[
        int,
        typer.Option(
            help="Number of epochs without a 0.2 % improvement in a machine's validation loss "
            "after which its training stops."
        ),
    ] = 10,
    device: Annotated[
        DeviceChoice, typer.Option(help="Device for training. With auto, a GPU is used if PyTorch finds one.")
    ] = DeviceChoice.AUTO,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of threads that train on a CPU. [default: the number of processors]",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Seed of every random choice. The same seed gives the same bundles.")
    ] = 0,
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
    cadence: Annotated[
        float | None,
        typer.Option(
            help="Time between two rows of a machine, in seconds. [default: the cadence of the data]",
            show_default=False,
        ),
    ] = None,
    strict: Strict = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Train a separate detector for each machine, hundreds at once, and export one bundle per machine."""
    import sys

    from edge_runtime.errors import UsageError
    from trainer.cli.progress import progress_bar

    if not data.is_dir():
        raise UsageError("no such folder", where=f"--data {data}", hint="create it with 'edge-train prepare'")
    need_torch()

    from contextlib import nullcontext

    from trainer.calibration.budget import AlarmBudget
    from trainer.data import read_training_data
    from trainer.fit import Settings
    from trainer.fleet.run import run_fleet
    from trainer.provenance import git_revision
    from trainer.recipes import RECIPES
    from trainer.run import Plan

    how = RECIPES[recipe.value]
    plan = Plan(
        output=output,
        settings=Settings(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            patience=patience,
            seed=seed,
            device=device.value,
            **how.settings,
        ),
        method=threshold.value,
        percentile=how.percentile if percentile is None else percentile,
        margin=margin,
        hold=how.hold,
        recipe=recipe.value,
        budget=None if false_alarms is None else AlarmBudget.parse(false_alarms),
        cadence_seconds=cadence,
        revision=git_revision(),
        plots=False,
    )
    columns = columns_of(ctx, tuple(sensor or ()), label_column, normal_value, ignore_value, drop, machine)
    tables = read_training_data(data, columns)
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

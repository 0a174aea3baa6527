"""`edge-train fleet`: a detector of its own for each machine of the tables, all of them trained at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trainer.cli.fit import DeviceChoice, RecipeChoice, ThresholdChoice, need_torch

if TYPE_CHECKING:
    from trainer.fleet.results import LeftOut

from trainer.cli.table_options import (
    Data,
    LabelColumn,
    MachineColumn,
    SensorColumns,
    TimeColumn,
)

__all__ = ["fleet"]


def fleet(
    *,
    data: Data,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for fleet.json and a folder for each machine.")
    ] = Path("build/fleet"),
    sensor: SensorColumns = None,
    time_column: TimeColumn = None,
    machine_column: MachineColumn = None,
    label_column: LabelColumn = None,
    recipe: Annotated[
        RecipeChoice, typer.Option(help="How to train, by name; one of an autoencoder's.")
    ] = RecipeChoice.BEST,
    epochs: Annotated[int, typer.Option(help="Passes over each machine's training rows, at most.")] = 100,
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Rows of a machine's training step. [default: as 'fit' chooses it]", show_default=False
        ),
    ] = None,
    learning_rate: Annotated[float, typer.Option(help="AdamW's first learning rate.")] = 1e-3,
    patience: Annotated[
        int,
        typer.Option(help="Epochs without a gain of 0.2 % in a machine's validation loss before it stops."),
    ] = 10,
    device: Annotated[
        DeviceChoice, typer.Option(help="What computes; auto takes a GPU that PyTorch can use.")
    ] = DeviceChoice.AUTO,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Threads that train, on a CPU. [default: as many as processors]",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Decides every random choice: the same seed gives the same bundles.")
    ] = 0,
    threshold: Annotated[
        ThresholdChoice, typer.Option(help="Of normal validation rows' scores, or by best F1 on validation.")
    ] = ThresholdChoice.PERCENTILE,
    percentile: Annotated[
        float | None, typer.Option(help="For --threshold percentile. [best: 99.55]", show_default=False)
    ] = None,
    margin: Annotated[
        float, typer.Option(help="Multiplies the percentile: above 1 where validation is short.")
    ] = 1.0,
    false_alarms: Annotated[
        str | None,
        typer.Option(
            help="Instead of --threshold: how often a machine may cry wolf, such as 1/day or 1/week.",
            show_default=False,
        ),
    ] = None,
    cadence: Annotated[
        float | None,
        typer.Option(
            help="Seconds between two rows of a machine. [default: as in the data]", show_default=False
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Train a detector for each machine, hundreds at once, and export one bundle a machine."""
    import sys

    from edge_runtime.errors import UsageError
    from trainer.cli.progress import progress_bar

    if not data.is_dir():
        raise UsageError("no such folder", where=f"--data {data}", hint="make it with 'edge-train prepare'")
    need_torch()

    from contextlib import nullcontext

    from trainer.calibration.budget import AlarmBudget
    from trainer.data import Columns, read_training_data
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
    tables = read_training_data(data, Columns(tuple(sensor or ()), time_column, machine_column, label_column))

    def say(left: LeftOut) -> None:
        sys.stderr.write(f"left out: {left.machine}: {left.why}\n")

    with nullcontext(lambda _part: None) if quiet else progress_bar("fleet", 1.0) as on_progress:
        done = run_fleet(tables, plan, threads=threads, on_left_out=say, on_progress=on_progress)
    if not quiet:
        typer.echo(done.table())

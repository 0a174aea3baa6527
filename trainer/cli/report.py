"""`edge-train report`: one page for people about a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trainer.cli.table_options import (
    AnyMachine,
    Data,
    Drop,
    IgnoreValue,
    LabelColumn,
    Machines,
    NormalValue,
    columns_of,
    say,
)
from trainer.cli.training_options import need_data, need_torch

__all__ = ["report"]


def report(
    ctx: typer.Context,
    *,
    data: Data,
    fit: Annotated[Path, typer.Option(help="Folder of a fit, or of its checkpoint.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="HTML file to write. [default: report.html in the folder of --fit]",
            show_default=False,
        ),
    ] = None,
    label_column: LabelColumn = None,
    normal_value: NormalValue = None,
    ignore_value: IgnoreValue = None,
    drop: Drop = None,
    machine: Machines = None,
    any_machine: AnyMachine = False,
) -> None:
    """Write an HTML page about a fit: figures, comparison, timeline, misses, false alarms, alarm budget."""
    import sys

    from edge_runtime.files import refuse_same

    need_data(data)
    need_torch("the report")

    from trainer.data.machines import strangers
    from trainer.data.rows import replacing
    from trainer.data.training_data import read_training_data
    from trainer.report import Run, build_page

    def show(step: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{step} …")

    path = output or fit / "report.html"
    refuse_same(path, {f"the data's {each.name}": each for each in data.iterdir()}, "--output")
    run = Run.load(fit)
    columns = columns_of(
        ctx,
        tuple(sensor.name for sensor in run.checkpoint.sensors),
        label_column,
        normal_value,
        ignore_value,
        drop,
        machine,
    )
    table = read_training_data(data, columns)
    say(table.remarks)
    trained = {run.name: run.checkpoint.provenance.machines}
    say(strangers(table.test, trained, wanted=any_machine, by_machine=table.by_machine))
    page = build_page(run, table, show)
    with replacing(path) as stream:
        stream.write(page.encode())
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
    typer.echo(f"{path}  ({len(page.encode()) / 1e6:.1f} MB)")

"""`edge-train report`: one page for people about a finished run."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer evaluates the annotations
from typing import Annotated

import typer

__all__ = ["report"]


def report(
    *,
    data: Annotated[Path, typer.Option(help="Folder with train, val and test, as 'prepare' writes it.")],
    fit: Annotated[Path, typer.Option(help="Folder of a fit, or its checkpoint.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The page. [default: report.html in --fit]", show_default=False),
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
) -> None:
    """Write one HTML page about a fit: figures, comparison, timeline, misses, false alarms, alarm budget."""
    import sys  # noqa: PLC0415

    from edge_runtime.errors import MissingExtraError, UsageError  # noqa: PLC0415

    if not data.is_dir():
        raise UsageError("no such folder", where=f"--data {data}", mend="make it with 'edge-train prepare'")
    try:
        import pandas  # noqa: F401, ICN001, PLC0415
        import torch  # noqa: F401, PLC0415
    except ImportError:
        raise MissingExtraError("the report", "workstation") from None

    from trainer.data import Columns, read_training_data  # noqa: PLC0415
    from trainer.report import Run, build_page  # noqa: PLC0415
    from trainer.rows import replacing  # noqa: PLC0415

    def say(step: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{step} …")

    run = Run.load(fit)
    sensors = tuple(sensor.name for sensor in run.checkpoint.sensors)
    table = read_training_data(data, Columns(sensors, time_column, machine_column, label_column))
    page = build_page(run, table, say)
    path = output or fit / "report.html"
    with replacing(path) as stream:
        stream.write(page.encode())
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
    typer.echo(f"{path}  ({len(page.encode()) / 1e6:.1f} MB)")

"""The options that say where prepared tables lie and what their columns are called, for every command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Data", "LabelColumn", "MachineColumn", "SensorColumns", "TimeColumn"]

Data = Annotated[
    Path,
    typer.Option(
        help="Folder with the tables train, val and test as .csv, .csv.gz or .parquet, as "
        "written by 'prepare'."
    ),
]
SensorColumns = Annotated[
    list[str] | None,
    typer.Option(
        help="Column of a sensor. May be repeated. [default: every numeric column]", show_default=False
    ),
]
TimeColumn = Annotated[
    str | None, typer.Option(help="Column that holds the times. [default: time]", show_default=False)
]
MachineColumn = Annotated[
    str | None,
    typer.Option(
        help="Column that holds the machine ids. [default: machine_id, if it exists]", show_default=False
    ),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(
        help="Column of the labels, which is 0 in normal rows. [default: anomaly, if it exists]",
        show_default=False,
    ),
]

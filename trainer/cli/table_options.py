"""The options that say where prepared tables lie and what their columns are called, for every command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Data", "LabelColumn", "MachineColumn", "SensorColumns", "TimeColumn"]

Data = Annotated[
    Path,
    typer.Option(
        help="Folder with train, val and test as .csv, .csv.gz or .parquet, as 'prepare' writes it."
    ),
]
SensorColumns = Annotated[
    list[str] | None,
    typer.Option(
        help="A sensor's column; may be repeated. [default: every column of numbers]", show_default=False
    ),
]
TimeColumn = Annotated[
    str | None, typer.Option(help="Column of the times. [default: time]", show_default=False)
]
MachineColumn = Annotated[
    str | None,
    typer.Option(help="Column of the machine ids. [default: machine_id, if any]", show_default=False),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(help="Column that is 0 in normal rows. [default: anomaly, if any]", show_default=False),
]

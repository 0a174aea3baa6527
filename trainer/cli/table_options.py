"""The options that say where prepared tables lie and what their columns are called, for every command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_runtime.cli.form_options import form_of, form_words
from edge_runtime.mapping.roles import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge_runtime.mapping.roles import RoleOf
    from trainer.data.choice import Columns

__all__ = [
    "AnyMachine",
    "Data",
    "Drop",
    "IgnoreValue",
    "LabelColumn",
    "Machines",
    "NormalValue",
    "SensorColumns",
    "column_words",
    "columns_of",
    "say",
    "show_roles",
]

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
LabelColumn = Annotated[
    str | None,
    typer.Option(
        help="Column of the labels: 0 and 1, -1 (anomalous) and 1 (normal), true and false, or words. "
        "Rows with an empty cell are ignored. [default: anomaly, if it holds 0 and 1]",
        show_default=False,
    ),
]
NormalValue = Annotated[
    list[str] | None,
    typer.Option(
        help="Value of the label column in normal rows; every other value is anomalous. May be repeated. "
        "[default: 0, false or a word such as normal]",
        show_default=False,
    ),
]
IgnoreValue = Annotated[
    list[str] | None,
    typer.Option(
        help="Value of the label column in rows that are to be ignored, such as maintenance: they are "
        "neither learnt from nor counted. May be repeated.",
        show_default=False,
    ),
]
Drop = Annotated[
    list[str] | None,
    typer.Option(
        help="Column to leave out: it is neither a sensor nor the labels. May be repeated.",
        show_default=False,
    ),
]
Machines = Annotated[
    list[str] | None,
    typer.Option(
        "--machine",
        help="Machine to take from the tables; the rows of others are passed over. May be repeated. "
        "[default: all machines]",
        show_default=False,
    ),
]
AnyMachine = Annotated[
    bool,
    typer.Option(
        "--any-machine", help="Score the rows of machines that the detector was not trained on, too."
    ),
]


def columns_of(
    ctx: typer.Context,
    sensors: Iterable[str] | None,
    label: str | None,
    normal: Iterable[str] | None,
    ignore: Iterable[str] | None,
    drop: Iterable[str] | None,
    machines: Iterable[str] | None,
) -> Columns:
    """The columns that the options of a command name, and how its tables are written.

    Raises:
        UsageError: An option has a value that it cannot have, or a column is chosen twice.
    """
    from trainer.data.choice import Columns

    choice = (tuple(sensors or ()), label, tuple(normal or ()), tuple(ignore or ()))
    return Columns(*choice, tuple(drop or ()), form_of(ctx), tuple(dict.fromkeys(machines or ())))


def column_words(columns: Columns, *, sensors: bool) -> list[str]:
    """The options with which another command reads the same columns.

    Args:
        columns: As they were chosen.
        sensors: Whether the sensors are among them.
    """
    words = [word for name in columns.sensors if sensors for word in ("--sensor", name)]
    words += form_words(columns.form)
    for option, values in (
        ("--label-column", [columns.label]),
        ("--normal-value", columns.normal),
        ("--ignore-value", columns.ignore),
        ("--drop", columns.drop),
        ("--machine", columns.machines),
    ):
        words += [word for value in values if value is not None for word in (option, value)]
    return words


def show_roles(roles: Sequence[RoleOf]) -> None:
    """What each column is for, on standard error."""
    for line in table(roles):
        sys.stderr.write(f"{line}\n")


def say(remarks: Iterable[str]) -> None:
    """What to know of the tables, on standard error."""
    for remark in remarks:
        sys.stderr.write(f"edge-train: {remark}\n")

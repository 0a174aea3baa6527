"""The options of `prepare` that say where the labels of files are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trainer.data.label_column import LabelChoice
    from trainer.prepare.label_request import LabelRequest

__all__ = ["LabelsFile", "LabelsKey", "NormalWhere", "request_of"]

LabelsFile = Annotated[
    Path | None,
    typer.Option(
        help="CSV or Parquet file with the labels in a table of its own, which has one row for each value of "
        "--labels-key. Its rows are read as --label-column or --normal-where says. Rows whose key is not in "
        "it are ignored.",
        show_default=False,
    ),
]
LabelsKey = Annotated[
    list[str] | None,
    typer.Option(
        help="Column that is in the files and in --labels-file, by which the label of a row is found. May be "
        "repeated for a key of several columns. Columns of numbers are compared as numbers, others as text.",
        show_default=False,
    ),
]
NormalWhere = Annotated[
    list[str] | None,
    typer.Option(
        help="Condition COLUMN=VALUE that holds in normal rows, on a column of the files, or of the table "
        "--labels-file if it is given. May be repeated: a row is normal if all conditions hold, and else "
        "anomalous; of several values for one column, one is enough. A row with an empty cell in such a "
        "column is ignored.",
        show_default=False,
    ),
]


def request_of(
    choice: LabelChoice,
    where: Iterable[str] | None,
    table: Path | None,
    key: Iterable[str] | None,
    others: Mapping[str, object],
) -> LabelRequest:
    """What was asked for about labels.

    Args:
        choice: The column of the labels, and columns to leave out.
        where: Conditions of normal rows.
        table: The other table.
        key: Its key.
        others: Options that label rows in another way, to what they were given; None where they were not.

    Raises:
        UsageError: The options contradict one another.
    """
    from trainer.prepare.label_request import Conditions, LabelRequest

    request = LabelRequest(choice, Conditions.parse(list(where or ())), table, tuple(key or ()))
    for option, value in others.items():
        if request.option and value is not None:
            raise UsageError(f"cannot be combined with {option}", where=request.option)
    return request

"""The labels of files, by all of them together: in a column, by conditions, or from another table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from edge_runtime.errors import InputError, listed
from edge_runtime.mapping.form import PLAIN
from trainer.data.label_column import KIND_COLUMN, choose_labels
from trainer.data.label_words import Cells
from trainer.data.tables import column_names, read_pages
from trainer.prepare.joined_labels import JoinedLabels
from trainer.prepare.label_keys import KeyCells
from trainer.prepare.labels_table import LabelsTable
from trainer.prepare.row_labels import OwnLabels

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    import pandas as pd

    from edge_runtime.mapping.form import Form
    from trainer.data.label_words import Meaning
    from trainer.prepare.label_request import LabelRequest
    from trainer.prepare.row_labels import RowLabels

__all__ = ["find_labels"]


class _Gathered(Protocol):
    """What is gathered of the cells of a column."""

    def add(self, column: pd.Series[Any]) -> None:
        """Takes a page's cells."""
        ...


Found = TypeVar("Found", bound=_Gathered)


def find_labels(
    paths: Sequence[Path], request: LabelRequest, taken: Collection[str | None], form: Form = PLAIN
) -> RowLabels | None:
    """What tells the labels of the files' rows; None for files without labels.

    Columns that may be labels, or that labels are found by, are read once for that, in pages.

    Args:
        paths: The files.
        request: What was said about labels.
        taken: Columns that are known to be something else.
        form: How CSV files are written.

    Raises:
        InputError: A named column is in no file, or one that labels need is not in all of them.
        UsageError: A column looks like labels and nobody says what it is, or it is not clear which rows are
            normal.
    """
    columns = {path: column_names(path, form) for path in paths}
    every = list(dict.fromkeys(name for names in columns.values() for name in names))
    own, conditions = request.own, request.own_conditions
    for name in (own.column, *request.own_columns, *own.drop):
        if name is not None and name not in every:
            raise InputError(f"no column '{name}'", where=str(paths[0]), hint=f"it has {listed(every)}")

    def look(found: dict[str, Found]) -> dict[str, Found]:
        for path, names in columns.items():
            there = [name for name in found if name in names]
            for frame in read_pages(path, columns=there, text=there, form=form) if there else ():
                for name in there:
                    found[name].add(frame[name])
        return found

    def cells(wanted: Sequence[str]) -> dict[str, Cells]:
        return look({name: Cells() for name in wanted})

    table = None if request.table is None else LabelsTable.read(request.table, request, every)
    elsewhere = "" if table is None and not conditions.normal else request.option
    known = (*taken, *request.own_columns)
    meaning = choose_labels(every, own, known, cells, str(paths[0]), elsewhere)
    needed = request.own_columns if meaning is None else (meaning.column,)
    _refuse_lacking(columns, needed, can_be_left_out=meaning is not None)
    if table is not None:
        return JoinedLabels(table, look({name: KeyCells() for name in table.key}))
    kind = KIND_COLUMN if KIND_COLUMN in every and KIND_COLUMN not in (*known, *own.drop, *needed) else None
    if conditions.normal:
        found = conditions.meanings(
            look({name: Cells(sought=keys) for name, keys in conditions.sought.items()})
        )
        described = {"from": "the files' own columns", "normal_where": conditions.describe()}
        return OwnLabels(found, kind, {**described, "remark": f"a row is normal if {conditions}"})
    return None if meaning is None else OwnLabels([meaning], kind, _described(meaning))


def _described(meaning: Meaning) -> dict[str, str]:
    remark = {"remark": meaning.remark} if meaning.remark else {}
    return {"from": f"the files' own column '{meaning.column}'", **remark}


def _refuse_lacking(
    columns: dict[Path, list[str]], needed: Collection[str], *, can_be_left_out: bool
) -> None:
    """Refuses a file that lacks a column by which the others are labelled."""
    for path, names in columns.items():
        for name in needed:
            if name not in names:
                raise InputError(
                    f"no column '{name}', which tells the labels of another file",
                    where=str(path),
                    hint="prepare them apart" + f", or leave it out with --drop {name}" * can_be_left_out,
                )

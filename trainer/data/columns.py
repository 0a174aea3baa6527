"""Columns of a table as arrays: numbers, and times in nanoseconds, with errors that name column and line."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from edge_runtime.errors import InputError, listed
from edge_runtime.mapping.cells import Place
from edge_runtime.mapping.form import PLAIN, Columns
from edge_runtime.mapping.header import time_places
from edge_runtime.mapping.numbers import NOTHING, Numbers
from edge_runtime.mapping.times import DAY_NS, Times

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge_runtime.mapping.form import Form

# A frame's attribute: the decimal marks that the columns of its file were found to have, by column.
DECIMAL = "decimal"
EMPTY_WORDS = tuple(sorted(word.decode() for word in NOTHING))
__all__ = [
    "DECIMAL",
    "EMPTY_WORDS",
    "cells_of",
    "is_parquet",
    "line_name",
    "numeric_columns",
    "place_of",
    "text_of",
    "time_columns",
    "times_ns",
]


def numeric_columns(
    frame: pd.DataFrame, names: Sequence[str], path: Path, form: Form = PLAIN
) -> NDArray[np.float64]:
    """These columns as numbers, [rows, columns] float64; NaN where a cell is empty.

    Raises:
        InputError: A column is not there, or holds text: names the column and the line.
    """
    numbers = np.empty((len(frame), len(names)), np.float64)
    for i, name in enumerate(names):
        if name not in frame.columns:
            raise InputError(f"no column '{name}'", where=str(path), hint=f"it has {_listed(frame)}")
        column = frame[name]
        if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
            numbers[:, i] = column.to_numpy(np.float64, na_value=np.nan)
        else:
            found = frame.attrs.get(DECIMAL, {}).get(name, "")
            marks = replace(form, decimal=form.decimal or found)
            numbers[:, i] = Numbers(marks, ",").read(cells_of(column), name, place_of(frame, path))
    return numbers


def time_columns(names: Sequence[str], path: Path, form: Form = PLAIN) -> tuple[str, ...]:
    """The column that holds the times, or those of the date and the time of day.

    Raises:
        InputError: There is none.
    """
    places = time_places(names, Columns.of((), form), str(path))
    return tuple(names[place] for place in places)


def times_ns(
    frame: pd.DataFrame,
    name: str | Sequence[str],
    path: Path,
    form: Form = PLAIN,
    machines: NDArray[np.str_] | None = None,
    times: Times | None = None,
) -> NDArray[np.int64]:
    """Times as int64 nanoseconds since the epoch, UTC, as the gateway reads them.

    Args:
        frame: The table, or a page of it.
        name: The column, or those of the date and the time of day.
        path: Its file, for errors.
        form: How times are written.
        machines: [rows] machine ids; None for one machine.
        times: What read the pages before, which knows how far each machine has come; None for the first.

    Raises:
        InputError: A cell is empty or no time: names the line.
    """
    names = [name] if isinstance(name, str) else list(name)
    reader = times or Times(form.time, time.time_ns() + DAY_NS)
    place = place_of(frame, path)
    who: tuple[str, ...] = ("",)
    codes = None
    if machines is not None:
        found, codes = np.unique(machines, return_inverse=True)
        who = tuple(map(str, found))
    column = frame[names[0]]
    if pd.api.types.is_datetime64_any_dtype(column):
        if column.isna().any():
            raise InputError("there is no time", where=place.row(int(column.isna().to_numpy().argmax())))
        moments = np.asarray(pd.to_datetime(column, utc=True).dt.as_unit("ns").astype(np.int64), np.int64)
        if reader.zone is not None and column.dt.tz is None:
            return reader.zone.to_utc(moments, who, codes, place)
        return moments
    cells = cells_of(column)
    for other in names[1:]:
        cells = [b" ".join(pair) for pair in zip(cells, cells_of(frame[other]), strict=True)]
    return reader.read(cells, place, who, codes)


def line_name(frame: pd.DataFrame, row: int, path: Path) -> str:
    """How a reader finds this row of the frame in its file."""
    number = int(frame.index[row])
    return f"row {number + 1}" if is_parquet(path) else f"line {number + 2}"


def is_parquet(path: Path) -> bool:
    """Whether the name says that the file is Parquet."""
    return path.suffix.lower() in {".parquet", ".pq"}


def cells_of(column: pd.Series[Any]) -> list[bytes]:
    """A column as it would be written."""
    empty = column.isna().to_numpy()
    if pd.api.types.is_float_dtype(column):
        written = [
            f"{number:.9f}".rstrip("0").rstrip(".") for number in column.to_numpy(np.float64, na_value=0)
        ]
    else:
        written = list(map(str, column.tolist()))
    return [b"" if nothing else text.encode() for nothing, text in zip(empty, written, strict=True)]


def place_of(frame: pd.DataFrame, path: Path) -> Place:
    """Where the rows of a frame are in its file."""
    rows = frame.index.tolist()
    return Place(str(path), 1, rows, "row") if is_parquet(path) else Place(str(path), 2, rows)


def _listed(frame: pd.DataFrame) -> str:
    return listed(map(str, frame.columns))


def text_of(column: pd.Series[Any]) -> NDArray[np.str_]:
    """A column's cells as text; empty where there is nothing."""
    # By category: a few distinct texts in very many rows.
    codes, cells = pd.factorize(column)
    texts: NDArray[np.str_] = np.asarray([*map(str, cells), ""], np.str_)
    return texts[codes]

"""Columns of a table as arrays: numbers, and times in nanoseconds, with errors that name column and line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from edge_runtime.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["EMPTY_WORDS", "is_parquet", "line_name", "numeric_columns", "time_column", "times_ns"]

TIME_NAMES = ("time", "timestamp", "datetime", "_time", "date", "ts")
EMPTY_WORDS = ("", "na", "n/a", "nan", "null", "none", "-nan", "#n/a")


def numeric_columns(frame: pd.DataFrame, names: Sequence[str], path: Path) -> NDArray[np.float64]:
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
            continue
        text = column.astype("object").where(column.notna(), "").astype(str).str.strip()
        empty = text.str.lower().isin(EMPTY_WORDS).to_numpy()
        parsed = pd.to_numeric(text.mask(empty), errors="coerce").to_numpy(np.float64, na_value=np.nan)
        wrong = np.flatnonzero(np.isnan(parsed) & ~empty)
        if len(wrong):
            row = int(wrong[0])
            raise InputError(
                f"column '{name}' should hold numbers but holds {_shown(text.iloc[row])}",
                where=f"{path}: {line_name(frame, row, path)}",
                hint="correct the cell, or choose the columns with --sensor",
            )
        numbers[:, i] = parsed
    return numbers


def time_column(frame: pd.DataFrame, path: Path) -> str:
    """The column that holds the times, by its name.

    Raises:
        InputError: No column has one of the names that are looked for.
    """
    by_name = {str(name).lower(): str(name) for name in reversed(list(frame.columns))}
    for name in TIME_NAMES:
        if name in by_name:
            return by_name[name]
    raise InputError(
        "no time column", where=str(path), hint=f"name one column 'time'; it has {_listed(frame)}"
    )


def times_ns(frame: pd.DataFrame, name: str, path: Path) -> NDArray[np.int64]:
    """A column of times as int64 nanoseconds since the epoch, UTC.

    Understands ISO 8601 with or without a zone (UTC without), with `T` or a space, and epoch seconds,
    milliseconds, microseconds or nanoseconds, told apart by their size.

    Raises:
        InputError: A cell is empty or no time: names the line.
    """
    column = frame[name]
    if pd.api.types.is_datetime64_any_dtype(column):
        moments = pd.to_datetime(column, utc=True)
    elif pd.api.types.is_numeric_dtype(column):
        return _epoch(column, frame, name, path)
    else:
        text = column.astype("object").where(column.notna(), "").astype(str).str.strip()
        if text.str.fullmatch(r"[+-]?\d+(\.\d*)?").all():
            whole = not text.str.contains(".", regex=False).any()
            return _epoch(text.astype(np.int64 if whole else np.float64), frame, name, path)
        moments = pd.to_datetime(text, utc=True, format="ISO8601", errors="coerce")
    _no_gap(moments.isna().to_numpy(), frame, name, path)
    times: NDArray[np.int64] = np.asarray(moments.dt.as_unit("ns").astype(np.int64), np.int64)
    return times


def line_name(frame: pd.DataFrame, row: int, path: Path) -> str:
    """How a reader finds this row of the frame in its file."""
    number = int(frame.index[row])
    return f"row {number + 1}" if is_parquet(path) else f"line {number + 2}"


def is_parquet(path: Path) -> bool:
    """Whether the name says that the file is Parquet."""
    return path.suffix.lower() in {".parquet", ".pq"}


def _epoch(column: pd.Series[Any], frame: pd.DataFrame, name: str, path: Path) -> NDArray[np.int64]:
    """Epoch numbers to nanoseconds; the unit is the one that puts them between 1973 and 5138."""
    _no_gap(column.isna().to_numpy(), frame, name, path)
    numbers = column.to_numpy()
    largest = float(np.abs(numbers.astype(np.float64)).max(initial=0.0))
    scale = 10 ** next((9 - 3 * i for i in range(3) if largest < 10.0 ** (11 + 3 * i)), 0)
    times: NDArray[np.int64] = np.floor(numbers).astype(np.int64) * scale
    if numbers.dtype.kind == "f":
        # The fraction on its own: a float64 of nanoseconds has a step of 256 ns.
        times += np.round((numbers - np.floor(numbers)) * scale).astype(np.int64)
    return times


def _no_gap(missing: NDArray[np.bool_], frame: pd.DataFrame, name: str, path: Path) -> None:
    wrong = np.flatnonzero(missing)
    if len(wrong):
        row = int(wrong[0])
        cell = frame[name].iloc[row]
        shown = "nothing" if pd.isna(cell) or not str(cell).strip() else _shown(str(cell))
        raise InputError(
            f"column '{name}' should hold times but holds {shown}",
            where=f"{path}: {line_name(frame, row, path)}",
            hint="use ISO 8601, such as 2025-01-31T12:00:00Z, or epoch seconds",
        )


def _listed(frame: pd.DataFrame) -> str:
    return ", ".join(map(str, frame.columns))


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "…")  # noqa: PLR2004

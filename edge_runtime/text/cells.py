"""Columns of cells, as bytes, to numbers, times and machine ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import InputError, UsageError
from edge_runtime.timeparse import parse_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Place", "as_float32", "codes", "floats", "times"]

NOTHING = frozenset({b"", b"nan", b"na", b"n/a", b"null", b"none"})
MAX_SHOWN = 40
# What int64 nanoseconds hold.
LIKE = "0000-00-00T00:00:00Z"
# Every letter as it is, but a digit as 0.
DIGITS_ALIKE = np.where(np.isin(np.arange(256), list(b"0123456789")), ord("0"), np.arange(256)).astype(
    np.uint8
)
FIRST_CENTURY, LAST_CENTURY, LATEST = 17, 21, 2**63 - 1
MAX_DIGITS = 18


class Place:
    """Where cells are, for errors.

    Args:
        source: Such as a file's name.
        first_line: Number of the first cell's line.
    """

    def __init__(self, source: str, first_line: int) -> None:
        self._source = source
        self._first_line = first_line

    def row(self, number: int) -> str:
        """Where a row is, counted from 0."""
        return f"{self._source}, line {self._first_line + number}"


def floats(cells: Sequence[bytes], name: str, place: Place) -> NDArray[np.float64]:
    """[rows] numbers; NaN where a cell is empty or says that there is none.

    Raises:
        InputError: A cell is something else; its line is named.
    """
    try:
        return np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        found = [_number(cell, name, place, row) for row, cell in enumerate(cells)]
        return np.asarray(found, np.float64)


def _number(cell: bytes, name: str, place: Place, row: int) -> float:
    if cell.strip().lower() in NOTHING:
        return float("nan")
    try:
        return float(cell)
    except ValueError:
        raise InputError(
            f"'{shown(cell)}' in column '{name}' is not a number", where=place.row(row)
        ) from None


def shown(cell: bytes) -> str:
    """A cell for an error message."""
    return cell[:MAX_SHOWN].decode("utf-8", "replace")


def as_float32(columns: Sequence[NDArray[np.float64]]) -> NDArray[np.float32]:
    """[rows, columns]; a number beyond float32 becomes infinite, and its row unknown later."""
    values = np.empty((len(columns[0]), len(columns)), np.float32)
    with np.errstate(over="ignore"):
        for column, numbers in enumerate(columns):
            values[:, column] = numbers
    return values


def codes(cells: Sequence[bytes], default: str, place: Place) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    """Machine ids, each once, and each row's place among them; an empty cell is the default.

    Raises:
        InputError: A name is not UTF-8; its line is named.
    """
    names: dict[str, int] = {}
    code_of: dict[bytes, int] = {}
    for cell in dict.fromkeys(cells):
        try:
            code_of[cell] = names.setdefault(cell.decode().strip() or default, len(names))
        except UnicodeDecodeError:
            where = place.row(cells.index(cell))
            raise InputError(f"the machine id '{shown(cell)}' is not UTF-8", where=where) from None
    return tuple(names), np.fromiter(map(code_of.__getitem__, cells), np.intp, len(cells))


def times(cells: Sequence[bytes], place: Place) -> NDArray[np.int64]:
    """Times as RFC 3339 (UTC when they name no zone) or as an epoch in s, ms, us or ns.

    Raises:
        InputError: One cannot be read; the line is named.
    """
    found = _alike(cells)
    if found is not None:
        return found
    return np.asarray([_time(cell, place, row) for row, cell in enumerate(cells)], np.int64)


def _alike(cells: Sequence[bytes]) -> NDArray[np.int64] | None:
    """Times that are written alike from end to end, as most columns are; None for others."""
    plain = np.array(cells, np.bytes_)
    length = plain.dtype.itemsize
    if not cells or not len(cells[0]) == len(cells[-1]) == length:
        return None
    letters = plain.view(np.uint8).reshape(len(cells), length)
    try:
        # What is written like this is what numpy reads by itself, a hundred times faster.
        decimals = max(length - len(LIKE) - 1, 0)
        like = f"{LIKE[:-1]}.{'0' * decimals}Z" if decimals else LIKE
        if length == len(like) and (DIGITS_ALIKE[letters] == list(like.encode())).all():
            centuries = plain.astype("S2").astype(np.int64)
            if centuries.min() >= FIRST_CENTURY and centuries.max() <= LAST_CENTURY:
                found = plain.astype(f"S{length - 1}").astype("datetime64[ns]")
                return found.astype(np.int64)
        elif length <= MAX_DIGITS and (DIGITS_ALIKE[letters] == ord("0")).all():
            return np.fromiter(map(int, cells), np.int64, len(cells)) * parse_time("1".zfill(length), 0)
    except (ValueError, OverflowError):
        pass
    return None


def _time(cell: bytes, place: Place, row: int) -> int:
    text = shown(cell).strip()
    whole, dot, fraction = text.partition(".")
    try:
        if text[:1].isdigit():
            found = parse_time(whole, 0) if dot and whole.isdigit() else parse_time(text, 0)
            if dot and whole.isdigit() and fraction.isdigit():  # an epoch with a fraction of a second
                found += int(fraction[:9].ljust(9, "0"))
            if found <= LATEST:
                return found
    except UsageError:
        pass
    raise InputError(
        f"'{text}' is not a time", where=place.row(row), hint="write 2026-01-31T08:00:00Z"
    ) from None

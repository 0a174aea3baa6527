"""Columns of cells, as bytes, to numbers, times and machine ids."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import InputError, UsageError, printable
from edge_runtime.timeparse import LATEST, parse_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["MAX_MACHINE_LETTERS", "Place", "as_float32", "check_machine", "codes", "floats", "shown", "times"]

NOTHING = frozenset({b"", b"nan", b"na", b"n/a", b"null", b"none"})
MAX_SHOWN = 40
MAX_MACHINE_LETTERS = 256
# A NUL would be lost at the end of a name, and two machines become one; others would reach a terminal.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
LIKE = "0000-00-00T00:00:00Z"
MAX_LIKE = len(LIKE) + len(".000000000")
# Every letter as it is, but a digit as 0.
DIGITS_ALIKE = np.where(np.isin(np.arange(256), list(b"0123456789")), ord("0"), np.arange(256)).astype(
    np.uint8
)
SECOND_NS = 1_000_000_000
FIRST_CENTURY, LAST_CENTURY = 17, 21
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
    return printable(cell[: 4 * MAX_SHOWN].decode("utf-8", "replace"), MAX_SHOWN)


def check_machine(name: str) -> None:
    """Makes sure that this can be a machine's id.

    Raises:
        InputError: It is longer than `MAX_MACHINE_LETTERS`, or has a control character in it.
    """
    if len(name) > MAX_MACHINE_LETTERS:
        raise InputError(f"the machine id '{printable(name)}' is longer than {MAX_MACHINE_LETTERS} letters")
    if CONTROL.search(name):
        raise InputError(f"the machine id '{printable(name)}' has a control character in it")


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
        InputError: A name is not UTF-8, or `check_machine` refuses it; its line is named.
    """
    names: dict[str, int] = {}
    code_of: dict[bytes, int] = {}
    for cell in dict.fromkeys(cells):
        try:
            name = cell.decode().strip() or default
            check_machine(name)
        except UnicodeDecodeError:
            where = place.row(cells.index(cell))
            raise InputError(f"the machine id '{shown(cell)}' is not UTF-8", where=where) from None
        except InputError as error:
            raise InputError(error.what, where=place.row(cells.index(cell))) from None
        code_of[cell] = names.setdefault(name, len(names))
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
    length = len(cells[0]) if cells else 0
    # Else one long cell would make an array of as much for each row.
    if not 0 < length <= MAX_LIKE or set(map(len, cells)) != {length}:
        return None
    plain = np.array(cells, f"S{length}")
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
            unit = parse_time("1".zfill(length), 0)
            counts = np.fromiter(map(int, cells), np.int64, len(cells))
            if counts.max() <= LATEST // unit:  # beyond that it would wrap around
                return counts * unit
    except (ValueError, OverflowError):
        pass
    return None


def _time(cell: bytes, place: Place, row: int) -> int:
    text = cell.decode("utf-8", "replace").strip()
    # An epoch may have a fraction, of whatever its unit is; `parse_time` takes whole ones.
    whole, dot, fraction = text.partition(".") if text.isascii() else (text, "", "")
    has_fraction = dot and whole.isdigit() and fraction.isdigit()
    try:
        if text[:1].isdigit() and len(text) <= MAX_SHOWN:
            found = parse_time(whole if has_fraction else text, 0)
            if has_fraction:
                unit = parse_time("1".zfill(len(whole)), 0)
                found += int(fraction[:9].ljust(9, "0")) * unit // SECOND_NS
            if found <= LATEST:
                return found
    except UsageError:
        pass
    raise InputError(
        f"'{shown(cell)}' is not a time, or none of the years 1677 to 2262",
        where=place.row(row),
        hint="write 2026-01-31T08:00:00Z",
    ) from None

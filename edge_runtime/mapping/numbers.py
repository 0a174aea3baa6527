"""Cells to numbers: with a decimal point or comma, with marks between thousands, and words for none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.mapping.cells import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge_runtime.mapping.cells import Place
    from edge_runtime.mapping.form import Form

__all__ = ["NOTHING", "Numbers", "as_float32", "floats"]

NOTHING = frozenset({b"", b"nan", b"-nan", b"na", b"n/a", b"#n/a", b"null", b"none"})
COMMA = re.compile(rb"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")
# It may be 1.234 as well as 1234.
EITHER = re.compile(rb"[-+]?[1-9]\d{0,2},\d{3}")
COMMA_HINT = 'choose --decimal "," or --thousands ","'


class Numbers:
    """Reads the numbers of one text; each column has its own decimal mark, unless it is named.

    Args:
        form: How they are written.
        delimiter: What is between two cells; "" where there is no such thing.
    """

    def __init__(self, form: Form, delimiter: str = "") -> None:
        self._missing = NOTHING | {word.strip().lower().encode() for word in form.missing}
        # Such as -999, which is a number as well.
        self._stand_ins = [found for found in map(_float_of, form.missing) if found is not None]
        self._thousands = form.thousands.encode()
        self._given = form.decimal.encode() or (b"" if delimiter != "," and not form.thousands else b".")
        # Of columns whose numbers have shown it.
        self._found: dict[str, bytes] = {}

    @property
    def decimal(self) -> str:
        """The decimal mark of all columns, "." if none has shown one; "" where they differ."""
        marks = {self._given or b"."} if self._given or not self._found else set(self._found.values())
        return marks.pop().decode() if len(marks) == 1 else ""

    def decimal_of(self, name: str) -> str:
        """The decimal mark of a column; "" as long as no number has shown it."""
        return (self._found.get(name) or self._given).decode()

    def read(self, cells: Sequence[bytes], name: str, place: Place) -> NDArray[np.float64]:
        """[rows] numbers; NaN where a cell is empty or says that there is none.

        Raises:
            InputError: A cell is something else; its line is named.
        """
        decimal = self._found.get(name) or self._given
        if decimal != b"," and not self._thousands:
            found = _floats(cells)
            if found is not None:
                if not decimal and b"." in b"".join(cells):
                    self._found[name] = b"."
                for number in self._stand_ins:
                    found[found == number] = np.nan
                return found
        decimal = decimal or self._decide(cells, name, place)
        return np.asarray(
            [self._number(cell, name, decimal, place, row) for row, cell in enumerate(cells)], np.float64
        )

    def sort_out(
        self, cells: Sequence[bytes], name: str, place: Place
    ) -> tuple[NDArray[np.float64], list[tuple[int, bytes]]]:
        """[rows] numbers, NaN where a cell is none; and which rows hold something else, and what."""
        try:
            return self.read(cells, name, place), []
        except InputError as error:
            if error.hint == COMMA_HINT and not self.decimal_of(name):
                raise
        numbers, words = np.full(len(cells), np.nan), list[tuple[int, bytes]]()
        # Of most columns of words, few are different.
        decimal = self._found.get(name) or self._given
        meant = {cell: self._meaning(cell.strip(), decimal) for cell in dict.fromkeys(cells)}
        for row, cell in enumerate(cells):
            found = meant[cell]
            if found is None:
                words.append((row, cell.strip()))
            else:
                numbers[row] = found
        return numbers, words

    def _meaning(self, text: bytes, decimal: bytes) -> float | None:
        """A cell's number, NaN where it says that there is none; None for a word."""
        try:
            found = self._float(text, decimal)
        except ValueError:
            return None
        return float("nan") if found is None else found

    def is_number(self, cell: bytes) -> bool:
        """Whether a cell can be read as a number; one that is empty or says that there is none is not."""
        try:
            return self._float(cell.strip(), self._given) is not None
        except ValueError:
            return COMMA.fullmatch(cell.strip()) is not None

    def _decide(self, cells: Sequence[bytes], name: str, place: Place) -> bytes:
        """Finds out whether a column has a decimal comma, from the first cells that are no plain numbers."""
        commas = [row for row, cell in enumerate(cells) if COMMA.fullmatch(cell.strip())]
        if b"." in b"".join(cells):
            self._found[name] = b"."
        if name in self._found or not commas:
            return self._found.get(name, b"")
        # Another column of the text may have told.
        told = b"," in self._found.values()
        if not told and all(EITHER.fullmatch(cells[row].strip()) for row in commas):
            raise InputError(
                f"'{shown(cells[commas[0]])}' in column '{name}' may have a decimal comma, or one between "
                "thousands",
                where=place.row(commas[0]),
                hint=COMMA_HINT,
            )
        self._found[name] = b","
        return b","

    def _number(self, cell: bytes, name: str, decimal: bytes, place: Place, row: int) -> float:
        text = cell.strip()
        try:
            found = self._float(text, decimal)
        except ValueError:
            hint = COMMA_HINT if COMMA.fullmatch(text) and decimal != b"," else None
            if hint is None and text and not any(letter in b"0123456789" for letter in text):
                hint = f'correct it, or name what stands for no reading: --missing "{shown(text)}"'
            what = f"'{shown(cell)}' in column '{name}' is not a number"
            raise InputError(what, where=place.row(row), hint=hint) from None
        return float("nan") if found is None else found

    def _float(self, text: bytes, decimal: bytes) -> float | None:
        """A cell's number; None where it says that there is none; a ValueError where it is no number."""
        if text.lower() in self._missing:
            return None
        if self._thousands and self._thousands in text:
            mark, point = re.escape(self._thousands), re.escape(decimal or b".")
            if re.fullmatch(rb"[-+]?\d{1,3}(?:" + mark + rb"\d{3})+(?:" + point + rb"\d*)?", text) is None:
                raise ValueError
            text = text.replace(self._thousands, b"")
        if decimal == b",":
            if b"." in text:
                raise ValueError
            text = text.replace(b",", b".")
        if b"_" in text:  # which Python would leave out
            raise ValueError
        return float(text)


def _float_of(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _floats(cells: Sequence[bytes]) -> NDArray[np.float64] | None:
    """Plain numbers and empty cells; None where there is anything else."""
    try:
        return np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        pass
    try:
        return np.fromiter(map(float, [cell or b"nan" for cell in cells]), np.float64, len(cells))
    except ValueError:
        return None


def floats(cells: Sequence[bytes], name: str, place: Place) -> NDArray[np.float64]:
    """[rows] numbers as programs write them, with a decimal point; see `Numbers.read`."""
    return _PLAIN.read(cells, name, place)


def as_float32(columns: Sequence[NDArray[np.float64]]) -> NDArray[np.float32]:
    """[rows, columns]; a number beyond float32 becomes infinite, and its row unknown later."""
    values = np.empty((len(columns[0]), len(columns)), np.float32)
    with np.errstate(over="ignore"):
        for column, numbers in enumerate(columns):
            values[:, column] = numbers
    return values


def _plain() -> Numbers:
    from edge_runtime.mapping.form import Form  # noqa: PLC0415 - of the module below

    return Numbers(Form(decimal="."))


_PLAIN = _plain()

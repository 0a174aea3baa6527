"""Cells: where they are and how they are shown, for errors; machine ids out of them; what is no sensor's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import MAX_NAMES, InputError, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

__all__ = ["MAX_MACHINE_LETTERS", "NOT_MAPPED", "Place", "Unmapped", "check_machine", "codes", "shown"]

MAX_SHOWN = 40
NOT_MAPPED = "none of the sensors in it"
MAX_MACHINE_LETTERS = 256
# A NUL would be lost at the end of a name, and two machines become one; others would reach a terminal.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Place:
    """Where cells are, for errors.

    Args:
        source: Such as a file's name.
        first_line: Number of the first cell's line.
        lines: [rows] how many lines each row is after that one; None where it is its own number.
        word: What a line is called.
    """

    def __init__(
        self, source: str, first_line: int, lines: Sequence[int] | None = None, word: str = "line"
    ) -> None:
        self.source = source
        self._word = word
        self._first_line = first_line
        self._lines = lines

    @classmethod
    def of(cls, place: Place, rows: Sequence[int]) -> Place:
        """The place of some of the rows."""
        lines = [place.line(row) - place.line(0) for row in rows]
        return cls(place.source, place.line(0), lines, place._word)

    def line(self, number: int) -> int:
        """A row's line, the row being counted from 0."""
        return self._first_line + (number if self._lines is None else self._lines[number])

    def row(self, number: int) -> str:
        """Where a row is, counted from 0."""
        return f"{self.source}, {self._word} {self.line(number)}"

    def lines(self, rows: int) -> NDArray[np.int64]:
        """[rows] the lines of so many rows."""
        places = np.arange(rows) if self._lines is None else np.asarray(self._lines, np.int64)
        return self._first_line + places


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


class Unmapped:
    """The first few names of what came with none of the bundle's sensors; true when there are any.

    Args:
        known: Names that are no sensors and mean something, such as the one of the time.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._known = frozenset(known)
        self._names: dict[str, None] = {}

    def __bool__(self) -> bool:
        return bool(self._names)

    def add(self, names: Iterable[str]) -> None:
        """Takes the names of one row."""
        for name in names:
            if len(self._names) >= MAX_NAMES:
                return
            if name not in self._known:
                self._names.setdefault(printable(str(name)))

    def __str__(self) -> str:
        return ", ".join(self._names)

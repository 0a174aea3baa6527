"""Where cells are, and how they are shown, for errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Place", "shown"]

MAX_SHOWN = 40


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

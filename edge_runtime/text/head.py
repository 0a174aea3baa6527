"""What stands before a CSV's rows: lines that are left out, and the header."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edge_runtime.errors import InputError

if TYPE_CHECKING:
    from edge_runtime.mapping.form import Form

__all__ = ["DELIMITERS", "Head"]

DELIMITERS = ",;\t|"
# What Excel writes first, so that it finds the delimiter again.
SEPARATOR = re.compile(r"\s*sep=(.)\s*", re.IGNORECASE)
MAX_LINES, MAX_HEADER_LINES = 1000, 64


class Head:
    """Takes lines until the header is whole.

    Args:
        form: How the text is written.
        where: What it is, for errors.

    Attributes:
        header: The header, with line ends in it where a cell in quotes has some; "" as long as there is none.
        delimiter: What is between its cells.
        lines: How many lines were taken.
    """

    def __init__(self, form: Form, where: str) -> None:
        self._form = form
        self._where = where
        self._held: list[str] = []
        self.header = ""
        self.delimiter = form.delimiter
        self.lines = 0

    @property
    def is_open(self) -> bool:
        """Whether a header has begun and is not whole."""
        return bool(self._held) and not self.header

    def take(self, line: str) -> bool:
        """Takes the next line; whether the header is whole now.

        Raises:
            InputError: There is no header among so many lines.
        """
        self.lines += 1
        if self.lines <= self._form.skip_rows:
            return False
        if self.lines > self._form.skip_rows + MAX_LINES or len(self._held) > MAX_HEADER_LINES:
            raise InputError(
                "no header among its first lines", where=self._where, hint="see --skip-rows and --delimiter"
            )
        if not self._held:
            if not line.strip() or line.startswith("#"):
                return False
            separator = SEPARATOR.fullmatch(line)
            if separator is not None:
                self.delimiter = self.delimiter or separator[1]
                return False
        self._held.append(line)
        header = "\n".join(self._held)
        if header.count('"') % 2:
            return False
        self.header = header
        self.delimiter = self.delimiter or max(DELIMITERS, key=header.count)
        return True

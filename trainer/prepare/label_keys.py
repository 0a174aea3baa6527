"""Keys that find a row in another table: what is alike, however it is written."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd

from trainer.data.columns import cells_of
from trainer.data.label_words import EMPTY_CELLS, NUMBER

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

__all__ = ["KeyCells", "keys_of", "texts_of"]

WHOLE = re.compile(r"[+-]?(\d*)")
SHOWN = 3


@dataclass(slots=True)
class KeyCells:
    """How the cells of a key's column are written; does not grow with their number.

    Numbers with leading zeros are of one length, such as 007 and 012; else 07 and 7 may be two names.

    Attributes:
        samples: The first different cells.
        words: Whether a cell is neither a number nor empty.
        padded: Lengths of numbers with leading zeros; two at most.
        shortest: Length of the shortest other number; None without any.
    """

    samples: list[str] = field(default_factory=list)
    words: bool = False
    padded: set[int] = field(default_factory=set)
    shortest: int | None = None

    def add(self, column: pd.Series[Any]) -> None:
        """Looks at a column's cells."""
        for text in texts_of(pd.factorize(column)[1]):
            if text.casefold() in EMPTY_CELLS:
                continue
            if len(self.samples) < SHOWN and text not in self.samples:
                self.samples.append(text)
            self._take(text)

    def _take(self, text: str) -> None:
        if NUMBER.fullmatch(text.casefold()) is None:
            self.words = True
            return
        whole = WHOLE.match(text)
        digits = whole[1] if whole else ""
        if digits[:1] == "0" and len(digits) > 1:
            self.padded = {*sorted({*self.padded, len(digits)})[:2]}
        else:
            self.shortest = min(len(digits), self.shortest or len(digits))

    @property
    def are_numbers(self) -> bool:
        """Whether all cells are numbers of which each is written in one way, but for 7.0 and 7."""
        if self.words or len(self.padded) > 1:
            return False
        return not self.padded or self.shortest is None or self.shortest >= max(self.padded)


def texts_of(cells: Iterable[Any]) -> list[str]:
    """Cells as they would be written, without spaces around them."""
    return [cell.decode().strip() for cell in cells_of(pd.Series(cells))]


def keys_of(cells: Iterable[Any], *, numbers: bool) -> list[Hashable | None]:
    """Each cell as it is compared; None where it is empty.

    Args:
        cells: The different cells of a column.
        numbers: Whether they are compared as numbers, exactly, of any length; else as texts.
    """
    texts = texts_of(cells)
    if not numbers:
        return [text or None for text in texts]
    return [Decimal(text) if NUMBER.fullmatch(text.casefold()) else None for text in texts]

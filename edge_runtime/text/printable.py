"""What comes from anybody, as it may be shown on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["listed", "printable"]

MAX_NAMES, MAX_LETTERS = 12, 40


def printable(text: str, max_letters: int = MAX_LETTERS) -> str:
    """The first letters of a text; a question mark stands for a control code and its like."""
    part = text[:max_letters]
    return part if part.isprintable() else "".join(one if one.isprintable() else "?" for one in part)


def listed(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    known = list(names)
    more = len(known) - MAX_NAMES
    return ", ".join(map(printable, known[:MAX_NAMES])) + (f" and {more:,} more" if more > 0 else "")

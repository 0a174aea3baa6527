"""Names of what came with none of the bundle's sensors, for whoever wonders why nothing is judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["NOT_MAPPED", "Unmapped"]

NOT_MAPPED = "none of the sensors in it"
MAX_NAMES, MAX_LETTERS = 12, 40


class Unmapped:
    """The first few names of keys or fields; true when there are any.

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
            if name not in self._known and len(self._names) < MAX_NAMES:
                # They come from anybody, and go to a terminal.
                shown = "".join(letter if letter.isprintable() else "?" for letter in str(name))
                self._names.setdefault(shown[:MAX_LETTERS])

    def __str__(self) -> str:
        return ", ".join(self._names)

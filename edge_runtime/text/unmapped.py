"""Names of what came with none of the bundle's sensors, for whoever wonders why nothing is judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["NOT_MAPPED", "Unmapped"]

NOT_MAPPED = "none of the sensors in it"
MOST_NAMES = 12


class Unmapped:
    """The first few names of keys or fields; true when there are any."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def __bool__(self) -> bool:
        return bool(self._names)

    def add(self, names: Iterable[str]) -> None:
        """Takes the names of one row."""
        for name in names:
            if len(self._names) < MOST_NAMES:
                self._names.setdefault(str(name))

    def __str__(self) -> str:
        return ", ".join(self._names)

"""Names of what came with none of the bundle's sensors, for whoever wonders why nothing is judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.errors import MAX_NAMES, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["NOT_MAPPED", "Unmapped"]

NOT_MAPPED = "none of the sensors in it"


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
            if len(self._names) >= MAX_NAMES:
                return
            if name not in self._known:
                self._names.setdefault(printable(str(name)))

    def __str__(self) -> str:
        return ", ".join(self._names)

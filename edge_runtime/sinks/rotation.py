"""A file that is renamed when it is large or old, as logrotate does it: NAME.1 is newer than NAME.2."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from edge_runtime.errors import UsageError
from edge_runtime.files import sync_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["KEEP", "MAX_DAYS", "MAX_MB", "Rotation", "rotation_of"]

DAY_S = 86_400.0
LARGEST = 1e9
# What the settings say that lead to one.
MAX_MB = "Size at which the file is renamed to NAME.1 and a new one is begun."
MAX_DAYS = "Age at which the file is renamed to NAME.1 and a new one is begun."
KEEP = "Number of renamed files to keep; the oldest is deleted."


@dataclass
class Rotation:
    """When a file is renamed, and how many are kept.

    Attributes:
        max_bytes: Beyond this size; None for any.
        max_age_s: After so many seconds since the file was begun or taken up; None for never.
        keep: How many files beside the one that is written to, at least 1; the oldest is deleted.
        clock: Monotonic clock, in seconds.
    """

    max_bytes: int | None
    max_age_s: float | None
    keep: int
    clock: Callable[[], float] = time.monotonic
    _begun: float = field(init=False)

    def __post_init__(self) -> None:
        self._begun = self.clock()

    def is_due(self, size: int) -> bool:
        """Whether a file of this size is to be renamed now; an empty one never is."""
        large = self.max_bytes is not None and size >= self.max_bytes
        old = self.max_age_s is not None and self.clock() - self._begun >= self.max_age_s
        return size > 0 and (large or old)

    def rotate(self, path: Path) -> None:
        """Renames the file, those before it first; each step leaves names that the next start understands.

        Raises:
            OSError: A file cannot be renamed or deleted.
        """
        self._begun = self.clock()
        numbered = [path.with_name(f"{path.name}.{number}") for number in range(1, self.keep + 1)]
        places = [path, *numbered]
        # Up to the first gap: a start that was cut short may have left one.
        last = next((n for n, place in enumerate(numbered) if not place.exists()), len(numbered) - 1)
        for source, target in reversed(list(pairwise(places[: last + 2]))):
            source.replace(target)
        sync_folder(path.parent)


def rotation_of(max_mb: float | None, max_days: float | None, keep: int, table: str) -> Rotation | None:
    """The rotation that a table of the configuration asks for; None for none.

    Raises:
        UsageError: A number is out of range.
    """
    for name, value in (("max_mb", max_mb), ("max_days", max_days)):
        if value is not None and not 0 < value <= LARGEST:
            raise UsageError("must be above zero, and finite", where=f"[{table}] {name}")
    if keep < 1:
        raise UsageError("must be 1 or more", where=f"[{table}] keep")
    if max_mb is None and max_days is None:
        return None
    max_bytes = None if max_mb is None else max(1, int(max_mb * 1e6))
    return Rotation(max_bytes, None if max_days is None else max_days * DAY_S, keep)

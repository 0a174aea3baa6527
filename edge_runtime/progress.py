"""How far long work is, for whoever watches it on a terminal."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ProgressLine", "bar"]

EVERY_S, WIDTH = 0.2, 24


class ProgressLine:
    """One line on standard error that is written over and over; nothing where that is no terminal."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._last = time.monotonic()

    def show(self, line: Callable[[], str]) -> None:
        """Shows what the line is now, unless it was shown a moment ago."""
        now = time.monotonic()
        if self._shown and now - self._last >= EVERY_S:
            self._last = now
            sys.stderr.write(f"\r{line()}\x1b[K")
            sys.stderr.flush()

    def end(self) -> None:
        """Takes the line away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def bar(share: float) -> str:
    """A bar for a share from 0 to 1, and its percentage."""
    full = int(share * WIDTH)
    return f"{'█' * full}{'░' * (WIDTH - full)} {share:4.0%}"

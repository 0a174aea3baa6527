"""How far a long scoring is, for whoever watches it on a terminal."""

from __future__ import annotations

import sys
import time

from edge_runtime.errors import counted

__all__ = ["Progress"]

EVERY_S = 0.2
WIDTH = 24


class Progress:
    """One line on standard error that is written over and over; nothing where that is no terminal.

    Args:
        rows: How many there are; None where nobody knows.
        done: How many were scored before, by an earlier run.
    """

    def __init__(self, rows: int | None, done: int = 0) -> None:
        self._rows = rows
        self._before = self._done = done
        self._shown = sys.stderr.isatty()
        self._started = self._last = time.monotonic()

    def add(self, rows: int) -> None:
        """So many more were scored."""
        self._done += rows
        now = time.monotonic()
        if self._shown and now - self._last >= EVERY_S:
            self._last = now
            sys.stderr.write(f"\r{self.line(now - self._started)}\x1b[K")
            sys.stderr.flush()

    def line(self, seconds: float) -> str:
        """What is shown after so many seconds."""
        rate = (self._done - self._before) / max(seconds, 1e-9)
        text = f"{counted(self._done, 'row')}, {rate:,.0f} a second"
        if not self._rows:
            return text
        share = min(self._done / self._rows, 1.0)
        left = (self._rows - self._done) / rate if rate else 0.0
        full = int(share * WIDTH)
        return f"{'█' * full}{'░' * (WIDTH - full)} {share:4.0%}  {text}, {left:,.0f} s left"

    def end(self) -> None:
        """Takes the line away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")

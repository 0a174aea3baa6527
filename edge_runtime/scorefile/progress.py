"""How far a long scoring is, for whoever watches it on a terminal."""

from __future__ import annotations

import time

from edge_runtime.errors import counted
from edge_runtime.progress import ProgressLine, bar

__all__ = ["Progress"]


class Progress:
    """Rows that were scored, how fast that goes, and how long it will take.

    Args:
        rows: How many there are; None where nobody knows.
        done: How many were scored before, by an earlier run.
    """

    def __init__(self, rows: int | None, done: int = 0) -> None:
        self._rows = rows
        self._before = self._done = done
        self._line = ProgressLine()
        self._started = time.monotonic()

    def add(self, rows: int) -> None:
        """So many more were scored."""
        self._done += rows
        self._line.show(lambda: self.line(time.monotonic() - self._started))

    def line(self, seconds: float) -> str:
        """What is shown after so many seconds."""
        rate = (self._done - self._before) / max(seconds, 1e-9)
        text = f"{counted(self._done, 'row')}, {rate:,.0f} a second"
        if not self._rows:
            return text
        share = min(self._done / self._rows, 1.0)
        left = (self._rows - self._done) / rate if rate else 0.0
        return f"{bar(share)}  {text}, {left:,.0f} s left"

    def end(self) -> None:
        """Takes the line away."""
        self._line.end()

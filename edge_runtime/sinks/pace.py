"""How often a sink speaks to people: a few messages at once and, in a flood, one about all that gathered."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Pace"]


class Pace:
    """Allows a few messages at once, which come back one by one; what is more than that is gathered.

    Args:
        at_once: Number of messages that need not wait.
        gather_s: Seconds for which a flood is gathered, and after which one message more is allowed.
        clock: Monotonic clock, in seconds.
    """

    def __init__(self, at_once: int, gather_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = at_once
        self._gather_s = gather_s
        self._clock = clock
        self._left, self._counted = float(at_once), clock()
        self._since: float | None = None  # when the gathering began

    def singles(self, waiting: int) -> bool:
        """Whether so many, all that wait, may go as messages of their own."""
        now = self._clock()
        if self._gather_s > 0:
            self._left = min(self._most, self._left + (now - self._counted) / self._gather_s)
        else:
            self._left = self._most
        self._counted = now
        return waiting <= self._left

    def wait(self, waiting: int) -> float:
        """Seconds to wait before so many are delivered; 0 for now."""
        if self.singles(waiting):
            self._since = None
            return 0.0
        now = self._clock()
        if self._since is None:
            self._since = now
        return max(0.0, self._since + self._gather_s - now)

    def spent(self, *, digest: bool = False) -> None:
        """A message went out: one of its own, or one about all that gathered."""
        self._left = 0.0 if digest else max(0.0, self._left - 1.0)
        if digest:
            self._since = None

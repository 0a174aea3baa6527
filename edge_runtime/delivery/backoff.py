"""How long to wait before the next try."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Backoff"]


class Backoff:
    """Exponential back-off with full jitter, so that many gateways do not come back in step.

    The n-th wait is a random part of `first * 2**n` seconds, at most `longest`; see Brooker, "Exponential
    Backoff And Jitter", AWS Architecture Blog, 2015.

    Args:
        first: Seconds that the first wait takes at most.
        longest: Seconds that any wait takes at most.
        uniform: Draws a number between two; `random.uniform` without it.
    """

    def __init__(
        self,
        first: float = 0.5,
        longest: float = 60.0,
        uniform: Callable[[float, float], float] | None = None,
    ) -> None:
        self._first = first
        self._longest = longest
        self._uniform = uniform
        self.tries = 0

    def next_wait(self) -> float:
        """Seconds to wait now."""
        most = min(self._longest, self._first * 2.0 ** min(self.tries, 30))
        self.tries += 1
        # Never next to nothing: a server that is starting should not be hammered.
        if self._uniform is None:
            import random  # noqa: PLC0415 - when something is away, and not at every start

            self._uniform = random.uniform
        return self._uniform(most / 4, most)

    def reset(self) -> None:
        """It worked."""
        self.tries = 0

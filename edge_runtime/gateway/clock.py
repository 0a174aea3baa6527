"""The gateway's clock, unless it cannot be right: one that lost its battery says that it is 1970."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edge_runtime.errors import UsageError
from edge_runtime.records import NO_TIME
from edge_runtime.timeparse import format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime.loading.load import Bundle

__all__ = ["GatewayClock", "known_moments"]

AGREEING_ROWS = 10
AGREES_NS = 3600 * 10**9


class GatewayClock:
    """Nanoseconds since the epoch; None while the clock is earlier than something that is known to be past.

    What is known may be wrong itself, such as a commit that was made while the clock was years ahead. So when
    ten live rows in a row have times within an hour of the clock, it is believed all the same.

    Args:
        past: Moments that are past, nanoseconds since the epoch, and what happened then.
        report: Called with one line for a person, when the clock ceases to be believed and when it is again.
        now: The wall clock.
        elapsed: Monotonic clock, in seconds.
    """

    def __init__(
        self,
        past: dict[str, int],
        report: Callable[[str], None],
        now: Callable[[], int] = time.time_ns,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._elapsed, self._started = elapsed, elapsed()
        self._what, self._earliest = max(past.items(), key=lambda each: each[1], default=("", 0))
        self._report = report
        self._now = now
        self._believed = True
        self._agreeing = 0

    def know(self, what: str, moment: int) -> None:
        """Takes another moment that is past."""
        if moment > self._earliest:
            self._what, self._earliest, self._started = what, moment, self._elapsed()

    def arrival(self) -> int:
        """What time to go by where there must be one: the clock, or what can be known without it."""
        now = self._now()
        if now >= self._earliest:
            return now
        return self._earliest + round((self._elapsed() - self._started) * 1e9)

    def __call__(self, times: NDArray[np.int64] | None = None) -> int | None:
        """What time it is.

        Args:
            times: Of live rows that have just come.
        """
        now = self._now()
        if now >= self._earliest:
            self._say(now, believed=True)
            return now
        if times is not None:
            for time_ns in times[times != NO_TIME].tolist():
                self._agreeing = self._agreeing + 1 if abs(time_ns - now) <= AGREES_NS else 0
            if self._agreeing >= AGREEING_ROWS:
                self._earliest, self._started = now, self._elapsed()
        self._say(now, believed=now >= self._earliest)
        return now if self._believed else None

    def _say(self, now: int, *, believed: bool) -> None:
        if believed == self._believed:
            return
        self._believed = believed
        if believed:
            self._report(f"clock: {format_time(now)} is plausible; rows from the future are recognised again")
            return
        self._report(
            f"clock: {format_time(now)} is earlier than {format_time(self._earliest)}, when {self._what}, "
            "so it is not used: until it is set, no row is treated as being in the future"
        )


def known_moments(bundle: Bundle) -> dict[str, int]:
    """What happened before now, by all that the bundle says: its training, its making, its acceptance."""
    return dict(_moments(bundle))


def _moments(bundle: Bundle) -> Iterator[tuple[str, int]]:
    provenance = bundle.metadata.provenance
    for what, text in (
        ("the bundle's training data ended", provenance.time_stop),
        ("the bundle was made", provenance.created),
    ):
        try:
            if text:
                yield what, parse_time(text, 0)
        except UsageError:
            continue  # a bundle may say so in any words
    if bundle.approval is not None:
        yield "the bundle's signature was accepted", int(bundle.approval.moment.timestamp() * 1e9)

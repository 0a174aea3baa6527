"""The gateway's clock, unless it cannot be right: one that lost its battery says that it is 1970."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edge_runtime.errors import UsageError
from edge_runtime.timeparse import format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_runtime.bundle.load import Bundle

__all__ = ["GatewayClock", "known_moments"]


class GatewayClock:
    """Nanoseconds since the epoch; None while the clock is older than something that is known to be past.

    Args:
        past: Moments that are past, nanoseconds since the epoch, and what happened then.
        report: Called with one line for a person, when the clock ceases to be believed and when it is again.
        now: The wall clock.
    """

    def __init__(
        self,
        past: dict[str, int],
        report: Callable[[str], None],
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self._what, self._earliest = max(past.items(), key=lambda each: each[1], default=("", 0))
        self._report = report
        self._now = now
        self._believed = True

    def __call__(self) -> int | None:
        """What time it is."""
        now = self._now()
        believed = now >= self._earliest
        if believed != self._believed:
            self._believed = believed
            self._report(self._sentence(now))
        return now if believed else None

    def _sentence(self, now: int) -> str:
        if self._believed:
            return f"clock: {format_time(now)} can be right; rows of the future are recognised again"
        return (
            f"clock: {format_time(now)} cannot be right, for {self._what} at {format_time(self._earliest)}; "
            "until it is set, no row is taken for one of the future"
        )


def known_moments(bundle: Bundle, last_commit: int | None) -> dict[str, int]:
    """What happened before now, by all that bundle and ledger say.

    Args:
        bundle: Whose training, making and acceptance are past.
        last_commit: The gateway's clock when it was believed last, nanoseconds since the epoch.
    """
    return dict(_moments(bundle, last_commit))


def _moments(bundle: Bundle, last_commit: int | None) -> Iterator[tuple[str, int]]:
    provenance = bundle.metadata.provenance
    for what, text in (
        ("the bundle's training data ends", provenance.time_stop),
        ("the bundle was made", provenance.created),
    ):
        try:
            if text:
                yield what, parse_time(text, 0)
        except UsageError:
            continue  # a bundle may say so in any words
    if bundle.approval is not None:
        yield "the bundle's signature was accepted", int(bundle.approval.moment.timestamp() * 1e9)
    if last_commit is not None:
        yield "the ledger was written", last_commit

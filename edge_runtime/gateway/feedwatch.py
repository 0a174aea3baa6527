"""A feed in which nothing fits says so: after ten seconds, then once an hour until a row can be judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.records import COMPLETE, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.records import Results
    from edge_runtime.sources.base import Source

__all__ = ["FeedWatch"]

FIRST_S, AGAIN_S = 10.0, 3600.0


class FeedWatch:
    """Watches a feed until its first row with all sensors.

    Args:
        source: Whose feed it is.
        sensors: The bundle's.
        report: Called with one line for a person.
        clock: Monotonic clock, in seconds.

    Attributes:
        ended: Whether such a row has come, so that there is nothing more to watch.
    """

    def __init__(
        self,
        source: Source,
        sensors: tuple[str, ...],
        report: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self.ended = False
        self._source = source
        self._sensors = sensors
        self._report = report
        self._clock = clock
        self._next: float | None = None
        self._came = np.zeros(len(sensors), np.bool_)
        self._rows = 0
        self._judged = False  # a row was, though without a sensor

    def watch(self, results: Results) -> None:
        """Takes what a block led to, which may be nothing."""
        self._rows += len(results)
        self._judged |= results.degraded is not None
        self.ended = bool((results.reasons != Reason.MISSING).any()) and not _all_lack(results)
        if self.ended:
            return
        self._came |= ~np.isnan(results.readings.values).all(axis=0) if len(results) else False
        if self._next is None:  # it answers: from now on something should come
            self._next = self._clock() + FIRST_S
        if self._clock() < self._next:
            return
        self._next = self._clock() + AGAIN_S
        words = self._words()
        if words:
            self._report(f"{self._source.name}: {words}")

    def _words(self) -> str | None:
        if not self._rows:
            return self._source.what_came()
        if self._judged:
            return self._degraded_words()
        never = [name for name, came in zip(self._sensors, self._came.tolist(), strict=True) if not came]
        if not never:
            return f"no row could be judged so far: each of {self._rows:,} lacks a sensor"
        return f"no row could be judged so far: {', '.join(never)} did not come in any of {self._rows:,} rows"

    def _degraded_words(self) -> str:
        came = zip(self._sensors, self._came.tolist(), strict=True)
        never = [name for name, one in came if not one]
        if not never:
            return f"no row had all sensors so far: each of {self._rows:,} lacks one"
        return f"{', '.join(never)} did not come in any of {self._rows:,} rows, which are judged without it"


def _all_lack(results: Results) -> bool:
    """Whether every row that is not unknown for it was judged without a reading that did not come."""
    if results.degraded is None:
        return False
    lacking = (results.degraded != COMPLETE) & np.isnan(results.readings.values).any(axis=1)
    return bool((lacking | (results.reasons == Reason.MISSING)).all())

"""Readings out of an InfluxDB, followed as they arrive.

Delivery: at least once from the last checkpoint, and no row twice from one checkpoint on. Rows are read by
their own time. Each poll goes back by the lateness from the newest row that was seen, and drops what was
delivered before; so a row that arrives late by less than that is still found, and one that is later is not.
Rows from the future wait until their time has come. Among the newest rows one that lacks a sensor waits for
the next poll, and is then taken as it stands: what belongs to one machine and time should be written at once.
"""

from __future__ import annotations

import queue
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from edge_runtime.influxdb.client import InfluxClient
from edge_runtime.influxdb.readings import check_fields, read_range
from edge_runtime.records import Readings
from edge_runtime.sources.base import Batch
from edge_runtime.sources.seen import Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_runtime.influxdb.readings import ReadingsQuery
    from edge_runtime.influxdb.settings import InfluxSettings

__all__ = ["InfluxSource"]

FUTURE_NS = 1_000_000_000


class InfluxSource:
    """A source over one measurement.

    Args:
        settings: Which server.
        query: Which readings.
        start_ns: First time to read when there is no checkpoint.
        until_ns: First time not to read any more; None to follow for ever.
        poll: Seconds from one poll to the next.
        lateness: Seconds by which a row may arrive late.
        flux: A Flux query of one's own, with `{start}` and `{stop}`.
        now_ns: The wall clock, nanoseconds.
        wait: Waits so many seconds or until the source is closed; returns whether it was closed.
    """

    name = "influx"

    def __init__(  # noqa: PLR0913 - one for each option
        self,
        settings: InfluxSettings,
        query: ReadingsQuery,
        *,
        start_ns: int,
        until_ns: int | None = None,
        poll: float = 1.0,
        lateness: float = 10.0,
        flux: str | None = None,
        now_ns: Callable[[], int] = time.time_ns,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self._client = InfluxClient(settings)
        self._query = query
        self._start_ns = start_ns
        self._until_ns = until_ns
        self._poll = poll
        self._lateness_ns = round(lateness * 1e9)
        self._flux = flux
        self._now_ns = now_ns
        self._closed = False
        # What a signal handler may wake: an Event holds a lock for a moment, and could wait for itself.
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._wait = wait or self._wait_for_close

    def check(self) -> None:
        """Makes sure that the server answers and has the fields.

        Raises:
            SourceUnavailableError: It cannot be reached.
            SourceError: It refuses, or a field is missing or not a number.
        """
        if self._by_flux:
            from edge_runtime.influxdb.flux import check_flux  # noqa: PLC0415 - an extra

            check_flux(self._client, self._query, template=self._flux)
        else:
            check_fields(self._client, self._query)

    def acknowledge(self) -> None:
        """There is nobody to tell."""

    def close(self) -> None:
        """Ends `batches` at its next row or poll."""
        self._closed = True
        self._wake.put(None)

    def batches(self, checkpoint: str | None) -> Iterator[Batch]:
        """Yields rows in the order of time; an empty batch after a poll that found none.

        Raises:
            SourceUnavailableError: The server cannot be reached; call again with the last checkpoint.
            SourceError: It refuses the query, or the checkpoint is not one of this source.
        """
        seen = Seen(self._start_ns, self._lateness_ns)
        if checkpoint is not None:
            seen.restore(checkpoint)
        started = self._now_ns()
        while not self._closed:
            now = self._now_ns()
            stop = now + FUTURE_NS if self._until_ns is None else min(now + FUTURE_NS, self._until_ns)
            found = 0
            for block, newest in _with_end(self._read(seen.from_ns, stop)):
                if self._is_closed():
                    return
                fresh = seen.fresh(block, newest=newest)
                if len(fresh):
                    found += len(fresh)
                    yield Batch(fresh, seen.checkpoint(), {})
            if self._ended(started, now) and not seen.holds:
                return
            if not found:
                yield Batch(Readings.empty(len(self._query.sensors)), seen.checkpoint(), {})
            # All that was there at `now` is read: asking again at once would read the overlap over and over.
            took = (self._now_ns() - now) / 1e9
            if not self._closed and 0 <= took < self._poll:
                self._wait(self._poll - took)

    def _is_closed(self) -> bool:
        return self._closed

    def _ended(self, started: int, now: int) -> bool:
        """Whether the poll that began at `now` was the last; late rows get time if the end was to come."""
        if self._until_ns is None:
            return False
        return now >= self._until_ns + (self._lateness_ns if started < self._until_ns else 0)

    @property
    def _by_flux(self) -> bool:
        return bool(self._client.settings.bucket or self._flux)

    def _wait_for_close(self, seconds: float) -> bool:
        with suppress(queue.Empty):
            self._wake.get(timeout=seconds)
        return self._closed

    def _read(self, start_ns: int, stop_ns: int) -> Iterator[Readings]:
        if self._by_flux:
            from edge_runtime.influxdb.flux import read_flux  # noqa: PLC0415 - an extra

            return read_flux(self._client, self._query, start_ns, stop_ns, template=self._flux)
        return read_range(self._client, self._query, start_ns, stop_ns)


def _with_end(blocks: Iterator[Readings]) -> Iterator[tuple[Readings, bool]]:
    """Each block, and whether it is the last."""
    before = next(blocks, None)
    for block in blocks:
        if before is not None:
            yield before, False
        before = block
    if before is not None:
        yield before, True

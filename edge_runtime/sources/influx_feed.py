"""Readings out of an InfluxDB, followed as they arrive.

When nothing came for long, each poll looks through the last hour alone, and once a minute through all the
time since the newest row, where a backlog may have turned up; less often where that takes long.

Rows are read by their own time, each machine's from its own newest one on. A poll goes back from there by the
lateness and drops what was delivered before, so that a row that is late is read and counted, unless it is
later than that. Rows from the future wait until their time has come. Among the newest rows one that lacks a
sensor waits for the next poll, and is then taken as it stands: what belongs to one machine and time should be
written at once.
"""

from __future__ import annotations

import queue
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from edge_runtime.errors import SourceUnavailableError
from edge_runtime.influxdb.check import check_readings
from edge_runtime.influxdb.client import InfluxClient
from edge_runtime.influxdb.reader import HOUR_NS, Reader, open_reader
from edge_runtime.influxdb.refusals import LoginRefusedError
from edge_runtime.influxdb.survey import elsewhere
from edge_runtime.records import Readings
from edge_runtime.sources.base import Batch
from edge_runtime.sources.faults import Faults
from edge_runtime.sources.following import Following
from edge_runtime.sources.seen import Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_runtime.checkpoint import Checkpoint
    from edge_runtime.influxdb.readings import ReadingsQuery
    from edge_runtime.influxdb.rows import Rows
    from edge_runtime.influxdb.settings import InfluxSettings

__all__ = ["InfluxSource"]

# How far back machines, and series that contradict each other, are looked for at the start.
LOOK_BACK_NS = 24 * HOUR_NS
MACHINES_LOOK_BACK_NS = 31 * LOOK_BACK_NS


class InfluxSource:
    """A source over one measurement.

    Args:
        settings: Which server.
        query: Which readings.
        start_ns: First time to read when there is no checkpoint.
        until_ns: First time not to read any more; None to follow for ever.
        poll: Seconds from one poll to the next.
        lateness: Seconds before its machine's newest row within which a row that arrives late is read.
        future_s: Seconds ahead of the wall clock up to which rows are read.
        flux: A Flux query of one's own, with `{start}` and `{stop}`.
        now_ns: The wall clock, nanoseconds.
        wait: Waits so many seconds or until the source is closed; returns whether it was closed.
        report: Called with one line for a person: what of the readings cannot be used.
    """

    name = "influx"
    live = True

    def __init__(  # noqa: PLR0913 - one for each option
        self,
        settings: InfluxSettings,
        query: ReadingsQuery,
        *,
        start_ns: int,
        until_ns: int | None = None,
        poll: float = 1.0,
        lateness: float = 10.0,
        future_s: float = 60.0,
        flux: str | None = None,
        now_ns: Callable[[], int] = time.time_ns,
        wait: Callable[[float], bool] | None = None,
        report: Callable[[str], None] | None = None,
    ) -> None:
        self._client = InfluxClient(settings)
        self._wanted = query
        self._reader: Reader | None = None
        self._start_ns = start_ns
        self._until_ns = until_ns
        self._poll = poll
        self._lateness_ns, self._future_ns = round(lateness * 1e9), round(future_s * 1e9)
        self._flux = flux
        self._now_ns = now_ns
        self._closed = False
        # What a signal handler may wake: an Event holds a lock for a moment, and could wait for itself.
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._wait = wait or self._wait_for_close
        self._report = report or (lambda _: None)
        self._faults = Faults(query.sensors, self._report)
        self._following: Following | None = None
        self._told_lost = False

    def check(self) -> None:
        """Makes sure that the server answers and has what is to be read.

        Raises:
            SourceUnavailableError: It cannot be reached, or holds nothing yet.
            SourceError: It refuses, or something is missing, not a number, or contradicts itself.
        """
        self._opened()

    def _opened(self) -> Reader:
        """The reader; what is wrong is found before it is used for the first time."""
        if self._reader is None:
            reader = open_reader(self._client, template=self._flux, stopped=self._is_closed)
            if self._flux is not None:
                for _ in reader.rows(self._wanted, 0, 1):
                    pass
            else:
                now = self._now_ns() + self._future_ns
                stop = now if self._until_ns is None else min(now, self._until_ns)
                back = MACHINES_LOOK_BACK_NS if self._wanted.machines else LOOK_BACK_NS
                start = min(self._start_ns, stop - back)
                self._wanted = check_readings(reader, self._wanted, start, stop, report=self._tell)
            self._reader = reader
        return self._reader

    def _tell(self, line: str) -> None:
        self._report(f"{self.name}: {line}")

    def what_came(self) -> str | None:
        """Where rows are that are not read; all else that could not fit was an error at the start."""
        if self._flux is not None:
            return None
        found = elsewhere(self._client, self._wanted.measurement)
        return None if found is None else f"no row has come so far: {found}"

    def acknowledge(self) -> None:
        """There is nobody to tell."""

    def close(self) -> None:
        """Ends `batches` at its next row or poll, also while it waits for the server."""
        self._closed = True
        self._wake.put(None)
        self._client.interrupt()

    def batches(self, checkpoint: Checkpoint | None) -> Iterator[Batch]:
        """Yields rows in the order of time; an empty batch after a poll that found none.

        Raises:
            SourceUnavailableError: The server cannot be reached, or no longer takes the login that it took
                before; call again with the last checkpoint.
            SourceError: It refuses the query, or the checkpoint is not one of this source.
        """
        seen = Seen(self._start_ns, self._lateness_ns)
        if checkpoint is not None and (lost := seen.restore(checkpoint)) and not self._told_lost:
            self._told_lost = True
            self._tell(f"damage to the ledger cost {lost}; rows may come again")
        self._following = None
        started = self._now_ns()
        while not self._closed:
            now = self._now_ns()
            stop = now + self._future_ns
            if self._until_ns is not None:
                stop = min(stop, self._until_ns)
            found, ended = 0, self._ended(started, now)
            for block, newest, own in self._round(seen, now, stop, everyone=ended):
                if self._is_closed():
                    return
                skipped = self._faults.conflicts(seen.conflicting(block, own))
                fresh = seen.fresh(block, own, newest=newest)
                if len(fresh) or skipped:
                    found += len(fresh)
                    unreadable = self._faults.unreadable(fresh)
                    yield Batch(fresh.readings, seen.checkpoint(), skipped, unreadable=unreadable)
            if ended and not seen.holds:
                return
            if not found:
                yield Batch(Readings.empty(len(self._wanted.sensors)), seen.checkpoint(), {})
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

    def _wait_for_close(self, seconds: float) -> bool:
        with suppress(queue.Empty):
            self._wake.get(timeout=seconds)
        return self._closed

    def _round(
        self, seen: Seen, now: int, stop_ns: int, *, everyone: bool
    ) -> Iterator[tuple[Rows, bool, frozenset[str] | None]]:
        """As `Following.round`."""
        known = self._reader is not None
        try:
            reader = self._opened()
            if self._following is None:
                self._following = Following(
                    reader, self._wanted, seen, names_machines=self._flux is None, now_ns=self._now_ns
                )
            yield from self._following.round(now, stop_ns, everyone=everyone)
        except SourceUnavailableError:
            if not self._closed:  # which breaks a request off
                raise
        except LoginRefusedError as error:
            if not known:
                raise
            # It was taken before: somebody is changing it, and the new one will be in its file.
            raise SourceUnavailableError(error.what, where=error.where, hint=error.hint) from None

"""Readings out of an InfluxDB, followed as they arrive.

When nothing came for long, each poll looks through the last hour alone, and once a minute through all the
time since the newest row, where a backlog may have turned up; less often where that takes long.

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

from edge_runtime.errors import SourceUnavailableError
from edge_runtime.influxdb.check import check_readings
from edge_runtime.influxdb.client import InfluxClient
from edge_runtime.influxdb.reader import HOUR_NS, Reader, open_reader
from edge_runtime.influxdb.refusals import LoginRefusedError
from edge_runtime.records import Readings
from edge_runtime.sources.base import Batch
from edge_runtime.sources.seen import Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_runtime.influxdb.readings import ReadingsQuery
    from edge_runtime.influxdb.rows import Rows
    from edge_runtime.influxdb.settings import InfluxSettings

__all__ = ["InfluxSource"]

SECOND_NS = 1_000_000_000
FUTURE_NS = SECOND_NS
# How far back machines, and series that contradict each other, are looked for at the start.
LOOK_BACK_NS = 24 * HOUR_NS
MACHINES_LOOK_BACK_NS = 31 * LOOK_BACK_NS
SEARCH_EVERY_NS = 60 * SECOND_NS
SEARCH_REST = 20  # so many times as long as it took, if that is more, but not for ever
LONGEST_REST_NS = 600 * SECOND_NS
CONFLICTING = "conflicting"


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
        self._lateness_ns = round(lateness * 1e9)
        self._flux = flux
        self._now_ns = now_ns
        self._closed = False
        # What a signal handler may wake: an Event holds a lock for a moment, and could wait for itself.
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._wait = wait or self._wait_for_close
        self._report = report or (lambda _: None)
        self._faults = _Faults(query.sensors, self._report)
        self._search = (0, 0)  # when the whole silence was last looked through, and when it will be again

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
                now = self._now_ns() + FUTURE_NS
                stop = now if self._until_ns is None else min(now, self._until_ns)
                back = MACHINES_LOOK_BACK_NS if self._wanted.machines else LOOK_BACK_NS
                start = min(self._start_ns, stop - back)
                self._wanted = check_readings(reader, self._wanted, start, stop, report=self._tell)
            self._reader = reader
        return self._reader

    def _tell(self, line: str) -> None:
        self._report(f"{self.name}: {line}")

    def acknowledge(self) -> None:
        """There is nobody to tell."""

    def close(self) -> None:
        """Ends `batches` at its next row or poll."""
        self._closed = True
        self._wake.put(None)

    def batches(self, checkpoint: str | None) -> Iterator[Batch]:
        """Yields rows in the order of time; an empty batch after a poll that found none.

        Raises:
            SourceUnavailableError: The server cannot be reached, or no longer takes the login that it took
                before; call again with the last checkpoint.
            SourceError: It refuses the query, or the checkpoint is not one of this source.
        """
        seen = Seen(self._start_ns, self._lateness_ns)
        if checkpoint is not None:
            seen.restore(checkpoint)
        started = self._now_ns()
        while not self._closed:
            now = self._now_ns()
            stop = now + FUTURE_NS if self._until_ns is None else min(now + FUTURE_NS, self._until_ns)
            found, ended = 0, self._ended(started, now)
            for block, newest in _with_end(self._read(seen, now, stop, all_of_it=ended)):
                if self._is_closed():
                    return
                skipped = self._faults.conflicts(seen.conflicting(block))
                fresh = seen.fresh(block, newest=newest)
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

    def _read(self, seen: Seen, now: int, stop_ns: int, *, all_of_it: bool) -> Iterator[Rows]:
        """What there is since the newest row; nothing where a look through the last hour finds none."""
        known = self._reader is not None
        try:
            reader = self._opened()
            silent = stop_ns - seen.from_ns > 2 * HOUR_NS and self._flux is None and not all_of_it
            hour = stop_ns - HOUR_NS, stop_ns
            if silent and self._was_searched(now) and reader.first(self._wanted, *hour) is None:
                return
            found = False
            for rows in reader.rows(self._wanted, seen.from_ns, stop_ns):
                found = found or int(rows.readings.times[-1]) > seen.newest
                yield rows
            took = max(0, self._now_ns() - now)
            rest = min(max(SEARCH_EVERY_NS, SEARCH_REST * took), LONGEST_REST_NS)
            # Where something was found, more of it may be on its way.
            self._search = (0, 0) if found else (now, now + rest)
        except LoginRefusedError as error:
            if not known:
                raise
            # It was taken before: somebody is changing it, and the new one will be in its file.
            raise SourceUnavailableError(error.what, where=error.where, mend=error.mend) from None

    def _was_searched(self, now: int) -> bool:
        """Whether the last search is of late; one of the future was made before the clock was set back."""
        last, following = self._search
        return last <= now < following


class _Faults:
    """What is wrong with readings: counted, and told once for each machine and sensor."""

    def __init__(self, sensors: tuple[str, ...], report: Callable[[str], None]) -> None:
        self._sensors = sensors
        self._report = report
        self._told: set[tuple[str, str]] = set()

    def unreadable(self, rows: Rows) -> int:
        """How many readings were no numbers."""
        if rows.unreadable is None:
            return 0
        for sensor, strange in zip(self._sensors, rows.unreadable.T, strict=True):
            for machine in dict.fromkeys(rows.readings.machines[strange].tolist()):
                self._tell(machine, sensor, "has values that are no numbers; they count as missing")
        return int(rows.unreadable.sum())

    def conflicts(self, rows: Rows) -> dict[str, int]:
        """How many rows were left out, as `Batch.skipped` has it."""
        if rows.conflicts is None:
            return {}
        for machine in dict.fromkeys(rows.readings.machines.tolist()):
            self._tell(machine, "", "two series disagree about one time; one of them is kept")
        return {CONFLICTING: int(rows.conflicts.sum())}

    def _tell(self, machine: str, sensor: str, words: str) -> None:
        if (machine, sensor) not in self._told:
            self._told.add((machine, sensor))
            self._report(f"influx: {machine}: {sensor + ' ' if sensor else ''}{words}")


def _with_end(blocks: Iterator[Rows]) -> Iterator[tuple[Rows, bool]]:
    """Each block, and whether it is the last."""
    before = next(blocks, None)
    for block in blocks:
        if before is not None:
            yield before, False
        before = block
    if before is not None:
        yield before, True

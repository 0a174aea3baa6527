"""Readings out of an InfluxDB, followed as they arrive.

Delivery: at least once from the last checkpoint, and no row twice from one checkpoint on. Rows are read by
their own time. Each poll goes back by the lateness from the newest row that was seen, and drops what was
delivered before; so a row that arrives late by less than that is still found, and one that is later is not.
Rows from the future wait until their time has come.
"""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import SourceError
from edge_runtime.influxdb.client import InfluxClient
from edge_runtime.influxdb.readings import check_fields, read_range
from edge_runtime.records import Readings
from edge_runtime.sources.base import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

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
        poll: Seconds between two polls when nothing is left to read.
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
        self._closed = threading.Event()
        self._wait = wait or self._closed.wait

    def check(self) -> None:
        """Makes sure that the server answers and has the fields.

        Raises:
            SourceUnavailableError: It cannot be reached.
            SourceError: It refuses, or a field is missing or not a number.
        """
        if not self._client.settings.bucket:
            check_fields(self._client, self._query)

    def close(self) -> None:
        """Ends `batches` at its next row or poll."""
        self._closed.set()

    def batches(self, checkpoint: str | None) -> Iterator[Batch]:
        """Yields rows in the order of time; an empty batch after a poll that found none.

        Raises:
            SourceUnavailableError: The server cannot be reached; call again with the last checkpoint.
            SourceError: It refuses the query, or the checkpoint is not one of this source.
        """
        seen = _Seen(self._start_ns, self._lateness_ns)
        if checkpoint is not None:
            seen.restore(checkpoint)
        started = self._now_ns()
        while not self._closed.is_set():
            now = self._now_ns()
            stop = now + FUTURE_NS if self._until_ns is None else min(now + FUTURE_NS, self._until_ns)
            found = 0
            for block in self._read(seen.from_ns, stop):
                if self._closed.is_set():
                    return
                fresh = seen.fresh(block)
                if len(fresh):
                    found += len(fresh)
                    yield Batch(fresh, seen.checkpoint(), {})
            if self._ended(started, now):
                return
            if not found:
                yield Batch(Readings.empty(len(self._query.sensors)), seen.checkpoint(), {})
                self._wait(self._poll)

    def _ended(self, started: int, now: int) -> bool:
        """Whether the poll that began at `now` was the last; late rows get time if the end was to come."""
        if self._until_ns is None:
            return False
        return now >= self._until_ns + (self._lateness_ns if started < self._until_ns else 0)

    def _read(self, start_ns: int, stop_ns: int) -> Iterator[Readings]:
        if self._client.settings.bucket or self._flux:
            from edge_runtime.influxdb.flux import read_flux  # noqa: PLC0415 - an extra

            return read_flux(self._client, self._query, start_ns, stop_ns, template=self._flux)
        return read_range(self._client, self._query, start_ns, stop_ns)


class _Seen:
    """Which rows were delivered: the newest time, and every row within the lateness before it."""

    def __init__(self, start_ns: int, lateness_ns: int) -> None:
        self._start_ns = start_ns
        self._lateness_ns = lateness_ns
        self._newest = start_ns - 1
        self._rows: dict[str, set[int]] = {}

    @property
    def from_ns(self) -> int:
        """First time to read."""
        return max(self._start_ns, self._newest - self._lateness_ns + 1)

    def fresh(self, block: Readings) -> Readings:
        """The rows of a block that were not delivered before; counts them as delivered."""
        keep = block.times >= self.from_ns
        for i in np.flatnonzero(keep & (block.times <= self._newest)).tolist():
            keep[i] = int(block.times[i]) not in self._rows.get(str(block.machines[i]), ())
        fresh = block if keep.all() else block.take(keep)
        if len(fresh):
            self._add(fresh.machines, fresh.times)
        return fresh

    def _add(self, machines: NDArray[np.str_], times: NDArray[np.int64]) -> None:
        self._newest = max(self._newest, int(times.max()))
        oldest = self.from_ns
        recent = times >= oldest
        for machine, moment in zip(machines[recent].tolist(), times[recent].tolist(), strict=True):
            self._rows.setdefault(machine, set()).add(moment)
        kept = {machine: {t for t in rows if t >= oldest} for machine, rows in self._rows.items()}
        self._rows = {machine: rows for machine, rows in kept.items() if rows}

    def checkpoint(self) -> str:
        """Where to go on; times count back from the newest, which keeps the text short."""
        back = {m: sorted(self._newest - t for t in rows) for m, rows in sorted(self._rows.items())}
        return json.dumps(
            {"start": self._start_ns, "newest": self._newest, "seen": back}, separators=(",", ":")
        )

    def restore(self, checkpoint: str) -> None:
        """Goes on from what `checkpoint` gave."""
        try:
            document: dict[str, Any] = json.loads(checkpoint)
            self._start_ns, self._newest = int(document["start"]), int(document["newest"])
            self._rows = {
                str(m): {self._newest - int(b) for b in back} for m, back in document["seen"].items()
            }
        except (ValueError, KeyError, TypeError, AttributeError):
            raise SourceError(
                "the ledger's checkpoint is not one of an InfluxDB",
                mend="use another --state file for this source",
            ) from None

"""What `edge-detect check` reads an InfluxDB with: questions alone, from shortly before the newest row on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.connector import Fact
from edge_runtime.influxdb.check import check_readings
from edge_runtime.influxdb.client import InfluxClient
from edge_runtime.influxdb.reader import HOUR_NS, open_reader
from edge_runtime.influxdb.survey import elsewhere, reachable, survey
from edge_runtime.sources.influx import (
    InfluxSourceSettings,
    flux_template,
    readings_query,
    readings_server,
)
from edge_runtime.sources.influx_feed import InfluxSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.connector import Given
    from edge_runtime.sources.base import Feed

__all__ = ["InfluxProbe"]

BEFORE_NEWEST_NS = 600 * 10**9
NEWEST_WITHIN_NS = 31 * 24 * HOUR_NS


class InfluxProbe:
    """A probe over what an `InfluxSource` of these settings would read, whatever its checkpoint."""

    def __init__(self, given: Given, feed: Feed) -> None:
        self._given = given
        self._feed = feed
        self._client = InfluxClient(readings_server(given))
        self._wanted = readings_query(given, feed.sensors)
        self._flux = flux_template(given)
        self._newest: int | None = None

    @property
    def source(self) -> InfluxSource:
        """From ten minutes before the newest row on."""
        now = self._feed.now_ns()
        part = self._given[InfluxSourceSettings]
        return InfluxSource(
            self._client.settings,
            self._wanted,
            start_ns=(now if self._newest is None else min(now, self._newest)) - BEFORE_NEWEST_NS,
            poll=part.poll,
            lateness=part.lateness,
            future_s=self._feed.future_s,
            flux=self._flux,
            now_ns=self._feed.now_ns,
            report=self._feed.report,
        )

    def facts(self) -> Iterator[Fact]:
        """Server, fields, tags, machines, newest row; raises what a start of `run` would."""
        yield reachable(self._client)
        if self._flux is not None:
            return
        now = self._feed.now_ns()
        stop = now + round(self._feed.future_s * 1e9)
        reader = open_reader(self._client)
        yield from survey(reader, self._wanted, now, stop)
        self._newest = reader.last(self._wanted, now - NEWEST_WITHIN_NS, stop)
        check_readings(reader, self._wanted, now - NEWEST_WITHIN_NS, stop, report=self._feed.report)

    def instead(self) -> Iterator[Fact]:
        """Where rows are that are not read."""
        found = None if self._flux is not None else elsewhere(self._client, self._wanted.measurement)
        yield Fact("instead", found or "no row in the last ten minutes before the newest one", wrong=True)

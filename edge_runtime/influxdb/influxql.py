"""Readings by InfluxQL: 1.x, 3 Core, and buckets of 2.x with a database mapping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

import numpy as np

from edge_runtime.influxdb.query import (
    LISTED_BYTES,
    Series,
    identifier,
    malformed,
    query,
    regular_expression,
    text,
)
from edge_runtime.influxdb.reader import HOUR_NS, Reader
from edge_runtime.influxdb.readings import NUMBER_TYPES
from edge_runtime.influxdb.rows import Rows, in_time_order, sensor_values, whole_rows
from edge_runtime.influxdb.series import SeriesTags
from edge_runtime.records import Readings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_runtime.influxdb.readings import ReadingsQuery

__all__ = ["InfluxqlReader"]

# Machines go into the address of a question, and a proxy may take no more than 8 KiB of that.
MAX_CONDITION_BYTES = 6_000
MIN_CONDITION_BYTES = 1_000
DAY_NS = 24 * HOUR_NS
POINTS_BYTES = 512 << 20
TEXT_OR_NONE = {str, type(None)}


class InfluxqlReader(Reader):
    """`GET /query` with chunked JSON, which all three versions serve."""

    @property
    def page_ns(self) -> int:
        """An hour; a day where the server sends rows as it finds them instead of sorting them first."""
        return self._page_ns or (DAY_NS if self.looks_up_any_range else HOUR_NS)

    def measurements(self) -> tuple[str, ...]:
        """The measurements that are there."""
        return tuple(self._names("SHOW MEASUREMENTS", "name"))

    def fields(self, measurement: str) -> dict[str, set[str]]:
        """A measurement's fields, each with the types it was written with; empty where there is none."""
        found: dict[str, set[str]] = {}
        for series in self._query(f"SHOW FIELD KEYS FROM {identifier(measurement)}"):
            for name, kind in zip(series.column("fieldKey"), series.column("fieldType"), strict=True):
                found.setdefault(str(name), set()).add(str(kind))
        return found

    def number_fields(self, measurement: str, start_ns: int, stop_ns: int) -> tuple[str, ...]:  # noqa: ARG002
        """The fields that have held numbers, whatever the range."""
        types = self.fields(measurement)
        return tuple(name for name, kinds in sorted(types.items()) if kinds & set(NUMBER_TYPES))

    def tags(self, measurement: str) -> tuple[str, ...]:
        """A measurement's tags, in the order of their names."""
        return tuple(sorted(set(self._names(f"SHOW TAG KEYS FROM {identifier(measurement)}", "tagKey"))))

    def describe(self, wanted: ReadingsQuery) -> dict[str, Any]:
        """Database, and retention policy where one is named; the bucket that they are mapped to."""
        settings = self.client.settings
        place = {"url": settings.url, "database": settings.database}
        if settings.mapped_bucket:
            place["bucket"] = settings.mapped_bucket
        if settings.retention_policy:
            place["retention_policy"] = settings.retention_policy
        return {**place, "measurement": wanted.measurement, "machine_tag": wanted.machine_tag}

    def _page(self, wanted: ReadingsQuery, start_ns: int, stop_ns: int) -> Iterator[Rows]:
        return in_time_order([self._rows(wanted, c, start_ns, stop_ns) for c in _conditions(wanted)])

    def _rows(self, wanted: ReadingsQuery, condition: str, start_ns: int, stop_ns: int) -> Iterator[Rows]:
        tags = () if wanted.tag is None else (wanted.tag,)
        statement = _select((*wanted.sensors, *tags, *wanted.other_tags), wanted.measurement)
        statement += f"{_where(start_ns, stop_ns, condition)} ORDER BY time"
        tags_of = SeriesTags(wanted.other_tags)
        found = (series for series in self._query(statement, most_bytes=None) if len(series))
        return whole_rows(_as_rows(series, wanted, tags_of) for series in found)

    def _edge_of_page(
        self, wanted: ReadingsQuery, start_ns: int, stop_ns: int, *, newest: bool
    ) -> int | None:
        times = []
        for condition in _conditions(wanted):
            statement = _select(wanted.sensors, wanted.measurement) + _where(start_ns, stop_ns, condition)
            statement += f" ORDER BY time {'DESC' if newest else 'ASC'} LIMIT 1"
            for series in self._query(statement):
                times += series.times.tolist()
        return (max if newest else min)(times, default=None)

    def _tag_values(self, measurement: str, tag: str, start_ns: int, stop_ns: int) -> Sequence[str]:
        statement = f"SHOW TAG VALUES FROM {identifier(measurement)} WITH KEY = {identifier(tag)}"
        # 1.x and 2.x have them in an index without times; 3 Core looks through the rows, of the last day if
        # no time is said.
        if not self.looks_up_any_range:
            statement += _where(start_ns, stop_ns, "")
        return self._names(statement, "value")

    def _points(
        self, measurement: str, columns: Sequence[str], start_ns: int, stop_ns: int
    ) -> Iterator[tuple[Any, ...]]:
        statement = f"{_select(columns, measurement)}{_where(start_ns, stop_ns, '')}"
        for series in self._query(statement, most_bytes=POINTS_BYTES):
            yield from zip(series.times.tolist(), *map(series.column, columns), strict=True)

    def _query(self, statement: str, *, most_bytes: int | None = LISTED_BYTES) -> Iterator[Series]:
        return query(self.client, statement, most_bytes=most_bytes, stopped=self.stopped)

    def _names(self, statement: str, column: str) -> list[str]:
        return [
            str(name)
            for series in self._query(statement)
            for name in series.column(column)
            if name is not None
        ]


def _select(columns: Sequence[str], measurement: str) -> str:
    return f"SELECT {', '.join(map(identifier, columns))} FROM {identifier(measurement)}"  # noqa: S608 - quoted


def _where(start_ns: int, stop_ns: int, condition: str) -> str:
    bounds = f" WHERE time >= {int(start_ns)} AND time < {int(stop_ns)}"
    return f"{bounds} AND {condition}" if condition else bounds


def _conditions(wanted: ReadingsQuery) -> list[str]:
    """What chooses the machines, in as many questions as their names need; empty for all machines."""
    if not wanted.machines:
        return [""]
    groups: list[list[str]] = [[]]
    columns = ", ".join(map(identifier, (*wanted.sensors, *wanted.other_tags)))
    whole = room = max(MAX_CONDITION_BYTES - len(quote_plus(columns)), MIN_CONDITION_BYTES)
    for machine in wanted.machines:
        one = f"{identifier(wanted.machine_tag)} {_is(machine)}"
        if machine == wanted.nameless:  # which has no tag, or one with its name
            one = f"{one} OR {identifier(wanted.machine_tag)} = ''"
        length = len(quote_plus(f"{one} OR "))
        if groups[-1] and length > room:
            groups.append([])
            room = whole
        groups[-1].append(one)
        room -= length
    return [f"({' OR '.join(group)})" for group in groups]


def _is(machine: str) -> str:
    # 3 Core refuses a text with a double quotation mark in it.
    return f"=~ {regular_expression(machine)}" if '"' in machine else f"= {text(machine)}"


def _as_rows(series: Series, wanted: ReadingsQuery, tags_of: SeriesTags) -> Rows:
    columns: dict[str, tuple[Any, ...]] = dict(
        zip(series.columns, zip(*series.values, strict=True), strict=True)
    )
    rows = len(series)
    nothing = (None,) * rows
    tags = [columns.get(tag, nothing) for tag in (wanted.tag, *wanted.other_tags) if tag is not None]
    if any(set(map(type, tag)) - TEXT_OR_NONE for tag in tags):
        raise malformed(series.place)
    machines = nothing if wanted.tag is None else tags[0]
    names: dict[str, int] = {}
    # No tag and an empty one are the same machine.
    codes = {
        machine: names.setdefault(machine or wanted.nameless, len(names))
        for machine in dict.fromkeys(machines)
    }
    values, unreadable = sensor_values([columns.get(sensor, nothing) for sensor in wanted.sensors])
    readings = Readings.coded(
        tuple(names), np.fromiter(map(codes.__getitem__, machines), np.intp, rows), series.times, values
    )
    return Rows(readings, unreadable, None, tags_of.of(lambda tag: columns.get(tag, nothing)))

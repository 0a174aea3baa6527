"""Readings out of an InfluxDB, as columnar blocks in the order of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import SourceError, UsageError
from edge_runtime.influxdb.query import Series, identifier, query, text
from edge_runtime.influxdb.rows import sensor_values, whole_rows
from edge_runtime.records import Readings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.influxdb.client import InfluxClient

__all__ = ["NUMBER_TYPES", "ReadingsQuery", "check_fields", "extent", "field_types", "read_range"]

NUMBER_TYPES = ("float", "integer", "unsigned")
PAGE_NS = 86_400_000_000_000


@dataclass(frozen=True, slots=True)
class ReadingsQuery:
    """Which readings.

    Attributes:
        sensors: Fields, in the order of the columns.
        measurement: The measurement that holds them.
        machine_tag: The tag with the machine's id.
        machines: These alone; empty for all.
        default_machine: The id of rows without that tag.

    Raises:
        UsageError: There is no sensor, or one twice.
    """

    sensors: tuple[str, ...]
    measurement: str = "sensors"
    machine_tag: str = "machine_id"
    machines: tuple[str, ...] = ()
    default_machine: str = "machine"

    def __post_init__(self) -> None:
        if not self.sensors or len(set(self.sensors)) != len(self.sensors):
            raise UsageError("a query needs sensors, each once", where=f"measurement {self.measurement}")

    def condition(self, start_ns: int | None, stop_ns: int | None) -> str:
        """The WHERE clause; times as whole nanoseconds, names quoted."""
        parts = []
        if start_ns is not None:
            parts.append(f"time >= {int(start_ns)}")
        if stop_ns is not None:
            parts.append(f"time < {int(stop_ns)}")
        if self.machines:
            names = " OR ".join(f"{identifier(self.machine_tag)} = {text(m)}" for m in self.machines)
            parts.append(f"({names})")
        return f" WHERE {' AND '.join(parts)}" if parts else ""


def field_types(client: InfluxClient, measurement: str) -> dict[str, set[str]]:
    """The measurement's fields, each with the types it was written with; empty when there is no such one."""
    found: dict[str, set[str]] = {}
    for series in query(client, f"SHOW FIELD KEYS FROM {identifier(measurement)}"):
        name, kind = series.columns.index("fieldKey"), series.columns.index("fieldType")
        for row in series.values:
            found.setdefault(row[name], set()).add(row[kind])
    return found


def check_fields(client: InfluxClient, wanted: ReadingsQuery) -> None:
    """Makes sure that the sensors are there and hold numbers.

    Raises:
        SourceError: A field is missing or of another type, or there is no such measurement.
    """
    where = f"{client.settings.place}, measurement {wanted.measurement}"
    types = field_types(client, wanted.measurement)
    if not types:
        names = [str(row[0]) for series in query(client, "SHOW MEASUREMENTS") for row in series.values]
        raise SourceError(
            "there is no such measurement", where=where, mend=f"there are: {', '.join(names) or 'none yet'}"
        )
    for sensor in wanted.sensors:
        if sensor not in types:
            raise SourceError(
                f"no field '{sensor}'", where=where, mend=f"there are: {', '.join(sorted(types))}"
            )
        if not types[sensor] <= set(NUMBER_TYPES):
            raise SourceError(
                f"field '{sensor}' holds {' and '.join(sorted(types[sensor]))} values, not numbers",
                where=where,
                mend="write it as a number",
            )


def extent(
    client: InfluxClient, wanted: ReadingsQuery, start_ns: int | None = None, stop_ns: int | None = None
) -> tuple[int, int] | None:
    """Times of the first and the last row in a range, nanoseconds; None when there is none."""
    first = _end(client, wanted, start_ns, stop_ns, "ASC")
    last = _end(client, wanted, start_ns, stop_ns, "DESC")
    return None if first is None or last is None else (first, last)


def _end(
    client: InfluxClient, wanted: ReadingsQuery, start_ns: int | None, stop_ns: int | None, order: str
) -> int | None:
    columns = ", ".join(map(identifier, wanted.sensors))
    condition = wanted.condition(start_ns, stop_ns)
    statement = (
        f"SELECT {columns} FROM {identifier(wanted.measurement)}{condition} ORDER BY time {order} LIMIT 1"  # noqa: S608
    )
    times = [int(series.values[0][series.columns.index("time")]) for series in query(client, statement)]
    return times[0] if times else None


def read_range(
    client: InfluxClient, wanted: ReadingsQuery, start_ns: int, stop_ns: int, *, page_ns: int = PAGE_NS
) -> Iterator[Readings]:
    """The rows with `start_ns` <= time < `stop_ns`, in the order of time, a few thousand at a time.

    Long ranges are asked for page by page, so that no single query runs for long; a stretch without rows is
    stepped over at once.

    Raises:
        SourceUnavailableError: The server cannot be reached or went away half-way.
        SourceError: It refuses the query, or a field holds something else than numbers.
    """
    columns = ", ".join(map(identifier, (*wanted.sensors, wanted.machine_tag)))
    page: int | None = start_ns
    while page is not None and page < stop_ns:
        stop = min(page + page_ns, stop_ns)
        condition = wanted.condition(page, stop)
        statement = f"SELECT {columns} FROM {identifier(wanted.measurement)}{condition} ORDER BY time"  # noqa: S608
        found = False
        for block in whole_rows(_readings(series, wanted) for series in query(client, statement)):
            found = True
            yield block
        page = stop if found or stop == stop_ns else _end(client, wanted, stop, stop_ns, "ASC")


def _readings(series: Series, wanted: ReadingsQuery) -> Readings:
    columns: dict[str, tuple[Any, ...]] = dict(
        zip(series.columns, zip(*series.values, strict=True), strict=True)
    )
    rows = len(series.values)
    nothing = (None,) * rows
    machines = columns.get(wanted.machine_tag, nothing)
    names: dict[str, int] = {}
    # No tag and an empty one are the same machine.
    codes = {
        machine: names.setdefault(machine or wanted.default_machine, len(names))
        for machine in dict.fromkeys(machines)
    }
    sensors = [columns.get(sensor, nothing) for sensor in wanted.sensors]
    return Readings.coded(
        tuple(names),
        np.fromiter(map(codes.__getitem__, machines), np.intp, rows),
        np.asarray(columns["time"], np.int64),
        sensor_values(sensors, wanted.sensors, f"measurement {wanted.measurement}"),
    )

"""Flux, for InfluxDB 2.x without a database mapping or with a query of one's own; extra `influx`."""

from __future__ import annotations

from http.client import HTTPException
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import MissingExtraError, SourceError, SourceUnavailableError
from edge_runtime.influxdb.annotated import WHERE, tables
from edge_runtime.influxdb.client import READING, unreachable
from edge_runtime.influxdb.query import CHUNK_ROWS
from edge_runtime.influxdb.rows import sensor_values, whole_rows
from edge_runtime.records import Readings
from edge_runtime.timeparse import format_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.errors import EdgeDetectError
    from edge_runtime.influxdb.annotated import Table
    from edge_runtime.influxdb.client import InfluxClient
    from edge_runtime.influxdb.readings import ReadingsQuery

__all__ = ["check_flux", "flux_query", "read_flux"]

LOGIN_STATUSES = (401, 403)
ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})
TOO_MANY_REQUESTS, SERVER_ERRORS = 429, 500


def literal(text: str) -> str:
    """A Flux string, whatever is in it; `${` would begin an expression."""
    return f'"{text.translate(ESCAPES).replace("${", chr(92) + "${")}"'


def flux_query(client: InfluxClient, wanted: ReadingsQuery) -> str:
    """The query for a bucket; `{start}` and `{stop}` stand for the range."""
    tag = literal(wanted.machine_tag)
    fields = " or ".join(f"r._field == {literal(sensor)}" for sensor in wanted.sensors)
    machines = " or ".join(f"r[{tag}] == {literal(machine)}" for machine in wanted.machines) or "true"
    columns = ", ".join(map(literal, ("_time", wanted.machine_tag, *wanted.sensors)))
    return (
        f"from(bucket: {literal(client.settings.bucket or '')})\n"
        "  |> range(start: {start}, stop: {stop})\n"
        f"  |> filter(fn: (r) => r._measurement == {literal(wanted.measurement)})\n"
        f"  |> filter(fn: (r) => ({fields}) and ({machines}))\n"
        '  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")\n'
        f"  |> keep(columns: [{columns}])\n"
        "  |> group()\n"
        '  |> sort(columns: ["_time"])\n'
    )


def read_flux(
    client: InfluxClient, wanted: ReadingsQuery, start_ns: int, stop_ns: int, *, template: str | None = None
) -> Iterator[Readings]:
    """The rows with `start_ns` <= time < `stop_ns`, in the order of time, a few thousand at a time.

    Args:
        client: Its settings name the bucket and organisation.
        wanted: Which readings.
        start_ns: First time, nanoseconds.
        stop_ns: First time after the range.
        template: A query of one's own with `{start}` and `{stop}`; its rows need `_time`, the machine tag and
            the sensors as columns, sorted by time. A sensor without a column has no reading.

    Raises:
        MissingExtraError: influxdb-client is not installed.
        SourceUnavailableError: The server cannot be reached or is overloaded.
        SourceError: It refuses the query, or its rows are not what is needed.
    """
    text = template or flux_query(client, wanted)
    text = text.replace("{start}", format_time(start_ns)).replace("{stop}", format_time(stop_ns))
    yield from whole_rows(_in_order(_readings(table, wanted) for table in _run(client, text)))


def check_flux(client: InfluxClient, wanted: ReadingsQuery, *, template: str | None = None) -> None:
    """Makes sure that the server takes the query, and that the fields are there if it is not one's own.

    Raises:
        MissingExtraError, SourceUnavailableError, SourceError: As `read_flux`; or a field is missing.
    """
    if template is not None:
        for _ in read_flux(client, wanted, 0, 1, template=template):
            pass
        return
    text = (
        'import "influxdata/influxdb/schema"\n'
        f"schema.measurementFieldKeys(bucket: {literal(client.settings.bucket or '')}, "
        f"measurement: {literal(wanted.measurement)}, start: 1970-01-01T00:00:00Z)\n"
    )
    fields = {name for table in _run(client, text) for name in table.texts("_value")}
    for sensor in wanted.sensors:
        if sensor not in fields:
            raise SourceError(
                f"no field '{sensor}'",
                where=f"{client.settings.place}, measurement {wanted.measurement}",
                mend=f"there are: {', '.join(sorted(fields)) or 'none yet'}",
            )


def _run(client: InfluxClient, text: str) -> Iterator[Table]:
    try:
        from influxdb_client.client.influxdb_client import InfluxDBClient  # noqa: PLC0415
        from influxdb_client.rest import ApiException  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415
    except ImportError:
        raise MissingExtraError("reading with Flux", "influx") from None

    settings = client.settings
    milliseconds = max(1, int(settings.timeout * 1000))  # 0 would wait for ever
    try:
        with InfluxDBClient(
            settings.url, settings.token or "", org=settings.org or "", timeout=milliseconds
        ) as flux:
            yield from tables(flux.query_api().query_csv(text, org=settings.org), most=CHUNK_ROWS)
    except ApiException as error:
        # Without a status TLS came to nothing.
        raise (
            _refusal(error, settings.place) if error.status else _broken(error.__context__, settings.place)
        ) from None
    except (HTTPError, OSError) as error:
        raise _broken(error, settings.place) from None


def _readings(table: Table, wanted: ReadingsQuery) -> Readings:
    if not table.columns.keys() & set(wanted.sensors):
        raise SourceError(
            f"no column of a sensor ({', '.join(wanted.sensors)})",
            where=WHERE,
            mend=f"there are: {', '.join(table.columns)}",
        )
    return Readings(
        np.asarray([name or wanted.default_machine for name in table.texts(wanted.machine_tag)], np.str_),
        table.times("_time"),
        sensor_values([table.values(sensor) for sensor in wanted.sensors], wanted.sensors, WHERE),
    )


def _in_order(blocks: Iterator[Readings]) -> Iterator[Readings]:
    """The same blocks. Rows that go back in time would be taken for ones that were read before."""
    newest = np.iinfo(np.int64).min
    for block in blocks:
        if block.times[0] < newest or (np.diff(block.times) < 0).any():
            raise SourceError(
                "the rows are not in the order of time",
                where=WHERE,
                mend='end the query with |> group() |> sort(columns: ["_time"])',
            )
        newest = int(block.times[-1])
        yield block


def _broken(error: BaseException | None, where: str) -> EdgeDetectError:
    """What urllib3 wraps says more than its own error; for TLS it is an argument."""
    causes = (error and error.__cause__, *(error.args[:1] if error else ()), error)
    cause = next(
        c for c in (*causes, OSError("the connection broke")) if isinstance(c, (OSError, HTTPException))
    )
    return unreachable(cause, where, READING)


def _refusal(error: Any, where: str) -> SourceError:
    message = " ".join(str(getattr(error, "message", "") or error.reason or "").split())[:300]
    if error.status in LOGIN_STATUSES:
        return SourceError(
            f"InfluxDB refuses the login ({message})", where=where, mend="set EDGE_DETECT_INFLUX_TOKEN"
        )
    if error.status == TOO_MANY_REQUESTS or error.status >= SERVER_ERRORS:
        return SourceUnavailableError(f"InfluxDB answers {error.status} ({message})", where=where)
    return SourceError(
        f"InfluxDB answers {error.status} ({message})", where=where, mend="check --bucket and the query"
    )

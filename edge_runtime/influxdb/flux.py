"""Flux, for InfluxDB 2.x without a database mapping or with a query of one's own; extra `influx`."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import MissingExtraError, SourceError, SourceUnavailableError
from edge_runtime.influxdb.query import CHUNK_ROWS
from edge_runtime.influxdb.readings import numbers
from edge_runtime.records import Readings
from edge_runtime.timeparse import format_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.influxdb.client import InfluxClient
    from edge_runtime.influxdb.readings import ReadingsQuery

__all__ = ["flux_query", "read_flux"]

LOGIN_STATUSES = (401, 403)
LATER_STATUSES = (429, 500, 502, 503, 504)


def flux_query(client: InfluxClient, wanted: ReadingsQuery) -> str:
    """The query for a bucket; `{start}` and `{stop}` stand for the range."""
    quote = json.dumps  # a Flux string is written as JSON's
    fields = " or ".join(f"r._field == {quote(sensor)}" for sensor in wanted.sensors)
    machines = " or ".join(f"r[{quote(wanted.machine_tag)}] == {quote(m)}" for m in wanted.machines) or "true"
    columns = ", ".join(map(quote, ("_time", wanted.machine_tag, *wanted.sensors)))
    return (
        f"from(bucket: {quote(client.settings.bucket)})\n"
        "  |> range(start: {start}, stop: {stop})\n"
        f"  |> filter(fn: (r) => r._measurement == {quote(wanted.measurement)})\n"
        f"  |> filter(fn: (r) => ({fields}) and ({machines}))\n"
        f'  |> pivot(rowKey: ["_time", {quote(wanted.machine_tag)}], '
        'columnKey: ["_field"], valueColumn: "_value")\n'
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
            the sensors as columns, sorted by time.

    Raises:
        MissingExtraError: influxdb-client is not installed.
        SourceUnavailableError: The server cannot be reached or is overloaded.
        SourceError: It refuses the query, or a column is missing or not a number.
    """
    try:
        from influxdb_client.client.influxdb_client import InfluxDBClient  # noqa: PLC0415
        from influxdb_client.rest import ApiException  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415
    except ImportError:
        raise MissingExtraError("reading with Flux", "influx") from None

    settings = client.settings
    text = template or flux_query(client, wanted)
    text = text.replace("{start}", format_time(start_ns)).replace("{stop}", format_time(stop_ns))
    milliseconds = int(settings.timeout * 1000)
    try:
        with InfluxDBClient(
            settings.url, settings.token or "", org=settings.org or "", timeout=milliseconds
        ) as flux:
            records = iter(flux.query_api().query_stream(text, org=settings.org))
            while rows := [record.values for record in islice(records, CHUNK_ROWS)]:
                yield _readings(rows, wanted)
    except ApiException as error:
        raise _refusal(error, settings.place) from None
    except (HTTPError, OSError) as error:
        raise SourceUnavailableError(
            f"InfluxDB cannot be reached ({type(error).__name__})",
            where=settings.place,
            mend="check that it runs, and the address",
        ) from None


def _readings(rows: list[dict[str, Any]], wanted: ReadingsQuery) -> Readings:
    where = "the Flux query's answer"
    for name in ("_time", *wanted.sensors):
        if not any(name in row for row in rows):
            raise SourceError(f"no column '{name}'", where=where, mend="keep it in the query")
    return Readings(
        np.asarray([row.get(wanted.machine_tag) or wanted.default_machine for row in rows], np.str_),
        np.asarray([_nanoseconds(row["_time"]) for row in rows], np.int64),
        np.stack(
            [numbers(tuple(row.get(s) for row in rows), s, where) for s in wanted.sensors], axis=1
        ).astype(np.float32),
    )


def _nanoseconds(moment: Any) -> int:
    """From a datetime, exactly; or from a type with nanoseconds, where the client found one."""
    value = getattr(moment, "value", None)
    if isinstance(value, int):
        return value
    return int(moment.replace(microsecond=0).timestamp()) * 1_000_000_000 + int(moment.microsecond) * 1000


def _refusal(error: Any, where: str) -> SourceError:
    message = " ".join(str(getattr(error, "message", "") or error.reason or "").split())[:300]
    if error.status in LOGIN_STATUSES:
        return SourceError(
            f"InfluxDB refuses the login ({message})", where=where, mend="set EDGE_DETECT_INFLUX_TOKEN"
        )
    if error.status in LATER_STATUSES:
        return SourceUnavailableError(f"InfluxDB answers {error.status} ({message})", where=where)
    return SourceError(
        f"InfluxDB answers {error.status} ({message})", where=where, mend="check --bucket and the query"
    )

"""Sources and sinks at a gateway's own servers, as its configuration names them.

What is written there has names of its own, never used twice, and is taken away again: a measurement of an
InfluxDB, a topic and a session of an MQTT broker.
"""

from __future__ import annotations

import time
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.bench.child import run_child
from edge_runtime.bench.feeds import HEAD_START_S, arrivals, send_lines
from edge_runtime.bench.route import START_WITHIN_S, EndToEnd, Gateway, Task
from edge_runtime.bench.rows import make_rows
from edge_runtime.errors import EdgeDetectError
from edge_runtime.influxdb.client import InfluxClient
from edge_runtime.influxdb.lines import encode_lines
from edge_runtime.influxdb.query import identifier, query
from edge_runtime.influxdb.refusals import WRITING
from edge_runtime.influxdb.write import write
from edge_runtime.sinks.influx import results_server
from edge_runtime.sources.influx import InfluxSourceSettings, readings_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from edge_runtime.bench.route import Read, Sink

__all__ = ["influx_sink", "influx_source", "mqtt_source", "why_not"]

NAME = "edge_detect_bench"
MACHINE, TAG = "machine-1", "machine_id"
POLL_S = 0.005
SECOND_NS = 1_000_000_000


def why_not(gateway: Gateway, *, for_sink: bool) -> str | None:
    """Why nothing is measured with its InfluxDB; None when it can be.

    Raises:
        SourceUnavailableError: It cannot be reached.
    """
    client = _client(gateway, for_sink=for_sink)
    if client.settings.bucket or not client.version().removeprefix("v").startswith("1."):
        return "only an InfluxDB 1.x takes away again what was written for it"
    if not for_sink and gateway.settings.source.given[InfluxSourceSettings].flux_file:
        return "the query of flux_file names its own measurement"
    return None


def influx_source(task: Task, sink: Sink, gateway: Gateway) -> EndToEnd:
    """Rows written into a measurement of their own; found as `run` polls."""
    options, reader = sink
    client = _client(gateway, for_sink=False)
    measurement = task.at_end.enter_context(_measurement(client))
    first, later = _lines(task, measurement)
    began = time.time_ns() - SECOND_NS
    write(client, first(began))
    source = ["--config", str(gateway.config), "--source", "influx", "--measurement", measurement]
    source += ["--machine-tag", TAG, "--machine", MACHINE, "--start", str(began)]
    source += ["--rows", str(task.rows + 1)]
    with run_child([*source, *options], task.bundle, task.folder) as child:
        read = reader(child)
        arrivals(read, 1, START_WITHIN_S)
        intended = send_lines(lambda data: write(client, data), later(), task.rate)
        came = arrivals(read, task.rows, START_WITHIN_S + 2 * task.seconds)
    return EndToEnd.on_schedule(task, intended, came)


def influx_sink(task: Task, gateway: Gateway) -> Sink:
    """Behind the ledger: a row is there when a query finds its verdict."""
    client = _client(gateway, for_sink=True)
    measurement = task.at_end.enter_context(_measurement(client))
    options = ["--config", str(gateway.config), "--sink", "influx", "--sink-measurement", measurement]
    options += ["--set", "influx_sink.takes=rows"]  # no alarm of a bench belongs among those of the plant
    return options, lambda _child: _read_count(client, measurement)


def mqtt_source(task: Task, sink: Sink, gateway: Gateway) -> EndToEnd:
    """Published with QoS 1 on a topic of their own; the first one is retained until `run` subscribes."""
    from edge_runtime.mqtt.publisher import Publisher  # noqa: PLC0415 - an extra
    from edge_runtime.sources.mqtt import MqttSettings, context_of  # noqa: PLC0415

    options, reader = sink
    given = gateway.settings.source.given
    name, part, context = _name(), given[MqttSettings], context_of(given)
    source = ["--config", str(gateway.config), "--source", "mqtt", "--topic", f"{name}/{{machine}}"]
    source += ["--client-id", name, "--machine-column", TAG, "--rows", str(task.rows + 1)]
    first, later = _lines(task, "sensors")
    publisher = task.at_end.enter_context(
        Publisher(part.url, f"{name}/{MACHINE}", name, part.username, part.password_file, context)
    )
    publisher.retain(first(time.time_ns() - SECOND_NS))
    with run_child([*source, *options], task.bundle, task.folder) as child:
        read = reader(child)
        arrivals(read, 1, START_WITHIN_S)
        intended = send_lines(publisher.send, later(), task.rate)
        came = arrivals(read, task.rows, START_WITHIN_S + 2 * task.seconds)
    return EndToEnd.on_schedule(task, intended, came)


def _name() -> str:
    return f"{NAME}_{uuid.uuid4().hex[:12]}"


def _client(gateway: Gateway, *, for_sink: bool) -> InfluxClient:
    if not for_sink:
        return InfluxClient(readings_server(gateway.settings.source.given))
    sink = next(sink for sink in gateway.settings.sinks if sink.kind.name == "influx")
    return InfluxClient(results_server(sink.given))


@contextmanager
def _measurement(client: InfluxClient) -> Iterator[str]:
    """The name of a measurement that is not there yet, and not there any more afterwards."""
    name = _name()
    try:
        yield name
    finally:
        statement = {"db": client.settings.database, "q": f"DROP MEASUREMENT {identifier(name)}"}
        # Where it went away, the measurement is left; what went wrong was said by what came before.
        with suppress(EdgeDetectError), client.request("POST", "/query", statement, errors=WRITING) as done:
            done.read()


def _lines(task: Task, measurement: str) -> tuple[Callable[[int], bytes], Callable[[], list[bytes]]]:
    """The first row, given its time; and those after it, on schedule from now on."""
    values = make_rows(task.metadata, task.rows + 1).values

    def encoded(rows: slice, times: NDArray[np.int64]) -> bytes:
        tags = {TAG: np.full(len(times), MACHINE)}
        fields = dict(zip(task.metadata.sensor_names, values[rows].T, strict=True))
        return encode_lines(measurement, times, tags=tags, fields=fields)

    def first(moment: int) -> bytes:
        return encoded(slice(0, 1), np.array([moment], np.int64))

    def later() -> list[bytes]:
        begin = time.time_ns() + int(HEAD_START_S * 1e9)
        times = begin + (np.arange(task.rows) / task.rate * 1e9).astype(np.int64)
        return encoded(slice(1, None), times).splitlines(keepends=True)

    return first, later


def _read_count(client: InfluxClient, measurement: str) -> Read:
    """A line for each verdict that a query finds, which it asks for every few milliseconds."""
    statement = f"SELECT count(score) FROM {identifier(measurement)}"  # noqa: S608 - a quoted name of our own
    done = 0

    def read(_: float) -> bytes:
        nonlocal done
        time.sleep(POLL_S)
        count = sum(int(series.values[0][1]) for series in query(client, statement))
        new, done = count - done, count
        return b"\n" * new

    return read

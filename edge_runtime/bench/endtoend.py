"""`edge-detect run` as it runs on a gateway: a process, rows in at one end, verdicts out at the other.

A route is a source's way to be fed and a sink's way to be read. Those of `ROUTES` need no server; a gateway's
configuration adds the ones through its own.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.bench import local
from edge_runtime.bench.route import EndToEnd, Gateway, Task

if TYPE_CHECKING:
    from edge_runtime.bundle.metadata import Metadata

__all__ = ["ROUTES", "measure_route", "routes_of"]

ROUTES = ("stdin-stdout", "stdin-jsonl", "simulate-stdout", "csv-stdout")


def routes_of(gateway: Gateway | None) -> tuple[str, ...]:
    """Those through the servers that a gateway reads from and writes to."""
    if gateway is None:
        return ()
    run = gateway.settings.run
    found = [f"{run.source}-stdout"] if run.source in ("influx", "mqtt") else []
    return (*found, *(["stdin-influx"] if "influx" in run.sinks else []))


def measure_route(
    name: str,
    path: Path | None,
    metadata: Metadata,
    *,
    rate: float,
    seconds: float,
    gateway: Gateway | None = None,
) -> EndToEnd:
    """Measures one of `ROUTES`, or of the gateway's.

    Raises:
        EdgeDetectError: The process failed, or did not keep up; a server is away.
    """
    with (
        tempfile.TemporaryDirectory(prefix="edge-detect-bench-") as folder,
        ExitStack() as at_end,
    ):
        task = Task(path, metadata, rate, seconds, Path(folder), at_end, gateway)
        return _measured(task, *name.split("-"))


def _measured(task: Task, source: str, sink: str) -> EndToEnd:
    if task.gateway is None or not {source, sink} & {"influx", "mqtt"}:
        sources = {"stdin": local.stdin, "csv": local.csv, "simulate": local.simulate}
        return sources[source](task, {"stdout": local.stdout, "jsonl": local.jsonl}[sink](task))
    from edge_runtime.bench import servers  # noqa: PLC0415 - brings what HTTP needs

    if "influx" in (source, sink):
        reason = servers.why_not(task.gateway, for_sink=sink == "influx")
        if reason is not None:
            return EndToEnd.without(reason)
    if sink == "influx":
        return local.stdin(task, servers.influx_sink(task, task.gateway))
    measured = servers.influx_source if source == "influx" else servers.mqtt_source
    return measured(task, local.stdout(task), task.gateway)

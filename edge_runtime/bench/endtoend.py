"""`edge-detect run` as it runs on a gateway: a process, rows in at one end, verdicts out at the other.

A new route is an entry in `ROUTES`: the source's way to be fed and the sink's way to be read.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.bench.child import csv_lines, run_child
from edge_runtime.bench.feeds import arrivals, read_growing, read_pipe, send_lines
from edge_runtime.bench.latency import Latency
from edge_runtime.bench.rows import make_rows
from edge_runtime.simulation import SENSORS

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from edge_runtime.bundle.metadata import Metadata

    Read = Callable[[float], bytes]

__all__ = ["ROUTES", "EndToEnd", "Task", "descriptors", "measure_route"]

START_WITHIN_S = 60.0
CSV_ROWS_PER_S_OF_TIME = 10_000
FEWEST_CSV_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """What came of a route.

    Attributes:
        rows: Number of rows.
        rate: Rows offered a second; None for as fast as they were taken.
        latency_us: From the moment at which a row was meant to be offered to its verdict line.
        rows_per_s: Without a rate: from the first verdict line to the last.
    """

    rows: int
    rate: float | None
    latency_us: Latency | None
    rows_per_s: float | None


@dataclass(frozen=True, slots=True)
class Task:
    """What a route is measured with.

    Attributes:
        bundle: The bundle; None for the default one.
        metadata: What it says of itself.
        rate: Rows a second.
        seconds: How long.
        folder: For files.
    """

    bundle: Path | None
    metadata: Metadata
    rate: float
    seconds: float
    folder: Path

    @property
    def rows(self) -> int:
        """How many to offer."""
        return max(3, round(self.rate * self.seconds))


def measure_route(
    name: str, path: Path | None, metadata: Metadata, *, rate: float, seconds: float
) -> EndToEnd | None:
    """Measures one of `ROUTES`; None where the bundle cannot take it.

    Raises:
        EdgeDetectError: The process failed, or did not keep up.
    """
    source, sink = name.split("-")
    with tempfile.TemporaryDirectory(prefix="edge-detect-bench-") as folder:
        return SOURCES[source](Task(path, metadata, rate, seconds, Path(folder)), sink)


def descriptors(child: subprocess.Popen[bytes]) -> tuple[int, int]:
    """Its standard input and output."""
    assert child.stdin is not None  # noqa: S101 - both were asked for as pipes
    assert child.stdout is not None  # noqa: S101
    return child.stdin.fileno(), child.stdout.fileno()


def _stdin(task: Task, sink: str) -> EndToEnd:
    """Open loop, after a first row that shows that the process is up."""
    options, reader = SINKS[sink](task)
    header, lines = csv_lines(task.metadata, make_rows(task.metadata, task.rows + 1))
    with run_child(["--source", "stdin", *options], task.bundle, task.folder) as child:
        write, read = descriptors(child)[0], reader(child)
        send_lines(write, [header + lines[0]], task.rate)
        arrivals(read, 1, START_WITHIN_S)
        intended = send_lines(write, lines[1:], task.rate)
        came = arrivals(read, task.rows, START_WITHIN_S + 2 * task.seconds)
    return EndToEnd(task.rows, task.rate, Latency.of(came - intended), None)


def _csv(task: Task, sink: str) -> EndToEnd:
    """A file has no schedule: how fast it goes through."""
    options, reader = SINKS[sink](task)
    rows = max(FEWEST_CSV_ROWS, int(CSV_ROWS_PER_S_OF_TIME * task.seconds))
    header, lines = csv_lines(task.metadata, make_rows(task.metadata, rows))
    file = task.folder / "rows.csv"
    file.write_bytes(header + b"".join(lines))
    with run_child(["--source", "csv", "--input", str(file), *options], task.bundle, task.folder) as child:
        came = arrivals(reader(child), rows, START_WITHIN_S + 10 * task.seconds)
    # Blocks come as a whole: the first one's rows were there before the clock started.
    after = came > came[0]
    rate = after.sum() / (came[-1] - came[0]) * 1e9 if after.any() else None
    return EndToEnd(rows, None, None, None if rate is None else round(float(rate)))


def _simulate(task: Task, sink: str) -> EndToEnd | None:
    """The source keeps the schedule itself; its zero is what the earliest row says it was."""
    if not set(task.metadata.sensor_names) <= set(SENSORS):
        return None
    options, reader = SINKS[sink](task)
    schedule = ["--machines", "1", "--speed", "1", "--cadence", f"{1 / task.rate:.9f}"]
    schedule += ["--rows", str(task.rows), "--seed", "0"]
    with run_child(["--source", "simulate", *schedule, *options], task.bundle, task.folder) as child:
        came = arrivals(reader(child), task.rows, START_WITHIN_S + 2 * task.seconds)
    late = came - (np.arange(task.rows) / task.rate * 1e9).astype(np.int64)
    return EndToEnd(task.rows, task.rate, Latency.of(late - late.min()), None)


def _stdout(_: Task) -> tuple[list[str], Callable[[subprocess.Popen[bytes]], Read]]:
    return ["--sink", "stdout"], lambda child: read_pipe(descriptors(child)[1])


def _jsonl(task: Task) -> tuple[list[str], Callable[[subprocess.Popen[bytes]], Read]]:
    """Behind the ledger: a row is there when it was committed and delivered."""
    file = task.folder / "verdicts.jsonl"
    return ["--sink", "jsonl", "--output", str(file)], lambda _: read_growing(file)


SOURCES: dict[str, Callable[[Task, str], EndToEnd | None]] = {
    "stdin": _stdin,
    "csv": _csv,
    "simulate": _simulate,
}
SINKS = {"stdout": _stdout, "jsonl": _jsonl}
ROUTES = ("stdin-stdout", "stdin-jsonl", "simulate-stdout", "csv-stdout")

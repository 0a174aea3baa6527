"""Sources and sinks that need nothing but this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.bench.child import csv_lines, run_child
from edge_runtime.bench.feeds import arrivals, read_growing, read_pipe, send_lines, to_pipe
from edge_runtime.bench.latency import Latency
from edge_runtime.bench.route import START_WITHIN_S, EndToEnd, Task, descriptors
from edge_runtime.bench.rows import make_rows
from edge_runtime.simulation import SENSORS

if TYPE_CHECKING:
    from edge_runtime.bench.route import Sink

__all__ = ["csv", "jsonl", "simulate", "stdin", "stdout"]

CSV_ROWS_PER_S_OF_TIME = 10_000
MIN_CSV_ROWS = 2_000
CSV_COLUMNS = ["--time-column", "time", "--machine-column", "machine_id"]


def stdin(task: Task, sink: Sink) -> EndToEnd:
    """Open loop, after a first row that shows that the process is up."""
    options, reader = sink
    header, lines = csv_lines(task.metadata, make_rows(task.metadata, task.rows + 1))
    source = ["--source", "stdin", *CSV_COLUMNS]
    with run_child([*source, *options], task.bundle, task.folder) as child:
        send, read = to_pipe(descriptors(child)[0]), reader(child)
        send_lines(send, [header + lines[0]], task.rate)
        arrivals(read, 1, START_WITHIN_S)
        intended = send_lines(send, lines[1:], task.rate)
        came = arrivals(read, task.rows, START_WITHIN_S + 2 * task.seconds)
    return EndToEnd.on_schedule(task, intended, came)


def csv(task: Task, sink: Sink) -> EndToEnd:
    """A file has no schedule: how fast it goes through."""
    options, reader = sink
    rows = max(MIN_CSV_ROWS, int(CSV_ROWS_PER_S_OF_TIME * task.seconds))
    header, lines = csv_lines(task.metadata, make_rows(task.metadata, rows))
    file = task.folder / "rows.csv"
    file.write_bytes(header + b"".join(lines))
    source = ["--source", "csv", "--input", str(file), *CSV_COLUMNS]
    with run_child([*source, *options], task.bundle, task.folder) as child:
        came = arrivals(reader(child), rows, START_WITHIN_S + 10 * task.seconds)
    # Blocks come as a whole: the first one's rows were there before the clock started.
    after = came > came[0]
    rate = after.sum() / (came[-1] - came[0]) * 1e9 if after.any() else None
    return EndToEnd(rows, None, None, None if rate is None else round(float(rate)))


def simulate(task: Task, sink: Sink) -> EndToEnd:
    """The source keeps the schedule itself; its zero is what the earliest row says it was."""
    if not set(task.metadata.sensor_names) <= set(SENSORS):
        return EndToEnd.without("the simulated machine has other sensors than the bundle")
    options, reader = sink
    schedule = ["--machines", "1", "--speed", "1", "--cadence", f"{1 / task.rate:.9f}"]
    schedule += ["--rows", str(task.rows), "--seed", "0"]
    with run_child(["--source", "simulate", *schedule, *options], task.bundle, task.folder) as child:
        came = arrivals(reader(child), task.rows, START_WITHIN_S + 2 * task.seconds)
    late = came - (np.arange(task.rows) / task.rate * 1e9).astype(np.int64)
    return EndToEnd(task.rows, task.rate, Latency.of(late - late.min()), None)


def stdout(_: Task) -> Sink:
    """A pipe."""
    return ["--sink", "stdout"], lambda child: read_pipe(descriptors(child)[1])


def jsonl(task: Task) -> Sink:
    """Behind the ledger: a row is there when it was committed and delivered."""
    file = task.folder / "verdicts.jsonl"
    return ["--sink", "jsonl", "--output", str(file)], lambda _: read_growing(file)

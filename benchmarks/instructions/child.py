"""What is counted: each path over the same rows, in a process that Valgrind runs.

valgrind --tool=callgrind --instr-atstart=no python -m benchmarks.instructions.child ROWS BUNDLE [parts]
"""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

from benchmarks.floor import plain_call
from benchmarks.instructions.client import Requests
from benchmarks.workloads import SECOND, line_protocol, load, plant
from edge_runtime import Engine, Readings
from edge_runtime.engine.accounts import Accounts
from edge_runtime.mapping.form import Columns
from edge_runtime.sinks.rows import json_lines
from edge_runtime.sources.stdin import StdinSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_runtime import Bundle
    from edge_runtime.sources.base import Batch

BLOCK = 64


def main() -> None:
    """Each path twice: once to warm up, once counted."""
    rows = int(sys.argv[1])
    bundle = load(sys.argv[2])
    readings = plant(rows)
    requests = Requests()
    if len(sys.argv) > 3:
        _parts(bundle, readings, requests)
        return
    paths = {
        "raw": _raw(bundle, readings),
        "one row": _judge(bundle, readings, 1),
        f"{BLOCK} rows": _judge(bundle, readings, BLOCK),
        "one row, text to text": _text(bundle, readings, 1),
        f"{BLOCK} rows, text to text": _text(bundle, readings, BLOCK),
    }
    requests.start()
    gc.disable()  # when it runs depends on all that was made before
    for name, path in paths.items():
        path()
        requests.zero()
        path()
        requests.dump(name)


def _raw(bundle: Bundle, readings: Readings) -> Callable[[], None]:
    """`session.run`, row by row: what the others are compared with."""
    call = plain_call(bundle, _split(readings, 1))

    def path() -> None:
        for i in range(len(readings)):
            call(i)

    return path


def _engine(bundle: Bundle) -> Engine:
    """As `edge-detect run` makes it; the plain bundle was trained for two epochs and rings all the time."""
    return Engine(bundle, alarms=bundle.metadata.alarms is not None)


def _judge(bundle: Bundle, readings: Readings, size: int) -> Callable[[], None]:
    """Through the engine, so many rows at a time."""
    feed, rounds = _engine(bundle).feed, _rounds(readings)
    blocks = iter([_split(each, size) for each in rounds])

    def path() -> None:
        for block in next(blocks):
            feed(block)

    return path


def _text(bundle: Bundle, readings: Readings, size: int) -> Callable[[], None]:
    """Line protocol out of a pipe, judged, and JSON lines: so many rows at a time."""
    sensors, feed = bundle.metadata.sensor_names, _engine(bundle).feed
    batches, write = _source(sensors)
    rounds = iter([[line_protocol(block) for block in _split(each, size)] for each in _rounds(readings)])

    def path() -> None:
        for text in next(rounds):
            os.write(write, text)
            results, _ = feed(next(batches).readings).split()
            assert json_lines(results, sensors).count(b"\n") == text.count(b"\n")

    return path


def _rounds(readings: Readings) -> list[Readings]:
    """The rows, and the same again later: no row is judged twice."""
    times = readings.times
    later = times + (times[-1] - times[0] + SECOND)
    return [readings, Readings(readings.machines, later, readings.values)]


def _source(sensors: tuple[str, ...]) -> tuple[Iterator[Batch], int]:
    """What `edge-detect run --source stdin` reads with, and where to write for it."""
    read, write = os.pipe()
    columns = Columns(sensors, "time", "machine_id", "machine")
    return iter(StdinSource(columns, descriptor=read).batches(None)), write


def _parts(bundle: Bundle, readings: Readings, requests: Requests) -> None:
    """One row after another, what is done with each counted part by part; the first half warms up."""
    sensors = bundle.metadata.sensor_names
    engine, accounts = _engine(bundle), Accounts(bundle.metadata.sensor_names)
    batches, write = _source(sensors)
    blocks = _split(readings, 1)
    call, texts = plain_call(bundle, blocks), [line_protocol(block) for block in blocks]
    requests.start()
    gc.disable()
    for i, text in enumerate(texts):
        dump = requests.drop if 2 * i < len(texts) else requests.dump
        requests.zero()
        call(i)
        dump("raw")
        os.write(write, text)
        block = next(batches).readings
        dump("parsed")
        results, _ = engine.feed(block).split()
        dump("judged")
        accounts.add(results, {})
        dump("accounted for")
        json_lines(results, sensors)
        dump("written")


def _split(readings: Readings, size: int) -> list[Readings]:
    return [readings.take(slice(i, i + size)) for i in range(0, len(readings), size)]


if __name__ == "__main__":
    main()

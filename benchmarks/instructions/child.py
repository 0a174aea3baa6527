"""What is counted: each path over the same rows, in a process that Valgrind runs.

valgrind --tool=callgrind --instr-atstart=no python -m benchmarks.instructions.child ROWS [parts]
"""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

from benchmarks.floor import plain_call
from benchmarks.instructions.client import Requests
from benchmarks.workloads import line_protocol, load, plant
from edge_runtime import Scorer
from edge_runtime.accounts import Accounts
from edge_runtime.csvrows import Columns
from edge_runtime.quality import QualityCheck
from edge_runtime.records import Reason
from edge_runtime.sinks.rows import json_lines
from edge_runtime.sources.stdin import StdinSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_runtime import Bundle
    from edge_runtime.records import Readings
    from edge_runtime.sources.base import Batch

BLOCK = 64


def main() -> None:
    """Each path twice: once to warm up, once counted."""
    rows = int(sys.argv[1])
    bundle = load("default")
    readings = plant(rows)
    requests = Requests()
    if len(sys.argv) > 2:
        _parts(bundle, readings, requests)
        return
    paths = {
        "raw": _raw(bundle, readings),
        "one row": _score(bundle, readings),
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


def _score(bundle: Bundle, readings: Readings) -> Callable[[], None]:
    scorer, blocks = Scorer(bundle), _split(readings, 1)

    def path() -> None:
        for block in blocks:
            scorer.score(block)

    return path


def _text(bundle: Bundle, readings: Readings, size: int) -> Callable[[], None]:
    """Line protocol out of a pipe, its quality checked, scored, and JSON lines: so many rows at a time."""
    sensors = bundle.metadata.sensor_names
    scorer, quality = Scorer(bundle), QualityCheck(bundle.metadata)
    batches, write = _source(sensors)
    texts = [line_protocol(block) for block in _split(readings, size)]

    def path() -> None:
        for text in texts:
            os.write(write, text)
            block = next(batches).readings
            reasons = quality.check(block)
            results = scorer.score(block, reasons=reasons)
            assert json_lines(results, sensors).count(b"\n") == text.count(b"\n")

    return path


def _source(sensors: tuple[str, ...]) -> tuple[Iterator[Batch], int]:
    """What `edge-detect run --source stdin` reads with, and where to write for it."""
    read, write = os.pipe()
    columns = Columns(sensors, "time", "machine_id", "machine")
    return iter(StdinSource(columns, descriptor=read).batches(None)), write


def _parts(bundle: Bundle, readings: Readings, requests: Requests) -> None:
    """One row after another, what is done with each counted part by part; the first half warms up."""
    sensors = bundle.metadata.sensor_names
    scorer, quality, accounts = Scorer(bundle), QualityCheck(bundle.metadata), Accounts()
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
        reasons = quality.check(block)
        scorable = reasons == Reason.NONE
        dump("checked")
        results = scorer.score(block, scorable=scorable, reasons=reasons)
        dump("scored")
        accounts.add(results, {})
        dump("accounted for")
        json_lines(results, sensors)
        dump("written")


def _split(readings: Readings, size: int) -> list[Readings]:
    return [readings.take(slice(i, i + size)) for i in range(0, len(readings), size)]


if __name__ == "__main__":
    main()

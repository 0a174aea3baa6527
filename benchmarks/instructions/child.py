"""What is counted: each path over the same rows, in a process that Valgrind runs.

valgrind --tool=callgrind --instr-atstart=no python -m benchmarks.instructions.child ROWS
"""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

from benchmarks.floor import plain_call
from benchmarks.instructions.client import Requests
from benchmarks.workloads import csv_text, load, plant
from edge_runtime import Scorer
from edge_runtime.csvrows import Columns
from edge_runtime.quality import QualityCheck
from edge_runtime.records import Reason
from edge_runtime.sinks.rows import json_lines
from edge_runtime.sources.stdin import StdinSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime import Bundle
    from edge_runtime.records import Readings

BLOCK = 64


def main() -> None:
    """Each path twice: once to warm up, once counted."""
    rows = int(sys.argv[1])
    bundle = load("default")
    readings = plant(rows)
    paths = {
        "raw": _raw(bundle, readings),
        "one row": _score(bundle, readings),
        "one row, text to text": _text(bundle, readings, 1),
        f"{BLOCK} rows, text to text": _text(bundle, readings, BLOCK),
    }
    requests = Requests()
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
    """CSV out of a pipe, its quality checked, scored, and JSON lines: so many rows at a time."""
    sensors = bundle.metadata.sensor_names
    read, write = os.pipe()
    scorer, quality = Scorer(bundle), QualityCheck(bundle.metadata)
    batches = StdinSource(Columns(sensors, "time", "machine_id", "machine"), descriptor=read).batches(None)
    header = csv_text(readings.take(slice(0, 0)))
    texts = [csv_text(block, header=False) for block in _split(readings, size)]
    os.write(write, header + texts[0])
    next(batches)

    def path() -> None:
        for text in texts:
            os.write(write, text)
            block = next(batches).readings
            reasons = quality.check(block)
            results = scorer.score(block, scorable=reasons == Reason.NONE, reasons=reasons)
            assert json_lines(results, sensors).count(b"\n") == text.count(b"\n")

    return path


def _split(readings: Readings, size: int) -> list[Readings]:
    return [readings.take(slice(i, i + size)) for i in range(0, len(readings), size)]


if __name__ == "__main__":
    main()

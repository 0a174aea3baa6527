"""Line protocol on standard input to JSON lines, as fast as it goes, beside the bare script.

Rows a second from the first block of answers to the last, so that the start is not in it.
"""

from __future__ import annotations

import os
import subprocess
import time
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, paired
from benchmarks.targets.processes import bare, edge_detect, environment
from benchmarks.workloads import (
    BUILD,
    FEW_STREAM_ROWS,
    QUICK_ROUNDS,
    ROUNDS,
    STREAM_MACHINES,
    STREAM_ROWS,
    line_protocol,
    plant,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["measure"]

MIN_PER_S = 200_000


def measure(*, quick: bool) -> Iterator[Figure]:
    """Rows a second of ten machines."""
    shorter = 5 if quick else 1
    many, few = _file(STREAM_ROWS // shorter), _file(FEW_STREAM_ROWS // shorter)
    ours, theirs = [], []
    for _ in range(QUICK_ROUNDS if quick else ROUNDS):
        ours.append(_rows_per_second(edge_detect("run", "--bundle", "default", "--source", "stdin"), many))
        theirs.append(_rows_per_second(bare("default"), few))
    for path in (many, few):
        path.unlink()
    target = "line protocol on stdin to JSON lines"
    yield paired(target, "run", "bare script", "rows/s", ours, theirs, at_least=10)
    yield Figure(target, "run", "", "rows/s", median(ours), at_least=MIN_PER_S, rounds=len(ours))


def _file(rows: int) -> Path:
    path = BUILD / f"{rows}.lp"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(line_protocol(plant(rows, machines=STREAM_MACHINES)))
    return path


def _rows_per_second(command: list[str], path: Path) -> float:
    with (
        path.open("rb") as lines,
        subprocess.Popen(
            command, stdin=lines, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment()
        ) as process,
    ):
        assert process.stdout is not None
        output = process.stdout.fileno()
        first = os.read(output, 1 << 20)
        started, ended, rows = time.perf_counter(), 0.0, 0
        while data := os.read(output, 1 << 20):
            rows += data.count(b"\n")
            ended = time.perf_counter()
    expected = sum(1 for _ in path.open("rb"))
    if process.returncode or rows + first.count(b"\n") != expected:
        raise RuntimeError(f"{rows:,} answers to {expected:,} rows, exit code {process.returncode}")
    return rows / (ended - started)

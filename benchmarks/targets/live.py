"""Rows one by one at a given rate: from standard input to a verdict, and what that costs the processor.

Open loop: a row is sent when its time has come, whatever became of the one before; its clock runs from the
moment it is written into the pipe. `edge-detect run` and the bare script live side by side and get the same
rows, half a period apart.
"""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.figures import Figure, paired
from benchmarks.targets.processes import Child, bare, children, edge_detect
from benchmarks.workloads import QUICK_ROUNDS, ROUNDS, line_protocol, plant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["measure"]

RATE = 100
IDLE_RATE = 10
WARM_UP_ROWS = 100


def measure(*, quick: bool) -> Iterator[Figure]:
    """p99 and p99.9 at 100 rows a second, processor time at 10 and 100."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    with children(edge_detect("run", "--source", "stdin"), bare("default")) as pair:
        _send(pair, WARM_UP_ROWS, RATE)
        seconds = 2 if quick else 30
        found = [_measured(pair, seconds * RATE, RATE) for _ in range(rounds)]
        yield from _latency(found)
        yield from _cpu(found, RATE)
        found = [_measured(pair, (1 if quick else 6) * IDLE_RATE, IDLE_RATE) for _ in range(rounds)]
        yield from _cpu(found, IDLE_RATE)


# For each child: milliseconds of each row, and percent of a core.
Round = tuple[list[list[float]], list[float]]


def _measured(pair: Sequence[Child], rows: int, rate: int) -> Round:
    before, started = [child.cpu_ns() for child in pair], time.perf_counter_ns()
    latencies = _send(pair, rows, rate)
    elapsed = time.perf_counter_ns() - started
    return latencies, [
        (child.cpu_ns() - cpu) / elapsed * 100 for child, cpu in zip(pair, before, strict=True)
    ]


def _send(pair: Sequence[Child], rows: int, rate: int) -> list[list[float]]:
    """Milliseconds from writing a row to its answer, for each child."""
    lines = line_protocol(plant(rows)).splitlines(keepends=True)
    sent: list[list[float]] = [[] for _ in pair]
    answered: list[list[float]] = [[] for _ in pair]
    begin, step = time.perf_counter() + 0.05, 1 / rate / len(pair)
    place = {child.stdout: found for child, found in zip(pair, answered, strict=True)}
    for turn in range(rows * len(pair) + rate):
        due = begin + turn * step
        while (rest := due - time.perf_counter()) > 0:
            for stream in select.select(list(place), [], [], rest)[0]:
                count = os.read(stream, 1 << 16).count(b"\n")
                place[stream] += [time.perf_counter()] * count
        row, who = divmod(turn, len(pair))
        if row < rows:
            sent[who].append(time.perf_counter())
            os.write(pair[who].stdin, lines[row])
        elif all(len(found) == rows for found in answered):
            break
    for found in answered:
        if len(found) != rows:
            raise RuntimeError(f"{len(found)} answers to {rows} rows")
    return [
        [(b - a) * 1e3 for a, b in zip(*times, strict=True)] for times in zip(sent, answered, strict=True)
    ]


def _latency(found: Sequence[Round]) -> Iterator[Figure]:
    target = f"a row at {RATE} rows/s, stdin to verdict"
    for name, quantile, most in (("p50", 0.5, None), ("p99", 0.99, 1.2)):
        ours, theirs = ([float(np.quantile(one[0][who], quantile)) for one in found] for who in range(2))
        yield paired(target, f"run, {name}", "bare script", "ms", ours, theirs, at_most=most)
    # So few rows are above it that only all rounds together know it.
    tail, other = (
        float(np.quantile(np.concatenate([one[0][who] for one in found]), 0.999)) for who in range(2)
    )
    yield Figure(target, "run, p99.9", "", "ms", tail, other, at_most=5.0, rounds=len(found))


def _cpu(found: Sequence[Round], rate: int) -> Iterator[Figure]:
    ours, theirs = ([one[1][who] for one in found] for who in range(2))
    target = f"processor time at {rate} rows/s"
    yield paired(target, "run", "bare script", "% core", ours, theirs)
    if rate == IDLE_RATE:
        middle = float(np.median(ours))
        yield Figure(target, "run", "", "% core", middle, at_most=0.5, rounds=len(found))

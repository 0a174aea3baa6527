"""Rows one by one at a given rate: from standard input to a verdict, and what that costs the processor.

Open loop: a row is sent when its time has come, whatever became of the one before; its clock runs from the
moment it is written into the pipe. `edge-detect run` and what it is compared with live side by side and get
the same rows, one after the other within a period.
"""

from __future__ import annotations

import os
import select
import time
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.figures import Figure, paired
from benchmarks.targets.processes import Child, bare, children, edge_detect, woken
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
    ours, script = edge_detect("run", "--bundle", "default", "--source", "stdin"), bare("default")
    with children(ours, script) as pair:
        seconds = 2 if quick else 30
        lines = _warmed_up(pair, rounds * seconds * RATE)
        found = [_measured(pair, lines, seconds * RATE, RATE) for _ in range(rounds)]
        yield from _latency(found)
        yield from _cpu(found, RATE)
    with children(ours, script, woken()) as all_three:
        each = (1 if quick else 6) * IDLE_RATE
        lines = _warmed_up(all_three, rounds * each)
        found = [_measured(all_three, lines, each, IDLE_RATE) for _ in range(rounds)]
        yield from _cpu(found, IDLE_RATE)


# For each child: milliseconds of each row, and percent of a core.
Round = tuple[list[list[float]], list[float]]


def _warmed_up(group: Sequence[Child], rows: int) -> Iterator[bytes]:
    """Lets all of them answer some rows at the higher rate; returns the rows that follow those in time."""
    lines = iter(line_protocol(plant(1 + WARM_UP_ROWS + rows)).splitlines(keepends=True))
    first = next(lines)
    for child in group:
        child.ask(first)
    _send(group, list(islice(lines, WARM_UP_ROWS)), RATE)
    return lines


def _measured(group: Sequence[Child], lines: Iterator[bytes], rows: int, rate: int) -> Round:
    some = list(islice(lines, rows))
    before, started = [child.cpu_ns() for child in group], time.perf_counter_ns()
    latencies = _send(group, some, rate)
    elapsed = time.perf_counter_ns() - started
    return latencies, [
        (child.cpu_ns() - cpu) / elapsed * 100 for child, cpu in zip(group, before, strict=True)
    ]


def _send(group: Sequence[Child], lines: Sequence[bytes], rate: int) -> list[list[float]]:
    """Milliseconds from writing a row to its answer, for each child."""
    rows = len(lines)
    sent: list[list[float]] = [[] for _ in group]
    answered: list[list[float]] = [[] for _ in group]
    begin, step = time.perf_counter() + 0.05, 1 / rate / len(group)
    place = {child.stdout: found for child, found in zip(group, answered, strict=True)}
    for turn in range(rows * len(group) + rate):
        due = begin + turn * step
        while (rest := due - time.perf_counter()) > 0:
            for stream in select.select(list(place), [], [], rest)[0]:
                data = os.read(stream, 1 << 16)
                place[stream] += [time.perf_counter()] * data.count(b"\n")
                if b'"unknown"' in data:
                    raise RuntimeError("a row was not scored")
        row, who = divmod(turn, len(group))
        if row < rows:
            sent[who].append(time.perf_counter())
            os.write(group[who].stdin, lines[row])
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
    ours, *others = ([one[1][who] for one in found] for who in range(len(found[0][1])))
    target = f"processor time at {rate} rows/s"
    for name, theirs in zip(("bare script", "ONNX Runtime alone, woken"), others, strict=False):
        yield paired(target, "run", name, "% core", ours, theirs)
    if rate == IDLE_RATE:
        middle = float(np.median(ours))
        yield Figure(target, "run", "", "% core", middle, at_most=0.5, rounds=len(found))

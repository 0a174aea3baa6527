"""Rows offered on a fixed schedule, whatever becomes of the ones before: an open loop.

A row's latency counts from the moment at which it was meant to come and not from when somebody had time
for it. Who waits for the last answer before the next question leaves out the very rows that a stall delays
("coordinated omission", Gil Tene, How NOT to Measure Latency, 2013).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.bench.latency import Latency
from edge_runtime.bench.neighbours import busy_neighbours
from edge_runtime.bench.rows import make_rows, rising
from edge_runtime.engine.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.loading.load import Bundle

__all__ = ["Jitter", "Jitters", "measure_jitter", "offer"]

DISTINCT_ROWS = 256
WARM_UP_ROWS = 200


@dataclass(frozen=True, slots=True)
class Jitter:
    """Rows on a schedule.

    Attributes:
        wake_us: From the moment at which a row was meant to come to the one at which it was taken up.
        latency_us: From the moment at which it was meant to come to its verdict.
    """

    wake_us: Latency
    latency_us: Latency


@dataclass(frozen=True, slots=True)
class Jitters:
    """The same, on a machine with nothing else to do and on a busy one.

    Attributes:
        rate: Rows a second.
        neighbours: Number of busy processes beside the second measurement.
        idle: Without them.
        busy: With them.
    """

    rate: float
    neighbours: int
    idle: Jitter
    busy: Jitter


def offer(
    call: Callable[[int], object], *, rate: float, rows: int, sleep: Callable[[float], object] = time.sleep
) -> Jitter:
    """Calls with 0, 1, 2, … on a schedule that no call can move.

    Args:
        call: Takes the row of this number.
        rate: Rows a second.
        rows: How many.
        sleep: Waits so many seconds.
    """
    clock = time.monotonic_ns
    wakes, latencies = np.zeros((2, rows), np.int64)
    started = clock()
    for i in range(rows):
        intended = started + int((i + 1) / rate * 1e9)
        wait = intended - clock()
        if wait > 0:
            sleep(wait / 1e9)
        wakes[i] = clock() - intended
        call(i)
        latencies[i] = clock() - intended
    return Jitter(Latency.of(wakes), Latency.of(latencies))


def measure_jitter(bundle: Bundle, *, rate: float, seconds: float) -> Jitters:
    """Offers rows to `Engine.feed`, half of the time alone and half beside a busy process on every CPU.

    Args:
        bundle: What scores them.
        rate: Rows a second.
        seconds: For both together.
    """
    rows = make_rows(bundle.metadata, DISTINCT_ROWS)
    blocks = [rows.take(slice(i, i + 1)) for i in range(DISTINCT_ROWS)]
    call, each = rising(Engine(bundle).feed, blocks), max(3, round(rate * seconds / 2))
    for i in range(WARM_UP_ROWS):
        call(i)
    idle = offer(call, rate=rate, rows=each)
    with busy_neighbours() as neighbours:
        busy = offer(call, rate=rate, rows=each)
    return Jitters(rate, neighbours, idle, busy)

"""One complete row of a known machine: the same steps as for a block, without an array that is not a result.

This is what a gateway does all day. Whatever is not ordinary about a row is left to the path for blocks.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.engine.verdict import LARGEST
from edge_runtime.records import Reason, Results, Scores, Verdict
from edge_runtime.scoring.inference import seconds_of_day

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge_runtime.engine.machine import Machine
    from edge_runtime.engine.quality import Quality
    from edge_runtime.engine.sensors import SensorWatch
    from edge_runtime.engine.times import Times
    from edge_runtime.engine.verdict import Judge
    from edge_runtime.records import Readings
    from edge_runtime.scoring.graph import Graph

    Ordinary = Callable[[Readings, NDArray[np.float32], int | None], Machine | None]
    Row = Callable[[Readings, NDArray[np.float32], int | None], Results | None]

__all__ = ["NORMAL_ROW", "row_path"]

# What one row's results are made of; read-only, for all such rows share them.
NOTHING = np.zeros(1, np.float32)
NO_REASON = np.full(1, Reason.NONE, np.int8)
NORMAL_ROW = np.full(1, Verdict.NORMAL, np.int8)
VERDICTS = {False: NORMAL_ROW, True: np.full(1, Verdict.ANOMALY, np.int8)}
for shared in (NO_REASON, *VERDICTS.values()):
    shared.flags.writeable = False


def row_path(times: Times, quality: Quality, watch: SensorWatch | None, graph: Graph, judge: Judge) -> Row:
    """What judges one row; it gives None, and leaves everything as it was, for a row that is not ordinary.

    A function for the model at hand, whose names are bound once: on a small model, finding them again for
    each row would take a twentieth of the row.
    """
    remembers = graph.memory or judge.per_machine or judge.debounce.counts or judge.hold.holds
    path = _remembering if remembers or graph.asks_for_time else _forgetting
    take = None if watch is None else watch.take_row
    return path(_ordinary(times, quality, watch), times, take, graph, judge)


def _ordinary(times: Times, quality: Quality, watch: SensorWatch | None) -> Ordinary:
    """The row's machine, where the row is newer than its last one and all of its readings can be used."""
    machines, future, ranges = times.machines, times.future_ns, quality.ranges
    is_ordinary = None if watch is None else watch.is_ordinary

    def ordinary(readings: Readings, values: NDArray[np.float32], now: int | None) -> Machine | None:
        moment = readings.times.item()
        machine = machines.get(readings.machine)
        if machine is None or moment <= machine.newest or (now is not None and moment > now + future):
            return None
        row = values.tolist()[0]
        for reading, (low, high) in zip(row, ranges, strict=True):
            if not low <= reading <= high:
                return None
        if is_ordinary is not None and not is_ordinary(machine.name, moment, row):
            return None
        return machine

    return ordinary


def _forgetting(
    ordinary: Ordinary, times: Times, take: Callable[[], None] | None, graph: Graph, judge: Judge
) -> Row:
    """Of a model without memory, debounce and hold: nothing but the threshold."""
    one_row, limit, moved, new = graph.one_row, judge.value, times.moved.add, NOTHING.copy
    row, call, score_of = one_row.readings, one_row.calls[0], one_row.score
    score_copy, errors_copy, expected_copy = one_row.copies

    def path(readings: Readings, values: NDArray[np.float32], now: int | None) -> Results | None:
        machine = ordinary(readings, values, now)
        if machine is None:
            return None
        row[...] = values
        call()
        score = score_of()
        relative = score / limit
        if not -LARGEST < relative < LARGEST:
            return None
        machine.add_row(readings.times.item(), values)
        moved(machine.name)
        if take is not None:
            take()
        severity = new()
        severity[0] = relative
        scores = Scores(score_copy(), errors_copy(), expected_copy())
        return Results(readings, scores, severity, VERDICTS[score > limit], NO_REASON)

    return path


def _remembering(
    ordinary: Ordinary, times: Times, take: Callable[[], None] | None, graph: Graph, judge: Judge
) -> Row:
    """Of any other model."""
    one_row, limit, moved, new = graph.one_row, judge.value, times.moved.add, NOTHING.copy
    names, debounce, hold = judge.per_machine, judge.debounce, judge.hold
    memory, asks_for_time = graph.memory, graph.asks_for_time

    def path(readings: Readings, values: NDArray[np.float32], now: int | None) -> Results | None:
        machine = ordinary(readings, values, now)
        if machine is None:
            return None
        name = machine.name
        seconds = seconds_of_day(readings.times) if asks_for_time else None
        score = one_row.run(values, seconds) if memory is None else memory.run_row(name, values, seconds)
        if not isfinite(score):
            return None
        machine.add_row(readings.times.item(), values)
        moved(name)
        if take is not None:
            take()
        threshold = names.get(name, limit)
        anomalous = hold.one_row(name, debounce.one_row(name, score > threshold))
        severity = new()
        severity[0] = min(score / threshold, LARGEST)
        return Results(readings, one_row.copy(), severity, VERDICTS[anomalous], NO_REASON)

    return path

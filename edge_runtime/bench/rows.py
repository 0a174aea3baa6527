"""The rows that are measured with: made up within what the bundle was trained on, the same every time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.records import Readings
from edge_runtime.scoring.baseline import no_baseline
from edge_runtime.scoring.inference import initial_state, output_names, seconds_of_day

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime.bundle.metadata import Metadata

__all__ = ["make_rows", "raw_call", "rising"]

SEED = 0
FAULT_EVERY = 500
FAULT_ROWS = 10


def make_rows(metadata: Metadata, rows: int) -> Readings:
    """Consecutive readings of one machine: the bundle's golden rows over and over, now and then a fault.

    In each `FAULT_EVERY` rows, the last `FAULT_ROWS` have every sensor anywhere in its training range.
    """
    golden = np.asarray(metadata.golden.readings, np.float32)
    values = golden[np.arange(rows) % len(golden)]
    low, high = np.array([sensor.training_range for sensor in metadata.sensors], np.float64).T
    faulty = np.flatnonzero(np.arange(rows) % FAULT_EVERY >= FAULT_EVERY - FAULT_ROWS)
    values[faulty] = np.random.default_rng(SEED).uniform(low, high, (len(faulty), len(low)))
    times = np.arange(rows, dtype=np.int64) * int(metadata.cadence_seconds * 1e9)
    return Readings.coded(("machine-1",), None, times, values)


def raw_call(metadata: Metadata, rows: Readings) -> tuple[list[str], dict[str, Any]]:
    """Outputs and inputs of `session.run` for these rows, of a machine at its start."""
    model, inputs = metadata.model, {"readings": rows.values}
    if model.time_of_day:
        inputs["time_of_day"] = seconds_of_day(rows.times)
    state, baseline = initial_state(model), metadata.baseline
    if state is not None:
        inputs["state"] = state
    if baseline is not None:
        inputs["baseline"], inputs["bound"] = no_baseline(len(baseline.spread))
    return output_names(memory=state is not None, baseline=baseline is not None), inputs


def rising(judge: Callable[[Readings], object], blocks: Sequence[Readings]) -> Callable[[int], object]:
    """Judges one block after another, round after round, as if the machine went on and on.

    The engine judges no row twice, so each round's times are later than the last one's. They are written into
    the blocks that are there, and that is part of what is measured: a few hundredths of a microsecond.

    Args:
        judge: Such as `Engine.feed`.
        blocks: All of one number of rows, and one after the other in time.
    """
    own = [Readings.coded(("machine-1",), None, block.times.copy(), block.values) for block in blocks]
    times, count, single = [block.times for block in own], len(own), len(own[0]) == 1
    first = int(times[0][0])
    step = (int(times[-1][-1]) - first) // max(1, count * len(own[0]) - 1) or 1
    round_ns = np.array(step * count * len(own[0]), np.int64)
    number = -1

    def call(_: int) -> object:
        nonlocal number
        number += 1
        place = number % count
        if single:
            times[place][0] = first + number * step
        elif number >= count:
            np.add(times[place], round_ns, out=times[place])
        return judge(own[place])

    return call

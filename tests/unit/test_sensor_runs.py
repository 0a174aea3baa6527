"""A run begins with the reading that ended the one before it, whether rows come one by one or in a block."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.bundle.judging import SensorLimit, SensorStatus
from edge_runtime.engine.sensors import SensorWatch
from edge_runtime.records import Readings

SECOND = 10**9


def flat_rows(readings: list[float], size: int) -> list[int]:
    """The rows at which a sensor is flat that is so from the fourth reading within 0.5 on."""
    watch = SensorWatch(SensorStatus((SensorLimit(4, 0.5, None),), 1), 1.0)
    found: list[int] = []
    for start in range(0, len(readings), size):
        part = np.asarray(readings[start : start + size], np.float32)[:, None]
        times = SECOND * np.arange(start, start + len(part))
        if len(part) == 1 and watch.is_ordinary("m", int(times[0]), part[0].tolist()):
            watch.take_row()
            continue
        faults, moved = watch.check(Readings(np.full(len(part), "m"), times, part), None, None)
        watch.take(moved)
        found += [] if faults is None else (start + np.flatnonzero(faults[:, 0])).tolist()
    return found


def test_a_run_does_not_begin_with_a_reading_from_before_a_break() -> None:
    readings = [5.0, 9.0, 5.3, 5.7, 5.7, 5.7, 5.7]
    # 5.7 is within 0.5 of 5.3, with which the run begins, and not of the 5.0 from before the 9.0.
    assert flat_rows(readings, 1) == flat_rows(readings, len(readings)) == [5, 6]


@pytest.mark.parametrize("size", [1, 2, 7, 9])
def test_rows_one_by_one_and_blocks_have_the_same_runs(size: int) -> None:
    drawn = np.random.default_rng(0).integers(0, 6, (300, 40)) * 0.3
    expected = [flat_rows(readings, 40) for readings in drawn.tolist()]
    assert sum(map(bool, expected)) > 30
    assert [flat_rows(readings, size) for readings in drawn.tolist()] == expected

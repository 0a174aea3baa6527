"""Rows that came without a time get the time of their arrival, each its own and in the order they came."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.records import NO_TIME, Readings

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["dated"]

MICROSECOND_NS = 1000


def dated(
    readings: Readings, arrival: int, newest: Callable[[str], int], latest: int | None = None
) -> Readings:
    """The same rows, with a time each.

    The first row of a machine that has none gets the time of arrival, the next one a microsecond more, and so
    on; but each is at least a microsecond later than the row of its machine before it.

    Args:
        readings: In the order in which they came; `NO_TIME` where a row has no time.
        arrival: When they came, nanoseconds since the epoch.
        newest: A machine's newest time, before these rows.
        latest: A row with a later time is of the future, and moves nothing; None where there is no future.
    """
    groups = readings.groups
    times = groups.gather(readings.times).copy()
    for machine, rows in groups:
        times[rows] = _of_machine(times[rows], arrival, newest(machine), latest)
    names, codes = readings.dictionary
    return Readings.coded(names, codes, groups.scatter(times), readings.values)


def _of_machine(times: NDArray[np.int64], arrival: int, newest: int, latest: int | None) -> NDArray[np.int64]:
    steps = np.arange(len(times), dtype=np.int64) * MICROSECOND_NS
    lacking = times == NO_TIME
    if lacking.all():
        return max(arrival, newest + MICROSECOND_NS) + steps
    before, number = newest, 0
    for row, lacks in enumerate(lacking.tolist()):
        if lacks:
            times[row] = max(arrival + number * MICROSECOND_NS, before + MICROSECOND_NS)
            number += 1
        if latest is None or lacks or times[row] <= latest:
            before = max(before, int(times[row]))
    return times

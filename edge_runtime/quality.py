"""Sensor faults: which rows say nothing about the machine, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.records import Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Metadata
    from edge_runtime.records import Readings

__all__ = ["QualityCheck"]


class QualityCheck:
    """Checks rows before they are scored. Keeps each machine's newest time, so one feed needs one check.

    Args:
        metadata: The bundle's: its sensors' physical ranges.
    """

    def __init__(self, metadata: Metadata) -> None:
        ranges = [sensor.physical_range or (-np.inf, np.inf) for sensor in metadata.sensors]
        self._low, self._high = np.asarray(ranges, np.float32).T
        self._newest: dict[str, int] = {}

    def check(self, readings: Readings) -> NDArray[np.int8]:
        """The reason for each row, [rows] codes of `Reason`; NONE for a row that may be scored."""
        values = readings.values
        reasons = np.zeros(len(readings), np.int8)
        reasons[self._out_of_order(readings)] = Reason.TIME_BACKWARDS
        outside = ((values < self._low) | (values > self._high)).any(1)
        reasons[outside] = Reason.OUT_OF_RANGE
        finite = np.isfinite(values)
        if not finite.all():
            reasons[~finite.all(1)] = Reason.NOT_FINITE
            reasons[np.isnan(values).any(1)] = Reason.MISSING
        return reasons

    def state(self) -> dict[str, int]:
        """Machine id to its newest time: what a later process needs to go on, JSON-ready."""
        return dict(self._newest)

    def restore(self, state: dict[str, int]) -> None:
        """Goes on from what `state` gave."""
        self._newest = {machine: int(moment) for machine, moment in state.items()}

    def _out_of_order(self, readings: Readings) -> NDArray[np.bool_]:
        """Rows that are not newer than every earlier one of their machine."""
        late = np.zeros(len(readings), np.bool_)
        names, of_row = np.unique(readings.machines, return_inverse=True)
        order = np.argsort(of_row, kind="stable")
        bounds = np.searchsorted(of_row[order], np.arange(len(names) + 1))
        for i, name in enumerate(names.tolist()):
            rows = order[bounds[i] : bounds[i + 1]]
            times = readings.times[rows]
            if name in self._newest:
                before = np.concatenate([[self._newest[name]], times[:-1]])
                late[rows] = times <= np.maximum.accumulate(before)
            else:
                late[rows[1:]] = times[1:] <= np.maximum.accumulate(times[:-1])
            self._newest[name] = max(self._newest.get(name, int(times[0])), int(times.max()))
        return late

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

# What a single row that may be scored gets; read-only, for all such rows share it.
FINE = np.full(1, Reason.NONE, np.int8)
FINE.flags.writeable = False
LARGEST = float(np.finfo(np.float32).max)
# Before every time that int64 nanoseconds hold.
NEVER = -(2**63)


class QualityCheck:
    """Checks rows before they are scored. Keeps each machine's newest time, so one feed needs one check.

    Args:
        metadata: The bundle's: its sensors' physical ranges.
    """

    def __init__(self, metadata: Metadata) -> None:
        ranges = [sensor.physical_range or (-LARGEST, LARGEST) for sensor in metadata.sensors]
        self._low, self._high = np.asarray(ranges, np.float32).T
        self._lows, self._highs = self._low.tolist(), self._high.tolist()
        self._newest: dict[str, int] = {}

    def check(self, readings: Readings) -> NDArray[np.int8]:
        """The reason for each row, [rows] codes of `Reason`; NONE for a row that may be scored."""
        if len(readings) == 1 and self._is_fine(readings):
            return FINE
        values = readings.values
        late = self._out_of_order(readings)
        reasons = np.where(late, np.int8(Reason.TIME_BACKWARDS), np.int8(Reason.NONE))
        # Neither NaN nor an infinity is within; what is left to find is rare.
        within = (values >= self._low) & (values <= self._high)
        if not within.all():
            reasons[((values < self._low) | (values > self._high)).any(1)] = Reason.OUT_OF_RANGE
            reasons[~np.isfinite(values).all(1)] = Reason.NOT_FINITE
            reasons[np.isnan(values).any(1)] = Reason.MISSING
        return reasons

    def _is_fine(self, readings: Readings) -> bool:
        """Whether a single row may be scored; what it looks at is not more than the row."""
        machine, moment = readings.machine, readings.times.item()
        if moment <= self._newest.get(machine, NEVER):
            return False
        for low, reading, high in zip(self._lows, readings.values.tolist()[0], self._highs, strict=True):
            if not low <= reading <= high:
                return False
        self._newest[machine] = moment
        return True

    def state(self) -> dict[str, int]:
        """Machine id to its newest time: what a later process needs to go on, JSON-ready."""
        return dict(self._newest)

    def restore(self, state: dict[str, int]) -> None:
        """Goes on from what `state` gave."""
        self._newest = {machine: int(moment) for machine, moment in state.items()}

    def _out_of_order(self, readings: Readings) -> NDArray[np.bool_]:
        """Rows that are not newer than every earlier one of their machine."""
        groups, newest = readings.groups, self._newest
        times = groups.gather(readings.times)
        late = np.zeros(len(readings), np.bool_)
        for machine, rows in groups:
            before = newest.get(machine, NEVER)
            if rows.stop - rows.start == 1:
                moment = int(times[rows.start])
                late[rows.start] = moment <= before
                newest[machine] = max(before, moment)
                continue
            of_machine = times[rows]
            if of_machine[0] > before and (of_machine[1:] > of_machine[:-1]).all():
                newest[machine] = int(of_machine[-1])
                continue
            # The newest time before each row, its machine's last one included.
            until = np.maximum.accumulate(np.concatenate([[before], of_machine]))
            late[rows] = of_machine <= until[:-1]
            newest[machine] = int(until[-1])
        return groups.scatter(late)

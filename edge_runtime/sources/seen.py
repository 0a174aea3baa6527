"""Which rows of a feed that is read by time were delivered, so that reading a stretch again repeats none."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from edge_runtime.influxdb.rows import Rows

__all__ = ["Seen"]


class Seen:
    """The newest time, and every row within the lateness before it.

    Args:
        start_ns: First time of all.
        lateness_ns: How far back a row may still turn up.
    """

    def __init__(self, start_ns: int, lateness_ns: int) -> None:
        self._start_ns = start_ns
        self._lateness_ns = lateness_ns
        self._newest = start_ns - 1
        self._rows: dict[str, set[int]] = {}
        self._held: set[tuple[str, int]] = set()
        self._conflicts: dict[str, set[int]] = {}

    @property
    def newest(self) -> int:
        """The newest time that was delivered, nanoseconds."""
        return self._newest

    @property
    def holds(self) -> bool:
        """Whether rows are held back, to be looked at once more."""
        return bool(self._held)

    @property
    def from_ns(self) -> int:
        """First time to read."""
        return max(self._start_ns, self._newest - self._lateness_ns + 1)

    def fresh(self, rows: Rows, *, newest: bool = False) -> Rows:
        """The rows of a block that were not delivered before; counts them as delivered.

        Args:
            rows: Rows in the order of time.
            newest: Whether these are the last rows there are so far. InfluxDB shows a point that is just
                being written field by field, so among them a row that lacks a sensor is held back once: the
                next look finds it complete, or as it is.
        """
        block = rows.readings
        keep = block.times >= self.from_ns
        for i in np.flatnonzero(keep & (block.times <= self._newest)).tolist():
            keep[i] = int(block.times[i]) not in self._rows.get(str(block.machines[i]), ())
        self._hold(rows, keep, newest=newest)
        fresh = rows if keep.all() else rows.take(keep)
        if len(fresh):
            self._add(fresh.readings.machines, fresh.readings.times)
        return fresh

    def conflicting(self, rows: Rows) -> Rows:
        """The rows that others contradict, each once, also when it was delivered before those came."""
        if rows.conflicts is None:
            return rows.take(slice(0, 0))
        machines, times = rows.readings.machines, rows.readings.times
        keep = (rows.conflicts > 0) & (times >= self.from_ns)
        for i in np.flatnonzero(keep).tolist():
            told = self._conflicts.setdefault(str(machines[i]), set())
            keep[i] = int(times[i]) not in told
            told.add(int(times[i]))
        return rows.take(keep)

    def _hold(self, rows: Rows, keep: NDArray[np.bool_], *, newest: bool) -> None:
        """Takes rows out of `keep` that lack a sensor and were not held back before."""
        held, self._held = self._held, set()
        block = rows.readings
        if not newest or not len(block):
            return
        recent = block.times > int(block.times.max()) - self._lateness_ns
        lacking = np.isnan(block.values)
        if rows.unreadable is not None:
            lacking &= ~rows.unreadable  # there is a value, which waiting makes no number
        for i in np.flatnonzero(keep & recent & lacking.any(axis=1)).tolist():
            row = str(block.machines[i]), int(block.times[i])
            if row not in held:
                self._held.add(row)
                keep[i] = False

    def _add(self, machines: NDArray[np.str_], times: NDArray[np.int64]) -> None:
        self._newest = max(self._newest, int(times.max()))
        oldest = self.from_ns
        recent = times >= oldest
        for machine, moment in zip(machines[recent].tolist(), times[recent].tolist(), strict=True):
            self._rows.setdefault(machine, set()).add(moment)
        self._rows, self._conflicts = _since(oldest, self._rows), _since(oldest, self._conflicts)

    def checkpoint(self) -> str:
        """Where to go on, as JSON.

        A machine's times are written as steps back from the newest, each with how often it is taken: a
        regular feed takes a few numbers, however far back it goes.
        """
        steps = {machine: _steps(self._newest, rows) for machine, rows in sorted(self._rows.items())}
        document = {"start": self._start_ns, "newest": self._newest, "seen": steps}
        if self._conflicts:
            conflicts = {m: _steps(self._newest, times) for m, times in sorted(self._conflicts.items())}
            document["conflicts"] = conflicts
        return json.dumps(document, separators=(",", ":"))

    def restore(self, checkpoint: str) -> None:
        """Goes on from what `checkpoint` gave.

        Raises:
            SourceError: It is the checkpoint of another kind of source.
        """
        try:
            document: dict[str, Any] = json.loads(checkpoint)
            self._start_ns, self._newest = int(document["start"]), int(document["newest"])
            self._rows = {m: _times(self._newest, steps) for m, steps in document["seen"].items()}
            conflicts = document.get("conflicts", {})
            self._conflicts = {m: _times(self._newest, steps) for m, steps in conflicts.items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise SourceError(
                "the ledger's checkpoint is not one of an InfluxDB",
                mend="use another --state file for this source",
            ) from None


def _since(oldest: int, rows: dict[str, set[int]]) -> dict[str, set[int]]:
    kept = {machine: {time for time in times if time >= oldest} for machine, times in rows.items()}
    return {machine: times for machine, times in kept.items() if times}


def _steps(newest: int, times: Iterable[int]) -> list[list[int]]:
    back = sorted(newest - time for time in times)
    steps = np.diff(back, prepend=0).tolist()
    return [[step, sum(1 for _ in same)] for step, same in groupby(steps)]


def _times(newest: int, steps: Iterable[list[int]]) -> set[int]:
    times, moment = set(), newest
    for step, count in steps:
        for _ in range(int(count)):
            moment -= int(step)
            times.add(moment)
    return times

"""When each machine's anomalies began and ended."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Container

    from numpy.typing import NDArray

    from edge_runtime.records import Results

__all__ = ["Anomalies", "Anomaly"]

MAX_ANOMALIES = 64


@dataclass(slots=True, eq=False)
class Anomaly:
    """A stretch of anomalous rows of one machine; rows of which nothing is known do not end it.

    Attributes:
        machine: Its id.
        since: Data time of the first row, nanoseconds since the epoch.
        sensor: The place of the sensor that stands out in that row.
        actual: That sensor's reading in that row, raw units.
        expected: What was expected instead, raw units.
        ended: Data time of the first normal row after it, nanoseconds since the epoch; None so far.
    """

    machine: str
    since: int
    sensor: int
    actual: float
    expected: float
    ended: int | None = None


class Anomalies:
    """Those that go on, one a machine at most, and the last 64 of all.

    Attributes:
        open: By machine, the one of which no end was seen.
        last: Newest first.
    """

    def __init__(self) -> None:
        self.open: dict[str, Anomaly] = {}
        self.last: deque[Anomaly] = deque(maxlen=MAX_ANOMALIES)

    def follow(self, results: Results, machines: Container[str]) -> None:
        """Takes a block; only machines whose anomaly begins or ends in it are looked at.

        Args:
            results: Any rows.
            machines: Those to heed.
        """
        anomalous = results.verdicts == Verdict.ANOMALY
        if not (self.open or anomalous.any()):
            return
        groups = results.readings.groups
        normal = results.verdicts == Verdict.NORMAL
        begins, ends = (
            np.logical_or.reduceat(groups.gather(some), groups.bounds[:-1]).tolist()
            for some in (anomalous, normal)
        )
        rows = np.arange(len(results)) if groups.order is None else groups.order
        begun: list[Anomaly] = []
        for (name, place), may_begin, may_end in zip(groups, begins, ends, strict=True):
            if (may_end if name in self.open else may_begin) and name in machines:
                begun += self._follow_one(name, results, rows[place])
        self.last.extendleft(sorted(begun, key=lambda anomaly: anomaly.since))

    def _follow_one(self, name: str, results: Results, rows: NDArray[np.intp]) -> list[Anomaly]:
        """Those of one machine that begin in these rows of a block."""
        begun: list[Anomaly] = []
        rows = rows[results.verdicts[rows] != Verdict.UNKNOWN]
        anomalous = results.verdicts[rows] == Verdict.ANOMALY
        turns = rows[np.diff(anomalous, prepend=name in self.open)]
        # An even number of turns changes nothing but what fell off the list again.
        for row in turns[max(0, len(turns) - 2 * MAX_ANOMALIES) // 2 * 2 :].tolist():
            if name in self.open:
                self.open.pop(name).ended = int(results.readings.times[row])
            else:
                self.open[name] = anomaly = _begun(name, results, row)
                begun.append(anomaly)
        return begun


def _begun(name: str, results: Results, row: int) -> Anomaly:
    sensor = int(results.scores.errors[row].argmax())
    return Anomaly(
        machine=name,
        since=int(results.readings.times[row]),
        sensor=sensor,
        actual=float(results.readings.values[row, sensor]),
        expected=float(results.scores.expected[row, sensor]),
    )

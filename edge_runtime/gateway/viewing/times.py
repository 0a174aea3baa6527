"""When rows came, by the monotonic clock: how many of late, and which machines are silent."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Arrivals", "Rate"]

RATE_S = 10.0
RATE_STEP_S = 0.1
GAPS = 8
# Rows that come within this time of each other are one arrival: a backlog says nothing about the usual gap.
TOGETHER_S = 1.0
SHORTEST_SILENCE_S = 10.0
SILENT_GAPS = 5.0


class Rate:
    """Rows a second over the last 10 seconds.

    Args:
        now: Where to begin, seconds.
    """

    def __init__(self, now: float) -> None:
        self._started = now
        self._steps: deque[tuple[float, int]] = deque()

    def add(self, rows: int, now: float) -> None:
        """Counts rows that came now, seconds."""
        if self._steps and now - self._steps[-1][0] < RATE_STEP_S:
            since, before = self._steps.pop()
            self._steps.append((since, before + rows))
            return
        self._steps.append((now, rows))
        self._drop(now)

    def over(self, now: float) -> float:
        """Rows a second; from the beginning while that is less than 10 seconds ago.

        Args:
            now: Seconds.
        """
        self._drop(now)
        seconds = min(RATE_S, max(1.0, now - self._started))
        return sum(rows for _, rows in self._steps) / seconds

    def _drop(self, now: float) -> None:
        while self._steps and self._steps[0][0] <= now - RATE_S:
            self._steps.popleft()


class Arrivals:
    """When each machine's last row came, and whether that is too long ago.

    A machine is silent when its last row came longer ago than 10 seconds, and than five times its usual
    gap: the median of its last 8 gaps, of two in the middle the smaller one. As long as it has none, the
    gap between its rows in training stands for it.

    Args:
        machines: Places for so many.
        cadence: The gap in training, seconds.

    Attributes:
        seen: [machines] when the last row came, seconds.
    """

    def __init__(self, machines: int, cadence: float) -> None:
        self.seen: NDArray[np.float64] = np.zeros(machines)
        self._cadence = cadence
        self._began = np.zeros(machines)  # the last arrival, of which `seen` may be a later row
        self._gaps = np.full((machines, GAPS), np.inf)
        self._count = np.zeros(machines, np.intp)

    def begin(self, places: NDArray[np.intp], now: float) -> None:
        """First rows of machines.

        Args:
            places: [n] of these machines.
            now: Seconds.
        """
        self.seen[places] = self._began[places] = now
        self._gaps[places] = np.inf
        self._count[places] = 0

    def add(self, places: NDArray[np.intp], now: float) -> None:
        """Further rows of machines; arguments as above."""
        self.seen[places] = now
        places = places[now - self._began[places] >= TOGETHER_S]
        if len(places):
            self._gaps[places, self._count[places] % GAPS] = now - self._began[places]
            self._count[places] += 1
            self._began[places] = now

    def silent(self, now: float) -> NDArray[np.bool_]:
        """[machines] whether each is silent.

        Args:
            now: Seconds.
        """
        counts = np.minimum(self._count, GAPS)
        middle = np.maximum(counts - 1, 0) // 2
        usual = np.sort(self._gaps, axis=1)[np.arange(len(middle)), middle]
        usual = np.where(counts, usual, self._cadence)
        silent: NDArray[np.bool_] = now - self.seen > np.maximum(SHORTEST_SILENCE_S, SILENT_GAPS * usual)
        return silent

"""The adaptive hold: for how long, machine by machine, an anomaly is held when its score dips."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Hold

__all__ = ["HoldCounter"]


class HoldCounter:
    """The counters of a hold, carried from one block of rows to the next.

    Args:
        hold: The bundle's; `Hold` says what it does.
    """

    def __init__(self, hold: Hold) -> None:
        self._hold = hold
        self._counters: dict[str, float] = {}
        # Then one row below leaves the level, whatever came before.
        self._holds_nothing = hold.cap - hold.fall <= hold.level

    def apply(self, machines: NDArray[np.str_], above: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which rows are anomalous.

        Args:
            machines: [rows] machine ids; a machine's rows in time order.
            above: [rows] whether the score is above the threshold.
        """
        if self._holds_nothing or not len(above):
            return above
        if (machines == machines[0]).all():
            return self._one(str(machines[0]), above)
        held = np.empty_like(above)
        names, of_row = np.unique(machines, return_inverse=True)
        for i, name in enumerate(names):
            rows = of_row == i
            held[rows] = self._one(str(name), above[rows])
        return held

    def _one(self, machine: str, above: NDArray[np.bool_]) -> NDArray[np.bool_]:
        rise, fall, cap = self._hold.rise, self._hold.fall, self._hold.cap
        counts = list(
            accumulate(
                above.tolist(),
                lambda count, is_above: min(cap, count + rise) if is_above else max(0.0, count - fall),
                initial=self._counters.get(machine, 0.0),
            )
        )
        self._counters[machine] = counts[-1]
        held: NDArray[np.bool_] = above | (np.asarray(counts[1:]) > self._hold.level)
        return held

    def state(self) -> dict[str, float]:
        """Machine id to its counter, JSON-ready; empty for a hold that holds nothing."""
        return dict(self._counters)

    def restore(self, state: dict[str, float]) -> None:
        """Goes on from what `state` gave; counters are brought within 0 and the cap."""
        self._counters = {
            machine: min(self._hold.cap, max(0.0, float(count))) for machine, count in state.items()
        }

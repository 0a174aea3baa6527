"""The debounce: how many of a machine's last rows must be above the threshold before one counts as above."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Debounce

__all__ = ["Debouncer"]


class Debouncer:
    """The last rows of each machine, carried from one block of rows to the next.

    Args:
        debounce: The bundle's; None for one that lets every row pass as it is.
    """

    def __init__(self, debounce: Debounce | None) -> None:
        self._k, self._n = (1, 1) if debounce is None else (debounce.k, debounce.n)
        # The n - 1 rows before the next one, oldest first.
        self._last: dict[str, NDArray[np.bool_]] = {}

    def apply(self, machines: NDArray[np.str_], above: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which rows count as above.

        Args:
            machines: [rows] machine ids; a machine's rows in time order.
            above: [rows] whether the score is above the threshold.
        """
        if self._n == 1 or not len(above):
            return above
        if (machines == machines[0]).all():
            return self._one(str(machines[0]), above)
        passed = np.empty_like(above)
        names, of_row = np.unique(machines, return_inverse=True)
        for i, name in enumerate(names):
            rows = of_row == i
            passed[rows] = self._one(str(name), above[rows])
        return passed

    def _one(self, machine: str, above: NDArray[np.bool_]) -> NDArray[np.bool_]:
        last = self._last.get(machine)
        rows = np.concatenate([np.zeros(self._n - 1, np.bool_) if last is None else last, above])
        self._last[machine] = rows[len(above) :]
        counts = np.cumsum(np.append(0, rows))
        passed: NDArray[np.bool_] = counts[self._n :] - counts[: -self._n] >= self._k
        return passed

    def state(self) -> dict[str, str]:
        """Machine id to its last rows, oldest first, 1 for one above; JSON-ready."""
        return {machine: "".join("01"[row] for row in last.tolist()) for machine, last in self._last.items()}

    def restore(self, state: Mapping[str, str]) -> None:
        """Goes on from what `state` gave; rows of another number are of another debounce, and left out."""
        self._last = {
            machine: np.array([letter == "1" for letter in rows], np.bool_)
            for machine, rows in state.items()
            if len(rows) == self._n - 1
        }

"""The debounce: how many of a machine's last rows must be above the threshold before one counts as above."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Debounce
    from edge_runtime.records import Groups

__all__ = ["Debouncer"]


class Debouncer:
    """The last rows of each machine, carried from one block of rows to the next.

    Args:
        debounce: The bundle's; None for one that lets every row pass as it is.

    Attributes:
        counts: Whether it ever looks at more than one row.
    """

    def __init__(self, debounce: Debounce | None) -> None:
        self._k, self._n = (1, 1) if debounce is None else (debounce.k, debounce.n)
        self.counts = self._n > 1
        # The n - 1 rows before the next one, oldest first, of the machines that have one above among them.
        self._last: dict[str, NDArray[np.bool_]] = {}

    def apply(self, groups: Groups, above: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which rows count as above.

        Args:
            groups: The rows by machine, each machine's in time order.
            above: [rows] whether the score is above the threshold.
        """
        if not self.counts or not (self._last or above.any()):
            return above
        ordered = groups.gather(above)
        passed = np.empty_like(ordered)
        for machine, rows in groups:
            passed[rows] = self._one(machine, ordered[rows])
        return groups.scatter(passed)

    def one_row(self, machine: str, above: bool) -> bool:  # noqa: FBT001
        """The same for one row of one machine."""
        if not self.counts or not (above or self._last):
            return above
        return bool(self._one(machine, np.array([above]))[0])

    def _one(self, machine: str, above: NDArray[np.bool_]) -> NDArray[np.bool_]:
        last = self._last.get(machine)
        rows = np.concatenate([np.zeros(self._n - 1, np.bool_) if last is None else last, above])
        last = rows[len(above) :]
        if last.any():
            self._last[machine] = last
        else:
            self._last.pop(machine, None)
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
            if len(rows) == self._n - 1 and "1" in rows
        }

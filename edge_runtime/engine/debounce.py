"""The debounce: how many of a machine's last rows must be above the threshold before one counts as above."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Debounce
    from edge_runtime.records import Groups

__all__ = ["Debouncer"]

ARRAY_BYTES = 200  # of an empty one, and its place in a dictionary


class Debouncer:
    """The stage of the last rows of each machine, carried from one block of rows to the next.

    Args:
        debounce: The bundle's; None for one that lets every row pass as it is.

    Attributes:
        counts: Whether it ever looks at more than one row.
    """

    name = "debounce"
    version = 1
    belongs: Literal["bundle", "machine"] = "bundle"

    def __init__(self, debounce: Debounce | None) -> None:
        self._k, self._n = (1, 1) if debounce is None else (debounce.k, debounce.n)
        self.counts = self._n > 1
        self.machine_bytes = ARRAY_BYTES + self._n
        # The n - 1 rows before the next one, oldest first, of the machines that have one above among them.
        self._last: dict[str, NDArray[np.bool_]] = {}
        self._changed: set[str] = set()

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
        if last is None and not above.any():
            return above
        self._changed.add(machine)
        rows = np.concatenate([np.zeros(self._n - 1, np.bool_) if last is None else last, above])
        last = rows[len(above) :]
        if last.any():
            self._last[machine] = last
        else:
            self._last.pop(machine, None)
        counts = np.cumsum(np.append(0, rows))
        passed: NDArray[np.bool_] = counts[self._n :] - counts[: -self._n] >= self._k
        return passed

    def changed(self) -> set[str]:
        """As `Stage.changed`."""
        changed, self._changed = self._changed, set()
        return changed

    def state(self, machine: str) -> str | None:
        """Its last rows, oldest first, 1 for one above; None where none of them is."""
        last = self._last.get(machine)
        return None if last is None else "".join("01"[row] for row in last.tolist())

    def restore(self, machine: str, value: Any, _version: int) -> None:
        """As `Stage.restore`."""
        if type(value) is not str or len(value) != self._n - 1 or not set(value) <= {"0", "1"}:
            raise ValueError(f"not {self._n - 1} rows")
        if "1" in value:
            self._last[machine] = np.array([letter == "1" for letter in value], np.bool_)

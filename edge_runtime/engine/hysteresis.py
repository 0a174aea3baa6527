"""What lies between a score above the threshold and an anomaly, machine by machine: debounce and hold.

The debounce asks how many of a machine's last rows must be above the threshold before one counts as above;
the adaptive hold, for how long an anomaly is held when its score dips.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Debounce, Hold
    from edge_runtime.records import Groups

__all__ = ["Debouncer", "HoldCounter"]

ARRAY_BYTES = 200  # of an empty one, and its place in a dictionary
# Below it, sums of whole numbers over as many rows as there can be are exact.
MAX_WHOLE = 2.0**20


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


class HoldCounter:
    """The stage of a hold's counters, carried from one block of rows to the next.

    Args:
        hold: The bundle's; `Hold` says what it does.

    Attributes:
        holds: Whether it ever holds a row.
    """

    name = "hold"
    version = 1
    belongs: Literal["bundle", "machine"] = "bundle"
    machine_bytes = 150

    def __init__(self, hold: Hold) -> None:
        self._hold = hold
        self._counters: dict[str, float] = {}
        self._changed: set[str] = set()
        # If not, one row below leaves the level, whatever came before.
        self.holds = hold.cap - hold.fall > hold.level
        self._whole = all(
            float(number).is_integer() and number < MAX_WHOLE for number in (hold.rise, hold.fall, hold.cap)
        )

    def apply(self, groups: Groups, above: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which rows are anomalous.

        Args:
            groups: The rows by machine, each machine's in time order.
            above: [rows] whether the score is above the threshold.
        """
        if not self.holds or not (self._counters or above.any()):
            return above
        ordered = groups.gather(above)
        held = ordered.copy()
        one = self._one_of_whole_numbers if self._whole else self._one
        for machine, rows in groups:
            one(machine, ordered[rows], held[rows])
        return groups.scatter(held)

    def one_row(self, machine: str, above: bool) -> bool:  # noqa: FBT001
        """The same for one row of one machine."""
        if not self.holds or not (above or self._counters):
            return above
        hold, count = self._hold, self._counters.get(machine, 0.0)
        count = min(hold.cap, count + hold.rise) if above else max(0.0, count - hold.fall)
        self._keep(machine, count)
        return above or count > hold.level

    def _one(self, machine: str, above: NDArray[np.bool_], held: NDArray[np.bool_]) -> None:
        """Stretch by stretch of rows that are alike; within one, only as long as the counter moves."""
        rise, fall, cap, level = self._hold.rise, self._hold.fall, self._hold.cap, self._hold.level
        count = self._counters.get(machine, 0.0)
        is_above = bool(above[0])
        row = 0
        for stop in (*np.flatnonzero(above[1:] != above[:-1]).tolist(), len(above) - 1):
            # The last of the stretch is row number `stop`.
            if is_above:
                while row <= stop and count < cap:
                    count += rise
                    row += 1
                count = min(count, cap)
            elif count > 0:
                start = until = row
                while row <= stop and count > 0:
                    count -= fall
                    row += 1
                    if count > level:
                        until = row
                if count < 0:
                    count = 0.0
                if until > start:
                    held[start:until] = True
            row = stop + 1
            is_above = not is_above
        self._keep(machine, count)

    def _one_of_whole_numbers(self, machine: str, above: NDArray[np.bool_], held: NDArray[np.bool_]) -> None:
        """The same, each stretch at once: sums of whole numbers are exact in any order."""
        rise, fall, cap, level = self._hold.rise, self._hold.fall, self._hold.cap, self._hold.level
        count = self._counters.get(machine, 0.0)
        is_above = bool(above[0])
        lowest = math.floor(level) + 1  # that is above the level
        row = 0
        for stop in (*np.flatnonzero(above[1:] != above[:-1]).tolist(), len(above) - 1):
            rows = stop + 1 - row
            if is_above:
                count = min(cap, count + rows * rise)
            elif count > 0:
                if count > level:
                    held[row : row + min(rows, int((count - lowest) // fall))] = True
                count = max(0.0, count - rows * fall)
            row += rows
            is_above = not is_above
        self._keep(machine, count)

    def _keep(self, machine: str, count: float) -> None:
        """A counter at 0 is that of a machine never seen."""
        if count:
            self._counters[machine] = count
        elif self._counters.pop(machine, None) is None:
            return
        self._changed.add(machine)

    def changed(self) -> set[str]:
        """As `Stage.changed`."""
        changed, self._changed = self._changed, set()
        return changed

    def state(self, machine: str) -> float | None:
        """Its counter; None where that is 0."""
        return self._counters.get(machine)

    def restore(self, machine: str, value: Any, _version: int) -> None:
        """As `Stage.restore`; the counter is brought within 0 and the cap."""
        if type(value) not in (int, float) or not math.isfinite(value):
            raise ValueError("not a counter")
        if value > 0:
            self._counters[machine] = min(self._hold.cap, float(value))

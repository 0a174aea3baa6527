"""The slow baseline: a stage that follows the levels of each machine, outside the graph.

A graph with a baseline takes it as an input and gives the residuals that it was subtracted from. After every
so many scored rows of a machine, its baseline advances by what those rows had in common.
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edge_runtime.bundle.caps import LARGEST
from edge_runtime.bundle.judging import BaselineState
from edge_runtime.bundle.needs import misfit

if TYPE_CHECKING:
    from typing import TypeAlias

    from numpy.typing import NDArray

    from edge_runtime.bundle.judging import Baseline

    # Baseline and bound, [1, columns] each.
    Given: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32]]

__all__ = ["Baselines", "MachineBaseline", "no_baseline"]

# Rows that wait to be summed up: a numpy call for a single row would cost as much as for so many.
WAITING = 64
OBJECT_BYTES = 1_600  # of a machine's arrays beside their numbers, and its place in a dictionary
NUMBERS, BOUNDS, GIVEN = 5, 3, 2  # of each column: value, persistence and three sums; and what `given` has


def no_baseline(columns: int) -> Given:
    """What a graph is given for a machine that was never seen."""
    return np.zeros((1, columns), np.float32), np.full((1, columns), LARGEST, np.float32)


class MachineBaseline:
    """The baseline of one machine.

    Args:
        baseline: The bundle's.

    Attributes:
        given: What the graph is given, [1, columns] float32 each: the baseline, and the bound.
    """

    __slots__ = (
        "_bound",
        "_far",
        "_near",
        "_numbers",
        "_rows",
        "_spec",
        "_waiting",
        "_waits",
        "given",
    )

    def __init__(self, baseline: Baseline) -> None:
        columns = len(baseline.spread)
        spread = np.asarray(baseline.spread, np.float64)
        self._spec = baseline
        self._near, self._far = baseline.near * spread, baseline.far * spread
        # Value, persistence, near sum, far sum and count beyond, as `BaselineState` has them.
        self._numbers = np.zeros((NUMBERS, columns))
        self._rows = 0  # summed up since the last advance
        self._waiting = np.empty((min(WAITING, baseline.rows), columns), np.float32)
        self._waits = 0
        self._bound = baseline.bound * spread
        self._give()

    @property
    def room(self) -> int:
        """Rows that may be scored before the baseline advances."""
        return self._spec.rows - self._rows - self._waits

    def add_row(self, residuals: NDArray[np.float32]) -> None:
        """Takes the residuals of one scored row, [1, columns] or [columns]."""
        count = self._waits
        self._waiting[count] = residuals
        self._waits = count = count + 1
        if count == len(self._waiting) or self._rows + count == self._spec.rows:
            self._sum_up()

    def add(self, residuals: NDArray[np.float32]) -> None:
        """Takes those of at most `room` scored rows, [rows, columns]."""
        if len(residuals) == 1:
            self.add_row(residuals)
            return
        self._sum_up()
        self._add(residuals)

    def _sum_up(self) -> None:
        rows, self._waits = self._waits, 0
        if rows:
            self._add(self._waiting[:rows])

    def _add(self, residuals: NDArray[np.float32]) -> None:
        value, _, near, far, beyond = self._numbers
        away = residuals.T.astype(np.float64, order="C")  # sums run along the memory
        away -= value[:, None]
        high, low = away.max(1), away.min(1)
        if ((high > self._far) | (low < -self._far)).any():
            np.clip(away, -self._far[:, None], self._far[:, None], out=away)
        total = away.sum(1)
        far += total
        wide = np.flatnonzero((high > self._near) | (low < -self._near))
        if len(wide):  # in other columns, what follows would give the same
            some, bound = away[wide], self._near[wide, None]
            beyond[wide] += np.count_nonzero(some > bound, 1)
            beyond[wide] -= np.count_nonzero(some < -bound, 1)
            total[wide] = np.clip(some, -bound, bound, out=some).sum(1)
        near += total
        self._rows += len(residuals)
        if self._rows >= self._spec.rows:
            self._advance()

    def _advance(self) -> None:
        spec = self._spec
        value, persistence, near, far, beyond = self._numbers
        step = np.where(np.abs(persistence) > spec.persistent, spec.gain * far, near) / spec.horizon
        turn = (beyond - self._rows * persistence) / spec.horizon
        value += np.where(np.isfinite(step), step, 0.0)
        persistence += turn
        self._numbers[2:] = 0.0
        self._rows = 0
        self._give()

    def _give(self) -> None:
        value, persistence = self._numbers[:2]
        bound = np.where(np.abs(persistence) > self._spec.doubtful, self._bound, LARGEST)
        self.given = value.astype(np.float32)[None], bound.astype(np.float32)[None]

    @property
    def is_new(self) -> bool:
        """Whether it stands where every machine begins."""
        return not (self._rows or self._waits or self._numbers.any())

    def state(self) -> BaselineState:
        """Where it stands."""
        self._sum_up()
        return _state(self._numbers, self._rows)

    def go_on(self, state: BaselineState) -> None:
        """Stands where a state says from now on.

        Raises:
            ValueError: It is none of this baseline's.
        """
        if found := misfit(state, self._spec):
            raise ValueError(" ".join(found))
        self._numbers = _numbers(state)
        self._rows, self._waits = state.rows, 0
        self._give()


class Baselines:
    """One baseline for each machine; a stage of the engine.

    Args:
        baseline: The bundle's.
    """

    name = "baseline"
    version = 1
    belongs: Literal["bundle", "machine"] = "bundle"

    def __init__(self, baseline: Baseline) -> None:
        self._spec = baseline
        self.columns = columns = len(baseline.spread)
        self.machine_bytes = OBJECT_BYTES + columns * (
            8 * (NUMBERS + BOUNDS) + 4 * (min(WAITING, baseline.rows) + GIVEN)
        )
        self._machines: dict[str, MachineBaseline] = {}
        self._changed: set[str] = set()

    def of(self, machine: str) -> MachineBaseline:
        """A machine's, from which it goes on."""
        found = self._machines.get(machine)
        if found is None:
            found = self._machines[machine] = MachineBaseline(self._spec)
        self._changed.add(machine)
        return found

    def begin(self, machine: str, state: BaselineState) -> None:
        """Lets a machine begin where a state says.

        Raises:
            ValueError: It is none of this baseline's.
        """
        self.of(machine).go_on(state)

    def changed(self) -> set[str]:
        """As `Stage.changed`."""
        changed, self._changed = self._changed, set()
        return changed

    def state(self, machine: str) -> list[Any] | None:
        """Rows since the last advance, and the state's float64 numbers as base64; None for the beginning."""
        found = self._machines.get(machine)
        if found is None or found.is_new:
            return None
        state = found.state()
        numbers = _numbers(state).astype("<f8").tobytes()
        return [state.rows, binascii.b2a_base64(numbers, newline=False).decode("ascii")]

    def restore(self, machine: str, value: Any, _version: int) -> None:
        """As `Stage.restore`."""
        rows, text = value
        if type(rows) is not int:
            raise TypeError("no number of rows")
        numbers = np.frombuffer(binascii.a2b_base64(text), "<f8").reshape(NUMBERS, -1)
        found = MachineBaseline(self._spec)
        found.go_on(_state(numbers, rows))
        self._machines[machine] = found


def _numbers(state: BaselineState) -> NDArray[np.float64]:
    """[NUMBERS, columns] its lists, in order."""
    return np.asarray((state.values, state.persistence, state.near, state.far, state.beyond), np.float64)


def _state(numbers: NDArray[np.float64], rows: int) -> BaselineState:
    """The inverse."""
    values, persistence, near, far, beyond = map(tuple, numbers.tolist())
    return BaselineState(values, persistence, near, far, beyond, rows)

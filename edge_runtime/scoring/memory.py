"""The state of a model with memory, machine by machine, carried from one block of rows to the next.

With a slow baseline, each machine's rows are cut where it advances.
"""

from __future__ import annotations

import binascii
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edge_runtime.records import Scores
from edge_runtime.scoring.inference import calls, infer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.records import Groups
    from edge_runtime.scoring.baseline import Baselines, Given
    from edge_runtime.scoring.binding import OneRow

__all__ = ["DriftingMemory", "Memory"]

ARRAY_BYTES = 200  # of an empty one, and its place in a dictionary


class Memory:
    """One state for each machine; a stage of the engine.

    Args:
        session: The bundle's.
        start: What a machine starts with.
        one_row: Its buffers hold the state of the machine whose single row came last.
    """

    name = "memory"
    version = 1
    belongs: Literal["bundle", "machine"] = "bundle"

    def __init__(self, session: Any, start: NDArray[np.float32], one_row: OneRow) -> None:
        self._session = session
        self._start = start
        self.machine_bytes = ARRAY_BYTES + start.nbytes
        self._one_row = one_row
        self._states: dict[str, NDArray[np.float32]] = {}
        self._loaded: str | None = None
        self._changed: set[str] = set()

    def run_row(
        self, machine: str, readings: NDArray[np.float32], seconds: NDArray[np.float32] | None
    ) -> float:
        """The score of one row, [1, sensors]; one that is not finite leaves no trace in the state."""
        one_row = self._one_row
        if machine != self._loaded:
            self._load(machine)
        score = one_row.run(readings, seconds)
        if isfinite(score):
            one_row.step()
            self._changed.add(machine)
        return score

    def score(
        self,
        groups: Groups,
        values: NDArray[np.float32],
        time_of_day: NDArray[np.float32] | None = None,
    ) -> Scores:
        """Scores rows of several machines, each machine's in time order, in one call a machine.

        A row whose score is not finite gets NaN and leaves no trace in its machine's state.
        """
        ordered = groups.gather(values)
        seconds = None if time_of_day is None else groups.gather(time_of_day)
        parts = [
            self._rows(machine, ordered[part], None if seconds is None else seconds[part])
            for machine, rows in groups
            for part in calls(rows)
        ]
        scores = Scores.joined(parts)
        if groups.order is None:
            return scores
        found = Scores.empty(*values.shape)
        found.put(groups.order, scores)
        return found

    def _rows(self, machine: str, values: NDArray[np.float32], seconds: NDArray[np.float32] | None) -> Scores:
        """Scores rows of one machine."""
        if len(values) > 1:
            scores, after, _ = infer(self._session, values, self._state(machine), seconds)
            if np.isfinite(scores.score).all():
                if after is not None:
                    self._keep(machine, after)
                return scores
        return self._one_by_one(machine, values, seconds)

    def _one_by_one(
        self, machine: str, values: NDArray[np.float32], seconds: NDArray[np.float32] | None
    ) -> Scores:
        """The slow way around a row that overflows: its state is not gone on with."""
        scores = Scores.unknown(*values.shape)
        for i in range(len(values)):
            row = slice(i, i + 1)
            score = self.run_row(machine, values[row], None if seconds is None else seconds[row])
            if isfinite(score):
                scores.put(row, self._one_row.copy())
        return scores

    def _state(self, machine: str) -> NDArray[np.float32]:
        """A machine's newest state."""
        if machine == self._loaded:
            return self._one_row.state
        return self._states.get(machine, self._start)

    def _keep(self, machine: str, state: NDArray[np.float32]) -> None:
        if machine == self._loaded:
            self._one_row.state[...] = state
        else:
            self._states[machine] = state
        self._changed.add(machine)

    def _load(self, machine: str) -> None:
        """Puts a machine's state into the buffers, and the one that was there back."""
        buffer = self._one_row.state
        if self._loaded is not None:
            self._states[self._loaded] = buffer.copy()
        buffer[...] = self._states.get(machine, self._start)
        self._loaded = machine

    def changed(self) -> set[str]:
        """As `Stage.changed`."""
        changed, self._changed = self._changed, set()
        return changed

    def state(self, machine: str) -> str:
        """The state's float32 numbers as base64."""
        return binascii.b2a_base64(self._state(machine).tobytes(), newline=False).decode("ascii")

    def restore(self, machine: str, value: Any, _version: int) -> None:
        """As `Stage.restore`."""
        found = np.frombuffer(binascii.a2b_base64(value), np.float32)
        if found.size != self._start.size or not np.isfinite(found).all():
            raise ValueError(f"not {self._start.size} finite numbers")
        self._keep(machine, found.reshape(self._start.shape))
        self._changed.discard(machine)


class DriftingMemory(Memory):
    """A memory beside the baselines, which move with the rows that it scores.

    Args:
        session: The bundle's.
        start: What a machine's memory starts with; None for a model without one.
        one_row: Its buffers hold what is known of the machine whose single row came last.
        baselines: One for each machine.
    """

    def __init__(
        self, session: Any, start: NDArray[np.float32] | None, one_row: OneRow, baselines: Baselines
    ) -> None:
        super().__init__(session, np.zeros(0, np.float32) if start is None else start, one_row)
        self.remembers = start is not None
        self._baselines = baselines
        self._given: Given | None = None  # what is in the buffers

    def run_row(
        self, machine: str, readings: NDArray[np.float32], seconds: NDArray[np.float32] | None
    ) -> float:
        """As `Memory.run_row`; nor does a row whose score is not finite move the baseline."""
        one_row = self._one_row
        if machine != self._loaded:
            self._load(machine)
        baseline = self._baselines.of(machine)
        if baseline.given is not self._given:
            self._given = baseline.given
            one_row.give(*baseline.given)
        score = one_row.run(readings, seconds)
        if isfinite(score):
            one_row.step()
            self._changed.add(machine)
            baseline.add_row(one_row.residuals)
        return score

    def _rows(self, machine: str, values: NDArray[np.float32], seconds: NDArray[np.float32] | None) -> Scores:
        """Scores rows of one machine, in one call for each stand of its baseline."""
        baseline = self._baselines.of(machine)
        parts: list[Scores] = []
        start = 0
        while start < len(values):
            stop = min(len(values), start + baseline.room)
            part = slice(start, stop)
            parts.append(self._part(machine, values[part], None if seconds is None else seconds[part]))
            start = stop
        return Scores.joined(parts)

    def _part(self, machine: str, values: NDArray[np.float32], seconds: NDArray[np.float32] | None) -> Scores:
        """Scores rows before the next advance; of those that overflow, one by one."""
        if len(values) > 1:
            baseline = self._baselines.of(machine)
            state = self._state(machine) if self.remembers else None
            scores, after, residuals = infer(self._session, values, state, seconds, baseline.given)
            if np.isfinite(scores.score).all() and residuals is not None:
                if after is not None:
                    self._keep(machine, after)
                baseline.add(residuals)
                return scores
        return self._one_by_one(machine, values, seconds)

    def _load(self, machine: str) -> None:
        if self.remembers:
            super()._load(machine)
        else:
            self._loaded = machine

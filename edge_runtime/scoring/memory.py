"""The state of a model with memory, machine by machine, carried from one block of rows to the next."""

from __future__ import annotations

import base64
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.records import Scores
from edge_runtime.scoring.inference import calls, infer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edge_runtime.records import Groups
    from edge_runtime.scoring.binding import OneRow

__all__ = ["Memory"]

NAME = "memory."


class Memory:
    """One state for each machine.

    Args:
        session: The bundle's.
        start: What a machine starts with.
        one_row: Its buffers hold the state of the machine whose single row came last.
    """

    def __init__(self, session: Any, start: NDArray[np.float32], one_row: OneRow) -> None:
        self._session = session
        self._start = start
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
            scores, after = infer(self._session, values, self._state(machine), seconds)
            if np.isfinite(scores.score).all():
                if after is not None:
                    self._keep(machine, after)
                return scores
            # The slow way around a row that overflows: its state is not gone on with.
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

    def changes(self) -> dict[str, str]:
        """The states that changed since the last call, JSON-ready, named "memory." and the machine."""
        changed, self._changed = self._changed, set()
        return {
            f"{NAME}{machine}": base64.b64encode(self._state(machine).tobytes()).decode("ascii")
            for machine in sorted(changed)
        }

    def restore(self, states: Mapping[str, Any]) -> None:
        """Goes on from what `changes` gave; a state of another size is of another model, and left out."""
        for name, text in states.items():
            if name.startswith(NAME):
                found = np.frombuffer(base64.b64decode(text), np.float32)
                if found.size == self._start.size and np.isfinite(found).all():
                    self._keep(name.removeprefix(NAME), found.reshape(self._start.shape))
        self._changed.clear()

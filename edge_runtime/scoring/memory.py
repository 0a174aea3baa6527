"""The state of a model with memory, machine by machine, carried from one block of rows to the next."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.records import Scores
from edge_runtime.scoring.inference import infer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["Memory"]

NAME = "memory."


class Memory:
    """One state for each machine.

    Args:
        session: The bundle's.
        start: What a machine starts with.
    """

    def __init__(self, session: Any, start: NDArray[np.float32]) -> None:
        self._session = session
        self._start = start
        self._states: dict[str, NDArray[np.float32]] = {}
        self._changed: set[str] = set()

    def score(
        self,
        machines: NDArray[np.str_],
        values: NDArray[np.float32],
        time_of_day: NDArray[np.float32] | None = None,
    ) -> Scores:
        """Scores rows of several machines, each machine's in time order, in one call a machine.

        A row whose score is not finite gets NaN and leaves no trace in its machine's state.
        """
        if len(machines) and (machines == machines[0]).all():
            return self._one(str(machines[0]), values, time_of_day)
        scores = Scores.unknown(*values.shape)
        names, of_row = np.unique(machines, return_inverse=True)
        for i, name in enumerate(names):
            rows = of_row == i
            seconds = None if time_of_day is None else time_of_day[rows]
            scores.put(rows, self._one(str(name), values[rows], seconds))
        return scores

    def _one(
        self, machine: str, values: NDArray[np.float32], time_of_day: NDArray[np.float32] | None
    ) -> Scores:
        state = self._states.get(machine, self._start)
        scores, after = infer(self._session, values, state, time_of_day)
        if not np.isfinite(scores.score).all():
            scores, after = self._row_by_row(values, state, time_of_day)
        if after is not None:
            self._states[machine] = after
            self._changed.add(machine)
        return scores

    def _row_by_row(
        self,
        values: NDArray[np.float32],
        state: NDArray[np.float32] | None,
        time_of_day: NDArray[np.float32] | None,
    ) -> tuple[Scores, NDArray[np.float32] | None]:
        """The slow way around a row that overflows: its state is not gone on with."""
        scores = Scores.unknown(*values.shape)
        for i in range(len(values)):
            row = slice(i, i + 1)
            found, after = infer(
                self._session, values[row], state, None if time_of_day is None else time_of_day[row]
            )
            if np.isfinite(found.score[0]):
                state = after
                scores.put(row, found)
        return scores, state

    def changes(self) -> dict[str, str]:
        """The states that changed since the last call, JSON-ready, named "memory." and the machine."""
        changed, self._changed = self._changed, set()
        return {
            f"{NAME}{machine}": base64.b64encode(self._states[machine].tobytes()).decode("ascii")
            for machine in sorted(changed)
        }

    def restore(self, states: Mapping[str, Any]) -> None:
        """Goes on from what `changes` gave; a state of another size is of another model, and left out."""
        for name, text in states.items():
            if name.startswith(NAME):
                found = np.frombuffer(base64.b64decode(text), np.float32)
                if found.size == self._start.size and np.isfinite(found).all():
                    self._states[name.removeprefix(NAME)] = found.reshape(self._start.shape)

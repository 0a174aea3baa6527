"""Scoring with a slow baseline: each machine's rows, cut where its baseline advances."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.records import Scores
from edge_runtime.scoring.inference import infer
from edge_runtime.scoring.memory import Memory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.scoring.baseline import Baselines, Given
    from edge_runtime.scoring.binding import OneRow

__all__ = ["DriftingMemory"]


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

"""A bundle's graph over blocks of rows: readings in, scores out, each machine's memory carried along."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_runtime.records import Scores
from edge_runtime.scoring.binding import OneRow
from edge_runtime.scoring.inference import calls, infer, initial_state, seconds_of_day
from edge_runtime.scoring.memory import DriftingMemory, Memory

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import BaselineState, Metadata
    from edge_runtime.records import Readings
    from edge_runtime.scoring.baseline import Baselines

__all__ = ["Graph"]


class Graph:
    """Scores rows, and says nothing about them.

    Args:
        session: As `make_session` made it.
        metadata: Of the session's bundle.

    Attributes:
        memory: Each machine's state, with its baseline; None for a model without either.
        stages: Those of them that the engine carries on.
        one_row: What scores a single row.
        asks_for_time: Whether the graph asks for the time of the day.
    """

    def __init__(self, session: Any, metadata: Metadata) -> None:
        model = metadata.model
        start = initial_state(model)
        self._session = session
        self.asks_for_time = model.time_of_day
        columns = 0 if metadata.baseline is None else len(metadata.baseline.spread)
        self.one_row = OneRow(
            session, len(metadata.sensors), start, asks_for_time=model.time_of_day, columns=columns
        )
        self.memory: Memory | None = None
        self.stages: tuple[Memory | Baselines, ...] = ()
        self._baselines: Baselines | None = None
        if metadata.baseline is not None:
            from edge_runtime.scoring.baseline import Baselines  # noqa: PLC0415 - for the bundles that have one

            self._baselines = baselines = Baselines(metadata.baseline)
            self.memory = DriftingMemory(session, start, self.one_row, baselines)
            self.stages = (self.memory, baselines) if start is not None else (baselines,)
        elif start is not None:
            self.memory = Memory(session, start, self.one_row)
            self.stages = (self.memory,)

    def begin(self, machine: str, state: BaselineState | None) -> None:
        """Lets a machine's baseline begin where a state says; None for where every machine begins.

        Raises:
            ValueError: It is none of this bundle's.
        """
        if self._baselines is not None and state is not None:
            self._baselines.begin(machine, state)

    def baseline_of(self, machine: str) -> BaselineState | None:
        """Where a machine's baseline stands; None for a bundle without one."""
        return None if self._baselines is None else self._baselines.of(machine).state()

    def score(self, readings: Readings, usable: NDArray[np.bool_] | None) -> Scores:
        """The graph's outputs; NaN for a row that is not usable or whose score is not finite.

        Neither moves its machine's memory.

        Args:
            readings: [rows, sensors] raw units; each machine's rows in time order.
            usable: [rows] which rows are finite and to be scored; None for all.
        """
        if usable is None and len(readings):
            return self._infer(readings)
        scores = Scores.unknown(*readings.values.shape)
        if usable is not None and usable.any():
            scores.put(usable, self._infer(readings.take(usable)))
        return scores

    def _infer(self, readings: Readings) -> Scores:
        values = readings.values
        seconds = seconds_of_day(readings.times) if self.asks_for_time else None
        if self.memory is not None:
            return self.memory.score(readings.groups, values, seconds)
        return Scores.joined(
            [
                infer(self._session, values[part], None, None if seconds is None else seconds[part])[0]
                for part in calls(slice(0, len(values)))
            ]
        )

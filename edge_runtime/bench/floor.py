"""The floor: what ONNX Runtime itself takes for a row, through I/O binding, with nothing of ours around it.

Inputs and outputs are bound once to buffers that stay; a call copies the rows into the input's buffer and
runs. A model with memory has two states that take turns: what one call writes is what the next one reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.scoring.baseline import no_baseline
from edge_runtime.scoring.inference import initial_state, seconds_of_day
from edge_runtime.scoring.session import make_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Metadata
    from edge_runtime.records import Readings

__all__ = ["BoundFloor"]


class BoundFloor:
    """A session of the same bytes, with bound buffers.

    Args:
        data: The bundle's bytes.
        metadata: What the bundle says of itself.
        blocks: What is scored, all of one number of rows.
    """

    def __init__(self, data: bytes, metadata: Metadata, blocks: Sequence[Readings]) -> None:
        session = make_session(data)
        rows, sensors = blocks[0].values.shape
        self._values = [block.values for block in blocks]
        self._times = (
            [seconds_of_day(block.times) for block in blocks] if metadata.model.time_of_day else None
        )
        self._readings = np.zeros((rows, sensors), np.float32)
        self._time_of_day = np.zeros(rows, np.float32)
        self.score = np.zeros(rows, np.float32)
        self._errors, self._expected = np.zeros((2, rows, sensors), np.float32)
        start = initial_state(metadata.model)
        columns = 0 if metadata.baseline is None else len(metadata.baseline.spread)
        self._baseline = no_baseline(columns)
        self._residuals = np.zeros((rows, columns), np.float32)
        states = None if start is None else (start.copy(), start.copy())
        turns = [None] if states is None else [states, states[::-1]]
        self._kept = states
        self._bindings = [self._bind(session, turn) for turn in turns]
        self._run = self._runner(session)

    def __call__(self, number: int) -> None:
        """Scores the block of this number, counted around; the result lies in the bound buffers."""
        block = number % len(self._values)
        self._readings[:] = self._values[block]
        if self._times is not None:
            self._time_of_day[:] = self._times[block]
        self._run(self._bindings[0])
        self._bindings.reverse()

    def _bind(self, session: Any, states: tuple[NDArray[np.float32], ...] | None) -> Any:
        inputs: dict[str, NDArray[np.float32]] = {"readings": self._readings}
        outputs: dict[str, NDArray[np.float32]] = {
            "score": self.score,
            "errors": self._errors,
            "expected": self._expected,
        }
        if self._times is not None:
            inputs["time_of_day"] = self._time_of_day
        if states is not None:
            inputs["state"], outputs["state_out"] = states
        if self._residuals.size:
            inputs["baseline"], inputs["bound"] = self._baseline
            outputs["residuals"] = self._residuals
        binding = session.io_binding()
        for bind, buffers in ((binding.bind_input, inputs), (binding.bind_output, outputs)):
            for name, buffer in buffers.items():
                bind(name, "cpu", 0, np.float32, buffer.shape, buffer.ctypes.data)
        return binding

    def _runner(self, session: Any) -> Any:
        """The cheapest call that this ONNX Runtime has: what is below the session's own method, if it can."""
        below = getattr(session, "_sess", None)
        if below is None or not all(hasattr(binding, "_iobinding") for binding in self._bindings):
            return session.run_with_iobinding
        self._bindings = [binding._iobinding for binding in self._bindings]  # noqa: SLF001
        self._session = session  # the buffers' owner must outlive the call
        return lambda binding: below.run_with_iobinding(binding, None)

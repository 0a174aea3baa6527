"""One row through ONNX Runtime's I/O binding, which reads and writes numpy's memory: no object for a tensor.

Making a binding takes longer than it saves, so larger blocks, which are of any size, go without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.records import Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["OneRow"]


def _bind(
    session: Any, inputs: dict[str, NDArray[np.float32]], outputs: dict[str, NDArray[np.float32]]
) -> Any:
    """A binding of contiguous arrays, which must live as long as it does."""
    binding = session.io_binding()
    for name, array in inputs.items():
        binding.bind_input(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
    for name, array in outputs.items():
        binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
    return binding


def _outputs(scores: Scores) -> dict[str, NDArray[np.float32]]:
    return {"score": scores.score, "errors": scores.errors, "expected": scores.expected}


class OneRow:
    """One row at a time, through buffers and bindings that are made once.

    There are two bindings, each with the other's input state as its output: after a row they change places,
    so that a state that goes on is never copied.

    Args:
        session: As `make_session` made it.
        sensors: Number of sensors.
        start: A state, of a model with memory.
        asks_for_time: Whether the graph asks for `time_of_day`.
    """

    def __init__(
        self, session: Any, sensors: int, start: NDArray[np.float32] | None, *, asks_for_time: bool
    ) -> None:
        self._run = session.run_with_iobinding
        self._readings = np.zeros((1, sensors), np.float32)
        self._time: NDArray[np.float32] | None = np.zeros(1, np.float32) if asks_for_time else None
        self._scores = Scores.empty(1, sensors)
        self._states = [] if start is None else [start.copy(), np.zeros_like(start)]
        inputs: dict[str, NDArray[np.float32]] = {"readings": self._readings}
        if self._time is not None:
            inputs["time_of_day"] = self._time
        outputs = _outputs(self._scores)
        if self._states:
            first, second = self._states
            self._bindings = [
                _bind(session, {**inputs, "state": before}, {**outputs, "state_out": after})
                for before, after in ((first, second), (second, first))
            ]
        else:
            self._bindings = [_bind(session, inputs, outputs)]
        self._turn = 0

    @property
    def state(self) -> NDArray[np.float32]:
        """What the next row starts with; may be written into."""
        return self._states[self._turn]

    def run(self, readings: NDArray[np.float32], seconds: NDArray[np.float32] | None) -> float:
        """Scores [1, sensors] readings at [1] seconds of the day; returns the score."""
        self._readings[:] = readings
        if seconds is not None and self._time is not None:
            self._time[:] = seconds
        self._run(self._bindings[self._turn])
        return self._scores.score.item()

    def step(self) -> None:
        """Goes on with the state that the row left."""
        self._turn ^= 1

    def scores(self) -> Scores:
        """The last row's, for the caller to keep."""
        found = self._scores
        return Scores(found.score.copy(), found.errors.copy(), found.expected.copy())

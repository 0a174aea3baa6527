"""One row through ONNX Runtime's I/O binding, which reads and writes numpy's memory: no object for a tensor.

Making a binding takes longer than it saves, so larger blocks, which are of any size, go without.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.bundle.caps import LARGEST
from edge_runtime.records import Scores
from edge_runtime.scoring.session import run_options

if TYPE_CHECKING:
    from collections.abc import Callable

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


def _call(session: Any, binding: Any) -> Callable[[], None]:
    """Runs a binding. The public method hands on to this one of the extension module, at a cost."""
    try:
        run, bound = session._sess.run_with_iobinding, binding._iobinding  # noqa: SLF001
    except AttributeError:  # another version's
        return partial(session.run_with_iobinding, binding, run_options())
    return partial(run, bound, run_options())


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
        columns: Of the slow baseline; 0 for a graph without one.

    Attributes:
        readings: [1, sensors] What is scored next.
        baseline: [1, columns] The slow baseline that it is scored with, and the bound; without one, empty.
        residuals: [1, columns] Of the last row, with a baseline.
        calls: What scores it, two in turns: of a model without memory they are the same.
        score: The last row's, when called.
        copies: Copies of its score, errors and expected, when called.
    """

    def __init__(
        self,
        session: Any,
        sensors: int,
        start: NDArray[np.float32] | None,
        *,
        asks_for_time: bool,
        columns: int = 0,
    ) -> None:
        self.readings = np.zeros((1, sensors), np.float32)
        self._time: NDArray[np.float32] | None = np.zeros(1, np.float32) if asks_for_time else None
        self._scores = Scores.empty(1, sensors)
        self._states = [] if start is None else [start.copy(), np.zeros_like(start)]
        inputs: dict[str, NDArray[np.float32]] = {"readings": self.readings}
        if self._time is not None:
            inputs["time_of_day"] = self._time
        outputs = _outputs(self._scores)
        self.baseline = np.zeros((1, columns), np.float32), np.full((1, columns), LARGEST, np.float32)
        self.residuals = np.zeros((1, columns), np.float32)
        if columns:
            inputs["baseline"], inputs["bound"] = self.baseline
            outputs["residuals"] = self.residuals
        if self._states:
            first, second = self._states
            self.calls = [
                _call(session, _bind(session, {**inputs, "state": before}, {**outputs, "state_out": after}))
                for before, after in ((first, second), (second, first))
            ]
        else:
            self.calls = [_call(session, _bind(session, inputs, outputs))] * 2
        found = self._scores
        self.score = found.score.item
        self.copies = found.score.copy, found.errors.copy, found.expected.copy
        self._turn = 0

    @property
    def state(self) -> NDArray[np.float32]:
        """What the next row starts with; may be written into."""
        return self._states[self._turn]

    def run(self, readings: NDArray[np.float32], seconds: NDArray[np.float32] | None) -> float:
        """Scores [1, sensors] readings at [1] seconds of the day; the score."""
        self.readings[...] = readings
        if seconds is not None and self._time is not None:
            self._time[...] = seconds
        self.calls[self._turn]()
        return self.score()

    def give(self, baseline: NDArray[np.float32], bound: NDArray[np.float32]) -> None:
        """Goes on with this slow baseline and this bound, [1, columns] each."""
        for buffer, value in zip(self.baseline, (baseline, bound), strict=True):
            buffer[...] = value

    def copy(self) -> Scores:
        """The last row's scores, for good."""
        score, errors, expected = self.copies
        return Scores(score(), errors(), expected())

    def step(self) -> None:
        """Goes on with the state that the row left."""
        self._turn ^= 1

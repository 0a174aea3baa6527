"""One call of a bundle's graph: rows in, scores out, with the state of a model that has a memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edge_runtime.records import Scores
from edge_runtime.scoring.session import run_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Model

__all__ = [
    "DAY_NS",
    "Inferred",
    "calls",
    "infer",
    "initial_state",
    "output_names",
    "seconds_of_day",
]

OUTPUTS = ["score", "errors", "expected"]
STATE_OUT, RESIDUALS = "state_out", "residuals"
OUTPUTS_AND_STATE = [*OUTPUTS, STATE_OUT]
DAY_NS = 86_400 * 10**9
# More rows in one call gain nothing any more, and leave the processor's cache.
CALL_ROWS = 4096


class Inferred(NamedTuple):
    """What a call gives.

    Attributes:
        scores: Of its rows.
        state: To go on with; None of a model without memory.
        residuals: [rows, columns] that the baseline was subtracted from; None without one.
    """

    scores: Scores
    state: NDArray[np.float32] | None
    residuals: NDArray[np.float32] | None


def initial_state(model: Model) -> NDArray[np.float32] | None:
    """What a machine that was never seen starts with; None for a model without memory."""
    return None if model.state_shape is None else np.zeros(model.state_shape, np.float32)


def seconds_of_day(times: NDArray[np.int64]) -> NDArray[np.float32]:
    """[rows] seconds since midnight UTC of [rows] ns: what a graph calls `time_of_day`."""
    seconds: NDArray[np.float32] = (times % DAY_NS / 1e9).astype(np.float32)
    return seconds


def calls(rows: slice) -> Iterator[slice]:
    """The calls that so many rows are scored in."""
    for start in range(rows.start, rows.stop, CALL_ROWS):
        yield slice(start, min(start + CALL_ROWS, rows.stop))


def output_names(*, memory: bool, baseline: bool) -> list[str]:
    """The outputs of a graph, in order."""
    return [*OUTPUTS, *[STATE_OUT] * memory, *[RESIDUALS] * baseline]


def infer(
    session: Any,
    readings: NDArray[np.float32],
    state: NDArray[np.float32] | None,
    time_of_day: NDArray[np.float32] | None = None,
    baseline: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
) -> Inferred:
    """Scores rows.

    Args:
        session: As `make_session` made it.
        readings: [rows, sensors] raw units, all finite; with a state, of one machine and in time order.
        state: What the machine's last call returned, or `initial_state`.
        time_of_day: [rows] as `seconds_of_day` gives it, for a graph that asks; else None.
        baseline: [1, columns] each, the machine's slow baseline and its bound, for a graph that asks.
    """
    inputs = {"readings": readings}
    if time_of_day is not None:
        inputs["time_of_day"] = time_of_day
    if baseline is None:
        if state is None:
            return Inferred(Scores(*session.run(OUTPUTS, inputs, run_options())), None, None)
        inputs["state"] = state
        *outputs, after = session.run(OUTPUTS_AND_STATE, inputs, run_options())
        return Inferred(Scores(*outputs), after, None)
    inputs["baseline"], inputs["bound"] = baseline
    if state is not None:
        inputs["state"] = state
    outputs = session.run(output_names(memory=state is not None, baseline=True), inputs, run_options())
    *outputs, residuals = outputs
    after = outputs.pop() if state is not None else None
    return Inferred(Scores(*outputs), after, residuals)

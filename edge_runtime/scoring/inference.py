"""One call of a bundle's graph: rows in, scores out, with the state of a model that has a memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.records import Scores
from edge_runtime.scoring.session import run_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Model

__all__ = ["DAY_NS", "OUTPUTS", "OUTPUTS_AND_STATE", "calls", "infer", "initial_state", "seconds_of_day"]

OUTPUTS = ["score", "errors", "expected"]
OUTPUTS_AND_STATE = [*OUTPUTS, "state_out"]
DAY_NS = 86_400 * 10**9
# More rows in one call gain nothing any more, and leave the processor's cache.
CALL_ROWS = 4096


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


def infer(
    session: Any,
    readings: NDArray[np.float32],
    state: NDArray[np.float32] | None,
    time_of_day: NDArray[np.float32] | None = None,
) -> tuple[Scores, NDArray[np.float32] | None]:
    """Scores rows.

    Args:
        session: As `make_session` made it.
        readings: [rows, sensors] raw units, all finite; with a state, of one machine and in time order.
        state: What the machine's last call returned, or `initial_state`.
        time_of_day: [rows] as `seconds_of_day` gives it, for a graph that asks; else None.

    Returns:
        The graph's outputs, and the state to go on with.
    """
    inputs = {"readings": readings}
    if time_of_day is not None:
        inputs["time_of_day"] = time_of_day
    if state is None:
        return Scores(*session.run(OUTPUTS, inputs, run_options())), None
    *outputs, after = session.run(OUTPUTS_AND_STATE, {**inputs, "state": state}, run_options())
    return Scores(*outputs), after

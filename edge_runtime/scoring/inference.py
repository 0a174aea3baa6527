"""One call of a bundle's graph: rows in, scores out, with the state of a model that has a memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.records import Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Model

__all__ = ["OUTPUTS", "OUTPUTS_AND_STATE", "infer", "initial_state"]

OUTPUTS = ["score", "errors", "expected"]
OUTPUTS_AND_STATE = [*OUTPUTS, "state_out"]


def initial_state(model: Model) -> NDArray[np.float32] | None:
    """What a machine that was never seen starts with; None for a model without memory."""
    return None if model.state_shape is None else np.zeros(model.state_shape, np.float32)


def infer(
    session: Any, readings: NDArray[np.float32], state: NDArray[np.float32] | None
) -> tuple[Scores, NDArray[np.float32] | None]:
    """Scores rows.

    Args:
        session: As `make_session` made it.
        readings: [rows, sensors] raw units, all finite; with a state, of one machine and in time order.
        state: What the machine's last call returned, or `initial_state`.

    Returns:
        The graph's outputs, and the state to go on with.
    """
    if state is None:
        return Scores(*session.run(OUTPUTS, {"readings": readings})), None
    *outputs, after = session.run(OUTPUTS_AND_STATE, {"readings": readings, "state": state})
    return Scores(*outputs), after

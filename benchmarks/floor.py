"""ONNX Runtime alone: what no path over the same session can be faster than."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.bench.rows import raw_call
from edge_runtime.scoring.baseline import no_baseline

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge_runtime import Bundle
    from edge_runtime.records import Readings

__all__ = ["bound_call", "plain_call"]


def plain_call(bundle: Bundle, blocks: list[Readings]) -> Callable[[int], object]:
    """`session.run` on one block after another, from a model's first state each time."""
    calls = [raw_call(bundle.metadata, block) for block in blocks]
    run, count = bundle.session.run, len(calls)
    return lambda i: run(*calls[i % count])


def bound_call(bundle: Bundle, blocks: list[Readings] | None) -> Callable[[int], object]:
    """`run_with_iobinding` on buffers that were bound once, one row a call; a state goes from call to call.

    A slow baseline stays where every machine begins.

    Args:
        bundle: Whose session.
        blocks: Of one row each, written into the bound buffer before each call; None to run on what is there.
    """
    model, session = bundle.metadata.model, bundle.session
    sensors = len(bundle.metadata.sensors)
    row = np.full((1, sensors), [np.mean(s.training_range) for s in bundle.metadata.sensors], np.float32)
    outputs = {"score": (1,), "errors": (1, sensors), "expected": (1, sensors)}
    arrays = {"readings": row, **{name: np.empty(shape, np.float32) for name, shape in outputs.items()}}
    if (slow := bundle.metadata.baseline) is not None:
        arrays["baseline"], arrays["bound"] = no_baseline(len(slow.spread))
        arrays["residuals"] = np.empty((1, len(slow.spread)), np.float32)
    states = [np.zeros(model.state_shape, np.float32) for _ in range(2)] if model.state_shape else [None]
    # With a state two bindings in turns: what one writes the other reads.
    bindings = [_bind(session, arrays, states[i], states[i - 1]) for i in range(len(states))]
    run, turns = session.run_with_iobinding, len(bindings)

    def call(i: int) -> object:
        run(bindings[i % turns])
        return arrays

    if blocks is None:
        return call
    values, count = [block.values for block in blocks], len(blocks)

    def call_with(i: int) -> object:
        row[:] = values[i % count]
        run(bindings[i % turns])
        return arrays

    return call_with


def _bind(
    session: Any,
    arrays: dict[str, NDArray[np.float32]],
    before: NDArray[np.float32] | None,
    after: NDArray[np.float32] | None,
) -> Any:
    binding, inputs = session.io_binding(), {i.name for i in session.get_inputs()}
    bound = {**arrays} if before is None or after is None else {**arrays, "state": before, "state_out": after}
    for name, array in bound.items():
        bind = binding.bind_input if name in inputs else binding.bind_output
        bind(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
    return binding

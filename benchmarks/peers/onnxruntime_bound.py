"""The floor: ONNX Runtime on buffers that were bound once; rows are written into them, results read there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

NAME = "onnxruntime, bound (floor)"


def load(folder: Path) -> Callable[[NDArray[np.float32]], object]:
    """Buffers for one size of block after another, kept."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / "bundle.onnx", options)
    ready: dict[int, tuple[Any, dict[str, NDArray[np.float32]]]] = {}

    def score(rows: NDArray[np.float32]) -> object:
        found = ready.get(len(rows)) or ready.setdefault(len(rows), _bind(session, *rows.shape))
        binding, buffers = found
        buffers["readings"][:] = rows
        session.run_with_iobinding(binding)
        return buffers

    return score


def _bind(session: Any, count: int, sensors: int) -> tuple[Any, dict[str, NDArray[np.float32]]]:
    binding = session.io_binding()
    shapes = {"readings": (count, sensors), "errors": (count, sensors), "expected": (count, sensors)}
    buffers = {name: np.zeros(shape, np.float32) for name, shape in {**shapes, "score": (count,)}.items()}
    for name, buffer in buffers.items():
        bind = binding.bind_input if name == "readings" else binding.bind_output
        bind(name, "cpu", 0, np.float32, buffer.shape, buffer.ctypes.data)
    return binding, buffers

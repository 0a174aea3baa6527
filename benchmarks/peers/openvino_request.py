"""OpenVINO on the same bundle, one request used again and again, made for latency."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openvino

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

NAME = "OpenVINO"


def load(folder: Path) -> Callable[[NDArray[np.float32]], object]:
    """On the processor, one thread."""
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1}
    model = openvino.Core().compile_model(folder / "bundle.onnx", "CPU", settings)
    request = model.create_infer_request()
    return lambda rows: request.infer({"readings": rows})

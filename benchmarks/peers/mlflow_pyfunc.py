"""MLflow's pyfunc in this process, over its ONNX flavour."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

NAME = "MLflow pyfunc"


def prepare(folder: Path, rows: NDArray[np.float32]) -> None:
    """The bundle as an MLflow model, once, as `mlflow.onnx.log_model` would leave it."""
    if (folder / "mlflow").exists():
        return
    import mlflow.onnx  # noqa: PLC0415 - takes seconds, of which `load` should only pay its own
    import onnx  # noqa: PLC0415

    model = onnx.load(folder / "bundle.onnx")
    one_thread = {"intra_op_num_threads": 1, "inter_op_num_threads": 1, "execution_mode": "sequential"}
    mlflow.onnx.save_model(
        model,
        folder / "mlflow",
        input_example=rows[:2],
        pip_requirements=[],
        onnx_session_options=one_thread,
    )


def load(folder: Path) -> Callable[[NDArray[np.float32]], object]:
    """By name, as from a registry."""
    import mlflow.pyfunc  # noqa: PLC0415

    model = mlflow.pyfunc.load_model(str(folder / "mlflow"))
    return model.predict  # type: ignore[no-any-return]

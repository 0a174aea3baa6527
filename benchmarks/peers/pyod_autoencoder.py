"""PyOD's AutoEncoder, with hidden layers as wide as ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import joblib

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

NAME = "PyOD AutoEncoder"


def prepare(folder: Path, rows: NDArray[np.float32]) -> None:
    """One epoch; speed does not depend on what was learned."""
    from pyod.models.auto_encoder import AutoEncoder  # noqa: PLC0415

    model = AutoEncoder(hidden_neuron_list=[64, 32, 4], epoch_num=1, verbose=0, device="cpu")
    model.fit(rows)
    joblib.dump(model, folder / "pyod.joblib")


def load(folder: Path) -> Callable[[NDArray[np.float32]], object]:
    """As PyOD's documentation saves and loads models."""
    import torch  # noqa: PLC0415

    torch.set_num_threads(1)
    return joblib.load(folder / "pyod.joblib").decision_function  # type: ignore[no-any-return]

"""PyTorch, eager: the very module that the bundle was exported from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from trainer.experiment.checkpoint import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

NAME = "PyTorch, eager"


def load(folder: Path) -> Callable[[NDArray[np.float32]], object]:
    """One thread: the layers are too small for more."""
    torch.set_num_threads(1)
    detector = Checkpoint.load(folder / "checkpoint").detector.eval()

    @torch.inference_mode()
    def score(rows: NDArray[np.float32]) -> object:
        result, errors, expected, _ = detector(torch.from_numpy(rows))
        return result.numpy(), errors.numpy(), expected.numpy()

    return score

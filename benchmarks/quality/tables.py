"""What every data set of the quality benchmark shares: tables from arrays, and figures over runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainer.data.split import Split
from trainer.data.training_data import TrainingData

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["in_memory", "split", "summary"]


def split(values: NDArray[np.floating], labels: NDArray[np.bool_] | None = None) -> Split:
    """Rows of one machine, a second apart."""
    rows = len(values)
    times = np.arange(rows, dtype=np.int64) * 1_000_000_000
    return Split(Path("memory"), times, np.full(rows, "m"), values.astype(np.float32), labels, None)


def in_memory(sensors: Sequence[str], train: Split, val: Split, test: Split) -> TrainingData:
    """Tables that no file holds."""
    return TrainingData(tuple(sensors), train, val, test, {}, {}, 1.0)


def summary(runs: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation of each figure over runs."""
    return {
        name: {
            "mean": float(np.mean([run[name] for run in runs])),
            "sd": float(np.std([run[name] for run in runs])),
        }
        for name in runs[0]
    }

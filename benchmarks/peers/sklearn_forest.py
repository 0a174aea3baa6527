"""scikit-learn's IsolationForest, with its defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import joblib

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

NAME = "scikit-learn IsolationForest"


def prepare(folder: Path, rows: NDArray[np.float32]) -> None:
    """A hundred trees."""
    from sklearn.ensemble import IsolationForest  # noqa: PLC0415

    joblib.dump(IsolationForest(random_state=1).fit(rows), folder / "sklearn.joblib")


def load(folder: Path) -> Callable[[NDArray[np.float32]], object]:
    """As scikit-learn's documentation saves and loads models."""
    return joblib.load(folder / "sklearn.joblib").score_samples  # type: ignore[no-any-return]

"""River's HalfSpaceTrees: one row at a time is all it takes."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

NAME = "River HalfSpaceTrees"
COLUMNS = ("temperature", "vibration", "pressure", "power")


def prepare(folder: Path, rows: NDArray[np.float32]) -> None:
    """Its defaults, over readings scaled to 0 to 1, which it needs."""
    from river.anomaly import HalfSpaceTrees  # noqa: PLC0415
    from river.compose import Pipeline  # noqa: PLC0415
    from river.preprocessing import MinMaxScaler  # noqa: PLC0415

    model = Pipeline(MinMaxScaler(), HalfSpaceTrees(seed=1))
    for row in rows.tolist():
        model.learn_one(dict(zip(COLUMNS, row, strict=True)))
    (folder / "river.pickle").write_bytes(pickle.dumps(model))


def load(folder: Path) -> Callable[[NDArray[np.float32]], object]:
    """It scores, and does not learn, which would cost as much again."""
    model = pickle.loads((folder / "river.pickle").read_bytes())  # noqa: S301 - `prepare` wrote it
    return lambda rows: [model.score_one(dict(zip(COLUMNS, row, strict=True))) for row in rows.tolist()]

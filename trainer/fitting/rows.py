"""Which rows are learnt from, and how many at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import TrainingError
from trainer.detector.scaler import SensorScaler

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.data.split import Split
    from trainer.detector.scaler import ScalerKind

__all__ = ["MIN_VAL_ROWS", "fit_scaler", "fitting_batch_size", "normal_rows", "training_rows"]

SMALLEST_BATCH = 256
MAX_STEPS = 200
MIN_TRAIN_ROWS = 100
MIN_VAL_ROWS = 32


def fit_scaler(kind: ScalerKind, train: Split) -> SensorScaler:
    """A scaler fitted on the training rows that are finite and not labelled as anomalous.

    Raises:
        TrainingError: There are too few such rows.
    """
    return SensorScaler.fit(kind, train.values[normal_rows(train, MIN_TRAIN_ROWS)])


def normal_rows(split: Split, at_least: int) -> NDArray[np.bool_]:
    """[rows] which are normal, as there have to be some.

    Raises:
        TrainingError: There are too few.
    """
    rows = split.normal
    if not split.finite.any():
        raise TrainingError(
            "every row lacks at least one reading",
            where=str(split.path),
            hint="choose sensors that have readings with --sensor",
        )
    if not rows.any():
        raise TrainingError(
            "no normal rows: every row is labelled as anomalous"
            + (", or ignored" if split.ignored is not None else ""),
            where=str(split.path),
            hint="use history of the machine in a healthy state, or check the label column",
        )
    if rows.sum() < at_least:
        raise TrainingError(
            f"too few rows: {rows.sum()} normal ones, at least {at_least} are needed",
            where=str(split.path),
            hint="take a longer history",
        )
    return rows


def training_rows(train: Split, stride: int) -> NDArray[np.bool_]:
    """[rows] which are learnt from: of each machine's normal rows, in time order, each so many-th.

    Raises:
        TrainingError: There are too few.
    """
    rows = normal_rows(train, MIN_TRAIN_ROWS)
    if stride == 1:
        return rows
    places = np.flatnonzero(rows)
    places = places[np.lexsort((train.times[places], train.machines[places]))]
    ranked = train.machines[places]
    first = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
    rank = np.arange(len(places)) - np.repeat(first, np.diff(np.append(first, len(places))))
    taken = np.zeros(len(train), np.bool_)
    taken[places[rank % stride == 0]] = True
    if taken.sum() < MIN_TRAIN_ROWS:
        raise TrainingError(
            f"too few rows: {taken.sum()} at this stride, at least {MIN_TRAIN_ROWS} are needed",
            where=str(train.path),
            hint="choose a smaller --stride, or take a longer history",
        )
    return taken


def fitting_batch_size(rows: int) -> int:
    """256 rows, doubled until an epoch has at most 200 steps: a long history needs no more."""
    size = SMALLEST_BATCH
    while rows > size * MAX_STEPS:
        size *= 2
    return size

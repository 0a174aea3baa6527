"""Batches of scaled rows for the training loop, drawn without any Python for a single row."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from edge_runtime.errors import TrainingError
from trainer.scaler import ScalerKind, SensorScaler

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from trainer.data import Split, TrainingData

__all__ = ["Loaders", "SensorDataset", "create_dataloaders", "fit_scaler", "fitting_batch_size"]

SMALLEST_BATCH = 256
MOST_STEPS = 1000
MIN_TRAIN_ROWS = 100
MIN_VAL_ROWS = 32


class SensorDataset(Dataset[torch.Tensor]):
    """Scaled rows as one tensor.

    Args:
        values: [rows, sensors] readings in raw units, all finite.
        scaler: Fitted on normal training rows.
    """

    def __init__(self, values: NDArray[np.float32], scaler: SensorScaler) -> None:
        self.rows = torch.from_numpy(scaler.transform(values))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> torch.Tensor:
        """One scaled row, [sensors]."""
        return self.rows[index]

    def __getitems__(self, indices: torch.Tensor | slice) -> torch.Tensor:
        """A batch at once, [batch, sensors]: PyTorch's loader prefers this to one call a row."""
        return self.rows[indices]


class _Batches(Sampler[torch.Tensor]):
    """Row numbers of batch after batch; in a new random order each time when there is a generator."""

    def __init__(self, rows: int, batch_size: int, generator: torch.Generator | None) -> None:
        self._rows = rows
        self._batch_size = batch_size
        self._generator = generator

    def __iter__(self) -> Iterator[torch.Tensor]:
        order = (
            torch.arange(self._rows)
            if self._generator is None
            else torch.randperm(self._rows, generator=self._generator)
        )
        for start in range(0, self._rows, self._batch_size):
            yield order[start : start + self._batch_size]

    def __len__(self) -> int:
        return math.ceil(self._rows / self._batch_size)


@dataclass(frozen=True, slots=True)
class Loaders:
    """One loader a split; each yields [batch, sensors] scaled rows.

    Attributes:
        train: Normal rows, in a new random order each epoch.
        val: Normal rows, in order.
        test: Finite rows, normal or not, in order.
    """

    train: DataLoader[torch.Tensor]
    val: DataLoader[torch.Tensor]
    test: DataLoader[torch.Tensor]


def fit_scaler(kind: ScalerKind, train: Split) -> SensorScaler:
    """A scaler fitted on the training rows that are finite and not labelled as anomalous.

    Raises:
        TrainingError: There are too few such rows.
    """
    return SensorScaler.fit(kind, _normal_rows(train, MIN_TRAIN_ROWS))


def create_dataloaders(data: TrainingData, scaler: SensorScaler, *, batch_size: int, seed: int) -> Loaders:
    """Loaders over the three splits.

    Args:
        data: The splits.
        scaler: As `fit_scaler` made it.
        batch_size: Rows of a training batch.
        seed: Of the order of the training rows.

    Raises:
        TrainingError: A split has too few normal rows.
    """
    generator = torch.Generator().manual_seed(seed)
    whole = 65_536  # batches that nothing is learnt from may be large
    return Loaders(
        _loader(SensorDataset(_normal_rows(data.train, MIN_TRAIN_ROWS), scaler), batch_size, generator),
        _loader(SensorDataset(_normal_rows(data.val, MIN_VAL_ROWS), scaler), whole, None),
        _loader(SensorDataset(data.test.values[data.test.finite], scaler), whole, None),
    )


def fitting_batch_size(rows: int) -> int:
    """256 rows, doubled until an epoch has at most 1,000 steps: a long history needs no more."""
    size = SMALLEST_BATCH
    while rows > size * MOST_STEPS:
        size *= 2
    return size


def _loader(
    dataset: SensorDataset, batch_size: int, generator: torch.Generator | None
) -> DataLoader[torch.Tensor]:
    batches = _Batches(len(dataset), batch_size, generator)
    # The batch is a tensor already, so there is nothing to collate.
    return DataLoader(dataset, batch_sampler=batches, collate_fn=_as_it_is)  # type: ignore[arg-type]


def _as_it_is(batch: torch.Tensor) -> torch.Tensor:
    return batch


def _normal_rows(split: Split, at_least: int) -> NDArray[np.float32]:
    rows = split.normal_values
    if not split.finite.any():
        raise TrainingError(
            "no row has all of its readings", where=str(split.path), mend="leave sensors out with --sensor"
        )
    if not len(rows):
        raise TrainingError(
            "no normal rows: every one is labelled as anomalous",
            where=str(split.path),
            mend="take history of the machine in good order, or check the label column",
        )
    if len(rows) < at_least:
        raise TrainingError(
            f"too few rows: {len(rows)} normal ones, at least {at_least} are needed",
            where=str(split.path),
            mend="take a longer history",
        )
    return rows

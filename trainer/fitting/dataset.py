"""Batches of scaled rows for the training loop, drawn without any Python for a single row."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from edge_runtime.scoring.inference import seconds_of_day
from trainer.fitting.rows import MIN_VAL_ROWS, normal_rows, training_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from trainer.data.split import Split
    from trainer.data.training_data import TrainingData
    from trainer.detector.features import InputFeatures
    from trainer.detector.scaler import SensorScaler

__all__ = ["Loaders", "SensorDataset", "TimeWindowDataset", "create_dataloaders"]


class SensorDataset(Dataset[torch.Tensor]):
    """Scaled rows as one tensor.

    Args:
        values: [rows, sensors] readings in raw units, all finite.
        scaler: Fitted on normal training rows.
        device: Where they are held.
    """

    def __init__(self, values: NDArray[np.float32], scaler: SensorScaler, device: str = "cpu") -> None:
        self.rows = torch.from_numpy(scaler.transform(values)).to(device)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> torch.Tensor:
        """One scaled row, [sensors]."""
        return self.rows[index]

    def __getitems__(self, indices: torch.Tensor | slice) -> torch.Tensor:
        """A batch at once, [batch, sensors]: PyTorch's loader prefers this to one call a row."""
        return self.rows[indices]


class TimeWindowDataset(Dataset[torch.Tensor]):
    """Each scaled row with the rows of its machine before it, gathered when it is drawn.

    Before a machine's first row, that row is repeated, as a gateway does.

    Args:
        values: [rows, sensors] readings in raw units, all finite, in any order.
        times: [rows] ns.
        machines: [rows] machine ids.
        scaler: Fitted on normal training rows.
        rows: Of a window, its newest among them.
        features: What to make of a window; None for the window as it is.
        drawn: [rows] whether the row is the newest of a window, and not only looked back on; None for all.
        device: Where they are held.
    """

    def __init__(
        self,
        values: NDArray[np.float32],
        times: NDArray[np.int64],
        machines: NDArray[np.str_],
        scaler: SensorScaler,
        *,
        rows: int,
        features: InputFeatures | None = None,
        drawn: NDArray[np.bool_] | None = None,
        device: str = "cpu",
    ) -> None:
        order = np.lexsort((times, machines))
        ranked = machines[order]
        new = np.append(True, ranked[1:] != ranked[:-1])[: len(order)]
        starts = np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))
        self.rows = torch.from_numpy(scaler.transform(values[order])).to(device)
        self._starts = torch.from_numpy(starts).to(device)
        self._seconds = torch.from_numpy(seconds_of_day(times[order])).to(device)
        self._back = torch.arange(rows - 1, -1, -1, device=device)
        self._features = features
        places = np.arange(len(order)) if drawn is None else np.flatnonzero(drawn[order])
        self._drawn = torch.from_numpy(places).to(device)

    def __len__(self) -> int:
        return len(self._drawn)

    def __getitem__(self, index: int) -> torch.Tensor:
        """One window, [rows, sensors], or its features, [columns]."""
        return self.__getitems__(torch.tensor([index], device=self.rows.device))[0]

    def __getitems__(self, indices: torch.Tensor) -> torch.Tensor:
        """A batch at once, [batch, rows, sensors], or [batch, columns] of features."""
        indices = self._drawn[indices]
        wanted = torch.maximum(indices[:, None] - self._back, self._starts[indices][:, None])
        windows = self.rows[wanted]
        if self._features is None:
            return windows
        return self._features.of(windows, self._seconds[indices][:, None])[:, 0]


class _Batches(Sampler[torch.Tensor]):
    """Row numbers of batch after batch; in a new random order each time when there is a generator."""

    def __init__(self, rows: int, batch_size: int, generator: torch.Generator | None, device: str) -> None:
        self._rows = rows
        self._device = device
        self._batch_size = batch_size
        self._generator = generator

    def __iter__(self) -> Iterator[torch.Tensor]:
        order = (
            torch.arange(self._rows)
            if self._generator is None
            else torch.randperm(self._rows, generator=self._generator)
        )
        order = order.to(self._device)
        for start in range(0, self._rows, self._batch_size):
            yield order[start : start + self._batch_size]

    def __len__(self) -> int:
        return math.ceil(self._rows / self._batch_size)


@dataclass(frozen=True, slots=True)
class Loaders:
    """One loader a split; each yields [batch, columns] of scaled rows, or [batch, rows, sensors] windows.

    Attributes:
        train: Normal rows, or each so many-th of them, in a new random order each epoch.
        val: Normal rows, in order.
        test: Finite rows, normal or not, in order.
    """

    train: DataLoader[torch.Tensor]
    val: DataLoader[torch.Tensor]
    test: DataLoader[torch.Tensor]


def create_dataloaders(
    data: TrainingData,
    scaler: SensorScaler,
    *,
    batch_size: int,
    seed: int,
    stride: int = 1,
    features: InputFeatures | None = None,
    history: int = 0,
    device: str = "cpu",
) -> Loaders:
    """Loaders over the three splits.

    Args:
        data: The splits.
        scaler: As `fit_scaler` made it.
        batch_size: Rows of a training batch.
        seed: Of the order of the training rows.
        stride: Of the normal training rows of a machine, each so many-th is learnt from.
        features: What the network is shown; None for the scaled rows alone.
        history: Rows before each row that the network itself looks back on.
        device: Where the rows are held, and with them what is drawn.

    Raises:
        TrainingError: A split has too few normal rows.
    """
    generator = torch.Generator().manual_seed(seed)
    whole = 65_536  # batches that nothing is learnt from may be large

    def loader(
        split: Split, rows: NDArray[np.bool_], size: int, order: torch.Generator | None
    ) -> DataLoader[torch.Tensor]:
        dataset: SensorDataset | TimeWindowDataset
        if features is None and not history:
            dataset = SensorDataset(split.values[rows], scaler, device)
        else:
            passed = rows | split.passed
            dataset = TimeWindowDataset(
                split.values[passed],
                split.times[passed],
                split.machines[passed],
                scaler,
                rows=1 + history + (features.history if features is not None else 0),
                features=features,
                drawn=rows[passed],
                device=device,
            )
        batches = _Batches(len(dataset), size, order, device)
        # The batch is a tensor already, so there is nothing to collate.
        return DataLoader(dataset, batch_sampler=batches, collate_fn=_as_it_is)  # type: ignore[arg-type]

    return Loaders(
        loader(data.train, training_rows(data.train, stride), batch_size, generator),
        loader(data.val, normal_rows(data.val, MIN_VAL_ROWS), whole, None),
        loader(data.test, data.test.finite, whole, None),
    )


def _as_it_is(batch: torch.Tensor) -> torch.Tensor:
    return batch

"""The training: everything that happens to a network between its initialisation and its best state."""

from __future__ import annotations

import copy
import math
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from edge_runtime.errors import TrainingError, UsageError
from trainer.dataset import create_dataloaders, fit_scaler, fitting_batch_size
from trainer.detector import Detector
from trainer.models.autoencoder import DEFAULT_WIDTHS, SensorAutoencoder
from trainer.smoothing import ScoreSmoothing
from trainer.whitening import ResidualWhitening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch.utils.data import DataLoader

    from trainer.data import TrainingData
    from trainer.scaler import ScalerKind, SensorScaler

    Tensors = tuple[torch.Tensor, ...] | list[torch.Tensor]

__all__ = ["Epoch", "Fitted", "Settings", "fit"]

CLIP_NORM = 1.0
# A validation loss lower by less is worth no further epoch, though the best network is kept all the same.
LEAST_GAIN = 0.002
# The layers are too small to gain from more, and sums come out the same whatever the number of cores.
THREADS = 1
MOST_SMOOTHED = 1024
# Of the weights, from step to step: what is kept is their moving average, which no single batch decides
# (Polyak and Juditsky, 1992, "Acceleration of stochastic approximation by averaging").
AVERAGING = 0.995


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to train.

    Attributes:
        epochs: At most so many passes over the training rows.
        batch_size: Rows of a step; None lets `fitting_batch_size` choose.
        learning_rate: AdamW's first; halved whenever the validation loss stalls for half the patience.
        patience: Epochs without a validation loss lower by 0.2 % after which to stop.
        seed: Of every random choice.
        scaler: Kind of the scaler.
        widths: The autoencoder's hidden widths.
        noise: Standard deviation of the noise on the network's scaled input; its goal stays without. Learning
            to undo it keeps a network with a wide bottleneck from learning to copy.
        whiten: Whether residuals are weighed by their covariance in normal rows.
        smooth: Rows over which the score is smoothed; 1 for none, which keeps the detector without memory.

    Raises:
        UsageError: A value is out of range.
    """

    epochs: int = 100
    batch_size: int | None = None
    learning_rate: float = 1e-3
    patience: int = 10
    seed: int = 0
    scaler: ScalerKind = "minmax"
    widths: tuple[int, ...] = DEFAULT_WIDTHS
    noise: float = 0.2
    whiten: bool = True
    smooth: int = 11

    def __post_init__(self) -> None:
        for option, value, fine in (
            ("--epochs", self.epochs, self.epochs >= 1),
            ("--batch-size", self.batch_size, self.batch_size is None or self.batch_size >= 1),
            ("--learning-rate", self.learning_rate, 0 < self.learning_rate < math.inf),
            ("--patience", self.patience, self.patience >= 1),
            ("--seed", self.seed, 0 <= self.seed < 2**63),
            ("--noise", self.noise, 0 <= self.noise < math.inf),
            ("--smooth", self.smooth, 1 <= self.smooth <= MOST_SMOOTHED),
        ):
            if not fine:
                raise UsageError(f"{value} is out of range", where=option)


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass over the training rows came to.

    Attributes:
        number: From 1.
        train_loss: Mean squared error of the training batches, noise on their input, as they came.
        val_loss: Mean squared error of the normal validation rows, with the same noise on them in each epoch.
        learning_rate: During this epoch.
        best: Whether this validation loss is the lowest so far.
        seconds: How long it took.
    """

    number: int
    train_loss: float
    val_loss: float
    learning_rate: float
    best: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained network.

    Attributes:
        network: In the state of its best epoch, in evaluation mode.
        scaler: Its input's.
        whitening: Of its residuals on the normal training rows; None for none.
        smoothing: Of its scores; None for none.
        history: Every epoch.
        batch_size: Rows of a training step.
    """

    network: SensorAutoencoder
    scaler: SensorScaler
    whitening: ResidualWhitening | None
    smoothing: ScoreSmoothing | None
    history: tuple[Epoch, ...] = field(repr=False)
    batch_size: int

    @property
    def detector(self) -> Detector:
        """What scores readings."""
        return Detector(self.network, self.scaler, self.whitening, self.smoothing)

    @property
    def best(self) -> Epoch:
        """The epoch with the lowest validation loss, whose network this is."""
        return [epoch for epoch in self.history if epoch.best][-1]


def fit(
    data: TrainingData, settings: Settings, on_epoch: Callable[[Epoch], None] = lambda _epoch: None
) -> Fitted:
    """Trains an autoencoder on the normal training rows.

    The same data and settings give the same network on the same machine.

    Args:
        data: The splits; the test split is not looked at.
        settings: How to train.
        on_epoch: Called after each epoch.

    Raises:
        TrainingError: Too few normal rows, or the loss is not finite.
    """
    with _reproducible(settings.seed):
        scaler = fit_scaler(settings.scaler, data.train)
        batch_size = settings.batch_size or fitting_batch_size(int(data.train.normal.sum()))
        loaders = create_dataloaders(data, scaler, batch_size=batch_size, seed=settings.seed)
        network = SensorAutoencoder(len(data.sensors), settings.widths)
        average = AveragedModel(network, multi_avg_fn=_average)
        optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, fused=True)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, factor=0.5, patience=max(1, settings.patience // 2 - 1), threshold=LEAST_GAIN
        )
        history: list[Epoch] = []
        best_loss, best_state = math.inf, network.state_dict()
        gained_loss, gained_number = math.inf, 0

        for number in range(1, settings.epochs + 1):
            started = time.monotonic()
            learning_rate = float(optimizer.param_groups[0]["lr"])
            network.train()
            total = torch.zeros(())
            for batch in loaders.train:
                noisy = batch + settings.noise * torch.randn_like(batch) if settings.noise else batch
                loss = nn.functional.mse_loss(network(noisy), batch)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(network.parameters(), CLIP_NORM)
                optimizer.step()
                average.update_parameters(network)
                total += loss.detach() * len(batch)
            train_loss = float(total) / len(loaders.train.dataset)  # type: ignore[arg-type]
            val_loss = _loss(average.module, loaders.val, settings)
            if not math.isfinite(train_loss + val_loss):
                raise TrainingError(
                    f"the loss is not finite in epoch {number}", mend="choose a smaller --learning-rate"
                )
            scheduler.step(val_loss)

            best = val_loss < best_loss
            if best:
                best_loss, best_state = val_loss, copy.deepcopy(average.module.state_dict())
            if val_loss < gained_loss * (1 - LEAST_GAIN):
                gained_loss, gained_number = val_loss, number
            history.append(
                Epoch(number, train_loss, val_loss, learning_rate, best, time.monotonic() - started)
            )
            on_epoch(history[-1])
            if number - gained_number >= settings.patience:
                break

        network.load_state_dict(best_state)
        network.eval()
        whitening = _whitening(network, data, scaler) if settings.whiten else None
        smoothing = None
        if settings.smooth > 1:
            own = Detector(network, scaler, whitening).score(data.train.normal_values)[0]
            smoothing = ScoreSmoothing.fit(settings.smooth, own)
    return Fitted(network, scaler, whitening, smoothing, tuple(history), batch_size)


@torch.no_grad()
def _average(averages: Tensors, weights: Tensors, steps: torch.Tensor | int) -> None:
    """Moves the averages towards the weights: far in the first steps, so that the start is soon forgotten."""
    number = float(steps)
    torch._foreach_lerp_(averages, weights, 1 - min(AVERAGING, (1 + number) / (10 + number)))


@torch.no_grad()
def _whitening(network: nn.Module, data: TrainingData, scaler: SensorScaler) -> ResidualWhitening:
    scaled = torch.from_numpy(scaler.transform(data.train.normal_values))
    return ResidualWhitening.fit((scaled - network(scaled)).numpy())


@torch.no_grad()
def _loss(network: nn.Module, loader: DataLoader[torch.Tensor], settings: Settings) -> float:
    """Mean squared error over a whole loader, with the same noise on its rows each time."""
    network.eval()
    generator = torch.Generator().manual_seed(settings.seed)
    total, count = 0.0, 0
    for batch in loader:
        noisy = batch + settings.noise * torch.randn(batch.shape, generator=generator)
        total += float(nn.functional.mse_loss(network(noisy), batch, reduction="sum"))
        count += batch.numel()
    return total / count


@contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """Fixed seed, threads and algorithms; the process gets its own back at the end."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(THREADS)
        torch.use_deterministic_algorithms(mode=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(mode=deterministic)
            torch.set_num_threads(threads)

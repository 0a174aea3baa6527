"""A detector from training data: scaler, network, and what weighs, averages and smooths its residuals."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from edge_runtime.errors import UsageError
from trainer.averaging import ResidualAverage
from trainer.dataset import create_dataloaders, fit_scaler, fitting_batch_size
from trainer.detector import Detector
from trainer.models.autoencoder import DEFAULT_WIDTHS, SensorAutoencoder
from trainer.models.linear import LinearModel
from trainer.smoothing import ScoreSmoothing
from trainer.training import Epoch, train_network
from trainer.whitening import ResidualWhitening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trainer.data import Split, TrainingData
    from trainer.scaler import ScalerKind, SensorScaler

__all__ = ["Epoch", "Fitted", "ModelKind", "Settings", "fit"]

ModelKind = Literal["autoencoder", "linear"]

# The layers are too small to gain from more, and sums come out the same whatever the number of cores.
THREADS = 1
MOST_SMOOTHED = 1024


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
        model: "autoencoder", or "linear" for one in closed form.
        widths: The autoencoder's hidden widths.
        noise: Standard deviation of the noise on the network's scaled input; its goal stays without. Learning
            to undo it keeps a network with a wide bottleneck from learning to copy.
        whiten: Whether residuals are weighed by their covariance in normal rows.
        smooth: Rows over which the score is smoothed; 1 for none.
        average: Weight of the newest row in the residuals' moving average; None for no average. With neither
            of the two the detector has no memory.

    Raises:
        UsageError: A value is out of range.
    """

    epochs: int = 100
    batch_size: int | None = None
    learning_rate: float = 1e-3
    patience: int = 10
    seed: int = 0
    scaler: ScalerKind = "minmax"
    model: ModelKind = "autoencoder"
    widths: tuple[int, ...] = DEFAULT_WIDTHS
    noise: float = 0.2
    whiten: bool = True
    smooth: int = 11
    average: float | None = None

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
class Fitted:
    """A trained network.

    Attributes:
        network: In the state of its best epoch, in evaluation mode.
        scaler: Its input's.
        whitening: Of its residuals on the normal training rows; None for none.
        smoothing: Of its scores; None for none.
        average: Of its residuals; None for none.
        history: Every epoch.
        batch_size: Rows of a training step.
    """

    network: SensorAutoencoder | LinearModel
    scaler: SensorScaler
    whitening: ResidualWhitening | None
    smoothing: ScoreSmoothing | None
    average: ResidualAverage | None
    history: tuple[Epoch, ...] = field(repr=False)
    batch_size: int

    @property
    def detector(self) -> Detector:
        """What scores readings."""
        return Detector(self.network, self.scaler, self.whitening, self.smoothing, self.average)

    @property
    def best(self) -> Epoch | None:
        """The epoch with the lowest validation loss, whose network this is; None for a closed form."""
        return next((epoch for epoch in reversed(self.history) if epoch.best), None)


def fit(
    data: TrainingData, settings: Settings, on_epoch: Callable[[Epoch], None] = lambda _epoch: None
) -> Fitted:
    """Fits a detector on the normal training rows.

    The same data and settings give the same detector on the same machine.

    Args:
        data: The splits; the test split is not looked at.
        settings: How to train.
        on_epoch: Called after each epoch; a model in closed form has none.

    Raises:
        TrainingError: Too few normal rows, or the loss is not finite.
    """
    with _reproducible(settings.seed):
        scaler = fit_scaler(settings.scaler, data.train)
        network: SensorAutoencoder | LinearModel
        history: tuple[Epoch, ...] = ()
        batch_size = settings.batch_size or fitting_batch_size(int(data.train.normal.sum()))
        if settings.model == "linear":
            network = LinearModel.fitted(scaler.transform(data.train.normal_values))
        else:
            loaders = create_dataloaders(data, scaler, batch_size=batch_size, seed=settings.seed)
            network = SensorAutoencoder(len(data.sensors), settings.widths)
            history = train_network(network, loaders, settings, on_epoch)
        average = None if settings.average is None else ResidualAverage(settings.average)
        whitening = _whitening(network, data.train, scaler, average) if settings.whiten else None
        smoothing = None
        if settings.smooth > 1:
            own = Detector(network, scaler, whitening, None, average)
            rows = data.train.normal
            scores = own.score_table(
                data.train.values[rows], data.train.times[rows], data.train.machines[rows]
            )
            smoothing = ScoreSmoothing.fit(settings.smooth, scores)
    return Fitted(network, scaler, whitening, smoothing, average, history, batch_size)


@torch.no_grad()
def _whitening(
    network: nn.Module, train: Split, scaler: SensorScaler, average: ResidualAverage | None
) -> ResidualWhitening:
    rows = train.normal
    scaled = torch.from_numpy(scaler.transform(train.values[rows]))
    residuals = (scaled - network(scaled)).numpy()
    if average is not None:
        residuals = average.apply(residuals, train.times[rows], train.machines[rows])
    return ResidualWhitening.fit(residuals)


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

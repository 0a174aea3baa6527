"""A detector from training data: scaler, network, and what weighs, averages and smooths its residuals."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from edge_runtime.errors import UsageError
from trainer.detector import BLOCK, Detector
from trainer.detector.averaging import ResidualAverage
from trainer.detector.smoothing import ScoreSmoothing
from trainer.detector.whitening import ResidualWhitening
from trainer.fitting.dataset import TimeWindowDataset, create_dataloaders, fit_scaler, fitting_batch_size
from trainer.fitting.settings import Device, ModelKind, Settings
from trainer.fitting.training import Epoch, train_network
from trainer.models.autoencoder import SensorAutoencoder
from trainer.models.convolutional import ConvolutionalAutoencoder
from trainer.models.ensemble import Ensemble
from trainer.models.linear import LinearModel
from trainer.models.pca import PcaModel
from trainer.models.variational import VariationalAutoencoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from trainer.data.training_data import Split, TrainingData
    from trainer.detector.features import InputFeatures
    from trainer.detector.scaler import SensorScaler
    from trainer.models.base import Network

__all__ = [
    "Epoch",
    "Fitted",
    "ModelKind",
    "Settings",
    "finished",
    "fit",
    "pick_device",
    "reproducible",
    "shown_rows",
]

# The layers are too small to gain much from more, on a busy machine threads that wait for one another lose a
# hundredfold, and sums come out the same whatever the number of cores.
THREADS = 1


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained network.

    Attributes:
        network: In the state of its best epoch, in evaluation mode.
        scaler: Its input's.
        whitening: Of its residuals on the normal training rows; None for none.
        smoothing: Of its scores; None for none.
        average: Of its residuals; None for none.
        features: What it is shown; None for the scaled row alone.
        history: Every epoch.
        batch_size: Rows of a training step.
        latent_deviation: Of a variational network, [bottleneck] how uncertain it was of validation's normal
            rows, as a standard deviation; None of another.
    """

    network: Network
    scaler: SensorScaler
    whitening: ResidualWhitening | None
    smoothing: ScoreSmoothing | None
    average: ResidualAverage | None
    features: InputFeatures | None
    history: tuple[Epoch, ...] = field(repr=False)
    batch_size: int
    latent_deviation: tuple[float, ...] | None = None

    @property
    def detector(self) -> Detector:
        """What scores readings."""
        return Detector(
            self.network, self.scaler, self.whitening, self.smoothing, self.average, self.features
        )

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
    batch_size = settings.batch_size or fitting_batch_size(int(data.train.normal.sum()))
    with reproducible(settings.seed):
        scaler = fit_scaler(settings.scaler, data.train)
        shown = settings.features(len(data.sensors))
        features = None if shown.is_plain else shown
        network, history, covariance = _network(data, settings, scaler, features, batch_size, on_epoch)
        return finished(network, data, settings, scaler, features, history, batch_size, covariance)


def finished(
    network: Network,
    data: TrainingData,
    settings: Settings,
    scaler: SensorScaler,
    features: InputFeatures | None,
    history: tuple[Epoch, ...],
    batch_size: int,
    covariance: NDArray[np.float64] | None = None,
) -> Fitted:
    """A trained network with what weighs, averages and smooths its residuals.

    Args:
        network: Trained.
        data: The splits; the test split is not looked at.
        settings: How it was trained.
        scaler: Its input's.
        features: What it is shown; None for the scaled row alone.
        history: Every epoch.
        batch_size: Rows of a training step.
        covariance: Of its residuals, where its kind knows that.

    Raises:
        TrainingError: Nothing moves in the residuals.
    """
    average = None if settings.average is None else ResidualAverage(settings.average)
    rows = data.train.passed
    passed, normal = (
        (data.train.values[rows], data.train.times[rows], data.train.machines[rows]),
        data.train.normal[rows],
    )
    bare = Detector(network, scaler, None, None, average, features)
    whitening = smoothing = None
    if settings.whiten and covariance is not None and average is None:
        whitening = ResidualWhitening.of(np.zeros(len(data.sensors)), covariance)
    elif settings.whiten:
        whitening = ResidualWhitening.fit(bare.residuals(*passed)[normal])
    if settings.smooth > 1:
        own = Detector(network, scaler, whitening, None, average, features)
        smoothing = ScoreSmoothing.fit(settings.smooth, own.score_table(*passed)[normal], capped=settings.cap)
    deviation = None
    if isinstance(network, VariationalAutoencoder):
        deviation = _latent_deviation(network, data, scaler, features)
    return Fitted(network, scaler, whitening, smoothing, average, features, history, batch_size, deviation)


def _network(
    data: TrainingData,
    settings: Settings,
    scaler: SensorScaler,
    features: InputFeatures | None,
    batch_size: int,
    on_epoch: Callable[[Epoch], None],
) -> tuple[Network, tuple[Epoch, ...], NDArray[np.float64] | None]:
    """The network, its epochs, and its residuals' covariance where its kind knows that."""
    sensors = len(data.sensors)
    if settings.model == "pca":
        pca, covariance = PcaModel.fitted(scaler.transform(data.train.normal_values), settings.components)
        return pca, (), covariance
    if settings.model == "linear":
        shown = shown_rows(data.train, scaler, features)
        return LinearModel.fitted(shown, sensors), (), None
    device = pick_device(settings.device)
    members: list[Network] = []
    history: tuple[Epoch, ...] = ()
    for member in range(settings.members):
        made = _untrained(settings, sensors, None if features is None else features.columns).to(device)
        loaders = create_dataloaders(
            data,
            scaler,
            batch_size=batch_size,
            seed=settings.seed + member,
            features=features,
            history=made.history,
            device=device,
        )
        # One member's epochs go on counting where the last one's ended.
        before = len(history)
        history += tuple(
            replace(epoch, number=before + epoch.number)
            for epoch in train_network(
                made,
                loaders,
                settings,
                lambda epoch, before=before: on_epoch(  # type: ignore[misc]
                    replace(epoch, number=before + epoch.number)
                ),
            )
        )
        members.append(made.cpu())
    return (members[0] if settings.members == 1 else Ensemble(members).eval()), history, None


def pick_device(wanted: Device) -> str:
    """What PyTorch calls it.

    Raises:
        UsageError: It is not there.
    """
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise UsageError(
            "PyTorch finds no GPU here", where="--device", hint="use --device cpu, or install a CUDA build"
        )
    if wanted == "cpu" or not there:
        return "cpu"
    # Without it cuBLAS adds in another order each time, and PyTorch refuses to call that deterministic.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return "cuda"


def _untrained(settings: Settings, sensors: int, inputs: int | None) -> Network:
    if settings.model == "variational":
        return VariationalAutoencoder(sensors, settings.widths, inputs, settings.beta)
    if settings.model == "convolutional":
        return ConvolutionalAutoencoder(sensors, settings.widths, settings.kernels)
    return SensorAutoencoder(sensors, settings.widths, inputs)


def shown_rows(split: Split, scaler: SensorScaler, features: InputFeatures | None) -> NDArray[np.float32]:
    """[rows, columns] of the normal rows of a split."""
    if features is None:
        return scaler.transform(split.normal_values)
    rows = split.passed
    windows = TimeWindowDataset(
        split.values[rows],
        split.times[rows],
        split.machines[rows],
        scaler,
        rows=features.history + 1,
        features=features,
        drawn=split.normal[rows],
    )
    blocks = torch.split(torch.arange(len(windows)), BLOCK)
    shown: NDArray[np.float32] = torch.cat([windows.__getitems__(block) for block in blocks]).numpy()
    return shown


@torch.no_grad()
def _latent_deviation(
    network: VariationalAutoencoder,
    data: TrainingData,
    scaler: SensorScaler,
    features: InputFeatures | None,
) -> tuple[float, ...]:
    shown = torch.from_numpy(shown_rows(data.val, scaler, features))
    return tuple(network.deviations(shown).mean(0).tolist())


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Fixed seed, threads and algorithms; the process gets its own back at the end."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.set_num_threads(THREADS)
        torch.use_deterministic_algorithms(mode=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(mode=deterministic)
            torch.set_num_threads(threads)

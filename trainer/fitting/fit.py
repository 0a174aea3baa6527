"""A detector from training data: scaler, network, and what weighs, averages and smooths its residuals."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from trainer.detector import BLOCK, Detector
from trainer.detector.averaging import ResidualAverage
from trainer.detector.parts import DetectorParts
from trainer.detector.smoothing import ScoreSmoothing
from trainer.detector.whitening import ResidualWhitening
from trainer.fitting.channels import ChannelOptions, fit_channels, own_variance
from trainer.fitting.dataset import TimeWindowDataset, create_dataloaders
from trainer.fitting.device import pick_device, reproducible
from trainer.fitting.rows import fit_scaler, fitting_batch_size, training_rows
from trainer.fitting.settings import Settings
from trainer.fitting.training import Epoch, train_network
from trainer.models.base import ClosedFormModel, TrainedModel
from trainer.models.ensemble import Ensemble
from trainer.models.registry import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from trainer.data.split import Split
    from trainer.data.training_data import TrainingData
    from trainer.detector.features import InputFeatures
    from trainer.detector.scaler import SensorScaler
    from trainer.models.base import Network

__all__ = [
    "Epoch",
    "Fitted",
    "Settings",
    "finished",
    "fit",
    "shown_rows",
]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted detector.

    Attributes:
        parts: What scores readings; a network is in the state of its best epoch.
        history: Every epoch.
        batch_size: Rows of a training step.
        latent_deviation: Of a variational network, [bottleneck] how uncertain it was of validation's normal
            rows, as a standard deviation; None of another.
    """

    parts: DetectorParts
    history: tuple[Epoch, ...] = field(repr=False)
    batch_size: int
    latent_deviation: tuple[float, ...] | None = None

    @property
    def detector(self) -> Detector:
        """What scores readings."""
        return Detector(self.parts)

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
    kind = kind_of(settings.model)
    with reproducible(settings.seed):
        scaler = fit_scaler(settings.scaler, data.train)
        shown = settings.features(len(data.sensors))
        features = None if shown.is_plain else shown
        batch_size = settings.batch_size or fitting_batch_size(
            int(training_rows(data.train, settings.stride).sum())
        )
        history: tuple[Epoch, ...] = ()
        covariance = None
        if issubclass(kind, ClosedFormModel):
            rows = shown_rows(data.train, scaler, features)
            network, covariance = kind.fitted(rows, len(data.sensors), settings)
        elif issubclass(kind, TrainedModel):
            network, history = _trained(kind, data, settings, scaler, features, batch_size, on_epoch)
        parts = DetectorParts(network, scaler, features)
        return finished(parts, data, settings, history, batch_size, covariance)


def finished(
    parts: DetectorParts,
    data: TrainingData,
    settings: Settings,
    history: tuple[Epoch, ...],
    batch_size: int,
    covariance: NDArray[np.float64] | None = None,
) -> Fitted:
    """A trained network with what weighs, averages and smooths its residuals.

    Args:
        parts: The trained network, its scaler, and what it is shown.
        data: The splits; the test split is not looked at.
        settings: How it was trained.
        history: Every epoch.
        batch_size: Rows of a training step.
        covariance: Of its residuals, where its kind knows that.

    Raises:
        TrainingError: Nothing moves in the residuals.
    """
    if settings.average is not None:
        parts = replace(parts, average=ResidualAverage(settings.average))
    rows = data.train.passed
    passed, normal = (
        (data.train.values[rows], data.train.times[rows], data.train.machines[rows]),
        data.train.normal[rows],
    )
    if settings.two_channels:
        horizon = settings.horizon_rows(data.cadence_seconds)
        options = ChannelOptions(
            floor=settings.floor,
            lasting=settings.lasting,
            lasting_weight=settings.lasting_weight,
            sudden=settings.sudden,
            horizon=horizon,
        )
        parts = fit_channels(parts, data.train, data.val, options)
    elif settings.whiten and covariance is not None and parts.average is None:
        parts = replace(parts, whitening=ResidualWhitening.of(np.zeros(len(data.sensors)), covariance))
    elif settings.whiten:
        residuals = Detector(parts).residuals(*passed)[normal]
        own = own_variance(parts.scaler, data.train.normal_values)
        parts = replace(parts, whitening=ResidualWhitening.fit(residuals, own))
    if settings.smooth > 1:
        scores = Detector(parts).score_table(*passed)[normal]
        parts = replace(parts, smoothing=ScoreSmoothing.fit(settings.smooth, scores, capped=settings.cap))
    return Fitted(parts, history, batch_size, _latent_deviation(parts, data))


def _trained(
    kind: type[TrainedModel],
    data: TrainingData,
    settings: Settings,
    scaler: SensorScaler,
    features: InputFeatures | None,
    batch_size: int,
    on_epoch: Callable[[Epoch], None],
) -> tuple[Network, tuple[Epoch, ...]]:
    """The network, or the ensemble, and its epochs."""
    device = pick_device(settings.device)
    members: list[Network] = []
    history: tuple[Epoch, ...] = ()
    for member in range(settings.members):
        columns = None if features is None else features.columns
        made = kind.untrained(settings, len(data.sensors), columns).to(device)
        loaders = create_dataloaders(
            data,
            scaler,
            batch_size=batch_size,
            seed=settings.seed + member,
            stride=settings.stride,
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
    return (members[0] if settings.members == 1 else Ensemble(members).eval()), history


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
def _latent_deviation(parts: DetectorParts, data: TrainingData) -> tuple[float, ...] | None:
    network = parts.network
    if not isinstance(network, TrainedModel) or not network.uncertain:
        return None
    shown = torch.from_numpy(shown_rows(data.val, parts.scaler, parts.features))
    return tuple(network.deviations(shown).mean(0).tolist())

"""The epochs: everything that happens to a network between its initialisation and its best state."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from edge_runtime.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch.utils.data import DataLoader

    from trainer.fitting.dataset import Loaders
    from trainer.fitting.settings import Settings
    from trainer.models.base import Network

    Tensors = tuple[torch.Tensor, ...] | list[torch.Tensor]

__all__ = ["Epoch", "input_noise", "train_network"]

# A validation loss lower by less is worth no further epoch, though the best network is kept all the same.
MIN_GAIN = 0.002
# Of the weights, from step to step: what is kept is their moving average, which no single batch decides
# (Polyak and Juditsky, 1992, "Acceleration of stochastic approximation by averaging").
AVERAGING = 0.995
ROWS = 2  # dimensions of a batch of rows; one of windows has one more


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass over the training rows came to.

    Attributes:
        number: From 1.
        train_loss: What the training batches came to, noise on their input, as they came.
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


def train_network(
    network: Network, loaders: Loaders, settings: Settings, on_epoch: Callable[[Epoch], None]
) -> tuple[Epoch, ...]:
    """Trains a network to reproduce its rows, and leaves it in the state of its best epoch.

    Raises:
        TrainingError: The loss is not finite.
    """
    device = next(network.parameters()).device
    noise, sensors = input_noise(network, settings).to(device), network.architecture.sensors

    def wanted(batch: torch.Tensor) -> torch.Tensor:
        """The scaled readings of each batch's, or window's, newest row."""
        return (batch if batch.ndim == ROWS else batch[:, -1])[:, :sensors]

    average = AveragedModel(network, multi_avg_fn=_average)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=max(1, settings.patience // 2 - 1), threshold=MIN_GAIN
    )
    history: list[Epoch] = []
    best_loss, best_state = math.inf, network.state_dict()
    gained_loss, gained_number = math.inf, 0

    for number in range(1, settings.epochs + 1):
        started = time.monotonic()
        learning_rate = float(optimizer.param_groups[0]["lr"])
        network.train()
        total = torch.zeros((), device=device)
        for batch in loaders.train:
            noisy = batch + noise * torch.randn_like(batch) if settings.noise else batch
            loss = network.loss(noisy, wanted(batch))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if settings.clip_norm:
                nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm)
            optimizer.step()
            average.update_parameters(network)
            total += loss.detach() * len(batch)
        train_loss = float(total) / len(loaders.train.dataset)  # type: ignore[arg-type]
        val_loss = _loss(average.module, loaders.val, noise, wanted, settings.seed)
        if not math.isfinite(train_loss + val_loss):
            raise TrainingError(
                f"the loss is not finite in epoch {number}", hint="choose a smaller --learning-rate"
            )
        scheduler.step(val_loss)

        best = val_loss < best_loss
        if best:
            best_loss, best_state = val_loss, copy.deepcopy(average.module.state_dict())
        if val_loss < gained_loss * (1 - MIN_GAIN):
            gained_loss, gained_number = val_loss, number
        history.append(Epoch(number, train_loss, val_loss, learning_rate, best, time.monotonic() - started))
        on_epoch(history[-1])
        if number - gained_number >= settings.patience:
            break

    network.load_state_dict(best_state)
    network.eval()
    return tuple(history)


@torch.no_grad()
def _loss(
    network: nn.Module,
    loader: DataLoader[torch.Tensor],
    noise: torch.Tensor,
    wanted: Callable[[torch.Tensor], torch.Tensor],
    seed: int,
) -> float:
    """Mean squared error over a whole loader, with the same noise on its rows each time."""
    network.eval()
    generator = torch.Generator(noise.device).manual_seed(seed)
    total, count = 0.0, 0
    for batch in loader:
        goal = wanted(batch)
        noisy = batch + noise * torch.randn(batch.shape, generator=generator, device=noise.device)
        total += float(nn.functional.mse_loss(network(noisy), goal, reduction="sum"))
        count += goal.numel()
    return total / count


def input_noise(network: Network, settings: Settings) -> torch.Tensor:
    """[inputs] standard deviations: what is of the time alone is shown as it is."""
    architecture = network.architecture
    noise = torch.full((architecture.inputs or architecture.sensors,), settings.noise)
    if settings.period is not None:
        noise[-2 * settings.harmonics :] = 0.0
    return noise


@torch.no_grad()
def _average(averages: Tensors, weights: Tensors, steps: torch.Tensor | int) -> None:
    """Moves the averages towards the weights: far in the first steps, so that the start is soon forgotten."""
    number = float(steps)
    torch._foreach_lerp_(averages, weights, 1 - min(AVERAGING, (1 + number) / (10 + number)))

"""The epochs of a stack: each network has its own learning rate, patience and best state."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from edge_runtime.errors import TrainingError
from trainer.fitting.training import MIN_GAIN, Epoch, input_noise
from trainer.fleet.batches import StackBatches
from trainer.fleet.optimizer import StackOptimizer
from trainer.fleet.stack import NetworkStack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trainer.fitting.settings import Settings
    from trainer.models.autoencoder import SensorAutoencoder

__all__ = ["Shown", "Trained", "train_stack"]


@dataclass(frozen=True, slots=True)
class Shown:
    """What a network is to learn from.

    Attributes:
        train: [rows, inputs] scaled normal rows.
        val: The same of validation.
    """

    train: torch.Tensor
    val: torch.Tensor


@dataclass(frozen=True, slots=True)
class Trained:
    """What became of it.

    Attributes:
        network: In the state of its best epoch, in evaluation mode.
        history: Every epoch; the seconds are the network's share of those of the stack.
    """

    network: SensorAutoencoder
    history: tuple[Epoch, ...]


@dataclass(slots=True)
class _Course:
    """How far a network is: when its rate is halved, when it stops, what it was at its best."""

    place: int
    rate: float
    best: torch.Tensor
    best_loss: float = math.inf
    gained_loss: float = math.inf
    gained_number: int = 0
    stalled: int = 0
    history: list[Epoch] = field(default_factory=list)
    error: TrainingError | None = None

    def add(self, number: int, losses: tuple[float, float], settings: Settings, seconds: float) -> bool:
        """Takes an epoch's training and validation loss; says whether it is the best so far."""
        train_loss, val_loss = losses
        best = val_loss < self.best_loss
        self.history.append(Epoch(number, train_loss, val_loss, self.rate, best, seconds))
        self.best_loss = min(self.best_loss, val_loss)
        self.stalled += 1
        if val_loss < self.gained_loss * (1 - MIN_GAIN):
            self.gained_loss, self.gained_number, self.stalled = val_loss, number, 0
        # As `ReduceLROnPlateau` in `train_network`.
        if self.stalled > max(1, settings.patience // 2 - 1):
            self.rate, self.stalled = self.rate / 2, 0
        return best

    def is_over(self, number: int, settings: Settings) -> bool:
        return self.error is not None or number - self.gained_number >= settings.patience


def train_stack(
    start: SensorAutoencoder,
    shown: Sequence[Shown],
    settings: Settings,
    *,
    batch_size: int,
    seed: int,
    device: str = "cpu",
    on_epoch: Callable[[int], None] = lambda _networks: None,
) -> list[Trained | TrainingError]:
    """Trains a network for each of some machines, as `train_network` trains one.

    What comes out for a machine is what would come out for it alone, but for rounding.

    Args:
        start: What each is at first.
        shown: Each machine's rows, in any order of the machines.
        settings: How to train.
        batch_size: Rows of a step, of each.
        seed: Of the order of rows and of the noise.
        device: "cpu" or "cuda".
        on_epoch: Told after each epoch how many networks' epochs are done with it, those left out for having
            stopped early among them.

    Returns:
        For each machine its network, or why there is none.
    """
    order = sorted(range(len(shown)), key=lambda i: -len(shown[i].train))
    stack = NetworkStack(start, len(shown), batch_size, device)
    courses = [_Course(place, settings.learning_rate, stack.weights[0]) for place in order]
    finished: list[_Course] = []
    optimizer = StackOptimizer(stack, settings)
    sensors = start.architecture.sensors
    noise = input_noise(start, settings).to(device)
    train, val = (
        StackBatches([getattr(shown[i], split) for i in order], sensors, batch_size, noise)
        for split in ("train", "val")
    )
    generators: dict[int, torch.Generator] = {}

    for number in range(1, settings.epochs + 1):
        started = time.monotonic()
        train_losses = _pass(
            stack, optimizer, train, train.shuffled(generators, seed), _noise_seed(seed, number)
        )
        val_losses = _validate(stack, optimizer, val, _noise_seed(seed, 0))
        seconds = (time.monotonic() - started) / len(courses)
        for i, (course, losses) in enumerate(
            zip(courses, zip(train_losses, val_losses, strict=True), strict=True)
        ):
            if not math.isfinite(sum(losses)):
                course.error = TrainingError(
                    f"the loss is not finite in epoch {number}", hint="choose a smaller --learning-rate"
                )
            elif course.add(number, losses, settings, seconds):
                course.best = optimizer.averages[i].clone()
        going = [i for i, course in enumerate(courses) if not course.is_over(number, settings)]
        stopped = len(courses) - len(going)
        on_epoch(len(courses) + stopped * (settings.epochs - number))
        if stopped:
            finished += [course for course in courses if course.is_over(number, settings)]
            if not going:
                courses = []
                break
            courses = [courses[i] for i in going]
            kept = torch.tensor(going, device=device)
            stack.keep(kept)
            optimizer.keep(kept)
            train.keep(going)
            val.keep(going)
        optimizer.rates = [course.rate for course in courses]

    results: dict[int, Trained | TrainingError] = {}
    for course in (*finished, *courses):
        results[course.place] = course.error or Trained(
            stack.network(course.best.cpu()), tuple(course.history)
        )
    return [results[place] for place in range(len(shown))]


@torch.no_grad()
def _pass(
    stack: NetworkStack,
    optimizer: StackOptimizer,
    batches: StackBatches,
    orders: list[torch.Tensor],
    noise_seed: int,
) -> list[float]:
    """One epoch: the mean squared error of each network's batches as they came."""
    totals = torch.zeros(len(stack), dtype=torch.float64, device=stack.weights.device)
    for batch in batches.steps(orders, noise_seed):
        off = stack.forward(batch.shown).sub_(batch.wanted).mul_(batch.real)
        totals[: len(off)] += off.square().sum((1, 2))
        # Of the mean over the rows that there are.
        stack.backward(off.mul_((2 / (batch.rows * off.shape[2])).view(-1, 1, 1)))
        optimizer.step(len(off))
    return (totals / (batches.counts * batch.wanted.shape[2])).tolist()


@torch.no_grad()
def _validate(
    stack: NetworkStack, optimizer: StackOptimizer, batches: StackBatches, noise_seed: int
) -> list[float]:
    """Of each network's averaged weights on its validation rows, with the same noise on them each time."""
    totals = torch.zeros(len(stack), dtype=torch.float64, device=stack.weights.device)
    for batch in batches.steps(batches.ordered(), noise_seed):
        off = stack.forward(batch.shown, optimizer.averages).sub_(batch.wanted).mul_(batch.real)
        totals[: len(off)] += off.square().sum((1, 2))
    return (totals / (batches.counts * batch.wanted.shape[2])).tolist()


def _noise_seed(seed: int, epoch: int) -> int:
    """Every machine meets the same noise, which makes it nobody's in particular."""
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0] >> np.uint64(1))

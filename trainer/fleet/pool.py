"""Stacks of machines, and the threads that train them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING

import torch

from edge_runtime.errors import TrainingError, UsageError
from trainer.fitting.device import THREADS, pick_device, reproducible
from trainer.fleet.training import Trained, train_stack
from trainer.models.autoencoder import SensorAutoencoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from trainer.fitting.settings import Settings
    from trainer.fleet.machines import Machine

    Training = tuple[Trained, ...] | TrainingError

__all__ = ["refuse_other_models", "train_fleet", "worker_threads"]

# Networks of a stack, and rows that they are shown at a time. On a CPU what they compute in a step is to stay
# in its caches, and yet be long beside the calls that it takes; a GPU has room.
MAX_STACKED = {"cpu": 32, "cuda": 1024}
MAX_ROWS = {"cpu": 4096, "cuda": 262_144}


def train_fleet(
    machines: Sequence[Machine],
    settings: Settings,
    *,
    threads: int | None = None,
    on_progress: Callable[[float], None] = lambda _machines: None,
) -> list[Training]:
    """The members of each machine's network, or why there are none.

    Args:
        machines: In any order; a machine's networks do not depend on the others, nor on the threads.
        settings: How to train.
        threads: How many stacks are trained at a time; None for as many as there are processors.
        on_progress: Told of how many machines' worth of training is done since it was told last.

    Raises:
        UsageError: The settings are not an autoencoder's.
    """
    refuse_other_models(settings)
    if not machines:
        return []
    device = pick_device(settings.device)
    found: list[list[Trained | TrainingError]] = [[] for _ in machines]
    sensors, features = len(machines[0].data.sensors), machines[0].features
    with reproducible(settings.seed):
        starts = []
        for member in range(settings.members):
            torch.manual_seed(settings.seed + member)
            starts.append(
                SensorAutoencoder.untrained(settings, sensors, None if features is None else features.columns)
            )
        part = 1 / (settings.members * settings.epochs)

        def train(stack: list[int]) -> None:
            for member, start in enumerate(starts):
                trained = train_stack(
                    start,
                    [machines[i].shown for i in stack],
                    settings,
                    batch_size=machines[stack[0]].batch_size,
                    seed=settings.seed + member,
                    device=device,
                    on_epoch=lambda epochs: on_progress(epochs * part),
                )
                for i, one in zip(stack, trained, strict=True):
                    found[i].append(one)

        with worker_threads(1 if device == "cuda" else threads) as pool:
            for done in [pool.submit(train, stack) for stack in _stacks(machines, device)]:
                done.result()
    return [
        next((one for one in members if isinstance(one, TrainingError)), None)
        or tuple(one for one in members if isinstance(one, Trained))
        for members in found
    ]


def refuse_other_models(settings: Settings) -> None:
    """Only autoencoders are stacked.

    Raises:
        UsageError: It is another model, or has what the stack cannot do.
    """
    for option, value in (("--stride", settings.stride != 1), ("--dropout", settings.dropout)):
        if value:
            raise UsageError("a fleet has no such option", where=option)
    if settings.model != "autoencoder":
        raise UsageError(
            f"a fleet consists of autoencoders, and cannot use the model '{settings.model}'",
            where="--recipe",
            hint="use best, plain or window, or 'edge-train fit' for each machine",
        )


@contextmanager
def worker_threads(count: int | None) -> Iterator[ThreadPoolExecutor]:
    """Threads that do not wait for one another; what has not begun when an error ends them is not begun.

    Each computes by itself, so that their number does not decide what comes out.
    """
    count = count or len(os.sched_getaffinity(0))
    pool = ThreadPoolExecutor(count, initializer=lambda: torch.set_num_threads(THREADS))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _stacks(machines: Sequence[Machine], device: str) -> list[list[int]]:
    """Machines that are trained together: of one batch size, and of about as many steps."""
    stacks = []

    def batch_size(i: int) -> int:
        return machines[i].batch_size

    order = sorted(range(len(machines)), key=lambda i: (batch_size(i), len(machines[i].shown.train)))
    for rows, same in groupby(order, batch_size):
        group, most = list(same), max(1, min(MAX_STACKED[device], MAX_ROWS[device] // rows))
        stacks += [group[i : i + most] for i in range(0, len(group), most)]
    return stacks[::-1]  # the longest first

"""A fleet from tables to one bundle a machine."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edge_runtime.errors import ExportError, TrainingError, UsageError
from trainer.fit import THREADS, finished, pick_device, reproducible
from trainer.fleet.machines import Machine, by_machine, folder_name, made_ready
from trainer.fleet.training import Trained, train_stack
from trainer.models.autoencoder import SensorAutoencoder
from trainer.models.ensemble import Ensemble
from trainer.provenance import data_digest, provenance
from trainer.rows import replacing
from trainer.run import conclude, find_exporter, make_folder, refuse_unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from trainer.data import TrainingData
    from trainer.results import Results
    from trainer.run import Plan
    from trainer.settings import Settings

__all__ = ["Fleet", "LeftOut", "run_fleet", "train_fleet"]

# Networks of a stack. On a CPU what they all compute in a step is to stay in its caches; a GPU has room.
STACKED = {"cpu": 32, "cuda": 1024}
FLEET_FILE = "fleet.json"
SHOWN_MACHINES = 10

Trainings = list["tuple[Trained, ...] | TrainingError"]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A machine without a bundle.

    Attributes:
        machine: Its id.
        why: For people.
    """

    machine: str
    why: str


@dataclass(frozen=True, slots=True)
class Fleet:
    """What was trained.

    Attributes:
        output: The folder of everything.
        results: Machine to what was found and written.
        left_out: The others.
        train_seconds: How long all the training took.
        seconds: How long everything took.
    """

    output: Path
    results: dict[str, Results]
    left_out: tuple[LeftOut, ...]
    train_seconds: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """What fleet.json holds."""
        return {
            "machines": [
                {
                    "machine": name,
                    "folder": results.output.name,
                    "digest": results.digest,
                    "threshold": results.threshold.value,
                    "epochs": len(results.history),
                    "rows": {"validation": results.validation.rows, "test": results.test.rows},
                    "metrics": {"validation": results.validation.metrics, "test": results.test.metrics},
                }
                for name, results in self.results.items()
            ],
            "left_out": [{"machine": left.machine, "why": left.why} for left in self.left_out],
            "train_seconds": round(self.train_seconds, 3),
            "seconds": round(self.seconds, 3),
        }

    def table(self) -> str:
        """The end of the command's output: the machines that did worst on test, and the whole."""
        figure = "f1" if any("f1" in r.test.metrics for r in self.results.values()) else "alarm_rate"
        worst = sorted(
            self.results.items(),
            key=lambda item: item[1].test.metrics.get(figure, np.inf) * (1 if figure == "f1" else -1),
        )[:SHOWN_MACHINES]
        width = max(len("machine"), *(len(name) for name, _ in worst))
        lines = [f"{'machine':<{width}}  {'test rows':>10}  {'threshold':>10}  {'alarms':>7}  {'F1':>6}"]
        for name, found in worst:
            f1 = found.test.metrics.get("f1")
            lines.append(
                f"{name:<{width}}  {found.test.rows:>10,}  {found.threshold.value:>10.5g}"
                f"  {found.test.alarm_rate:>7.2%}  {'' if f1 is None else f'{f1:.3f}':>6}"
            )
        if len(self.results) > len(worst):
            lines.append(f"… and {len(self.results) - len(worst):,} that did better")
        values = [r.test.metrics[figure] for r in self.results.values() if figure in r.test.metrics]
        lines += [
            "",
            f"{len(self.results):,} machines in {self.seconds:.1f} s, {self.train_seconds:.1f} s of them training"
            f"; median {'F1' if figure == 'f1' else 'rate of alarms'} on test {np.median(values):.3f}",
            f"{len(self.left_out):,} left out; the list is in {self.output / FLEET_FILE}",
        ]
        return "\n".join(lines)


def run_fleet(
    data: TrainingData,
    plan: Plan,
    *,
    threads: int | None = None,
    on_left_out: Callable[[LeftOut], None] = lambda _left: None,
    on_progress: Callable[[float], None] = lambda _part: None,
) -> Fleet:
    """Trains, tests and exports a detector of its own for each machine of the tables.

    Args:
        data: As `read_training_data` gave it.
        plan: What to make of each machine; the output's folders are the machines'.
        threads: How many stacks are trained at a time; None for as many as there are processors.
        on_left_out: Told of each machine without a bundle, and why.
        on_progress: Told of each bit of work that is done, as a part of the whole.

    Raises:
        UsageError: The recipe is not an autoencoder's, an option names no sensor, or the folder cannot be
            written.
        TrainingError: No machine is left.
    """
    started = time.monotonic()
    refuse_unknown(plan.units, data, "--unit")
    refuse_unknown(plan.physical_ranges, data, "--physical-range")
    export, left_out = find_exporter(), list[LeftOut]()
    make_folder(plan.output)

    def leave_out(name: str, error: TrainingError | ExportError) -> None:
        left_out.append(LeftOut(name, str(error)))
        on_left_out(left_out[-1])

    machines: list[Machine] = []
    for name, own in by_machine(data):
        try:
            machines.append(made_ready(name, own, plan.settings))
        except TrainingError as error:
            leave_out(name, error)
    parts = 2 * max(1, len(machines))
    before = time.monotonic()
    trainings = train_fleet(
        machines, plan.settings, threads=threads, on_progress=lambda part: on_progress(part / parts)
    )
    train_seconds = time.monotonic() - before

    digest = data_digest([split.path for split in (data.train, data.val, data.test)]) if machines else ""
    results: dict[str, Results] = {}
    for machine, trained in zip(machines, trainings, strict=True):
        try:
            if isinstance(trained, TrainingError):
                raise trained
            results[machine.name] = _concluded(machine, trained, plan, export, digest)
        except (TrainingError, ExportError) as error:
            leave_out(machine.name, error)
        on_progress(1 / parts)
    if not results:
        raise TrainingError("no machine is left to train", where=str(data.train.path.parent))
    fleet = Fleet(plan.output, results, tuple(left_out), train_seconds, time.monotonic() - started)
    with replacing(plan.output / FLEET_FILE) as stream:
        stream.write((json.dumps(fleet.to_dict(), indent=2, allow_nan=False) + "\n").encode())
    return fleet


def train_fleet(
    machines: Sequence[Machine],
    settings: Settings,
    *,
    threads: int | None = None,
    on_progress: Callable[[float], None] = lambda _machines: None,
) -> Trainings:
    """The members of each machine's network, or why there are none.

    Args:
        machines: In any order; a machine's networks do not depend on the others, nor on the threads.
        settings: How to train.
        threads: How many stacks are trained at a time; None for as many as there are processors.
        on_progress: Told of how many machines' worth of training is done since it was told last.

    Raises:
        UsageError: The settings are not an autoencoder's.
    """
    if settings.model != "autoencoder":
        raise UsageError(
            f"a fleet is of autoencoders, not of the model '{settings.model}'",
            where="--recipe",
            mend="use best, plain or window, or 'edge-train fit' for each machine",
        )
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
                SensorAutoencoder(sensors, settings.widths, None if features is None else features.columns)
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

        workers = 1 if device == "cuda" else threads or len(os.sched_getaffinity(0))
        # They do not wait for one another, and each computes alone: sums come out the same, however many.
        with ThreadPoolExecutor(workers, initializer=lambda: torch.set_num_threads(THREADS)) as pool:
            for done in [pool.submit(train, stack) for stack in _stacks(machines, STACKED[device])]:
                done.result()
    return [
        next((one for one in members if isinstance(one, TrainingError)), None)
        or tuple(one for one in members if isinstance(one, Trained))
        for members in found
    ]


def _stacks(machines: Sequence[Machine], most: int) -> list[list[int]]:
    """Machines that are trained together: of one batch size, and of about as many steps."""
    stacks = []

    def batch_size(i: int) -> int:
        return machines[i].batch_size

    order = sorted(range(len(machines)), key=lambda i: (batch_size(i), len(machines[i].shown.train)))
    for _, same in groupby(order, batch_size):
        group = list(same)
        stacks += [group[i : i + most] for i in range(0, len(group), most)]
    return stacks[::-1]  # the longest first


def _concluded(
    machine: Machine,
    trained: tuple[Trained, ...],
    plan: Plan,
    export: Callable[[Path, Path], str],
    digest: str,
) -> Results:
    networks = [one.network for one in trained]
    history = tuple(epoch for one in trained for epoch in one.history)
    history = tuple(replace(epoch, number=number) for number, epoch in enumerate(history, 1))
    settings = plan.settings
    with reproducible(settings.seed):
        fitted = finished(
            networks[0] if len(networks) == 1 else Ensemble(networks).eval(),
            machine.data,
            settings,
            machine.scaler,
            machine.features,
            history,
            machine.batch_size,
        )
        own = replace(plan, output=plan.output / folder_name(machine.name))
        origin = provenance(machine.data, seed=settings.seed, revision=plan.revision, digest=digest)
        results = conclude(machine.data, own, fitted, export, origin)
    results.write(own.output / "metrics.json")
    return results

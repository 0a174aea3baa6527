"""A fleet from tables to one bundle a machine."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from edge_runtime.errors import ExportError, TrainingError
from trainer.detector.parts import DetectorParts
from trainer.experiment.exporter import find_exporter, make_folder
from trainer.experiment.plan import refuse_options
from trainer.experiment.provenance import data_digest, provenance
from trainer.experiment.results import Results
from trainer.experiment.run import conclude
from trainer.fitting.device import reproducible
from trainer.fitting.fit import finished
from trainer.fleet.machines import by_machine, folder_name, made_ready
from trainer.fleet.pool import refuse_other_models, train_fleet, worker_threads
from trainer.fleet.results import Fleet, LeftOut
from trainer.models.ensemble import Ensemble

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trainer.data.training_data import TrainingData
    from trainer.experiment.run import Plan
    from trainer.fleet.machines import Machine
    from trainer.fleet.training import Trained

    Training = tuple[Trained, ...] | TrainingError

__all__ = ["run_fleet"]


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
    refuse_other_models(plan.settings)
    refuse_options(data, plan)
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

    digest = data_digest((data.train, data.val, data.test)) if machines else ""

    def conclude_one(machine: Machine, trained: Training) -> Results | TrainingError | ExportError:
        try:
            if isinstance(trained, TrainingError):
                return trained
            return _concluded(machine, trained, plan, export, digest)
        except (TrainingError, ExportError) as error:
            return error
        finally:
            on_progress(1 / parts)

    results: dict[str, Results] = {}
    with reproducible(plan.settings.seed), worker_threads(threads) as pool:
        for machine, found in zip(machines, pool.map(conclude_one, machines, trainings), strict=True):
            if isinstance(found, Results):
                results[machine.name] = found
            else:
                leave_out(machine.name, found)
    if not results:
        raise TrainingError("no machine is left to train", where=str(data.train.path.parent))
    fleet = Fleet(
        plan.output,
        results,
        {machine.name: len(machine.shown.train) for machine in machines},
        tuple(left_out),
        train_seconds,
        time.monotonic() - started,
    )
    fleet.write()
    return fleet


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
    network = networks[0] if len(networks) == 1 else Ensemble(networks).eval()
    parts = DetectorParts(network, machine.scaler, machine.features)
    fitted = finished(parts, machine.data, settings, history, machine.batch_size)
    own = replace(plan, output=plan.output / folder_name(machine.name))
    origin = provenance(machine.data, seed=settings.seed, revision=plan.revision, digest=digest)
    results = conclude(machine.data, own, fitted, export, origin)
    results.write(own.output / "metrics.json")
    return results

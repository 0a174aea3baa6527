"""A fleet's training beside training one machine after another.

Both train the same autoencoder, 5,064 parameters, with the same input noise, batches and epochs, for each of
many simulated machines. Together is `train_fleet`; one after another is `train_network`, as `edge-train fit`
calls it, for `--sequential` of the machines, half of them before and half after, and its time scaled up to
all. One after another runs on one thread, since more make it slower; together runs on `--threads`. Exporting
is in neither.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from edge_runtime.simulation import SENSORS, Simulator
from trainer.data.split import Split
from trainer.data.training_data import TrainingData
from trainer.detector.parts import DetectorParts
from trainer.fitting.dataset import create_dataloaders
from trainer.fitting.device import pick_device, reproducible
from trainer.fitting.fit import Settings, finished
from trainer.fitting.training import train_network
from trainer.fleet.machines import Machine, made_ready
from trainer.fleet.pool import train_fleet
from trainer.models.autoencoder import SensorAutoencoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.models.base import Network

DAY_NS = 86_400 * 10**9


@dataclass(slots=True)
class Watch:
    """Seconds on the clock and of the processors, summed up."""

    wall: float = 0.0
    cpu: float = 0.0

    def __enter__(self) -> None:
        self.wall -= time.perf_counter()
        self.cpu -= time.process_time()

    def __exit__(self, *_: object) -> None:
        self.wall += time.perf_counter()
        self.cpu += time.process_time()


def main() -> int:
    """Measures and prints; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--machines", type=int, default=500)
    parser.add_argument(
        "--rows", type=int, default=2000, help="training rows of each; validation has a quarter"
    )
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--sequential", type=int, default=10, help="machines trained one after another")
    parser.add_argument("--batch-size", type=int, nargs="+", default=[256, 64])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="cpu")
    parser.add_argument("--output", type=Path, default=Path("build/fleet-speed.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{options.machines} machines of {options.rows:,} rows, {options.epochs} epochs; together on"
        f" {options.device} with {options.threads} threads, one after another with 1"
    )
    documents = [_measure(options, batch_size) for batch_size in options.batch_size]
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(documents, indent=2) + "\n", encoding="utf-8")
    return 0


def _measure(options: argparse.Namespace, batch_size: int) -> dict[str, float]:
    settings = Settings(
        epochs=options.epochs, patience=options.epochs, batch_size=batch_size, device=options.device
    )
    machines = [
        made_ready(f"press-{i}", _simulate(f"press-{i}", options.rows), settings)
        for i in range(options.machines)
    ]
    some = machines[:: max(1, len(machines) // options.sequential)][: options.sequential]
    _alone(some[0], Settings(epochs=1, batch_size=batch_size, device=options.device))  # what is made but once
    one, together = Watch(), Watch()
    ordinary: list[Network] = []
    with one:
        ordinary += [_alone(machine, settings) for machine in some[: len(some) // 2]]
    with together:
        fleet = train_fleet(machines, settings, threads=options.threads)
    with one:
        ordinary += [_alone(machine, settings) for machine in some[len(some) // 2 :]]
    scale = len(machines) / len(some)

    places = {machine.name: i for i, machine in enumerate(machines)}
    differences, likeness = [], []
    for machine, network in zip(some, ordinary, strict=True):
        whole, (single,) = fleet[places[machine.name]], train_fleet([machine], settings, threads=1)
        assert isinstance(whole, tuple)
        assert isinstance(single, tuple)
        ours, alone = (
            _scores(machine, whole[0].network, settings),
            _scores(machine, single[0].network, settings),
        )
        differences.append(float((np.abs(ours - alone) / alone).max()))
        theirs = _scores(machine, network, settings)
        likeness.append(float(np.corrcoef(np.log(ours), np.log(theirs))[0, 1]))
    print(f"\nbatches of {batch_size:<14}{'seconds':>10}{'of processors':>15}")
    print(f"{'together':<24}{together.wall:>10.1f}{together.cpu:>15.1f}")
    print(
        f"{'one after another':<24}{one.wall * scale:>10.1f}{one.cpu * scale:>15.1f}"
        f"   (measured on {len(some)} machines, and scaled up)"
    )
    print(f"{'ratio':<24}{one.wall * scale / together.wall:>10.1f}{one.cpu * scale / together.cpu:>15.1f}")
    print(f"scores: together and alone in a stack differ by at most {max(differences):.2g} of the score;")
    print(f"        with train_network's they correlate, as logarithms, by {min(likeness):.4f} or more")
    return {
        "machines": options.machines,
        "rows": options.rows,
        "epochs": options.epochs,
        "batch_size": batch_size,
        "threads": options.threads,
        "seconds": round(together.wall, 2),
        "cpu_seconds": round(together.cpu, 2),
        "sequential_machines": len(some),
        "sequential_seconds": round(one.wall * scale, 2),
        "sequential_cpu_seconds": round(one.cpu * scale, 2),
        "ratio": round(one.wall * scale / together.wall, 2),
        "cpu_ratio": round(one.cpu * scale / together.cpu, 2),
        "largest_relative_difference": max(differences),
        "least_correlation": round(min(likeness), 4),
    }


def _alone(machine: Machine, settings: Settings) -> Network:
    """As `edge-train fit` trains a network, without what is not training."""
    assert settings.batch_size is not None
    device = pick_device(settings.device)
    with reproducible(settings.seed):
        network = SensorAutoencoder(len(SENSORS)).to(device)
        loaders = create_dataloaders(
            machine.data, machine.scaler, batch_size=settings.batch_size, seed=settings.seed, device=device
        )
        train_network(network, loaders, settings, lambda _epoch: None)
    return network.cpu()


def _scores(machine: Machine, network: Network, settings: Settings) -> NDArray[np.float64]:
    """Of the test rows, as its bundle would give them."""
    test = machine.data.test
    fitted = finished(DetectorParts(network, machine.scaler), machine.data, settings, (), machine.batch_size)
    return fitted.detector.score_table(test.values, test.times, test.machines).astype(np.float64)


def _simulate(machine: str, rows: int) -> TrainingData:
    """A machine's normal history, a quarter as long a validation, and a test with events."""

    def split(day: int, count: int, severity: float) -> Split:
        start = (20_000 + 20 * day) * DAY_NS
        block = Simulator(machine, seed=1, severity=severity, start_ns=start).block(count)
        values = block.values.astype(np.float32)
        return Split(Path("memory"), block.times, np.full(count, machine), values, block.anomaly, None)

    return TrainingData(
        SENSORS, split(0, rows, 0.0), split(1, rows // 4, 0.0), split(2, rows // 4, 2.0), {}, {}, 1.0
    )


if __name__ == "__main__":
    sys.exit(main())

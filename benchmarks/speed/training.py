"""Training beside the loop that a tutorial shows: a Dataset with `__getitem__`, a DataLoader of 64 rows.

Both train the plain autoencoder, with the same input noise, for as many epochs on the same rows of the
simulated machine, and both are judged on the same labelled rows, with the threshold at the same percentile
of normal validation rows. The tutorial's loop is run for `--peer-epochs` and its time scaled up; with
`--peer-epochs` as many as `--epochs` nothing is scaled and the two F1 can be compared.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from edge_runtime.simulation import SENSORS, Simulator
from trainer.calibration.assess import assess, choose_threshold
from trainer.data.choice import Columns
from trainer.data.rows import LabelledRows, RowWriter
from trainer.data.training_data import TrainingData, read_training_data
from trainer.detector import Detector
from trainer.detector.parts import DetectorParts
from trainer.detector.scaler import SensorScaler
from trainer.fitting.fit import Settings, fit
from trainer.fitting.recipes import RECIPES
from trainer.models.autoencoder import SensorAutoencoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOISE = 0.05
PEER_BATCH = 64
DAY_NS = 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class Trained:
    """What a way to train came to."""

    seconds: float
    epochs: int
    f1: float


class RowDataset(Dataset[torch.Tensor]):
    """One row at a time, as tutorials have it."""

    def __init__(self, rows: NDArray[np.float32]) -> None:
        self.rows = torch.tensor(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.rows[index]


def main() -> int:
    """Measures and prints; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=600_000)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--peer-epochs", type=int, default=2)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="cpu")
    parser.add_argument("--output", type=Path, default=Path("build/training-speed.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)  # as `fit` does; a second one makes the small batches slower, not faster
    data = _simulate(options.rows)
    ours = _ours(data, options.epochs, options.device)
    peer = _peer(data, options.peer_epochs)
    scaled = peer.seconds * ours.epochs / peer.epochs
    print(f"{options.rows:,} rows, {ours.epochs} epochs, {options.device}, one thread")
    print(f"{'':<28}{'seconds':>10}{'F1':>8}")
    print(f"{'edge-train fit':<28}{ours.seconds:>10.1f}{ours.f1:>8.3f}")
    words = "" if peer.epochs == ours.epochs else f"   (measured over {peer.epochs} epochs, and scaled up)"
    print(f"{'DataLoader, row by row':<28}{scaled:>10.1f}{peer.f1:>8.3f}{words}")
    print(f"{'ratio':<28}{scaled / ours.seconds:>10.1f}")
    document = {
        "rows": options.rows,
        "epochs": ours.epochs,
        "device": options.device,
        "seconds": round(ours.seconds, 2),
        "peer_seconds": round(scaled, 2),
        "peer_epochs": peer.epochs,
        "ratio": round(scaled / ours.seconds, 2),
        "f1": ours.f1,
        "peer_f1": peer.f1,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0


def _ours(data: TrainingData, epochs: int, device: str) -> Trained:
    settings = Settings(epochs=epochs, patience=epochs, noise=NOISE, whiten=False, smooth=1, device=device)  # type: ignore[arg-type]
    started = time.perf_counter()
    fitted = fit(data, settings)
    seconds = time.perf_counter() - started
    return Trained(seconds, len(fitted.history), _f1(data, fitted.detector))


def _peer(data: TrainingData, epochs: int) -> Trained:
    torch.manual_seed(0)
    started = time.perf_counter()
    scaler = SensorScaler.fit("minmax", data.train.normal_values)
    network = SensorAutoencoder(len(data.sensors))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    loader = DataLoader(
        RowDataset(scaler.transform(data.train.normal_values)), batch_size=PEER_BATCH, shuffle=True
    )
    validation = torch.from_numpy(scaler.transform(data.val.normal_values))
    for epoch in range(epochs):
        network.train()
        total = 0.0
        for batch in loader:
            loss = nn.functional.mse_loss(network(batch + NOISE * torch.randn_like(batch)), batch)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item() * len(batch)
        with torch.no_grad():
            error = float(nn.functional.mse_loss(network(validation), validation))
        losses = f"loss {total / len(data.train.normal_values):.6f}, validation {error:.6f}"
        sys.stderr.write(f"row by row: epoch {epoch + 1} of {epochs}, {losses}\n")
    seconds = time.perf_counter() - started
    return Trained(seconds, epochs, _f1(data, Detector(DetectorParts(network.eval(), scaler))))


def _f1(data: TrainingData, detector: Detector) -> float:
    plain = RECIPES["plain"]
    threshold = choose_threshold(
        data.val, detector, "percentile", percentile=plain.percentile, hold=plain.hold
    )
    return round(assess(data.test, detector, threshold).metrics["f1"], 4)


def _simulate(rows: int) -> TrainingData:
    """One machine: a long normal history, a day to choose the threshold on, and one with events."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for day, (name, count, severity) in enumerate(
            (("train", rows, 0.0), ("val", 86_400, 0.0), ("test", 86_400, 2.0))
        ):
            start = (20_000 + 20 * day) * DAY_NS
            block = Simulator("press-1", seed=1, severity=severity, start_ns=start).block(count)
            with (folder / f"{name}.csv").open("wb") as stream:
                RowWriter(stream, SENSORS).write(
                    LabelledRows(
                        block.times,
                        np.full(count, "press-1"),
                        block.values.astype(np.float64),
                        block.anomaly,
                        np.full(count, ""),
                    )
                )
        return read_training_data(folder, Columns(sensors=SENSORS))


if __name__ == "__main__":
    sys.exit(main())

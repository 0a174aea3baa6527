"""What every benchmark here measures with: the rows, their numbers, the bundles.

Rows are the simulated plant's, as `edge-detect run --source simulate` would read them, the same every time.
The two bundles are the one that comes with edge-detect, whose model has a memory, and the plain autoencoder
4-64-32-4-32-64-4 without one, trained here for two epochs: speed does not depend on what was learned.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime import load_bundle
from edge_runtime.records import Readings
from edge_runtime.simulation import SENSORS, Simulator

if TYPE_CHECKING:
    from edge_runtime import Bundle

__all__ = [
    "BATCH",
    "BATCH_SIZES",
    "BUILD",
    "BUNDLES",
    "DATABASE_MACHINES",
    "DATABASE_ROWS",
    "DISTINCT_ROWS",
    "FEW_STREAM_ROWS",
    "FILE_MACHINES",
    "FILE_ROWS",
    "FLEETS",
    "MANY_FILE_ROWS",
    "MESSAGES",
    "QUICK_ROUNDS",
    "ROOT",
    "ROUNDS",
    "SECOND",
    "STREAM_MACHINES",
    "STREAM_ROWS",
    "bundle_path",
    "csv_text",
    "line_protocol",
    "load",
    "plain_checkpoint",
    "plant",
]

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "bench"
DEFAULT = ROOT / "edge_runtime" / "data" / "default.onnx"
BUNDLES = ("default", "plain")
BATCH = 4096
BATCH_SIZES = (1, 16, 256, BATCH)
# One row at a time is taken out of so many.
DISTINCT_ROWS = 256
# A file that is scored: of so many rows, or of so many more, of machines in turns.
FILE_ROWS, MANY_FILE_ROWS = 1_000_000, 10_000_000
FILE_MACHINES = 8
# A stream as fast as it goes: for us, and for a script that takes its time; of machines in turns.
STREAM_ROWS, FEW_STREAM_ROWS = 1_000_000, 100_000
STREAM_MACHINES = 10
# Messages, a row each.
MESSAGES = 20_000
DATABASE_ROWS = 400_000
DATABASE_MACHINES = 4
# Machines at a row a second each.
FLEETS = (1, 10, 100, 1000)
# Medians are of so many rounds, each with all contestants in it.
ROUNDS, QUICK_ROUNDS = 5, 3
START_NS = 20_000 * 86_400 * 10**9
SECOND = 10**9
DAY = 86_400


def plant(rows: int, *, machines: int = 1, severity: float = 1.0) -> Readings:
    """Rows of simulated machines at one a second each, in the order of time, machines in turns.

    Args:
        rows: Of all machines together; a day of each is simulated, then the values repeat.
        machines: How many.
        severity: How strong the events are.
    """
    each = -(-rows // machines)
    values = np.empty((each, machines, len(SENSORS)), np.float32)
    for i in range(machines):
        simulator = Simulator(f"press-{i + 1}", seed=1, severity=severity, start_ns=START_NS)
        few = simulator.block(min(each, DAY)).values.astype(np.float32)
        values[:, i] = np.resize(few, (each, len(SENSORS)))
    names = np.tile(np.array([f"press-{i + 1}" for i in range(machines)]), each)
    times = np.repeat(START_NS + np.arange(each, dtype=np.int64) * SECOND, machines)
    return Readings(names[:rows], times[:rows], values.reshape(-1, len(SENSORS))[:rows])


def line_protocol(readings: Readings) -> bytes:
    """The rows as InfluxDB's line protocol, as Telegraf would send them."""
    keys = [f"{name}=" for name in SENSORS]
    lines = []
    for machine, time, row in zip(*_columns(readings), strict=True):
        fields = ",".join([key + value for key, value in zip(keys, row, strict=True)])
        lines.append(f"sensors,machine_id={machine} {fields} {time}\n")
    return "".join(lines).encode()


def csv_text(readings: Readings, *, header: bool = True) -> bytes:
    """The rows as CSV, time in nanoseconds."""
    head = [f"time,machine_id,{','.join(SENSORS)}\n"] * header
    rows = zip(*_columns(readings), strict=True)
    return "".join(head + [f"{time},{machine},{','.join(row)}\n" for machine, time, row in rows]).encode()


def _columns(readings: Readings) -> tuple[list[str], list[int], list[list[str]]]:
    texts = [[f"{value:.4f}" for value in row] for row in readings.values.tolist()]
    return readings.machines.tolist(), readings.times.tolist(), texts


def bundle_path(name: str) -> Path:
    """The bundle "default" or "plain" on disk; the latter is made when it is not there yet."""
    return DEFAULT if name == "default" else _plain() / "bundle.onnx"


def load(name: str) -> Bundle:
    """The bundle "default" or "plain", checked and ready."""
    return load_bundle(None if name == "default" else bundle_path(name))


def plain_checkpoint() -> Path:
    """What the plain bundle was exported from, for PyTorch."""
    return _plain() / "checkpoint"


def _plain() -> Path:
    folder = BUILD / "plain"
    if (folder / "bundle.onnx").exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    train = [sys.executable, "-m", "trainer"]
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        for name, severity in (("train", "0"), ("val", "0"), ("test", "2")):
            output = ["--seed", "1", "--severity", severity, "--output", f"{scratch}/{name}.csv"]
            subprocess.run([*train, "simulate", "--duration", "2000s", *output], check=True, cwd=ROOT)
        fit = ["--data", scratch, "--recipe", "plain", "--epochs", "2", "--device", "cpu", "--no-mlflow"]
        subprocess.run([*train, "fit", *fit, "--quiet", "--output", f"{scratch}/plain"], check=True, cwd=ROOT)
        with suppress(OSError):  # another process was faster
            Path(scratch, "plain").rename(folder)
    return folder

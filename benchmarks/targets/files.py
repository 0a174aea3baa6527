"""`edge-detect score` on a Parquet file beside `session.run` on the same rows in memory."""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import paired
from benchmarks.floor import plain_call
from benchmarks.targets.processes import edge_detect, environment
from benchmarks.workloads import (
    BATCH,
    BUILD,
    FILE_MACHINES,
    FILE_ROWS,
    MANY_FILE_ROWS,
    QUICK_ROUNDS,
    ROUNDS,
    load,
    plant,
)
from edge_runtime.simulation import SENSORS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.figures import Figure
    from edge_runtime.records import Readings

__all__ = ["measure"]


def measure(*, quick: bool) -> Iterator[Figure]:
    """One worker, and two."""
    rows, rounds = (FILE_ROWS, QUICK_ROUNDS) if quick else (MANY_FILE_ROWS, ROUNDS)
    readings = plant(rows, machines=FILE_MACHINES)
    raw: list[float] = []
    found: dict[int, list[float]] = {1: [], 2: []}
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        path, output = Path(folder, "rows.parquet"), Path(folder, "scored.parquet")
        _write_parquet(path, readings)
        for _ in range(rounds):
            raw.append(rows / _raw_seconds(readings))
            for workers, rates in found.items():
                command = edge_detect("score", path, "--output", output, "--workers", workers)
                rates.append(rows / _seconds(command))
    target = f"score on a Parquet file of {rows:,} rows, start and writing included"
    for (workers, rates), least in zip(found.items(), (0.5, 0.9), strict=True):
        what = f"{workers} worker{'s' * (workers > 1)}"
        yield paired(target, what, "session.run in memory", "rows/s", rates, raw, at_least=least)


def _write_parquet(path: Path, readings: Readings) -> None:
    import pyarrow as pa  # noqa: PLC0415 - an extra
    from pyarrow import parquet  # noqa: PLC0415

    columns = {
        "time": pa.array(readings.times, pa.timestamp("ns", "UTC")),
        "machine_id": pa.array(readings.machines).dictionary_encode(),
        **{name: pa.array(readings.values[:, i]) for i, name in enumerate(SENSORS)},
    }
    parquet.write_table(pa.table(columns), path)


def _raw_seconds(readings: Readings) -> float:
    """`session.run` over all rows in blocks, one after another, as if they were of one machine."""
    call = plain_call(
        load("default"), [readings.take(slice(i, i + BATCH)) for i in range(0, len(readings), BATCH)]
    )
    started = time.perf_counter()
    for i in range(-(-len(readings) // BATCH)):
        call(i)
    return time.perf_counter() - started


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment())
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()[-500:]}")
    return time.perf_counter() - started

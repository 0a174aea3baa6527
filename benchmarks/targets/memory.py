"""The peak of memory of `edge-detect score` over a CSV, and over one of ten times as many rows."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

from benchmarks.figures import paired
from benchmarks.targets.processes import edge_detect, environment, memory_mb, session
from benchmarks.workloads import BUILD, FILE_MACHINES, FILE_ROWS, QUICK_ROUNDS, ROUNDS, csv_text, plant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.figures import Figure

__all__ = ["measure"]

POLL_S = 0.02


def measure(*, quick: bool) -> Iterator[Figure]:
    """All processes that the command starts together."""
    yield _csv(FILE_ROWS // 10 if quick else FILE_ROWS, QUICK_ROUNDS if quick else ROUNDS)


def _csv(rows: int, rounds: int) -> Figure:
    files = [BUILD / f"{count}.csv" for count in (10 * rows, rows)]
    for path, count in zip(files, (10 * rows, rows), strict=True):
        _write_csv(path, count)
    peaks: list[list[float]] = [[], []]
    for _ in range(rounds):
        for path, found in zip(files, peaks, strict=True):
            found.append(_peak_mb(edge_detect("score", path, "--output", BUILD / "scored.csv")))
    for path in files:
        path.unlink()
    target = "peak memory of score on a CSV, all its processes"
    return paired(target, f"{10 * rows:,} rows", f"{rows:,}", "MB", *peaks, at_most=1.05)


def _write_csv(path: Path, rows: int) -> None:
    """In blocks, for all of it would take gigabytes here."""
    readings = plant(rows, machines=FILE_MACHINES)
    with path.open("wb") as stream:
        for start in range(0, rows, 100_000):
            stream.write(csv_text(readings.take(slice(start, start + 100_000)), header=start == 0))


def _peak_mb(command: list[str]) -> float:
    """The sum of the peaks of a command's processes."""
    peaks: dict[int, float] = {}
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
        start_new_session=True,
    ) as process:
        while process.poll() is None:
            for pid in session(process.pid):
                peaks[pid] = max(peaks.get(pid, 0.0), memory_mb(pid, "VmHWM"))
            time.sleep(POLL_S)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}")
    return sum(peaks.values())

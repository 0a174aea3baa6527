"""Bytes and microseconds a row of the history's compressed blocks, on simulated and on real readings.

With `--data`, the folder with `skab/` and `hydraulic/` that `make quality` takes, also on these machines. The
severity is noise about 0.3, nothing is missing or odd, and each row is of a commit of its own. Times are
regular or late by up to 20 ms. Times of packing and unpacking are the fastest of `--rounds`.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import sys
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.history.columns import packed, unpacked
from edge_runtime.history.rows import Rows
from edge_runtime.simulation import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

ROWS = 8192
SIZES = (64, 512, 4096)
# Blocks of a size that are measured.
BLOCKS = 16
# Decimals of the simulated sensors; None for the readings as they are.
PLACES = (None, (4, 4, 4, 4), (4, 4, 1, 1), (1, 1, 1, 1))
START = 1_750_000_000 * 10**9
SECOND, MS = 10**9, 10**6


def main() -> int:
    """Measures and prints; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with skab/ and hydraulic/")
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    print(
        f"{'readings':<30}{'times':<10}{'block':>6}{'bytes/row':>11}{'pack µs/row':>13}{'unpack µs/row':>15}"
    )
    for name, values in _readings(options.data):
        for late_ms in (0, 20):
            rows = _rows(values, late_ms)
            for size in SIZES:
                starts = range(0, len(rows) - size + 1, size)
                some = starts[:: -(-len(starts) // BLOCKS)]
                _measure(
                    f"{name:<30}{'jitter' if late_ms else 'regular':<10}{size:>6}",
                    [rows.take(slice(start, start + size)) for start in some],
                    options.rounds,
                )
    return 0


def _measure(head: str, blocks: Sequence[Rows], rounds: int) -> None:
    data = [packed(block) for block in blocks]
    count = sum(map(len, blocks))
    pack = _fastest(packed, blocks, rounds) / count * 1e6
    unpack = _fastest(unpacked, data, rounds) / count * 1e6
    print(f"{head}{sum(map(len, data)) / count:>11.2f}{pack:>13.2f}{unpack:>15.2f}", flush=True)


def _fastest(
    call: Callable[[Any], object], arguments: Sequence[Rows] | Sequence[bytes], rounds: int
) -> float:
    """Seconds for all arguments, each at its fastest."""
    total = 0.0
    for argument in arguments:
        found = []
        for _ in range(rounds):
            started = time.perf_counter()
            call(argument)
            found.append(time.perf_counter() - started)
        total += min(found)
    return total


def _readings(folder: Path | None) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """[rows, sensors] of each machine."""
    values = Simulator("press-1", seed=1, start_ns=START).block(ROWS).values
    for places in PLACES:
        if places is None:
            yield "simulated", values
        else:
            rounded = [column.astype(np.float64).round(n) for column, n in zip(values.T, places, strict=True)]
            yield f"simulated, {places} dec.", np.column_stack(rounded).astype(np.float32)
    if folder is not None:
        with (folder / "skab" / "anomaly-free" / "anomaly-free.csv").open(encoding="utf-8") as lines:
            yield "SKAB, 8 sensors", _table(csv.reader(lines, delimiter=";"), slice(1, 9))
        with gzip.open(folder / "hydraulic" / "readings.csv.gz", "rt", encoding="utf-8") as lines:
            yield "hydraulic rig", _table(csv.reader(lines), slice(2, None))


def _table(lines: Iterator[list[str]], columns: slice) -> NDArray[np.float32]:
    return np.array([line[columns] for line in islice(lines, 1, ROWS + 1)], np.float64).astype(np.float32)


def _rows(values: NDArray[np.float32], late_ms: int) -> Rows:
    """Once a second, late by up to so many milliseconds."""
    random = np.random.default_rng(1)
    count = len(values)
    return Rows(
        START + SECOND * np.arange(count) + MS * random.integers(0, late_ms + 1, count),
        values,
        (0.3 * np.exp(0.3 * random.normal(size=count))).astype(np.float32),
        np.zeros(count, np.int8),
        np.zeros(count, np.int8),
        np.full(count, -1, np.int16),
        np.zeros(values.shape, np.int8),
        np.arange(count, dtype=np.int64),
    )


if __name__ == "__main__":
    sys.exit(main())

"""The whole measurement: one row beside ONNX Runtime alone, many rows, loading, and a fresh process."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from edge_runtime.bench.environment import Environment
from edge_runtime.bench.fresh import FreshStart, measure_fresh_start
from edge_runtime.bench.latency import Latency, Rounds, measure_in_turns
from edge_runtime.bench.rows import make_rows, raw_call
from edge_runtime.bundle.load import load_bundle
from edge_runtime.scoring.scorer import Scorer

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.bundle.load import Bundle

__all__ = ["BATCH_SIZES", "Figures", "measure"]

BATCH_SIZES = (1, 16, 256, 4096)
LOADS = 5
DISTINCT_ROWS = 256
# The part of the time that goes to single rows: a p99.9 needs many of them.
SINGLE_ROWS_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured.

    Attributes:
        bundle: The bundle's file name.
        digest: The bundle's digest.
        latency: One row through `Scorer.score`.
        raw_latency: The same row through `session.run` of the same session, in turns with the former.
        throughput: Batch size to rows a second through `Scorer.score`.
        raw_throughput: Batch size to rows a second through `session.run`.
        load_ms: Loading the bundle, with every check, in a process that is already warm; the median.
        fresh: A fresh process.
        environment: Where.
    """

    bundle: str
    digest: str
    latency: Latency
    raw_latency: Latency
    throughput: dict[int, float]
    raw_throughput: dict[int, float]
    load_ms: float
    fresh: FreshStart
    environment: Environment


def measure(path: Path | None, *, seconds: float, rows: int | None = None) -> Figures:
    """Measures a bundle on this machine.

    Args:
        path: The bundle; None for the default one.
        seconds: Time for the calls that are measured one by one; loading and fresh processes come on top.
        rows: Stop single rows after so many, if that is earlier.

    Raises:
        EdgeDetectError: The bundle cannot be used.
    """
    environment = Environment.here()
    bundle, load_ms = _load(path)
    single = Rounds(seconds * SINGLE_ROWS_SHARE, rows)
    latency, raw_latency = _contest(bundle, 1, single)
    each = Rounds(seconds * (1 - SINGLE_ROWS_SHARE) / (len(BATCH_SIZES) - 1), rows)
    found = {1: (latency, raw_latency)} | {size: _contest(bundle, size, each) for size in BATCH_SIZES[1:]}
    return Figures(
        bundle=bundle.name,
        digest=bundle.digest,
        latency=latency,
        raw_latency=raw_latency,
        throughput={size: _rows_per_second(size, ours) for size, (ours, _) in found.items()},
        raw_throughput={size: _rows_per_second(size, raw) for size, (_, raw) in found.items()},
        load_ms=load_ms,
        fresh=measure_fresh_start(path),
        environment=environment,
    )


def _load(path: Path | None) -> tuple[Bundle, float]:
    # The first load imports ONNX Runtime; that is the fresh process's figure.
    bundle = load_bundle(path)
    durations = []
    for _ in range(LOADS):
        start = time.perf_counter_ns()
        bundle = load_bundle(path)
        durations.append((time.perf_counter_ns() - start) / 1e6)
    return bundle, round(median(durations), 3)


def _contest(bundle: Bundle, size: int, rounds: Rounds) -> tuple[Latency, Latency]:
    """Our scoring path and ONNX Runtime alone, over the same blocks of `size` rows."""
    count = max(1, DISTINCT_ROWS // size)
    rows = make_rows(bundle.metadata, count * size)
    blocks = [rows.take(slice(i * size, (i + 1) * size)) for i in range(count)]
    calls = [raw_call(bundle.metadata.model, block) for block in blocks]
    scorer, session = Scorer(bundle), bundle.session
    ours, raw = measure_in_turns(
        [lambda i: scorer.score(blocks[i % count]), lambda i: session.run(*calls[i % count])], rounds
    )
    return ours, raw


def _rows_per_second(size: int, latency: Latency) -> float:
    # From the mean and not the median: pauses cost rows too.
    return round(size / latency.mean * 1e6)

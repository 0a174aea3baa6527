"""One row, and blocks of them, through `Engine.feed` beside ONNX Runtime alone on the same session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.figures import Figure, in_rounds, paired
from benchmarks.floor import bound_call, plain_call
from benchmarks.workloads import BATCH, BUNDLES, DISTINCT_ROWS, ROUNDS, load, plant
from edge_runtime import Engine
from edge_runtime.bench.rows import rising

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.records import Readings

__all__ = ["measure"]

BLOCKS = 16


def measure(*, quick: bool) -> Iterator[Figure]:
    """For each bundle: a row's median, and rows a second in blocks."""
    seconds = 1.5 if quick else 20.0
    for name in BUNDLES:
        yield from _one_row(name, seconds)
    for name in BUNDLES:
        yield _blocks(name, seconds)


def _one_row(name: str, seconds: float) -> Iterator[Figure]:
    bundle = load(name)
    rows = _split(plant(DISTINCT_ROWS), 1)
    contestants = [
        rising(Engine(bundle).feed, rows),
        bound_call(bundle, None),
        bound_call(bundle, rows),
        plain_call(bundle, rows),
    ]
    found = in_rounds(contestants, rounds=ROUNDS, seconds=seconds)
    ours, bound, written, plain = ([latency.p50 for latency in each] for each in found)
    target = f"one row, p50, {name} bundle"
    yield paired(target, "Engine.feed", "bound session", "µs", ours, bound, at_most=1.25)
    yield paired(target, "Engine.feed", "session.run", "µs", ours, plain)
    yield paired(target, "bound, row written in", "bound session", "µs", written, bound)
    yield paired(target, "session.run", "bound session", "µs", plain, bound)


def _blocks(name: str, seconds: float) -> Figure:
    bundle = load(name)
    blocks = _split(plant(BLOCKS * BATCH), BATCH)
    contestants = [rising(Engine(bundle).feed, blocks), plain_call(bundle, blocks)]
    found = in_rounds(contestants, rounds=ROUNDS, seconds=seconds)
    ours, plain = ([BATCH / latency.p50 * 1e6 for latency in each] for each in found)
    target = f"blocks of {BATCH:,} rows, {name} bundle"
    return paired(target, "Engine.feed", "session.run", "rows/s", ours, plain, at_least=0.95)


def _split(readings: Readings, size: int) -> list[Readings]:
    return [readings.take(slice(i, i + size)) for i in range(0, len(readings), size)]

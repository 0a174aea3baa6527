"""One row beside ONNX Runtime alone and beside the floor; and rows a second, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.bench.floor import BoundFloor
from edge_runtime.bench.histogram import Histogram
from edge_runtime.bench.latency import Latency, Rounds, durations_in_turns, measure_in_turns
from edge_runtime.bench.rows import make_rows, raw_call, rising
from edge_runtime.engine.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.loading.load import Bundle
    from edge_runtime.records import Readings

__all__ = ["BATCH_SIZES", "OneRow", "measure_batches", "measure_one_row"]

BATCH_SIZES = (1, 4, 16, 64, 256, 1024, 4096, 16384)
DISTINCT_ROWS = 256
# A slice of a few milliseconds, whatever the size.
SLICE_ROWS = 4096
LONGEST_SLICE = 50
WARM_UP_S = 0.02


@dataclass(frozen=True, slots=True)
class OneRow:
    """A row at a time, in turns.

    Attributes:
        ours: Through `Engine.feed`.
        raw: Through `session.run` of the same session.
        floor: Through I/O binding, in a session of the same bytes.
        histogram: Of ours.
    """

    ours: Latency
    raw: Latency
    floor: Latency
    histogram: Histogram


def measure_one_row(bundle: Bundle, data: bytes, rounds: Rounds) -> OneRow:
    """Measures a row at a time.

    Args:
        bundle: The bundle.
        data: Its bytes, for a session of the floor's own.
        rounds: How long, for all three together.
    """
    blocks = _blocks(bundle, 1)
    contestants: list[Callable[[int], object]] = [
        *_contestants(bundle, blocks),
        BoundFloor(data, bundle.metadata, blocks),
    ]
    ours, raw, floor = durations_in_turns(contestants, rounds)
    return OneRow(Latency.of(ours), Latency.of(raw), Latency.of(floor), Histogram.of(ours))


def measure_batches(
    bundle: Bundle, seconds: float, calls: int | None, one_row: OneRow
) -> tuple[dict[int, float], dict[int, float]]:
    """Batch size to rows a second: ours, and `session.run` alone, size by size in turns.

    Args:
        bundle: The bundle.
        seconds: Time for all sizes together.
        calls: Stop each size after so many calls, if that is earlier.
        one_row: What was found for blocks of one row.
    """
    found = {1: (one_row.ours, one_row.raw)}
    for size in BATCH_SIZES[1:]:
        share = Rounds(
            seconds / (len(BATCH_SIZES) - 1), calls, max(1, min(LONGEST_SLICE, SLICE_ROWS // size)), WARM_UP_S
        )
        ours, raw = measure_in_turns(_contestants(bundle, _blocks(bundle, size)), share)
        found[size] = (ours, raw)
    rates = {size: (_rate(size, ours), _rate(size, raw)) for size, (ours, raw) in found.items()}
    return {size: rate for size, (rate, _) in rates.items()}, {size: raw for size, (_, raw) in rates.items()}


def _blocks(bundle: Bundle, size: int) -> list[Readings]:
    count = max(1, DISTINCT_ROWS // size)
    rows = make_rows(bundle.metadata, count * size)
    return [rows.take(slice(i * size, (i + 1) * size)) for i in range(count)]


def _contestants(bundle: Bundle, blocks: list[Readings]) -> list[Callable[[int], object]]:
    """Our whole path to a verdict and `session.run`, over the same blocks."""
    count = len(blocks)
    calls = [raw_call(bundle.metadata, block) for block in blocks]
    session = bundle.session
    return [rising(Engine(bundle).feed, blocks), lambda i: session.run(*calls[i % count])]


def _rate(size: int, latency: Latency) -> float:
    # From the mean and not the median: pauses cost rows too.
    return round(size / latency.mean * 1e6)

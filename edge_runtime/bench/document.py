"""The figures as a JSON-ready document. Its keys are a contract: docs/operations.md says what each one is."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_runtime.bench.latency import Latency
    from edge_runtime.bench.measure import Figures

__all__ = ["as_json"]


def as_json(figures: Figures) -> dict[str, Any]:
    """The document, without the checks of limits."""
    row = figures.one_row
    return {
        "bundle": {"name": figures.bundle, "digest": figures.digest},
        "latency_us": asdict(row.ours),
        "histogram": asdict(row.histogram),
        "throughput": {str(size): rate for size, rate in figures.throughput.items()},
        "raw": {
            "latency_us": asdict(row.raw),
            "throughput": {str(size): rate for size, rate in figures.raw_throughput.items()},
        },
        "floor": {"latency_us": asdict(row.floor)},
        "ratio_to_raw": _ratio(row.ours, row.raw),
        "floor_ratio": _ratio(row.ours, row.floor),
        "jitter": asdict(figures.jitters),
        "end_to_end": {name: asdict(found) for name, found in figures.end_to_end.items()},
        "cpu_percent": {f"{rate:g}": used for rate, used in figures.running.cpu_percent.items()},
        "run_rss_mb": figures.running.rss_mb,
        "load_ms": figures.load_ms,
        "cold_start_ms": figures.fresh.cold_start_ms,
        "rss_mb": figures.fresh.rss_mb,
        "declared": asdict(figures.limits),
        "environment": asdict(figures.environment),
    }


def _ratio(ours: Latency, other: Latency) -> float:
    return round(ours.p50 / other.p50, 3)

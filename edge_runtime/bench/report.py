"""How the figures are shown: as JSON, whose keys are a contract, and as a table for people."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.bench.latency import Latency
    from edge_runtime.bench.measure import Figures

__all__ = ["as_json", "as_text"]


def as_json(figures: Figures) -> dict[str, Any]:
    """The figures as a JSON-ready document."""
    return {
        "bundle": {"name": figures.bundle, "digest": figures.digest},
        "latency_us": asdict(figures.latency),
        "throughput": {str(size): rate for size, rate in figures.throughput.items()},
        "raw": {
            "latency_us": asdict(figures.raw_latency),
            "throughput": {str(size): rate for size, rate in figures.raw_throughput.items()},
        },
        "ratio_to_raw": _ratio(figures),
        "load_ms": figures.load_ms,
        "cold_start_ms": figures.fresh.cold_start_ms,
        "rss_mb": figures.fresh.rss_mb,
        "environment": asdict(figures.environment),
    }


def as_text(figures: Figures) -> str:
    """The figures as lines for people."""
    return "\n".join(_lines(figures)) + "\n"


def _lines(figures: Figures) -> Iterator[str]:
    where = figures.environment
    yield f"{figures.bundle}  {figures.digest}"
    yield f"{where.cpu}, {where.cpus} CPUs, governor {where.governor or 'unknown'}, load {where.load}"
    yield where.system
    yield (
        f"edge-detect {where.edge_detect}, Python {where.python}, numpy {where.numpy}, "
        f"ONNX Runtime {where.onnxruntime}"
    )
    yield ""
    yield f"{'one row, µs':<26}" + "".join(f"{name:>10}" for name in ("p50", "p90", "p99", "p99.9", "max"))
    yield _latency("edge-detect", figures.latency)
    yield _latency("ONNX Runtime alone", figures.raw_latency)
    yield f"{'ratio of the medians':<26}{_ratio(figures):>10.2f}"
    yield ""
    yield f"{'rows a second, batches of':<26}" + "".join(f"{size:>12,}" for size in figures.throughput)
    yield _rates("edge-detect", figures.throughput)
    yield _rates("ONNX Runtime alone", figures.raw_throughput)
    yield ""
    yield f"{'loading the bundle':<26}{figures.load_ms:>10.1f} ms"
    yield f"{'fresh process, first score':<26}{figures.fresh.cold_start_ms:>10.0f} ms"
    yield f"{'its peak memory':<26}{figures.fresh.rss_mb:>10.1f} MB"


def _latency(name: str, latency: Latency) -> str:
    values = (latency.p50, latency.p90, latency.p99, latency.p99_9, latency.max)
    return f"  {name:<24}" + "".join(f"{value:>10,.1f}" for value in values)


def _rates(name: str, rates: dict[int, float]) -> str:
    return f"  {name:<24}" + "".join(f"{rate:>12,.0f}" for rate in rates.values())


def _ratio(figures: Figures) -> float:
    return round(figures.latency.p50 / figures.raw_latency.p50, 3)

"""The report for people, as text: what is in the JSON document, with bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["as_text", "number"]

EIGHTHS = " ▏▎▍▌▋▊▉"
BAR = 30
QUANTILES = ("p50", "p90", "p99", "p99_9", "max")
LABEL = 28
BEYOND = 0.001
MS = 1e3


def as_text(document: Mapping[str, Any]) -> str:
    """The document of `as_json`, with `limits` and `compared` where they were asked for."""
    parts = (_where, _one_row, _histogram, _throughput, _jitter, _end_to_end, _running, _limits, _compared)
    sections = ["\n".join(part(document)) for part in parts]
    return "\n\n".join(section for section in sections if section) + "\n"


def bar(value: float, most: float, width: int = BAR) -> str:
    """A bar of eighths of a letter; what is not zero can be seen."""
    eighths = round(8 * width * value / most) if most > 0 else 0
    if value > 0:
        eighths = max(1, eighths)
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def number(value: float) -> str:
    """Four digits, or all of those before the point."""
    return f"{value:,.0f}" if abs(value) >= 1e3 else f"{value:.4g}"  # noqa: PLR2004 - three digits and a comma


def _where(document: Mapping[str, Any]) -> Iterator[str]:
    here, bundle = document["environment"], document["bundle"]
    yield f"{bundle['name']}  {bundle['digest']}"
    yield f"{here['cpu']}, {here['cpus']} CPUs, governor {here['governor'] or 'unknown'}, load {here['load']}"
    yield here["system"]
    yield (
        f"edge-detect {here['edge_detect']}, Python {here['python']}, numpy {here['numpy']}, "
        f"ONNX Runtime {here['onnxruntime']}"
    )


def _header(name: str) -> str:
    return f"{name:<{LABEL}}" + "".join(f"{quantile.replace('_', '.'):>10}" for quantile in QUANTILES)


def _quantiles(name: str, latency: Mapping[str, float], unit: float = 1.0, decimals: int = 1) -> str:
    return f"  {name:<{LABEL - 2}}" + "".join(f"{latency[q] / unit:>10,.{decimals}f}" for q in QUANTILES)


def _one_row(document: Mapping[str, Any]) -> Iterator[str]:
    yield _header("one row, µs")
    yield _quantiles("edge-detect", document["latency_us"])
    yield _quantiles("ONNX Runtime alone", document["raw"]["latency_us"])
    yield _quantiles("floor: its buffers bound", document["floor"]["latency_us"])
    yield f"{'ratio of the medians':<{LABEL}}{document['ratio_to_raw']:>10.2f} to ONNX Runtime alone"
    yield f"{'':<{LABEL}}{document['floor_ratio']:>10.2f} to the floor"


def _histogram(document: Mapping[str, Any]) -> Iterator[str]:
    """Bucket by bucket up to the p99.9; what is beyond in one line."""
    edges, counts = document["histogram"]["edges_us"], document["histogram"]["counts"]
    yield "histogram of one row, µs"
    most, left = max(counts), sum(counts)
    beyond = left * BEYOND
    for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
        if left <= beyond:
            yield f"  {low:>9,.1f} to {edges[-1]:>9,.1f}{left:>10,}  {bar(left, most)}"
            return
        yield f"  {low:>9,.1f} to {high:>9,.1f}{count:>10,}  {bar(count, most)}"
        left -= count


def _throughput(document: Mapping[str, Any]) -> Iterator[str]:
    ours, raw = document["throughput"], document["raw"]["throughput"]
    most = max(*ours.values(), *raw.values())
    yield f"{'rows a second':<{LABEL}}{'edge-detect':>12}{'alone':>12}{'ratio':>7}"
    for size, rate in ours.items():
        name = f"batches of {int(size):,}"
        yield f"  {name:<{LABEL - 2}}{rate:>12,}{raw[size]:>12,}{rate / raw[size]:>7.2f}  {bar(rate, most)}"


def _jitter(document: Mapping[str, Any]) -> Iterator[str]:
    jitter = document["jitter"]
    yield _header(f"{jitter['rate']:g} rows a second, µs")
    for name, title in (("idle", "idle"), ("busy", f"{jitter['neighbours']} busy neighbours")):
        yield _quantiles(f"{title}: woken", jitter[name]["wake_us"])
        yield _quantiles(f"{'':<{len(title)}}  scored", jitter[name]["latency_us"])


def _end_to_end(document: Mapping[str, Any]) -> Iterator[str]:
    routes = document["end_to_end"]
    yield _header("end to end, ms")
    for name, found in routes.items():
        title = name.replace("-", " to ")
        if found["latency_us"] is not None:
            yield _quantiles(f"{title}, {found['rate']:g}/s", found["latency_us"], MS, 2)
        elif found["rows_per_s"] is not None:
            yield f"  {title:<{LABEL - 2}}{found['rows_per_s']:>10,} rows a second"
        elif found.get("left_out"):
            yield f"  {title:<{LABEL - 2}}left out: {found['left_out']}"


def _running(document: Mapping[str, Any]) -> Iterator[str]:
    for rate, used in document["cpu_percent"].items():
        yield f"{f'CPU at {rate} rows a second':<{LABEL}}{used:>10.2f} % of a core"
    if document["run_rss_mb"] is not None:
        yield f"{'memory while it runs':<{LABEL}}{document['run_rss_mb']:>10.1f} MB"
    yield f"{'loading the bundle':<{LABEL}}{document['load_ms']:>10.1f} ms"
    yield f"{'fresh process, first score':<{LABEL}}{document['cold_start_ms']:>10.0f} ms"
    yield f"{'its peak memory':<{LABEL}}{document['rss_mb']:>10.1f} MB"


def _limits(document: Mapping[str, Any]) -> Iterator[str]:
    checks = document.get("limits", [])
    if not checks:
        yield "limits: the bundle declares none"
        return
    yield f"{'limits':<{LABEL}}{'measured':>12}{'limit':>12}"
    for one in checks:
        measured = "-" if one["measured"] is None else number(one["measured"])
        verdict = "kept" if one["kept"] else "broken"
        yield f"  {one['name']:<{LABEL - 2}}{measured:>12}{number(one['limit']):>12}  {verdict}"


def _compared(document: Mapping[str, Any]) -> Iterator[str]:
    found = document.get("compared")
    if found is None:
        return
    yield f"{'compared with earlier':<{LABEL}}{'before':>14}{'after':>14}{'ratio':>8}"
    for line in found["differs"]:
        yield f"  {line}"
    for name, one in found["figures"].items():
        ratio = "-" if one["ratio"] is None else f"{one['ratio']:.2f}"
        yield f"  {name:<{LABEL - 2}}{number(one['before']):>14}{number(one['after']):>14}{ratio:>8}"

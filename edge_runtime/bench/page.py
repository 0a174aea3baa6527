"""The report as one HTML page that loads nothing: what is in the JSON document, with plots."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

from edge_runtime.bench.plots import grouped_bars, histogram
from edge_runtime.bench.text import number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["as_html"]

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/>
<title>$title</title>
<style>
$style</style>
</head>
<body>
<h1>$title</h1>
$body
</body>
</html>
""")
QUANTILES = ("p50", "p90", "p99", "p99_9", "max")
MS = 1e3


def as_html(document: Mapping[str, Any]) -> str:
    """The document of `as_json`, with `limits` and `compared` where they were asked for."""
    parts = (_where, _tiles, _limits, _one_row, _throughput, _jitter, _end_to_end, _running, _compared)
    return PAGE.substitute(
        title=escape(f"Bench: {document['bundle']['name']}"),
        style=files("edge_runtime.bench").joinpath("page.css").read_text(encoding="utf-8"),
        body="\n".join(line for part in parts for line in part(document)),
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f'<div class="wide"><table>\n<tr>{top}</tr>\n{body}</table></div>'


def _quantiles(
    name: str, latency: Mapping[str, float], unit: float = 1.0, decimals: int = 1
) -> tuple[str, ...]:
    return (name, *(f"{latency[quantile] / unit:,.{decimals}f}" for quantile in QUANTILES))


def _head(name: str) -> tuple[str, ...]:
    return (name, *(quantile.replace("_", ".") for quantile in QUANTILES))


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def _where(document: Mapping[str, Any]) -> Iterator[str]:
    here = document["environment"]
    yield f'<p class="quiet">{escape(document["bundle"]["digest"])}</p>'
    machine = f"{here['cpu']}, {here['cpus']} CPUs, governor {here['governor'] or 'unknown'}"
    versions = (
        f"edge-detect {here['edge_detect']}, Python {here['python']}, numpy {here['numpy']}, "
        f"ONNX Runtime {here['onnxruntime']}"
    )
    text = f"{machine}, load {here['load']}; {here['system']}; {versions}"
    yield f"<p>{escape(text)}</p>"


def _tiles(document: Mapping[str, Any]) -> Iterator[str]:
    memory = document["run_rss_mb"]
    tiles = [
        ("one row, p50", f"{document['latency_us']['p50']:,.1f} µs"),
        ("one row, p99", f"{document['latency_us']['p99']:,.1f} µs"),
        ("times the floor", f"{document['floor_ratio']:.2f}"),
        ("rows a second, at most", f"{max(document['throughput'].values()):,}"),
        ("first score, fresh process", f"{document['cold_start_ms']:,.0f} ms"),
        ("memory while it runs", "-" if memory is None else f"{memory:.1f} MB"),
    ]
    cells = "".join(f"<div><span>{escape(name)}</span><b>{escape(value)}</b></div>" for name, value in tiles)
    yield f'<div class="tiles">{cells}</div>'


def _limits(document: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>Limits</h2>"
    checks = document.get("limits", [])
    if not checks:
        yield "<p>The bundle declares none.</p>"
        return
    rows = []
    for one in checks:
        measured = "-" if one["measured"] is None else number(one["measured"])
        kind = "kept" if one["kept"] else "broken"
        cells = f"<td>{escape(one['name'])}</td><td>{measured}</td><td>{number(one['limit'])}</td>"
        rows.append(f'<tr>{cells}<td class="{kind}">{kind}</td></tr>')
    head = "<tr><th>limit</th><th>measured</th><th>limit</th><th></th></tr>"
    yield f'<div class="wide"><table>{head}{"".join(rows)}</table></div>'


def _one_row(document: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>One row</h2>"
    rows = [
        _quantiles("edge-detect", document["latency_us"]),
        _quantiles("ONNX Runtime alone", document["raw"]["latency_us"]),
        _quantiles("floor: its buffers bound", document["floor"]["latency_us"]),
    ]
    yield _table(_head("µs"), rows)
    ratios = (
        f"{document['floor_ratio']:.2f} times the floor, {document['ratio_to_raw']:.2f} times session.run"
    )
    yield f"<p>Median: {ratios}, measured in turns.</p>"
    found = document["histogram"]
    caption = "Calls by duration in µs; both axes logarithmic"
    yield _figure(histogram(found["edges_us"], found["counts"], "Histogram of one row"), caption)


def _throughput(document: Mapping[str, Any]) -> Iterator[str]:
    ours, raw = document["throughput"], document["raw"]["throughput"]
    yield "<h2>Throughput</h2>"
    names = [f"{int(size):,}" for size in ours]
    plot = grouped_bars(
        names,
        list(ours.values()),
        list(raw.values()),
        ("edge-detect", "ONNX Runtime alone"),
        "Rows a second",
    )
    yield _figure(plot, "Rows a second by rows in a batch; logarithmic")
    rows = [
        (f"{int(size):,}", f"{rate:,}", f"{raw[size]:,}", f"{rate / raw[size]:.2f}")
        for size, rate in ours.items()
    ]
    yield _table(("batch", "edge-detect", "ONNX Runtime alone", "ratio"), rows)


def _jitter(document: Mapping[str, Any]) -> Iterator[str]:
    found = document["jitter"]
    yield f"<h2>Jitter at {found['rate']:g} rows a second</h2>"
    rows = []
    for name, title in (("idle", "idle"), ("busy", f"{found['neighbours']} busy neighbours")):
        rows.append(_quantiles(f"{title}: woken", found[name]["wake_us"]))
        rows.append(_quantiles(f"{title}: scored", found[name]["latency_us"]))
    yield _table(_head("µs after the moment meant"), rows)


def _end_to_end(document: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>End to end</h2>"
    routes = document["end_to_end"]
    timed = [
        _quantiles(f"{name.replace('-', ' to ')}, {one['rate']:g}/s", one["latency_us"], MS, 2)
        for name, one in routes.items()
        if one["latency_us"] is not None
    ]
    yield _table(_head("ms after the moment meant"), timed)
    for name, one in routes.items():
        if one["rows_per_s"] is not None:
            yield f"<p>{escape(name.replace('-', ' to '))}: {one['rows_per_s']:,} rows a second.</p>"
        elif one.get("left_out"):
            yield f"<p>{escape(name.replace('-', ' to '))}: left out, {escape(one['left_out'])}.</p>"


def _running(document: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>Cost</h2>"
    rows = [
        (f"CPU at {rate} rows a second", f"{used:.2f} % of a core")
        for rate, used in document["cpu_percent"].items()
    ]
    rows.append(("loading the bundle", f"{document['load_ms']:.1f} ms"))
    rows.append(("fresh process, first score", f"{document['cold_start_ms']:.0f} ms"))
    rows.append(("its peak memory", f"{document['rss_mb']:.1f} MB"))
    yield _table(("", ""), rows)


def _compared(document: Mapping[str, Any]) -> Iterator[str]:
    found = document.get("compared")
    if found is None:
        return
    yield "<h2>Compared with earlier</h2>"
    for line in found["differs"]:
        yield f"<p>{escape(line)}</p>"
    rows = [
        (
            name,
            number(one["before"]),
            number(one["after"]),
            "-" if one["ratio"] is None else f"{one['ratio']:.2f}",
        )
        for name, one in found["figures"].items()
    ]
    yield _table(("figure", "before", "after", "ratio"), rows)

"""`edge-detect bench`: how fast a bundle is on this very machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_runtime.cli.guard import imported
from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.bench.limits import Check
    from edge_runtime.bench.measure import Plan
    from edge_runtime.bench.route import Gateway

__all__ = ["bench"]

STANDARD = Path("-")
FULL_S, QUICK_S = 45.0, 2.5


def bench(
    bundle: Annotated[
        Path | None,
        typer.Argument(help="Bundle that judges the rows; the default one unless given.", show_default=False),
    ] = None,
    *,
    as_json: Annotated[
        Path | None,
        typer.Option(
            "--json", metavar="FILE", help="Write the figures as JSON; - prints them instead of the table."
        ),
    ] = None,
    as_html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with plots, in one file.")
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(metavar="EARLIER", help="Compare with what --json wrote earlier.")
    ] = None,
    limits: Annotated[
        str | None,
        typer.Option(
            "--assert",
            metavar="NAME=LIMIT,…",
            help="End with exit code 1 if a figure breaks its limit, such as p99_us=200,rss_mb=90,"
            "floor_ratio=1.5; an unknown name lists all. declared: the limits that the bundle declares.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="A gateway's configuration, as of `run`: also through its InfluxDB or MQTT broker."
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="About five seconds: less of everything, one route.")
    ] = False,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help=f"Time for all that is measured, process starts on top; {FULL_S:g}, --quick {QUICK_S:g}.",
        ),
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option(min=1, help="Measure so many single calls at most of each kind.", show_default=False),
    ] = None,
    rate: Annotated[
        float, typer.Option(min=0.1, max=100_000, help="Rows offered a second, for jitter and end to end.")
    ] = 100.0,
    rates: Annotated[str, typer.Option(help="Rows a second to measure CPU time at.")] = "1,10,100",
) -> None:
    """Measure a bundle beside ONNX Runtime alone: a row, jitter, throughput, end to end, CPU, start, memory.

    Rows of the jitter and end-to-end parts are offered on a schedule, and their latency counts from the
    moment at which they were meant to come: a stall is in the figures of every row that it delays.
    """
    from edge_runtime.bench.compare import compared, read_document
    from edge_runtime.bench.limits import check, declared_limits, parse_limits

    asked, must_declared = parse_limits(limits) if limits is not None else ([], False)
    earlier = read_document(compare) if compare else None
    for path in (as_json, as_html):
        _check_folder(path)  # before the measurement and not after it
    gateway = _gateway(config)
    if bundle is None and gateway is not None:
        bundle = gateway.settings.run.bundle
    document = _measure(bundle, gateway, _plan(quick, seconds, rows, rate, rates))
    declared = declared_limits(document)
    if must_declared and not declared:
        raise UsageError("the bundle declares no limits", where="--assert declared", hint="name them instead")
    checks = check(document, [*asked, *(declared if must_declared or limits is None else [])])
    _add_checks(document, checks)
    if earlier is not None:
        document["compared"] = compared(earlier, document)
    _show(document, as_json, as_html)
    broken = [str(one) for one in checks if not one.kept]
    if limits is not None and broken:
        typer.echo(f"edge-detect: over the limit: {'; '.join(broken)}", err=True)
        raise typer.Exit(1)


def _plan(quick: bool, seconds: float | None, rows: int | None, rate: float, rates: str) -> Plan:
    from edge_runtime.bench.measure import Plan

    cpu_rates = _rates(rates)
    if quick:
        return Plan.quick(seconds or QUICK_S, calls=rows, rate=rate, cpu_rates=cpu_rates)
    return Plan(seconds or FULL_S, rows, rate, cpu_rates)


def _rates(text: str) -> tuple[float, ...]:
    try:
        found = tuple(dict.fromkeys(float(part) for part in text.split(",")))
    except ValueError:
        found = ()
    if not found or not all(0.1 <= rate <= 100_000 for rate in found):  # noqa: PLR2004 - as of --rate
        raise UsageError(
            f"'{text}' are no rates", where="--rates", hint="write rows a second, 0.1 to 100000: 1,10,100"
        )
    return found


def _gateway(config: Path | None) -> Gateway | None:
    if config is None:
        return None
    from edge_runtime.bench.route import Gateway
    from edge_runtime.gateway.settings import load_settings

    return Gateway(config, load_settings(config, {}))


def _measure(bundle: Path | None, gateway: Gateway | None, plan: Plan) -> dict[str, Any]:
    from edge_runtime.bench.document import as_json
    from edge_runtime.bench.measure import measure

    imported()  # so that garbage is collected as it is in `run`
    try:
        return as_json(measure(bundle, plan, gateway=gateway, on_step=_progress()))
    finally:
        _progress()("")


def _progress() -> Callable[[str], None]:
    """One line on a terminal, written over and over; nothing elsewhere."""
    import sys

    def show(step: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{step + ' …' if step else ''}")
            sys.stderr.flush()

    return show


def _add_checks(document: dict[str, Any], checks: list[Check]) -> None:
    from dataclasses import asdict

    document["limits"] = [asdict(one) for one in checks]


def _show(document: dict[str, Any], json_to: Path | None, html_to: Path | None) -> None:
    import json

    from edge_runtime.bench.page import as_html
    from edge_runtime.bench.text import as_text

    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    if html_to is not None:
        _write(html_to, as_html(document))
    if json_to is not None and json_to != STANDARD:
        _write(json_to, text)
    typer.echo(text if json_to == STANDARD else as_text(document), nl=False)


def _check_folder(path: Path | None) -> None:
    if path is not None and path != STANDARD and not path.absolute().parent.is_dir():
        raise UsageError("there is no such folder", where=str(path.parent), hint="make it first")


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    from edge_runtime.files import write_whole

    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise UsageError(
            f"cannot write the figures ({error.strerror})",
            where=str(path),
            hint="name a file in a folder that exists",
        ) from None

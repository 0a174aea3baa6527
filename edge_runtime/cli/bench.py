"""`edge-detect bench`: how fast a bundle is on this very machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_runtime.cli.guard import INTERRUPTED, Signals, imported
from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.bench.limits import Check
    from edge_runtime.bench.measure import Plan
    from edge_runtime.bench.route import Gateway

__all__ = ["bench"]

STANDARD = Path("-")
SIGNALLED = 128
TERMINATED = SIGNALLED + 15
FULL_S, QUICK_S = 45.0, 2.5


def bench(
    bundle: Annotated[
        Path | None,
        typer.Argument(
            help="Bundle to measure. The bundle of --config, else the default bundle, is used "
            "if this is omitted.",
            show_default=False,
        ),
    ] = None,
    *,
    as_json: Annotated[
        Path | None,
        typer.Option(
            "--json",
            metavar="FILE",
            help="File to which the figures are written as JSON. With -, they are printed "
            "instead of the table.",
        ),
    ] = None,
    as_html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", help="File to which a self-contained HTML page with plots is written."
        ),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            metavar="EARLIER", help="File that --json wrote earlier, with which the figures are compared."
        ),
    ] = None,
    limits: Annotated[
        str | None,
        typer.Option(
            "--assert",
            metavar="NAME=LIMIT,…",
            help="Limits for the figures, such as p99_us=200,rss_mb=90,floor_ratio=1.5. If one"
            " is broken, the exit code is 1. The name declared stands for the limits that"
            " the bundle declares. An unknown name lists all names.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="Configuration file of a gateway. The routes through its InfluxDB or MQTT "
            "broker are measured as well."
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Take about five seconds, with fewer measurements and only one route."),
    ] = False,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help=f"Time for all measurements in seconds, without process starts. "
            f"[default: {FULL_S:g}; with --quick: {QUICK_S:g}]",
        ),
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Maximum number of single calls of each kind. [default: as many as the time allows]",
            show_default=False,
        ),
    ] = None,
    rate: Annotated[
        float,
        typer.Option(
            min=0.1, max=100_000, help="Number of rows offered per second in the jitter and end-to-end parts."
        ),
    ] = 100.0,
    rates: Annotated[
        str, typer.Option(help="Rates, in rows per second, at which CPU time is measured.")
    ] = "1,10,100",
) -> None:
    """Measure latency, jitter, throughput, end-to-end time, CPU, start and memory beside ONNX Runtime alone.

    In the jitter and end-to-end parts, rows are offered on a schedule, and latency counts from the scheduled
    time: a stall therefore shows in the figures of every row that it delays.
    """
    from edge_runtime.bench.compare import compared, read_document
    from edge_runtime.bench.limits import check, declared_limits, parse_limits

    asked, must_declared = parse_limits(limits) if limits is not None else ([], False)
    earlier = read_document(compare) if compare else None
    gateway = _gateway(config)
    if bundle is None and gateway is not None:
        bundle = gateway.settings.run.bundle
    # Before the measurement and not after it.
    read = {"the bundle": bundle, "the configuration": config}
    if gateway is not None:
        read["the ledger"] = gateway.settings.run.state
    _check_output("--json", as_json, read)
    _check_output(
        "--html", as_html, {**read, "also the file of --json": as_json, "also that of --compare": compare}
    )
    with Signals(_terminate, code=TERMINATED):
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
            f"'{text}' is not a list of rates",
            where="--rates",
            hint="write rows per second, 0.1 to 100000, separated by commas, such as 1,10,100",
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


def _terminate(number: int) -> None:
    """What was started, and written into a server to measure it, is taken away on the way out."""
    if number == INTERRUPTED - SIGNALLED:
        raise KeyboardInterrupt
    raise SystemExit(TERMINATED)


def _check_output(option: str, path: Path | None, read: dict[str, Path | None]) -> None:
    from edge_runtime.files import refuse_same

    if path is None or path == STANDARD:
        return
    if not path.absolute().parent.is_dir():
        raise UsageError("there is no such folder", where=str(path.parent), hint="create it first")
    if path.is_dir():
        raise UsageError("this is a folder", where=f"{option} {path}", hint="name a file in it")
    refuse_same(path, read, option)


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    from edge_runtime.files import unwritable, write_whole

    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise unwritable(error, path, "cannot write the figures") from None

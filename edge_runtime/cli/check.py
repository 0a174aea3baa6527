"""`edge-detect check`: what a gateway would read, judge and write, without moving or writing anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_runtime.cli.settings_options import Assignments, Config, given_options

if TYPE_CHECKING:
    from edge_runtime.connector import Fact

__all__ = ["check"]

NAME_WIDTH = 14


def check(
    ctx: typer.Context,
    *,
    config: Config = None,
    assignments: Assignments = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Time for which the source is read, in seconds.")
    ] = 15.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")] = False,
) -> None:
    """Look at everything that `run` with the same options would use, and tell what is wrong.

    It shows the server, its machines, fields or topics, rates, clocks, the first ten verdicts, and whether
    the sinks take results. It moves no checkpoint and locks, writes and acknowledges nothing, so a service
    that runs beside it is not disturbed. The exit code is 1 when something is wrong.
    """
    import json
    import time

    from edge_runtime.gateway.assembly import check_is_complete
    from edge_runtime.gateway.checkup import Checkup
    from edge_runtime.gateway.settings import load_settings

    settings = load_settings(config, given_options(ctx), assignments or ())
    check_is_complete(settings, config)
    checkup = Checkup(settings, seconds, (lambda _: None) if as_json else _show)
    checkup.run()
    document = checkup.document(time.time_ns())
    if as_json:
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        _show_tables(document)
        _show_wrong(checkup.wrong)
    if checkup.wrong:
        raise typer.Exit(1)


def _show(fact: Fact) -> None:
    mark = "!" if fact.wrong else " "
    typer.echo(f"{mark} {fact.name:<{NAME_WIDTH}} {fact.text}")


def _show_tables(document: dict[str, Any]) -> None:
    if document["machines"]:
        rows: list[tuple[str, ...]] = [("machine", "rows", "s between", "newest", "clock behind", "verdicts")]
        for name, seen in document["machines"].items():
            gap, behind = seen["seconds_between_rows"], seen["clock_behind_s"]
            verdicts = ", ".join(f"{number:,} {label}" for label, number in sorted(seen["verdicts"].items()))
            rows.append(
                (
                    name,
                    f"{seen['rows']:,}",
                    "-" if gap is None else f"{gap:.3g}",
                    seen["newest"],
                    "-" if behind is None else f"{round(behind, 1) + 0.0:+.1f} s",
                    verdicts,
                )
            )
        _table(rows)
    if document["first"]:
        heads = ("first verdicts", "machine", "verdict", "severity", "sensor", "actual", "expected")
        _table([heads, *map(_verdict, document["first"])])


def _verdict(one: dict[str, Any]) -> tuple[str, ...]:
    if "reason" in one:
        sensors = ", ".join(one.get("sensor_status", ())) or "-"
        return one["time"], one["machine_id"], f"unknown: {one['reason']}", "-", sensors, "-", "-"
    readings = (f"{one[name]:g} {one['unit']}".strip() for name in ("actual", "expected"))
    verdict = one["verdict"] + (f" without {one['degraded']}" if "degraded" in one else "")
    return one["time"], one["machine_id"], verdict, f"{one['severity']:.2f}", one["sensor"], *readings


def _table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    typer.echo("")
    for row in rows:
        line = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        typer.echo(f"  {line.rstrip()}")


def _show_wrong(wrong: list[Fact]) -> None:
    typer.echo("")
    if not wrong:
        typer.echo("Nothing is wrong.")
        return
    typer.echo(f"{len(wrong)} {'thing is' if len(wrong) == 1 else 'things are'} wrong:")
    for fact in wrong:
        typer.echo(f"  {fact.name}: {fact.text}")

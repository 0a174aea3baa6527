"""`edge-detect history`: of which machines there are rows, how they went, and the rows themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_runtime.cli.ledger_options import Config, State, history_of, print_table
from edge_runtime.errors import counted, printable

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from edge_runtime.cli.history_span import Span
    from edge_runtime.history.reading import HistoryReader

__all__ = ["history"]

history = typer.Typer(
    help="Look back at what `run` has read and found: machines, curves, and single rows.\n\n"
    "All of it works while `run` goes on, which keeps a history beside its ledger unless `keep` in [history] "
    "is false.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

DAY_NS, LAST = 86_400 * 10**9, "1h"
COLUMNS = 60
MOST_POINTS, MOST_EVENTS = 2000, 20
File = Annotated[
    Path | None, typer.Option("--file", help="File of the history; that of the ledger unless given.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]
Machine = Annotated[str, typer.Argument(help="Name of the machine.")]
Last = Annotated[
    str | None,
    typer.Option(
        help=f"How much time before the machine's newest row, such as 90s or 7d; {LAST} unless given."
    ),
]
Start = Annotated[
    str | None, typer.Option(help="Time of the oldest row, such as 2026-01-31T08:00:00Z or -7d.")
]
Stop = Annotated[str | None, typer.Option(help="Time before which to end; the newest row unless given.")]


@history.command(name="list")
def list_machines(
    *, config: Config = None, state: State = None, file: File = None, as_json: AsJson = False
) -> None:
    """List machines with their oldest and newest rows, how much room all takes, and what is missing."""
    from edge_runtime.timeparse import format_time

    path = _file(config, state, file)
    with _reading(path) as reader:
        machines, gaps = reader.machines(), reader.gaps()
        size, per_day = reader.size_bytes, reader.bytes_per_day()
    if as_json:
        _print_json(
            {
                "history": str(path),
                "bytes": size,
                "bytes_per_day": None if per_day is None else round(per_day),
                "machines": [
                    {**one._asdict(), "start": format_time(one.start), "stop": format_time(one.stop)}
                    for one in machines
                ],
                "gaps": [
                    {"since": _time(gap.since), "until": _time(gap.until), "why": gap.why} for gap in gaps
                ],
            }
        )
        return
    a_day = "" if per_day is None else f"; a day takes about {per_day / 1e6:,.3g} MB"
    typer.echo(f"history {path}: {size / 1e6:,.3g} MB{a_day}")
    rows = [
        {
            "machine": printable(one.machine_id),
            "rows": one.rows,
            "oldest": format_time(one.start),
            "newest": format_time(one.stop),
        }
        for one in machines
    ]
    print_table(rows, "there are no rows in it yet")
    for gap in gaps[-MOST_EVENTS:]:
        when = "" if gap.since is None else f" from {_time(gap.since)} to {_time(gap.until)}"
        typer.echo(f"  rows are missing{when}: {printable(gap.why)}")


@history.command()
def show(
    machine: Machine,
    *,
    last: Last = None,
    start: Start = None,
    stop: Stop = None,
    points: Annotated[
        int, typer.Option(min=1, max=MOST_POINTS, help="Number of points at most, with --json.")
    ] = MOST_POINTS,
    config: Config = None,
    state: State = None,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Show how a machine's readings and severity went, and its alarms, as curves or as points."""
    from edge_runtime.cli.history_span import complain
    from edge_runtime.cli.history_text import curves, happened

    path = _file(config, state, file)
    with _reading(path) as reader:
        span = _span(reader, machine, last, start, stop)
        found = reader.points(machine, span.start, span.stop, points if as_json else COLUMNS)
        alarms = reader.alarms(span.start, span.stop, machine)
        statuses = reader.statuses(machine, span.start, span.stop)
        damaged = reader.damaged
    if as_json:
        from edge_runtime.cli.history_text import points_document

        _print_json(points_document(machine, span.start, span.stop, found, alarms, statuses))
    else:
        typer.echo(f"{printable(machine)} from {_time(span.start)} to {_time(span.stop - 1)}")
        for part in found:
            typer.echo("\n".join(curves(part)))
        if not found:
            typer.echo("  there are no rows")
        lines = list(happened(alarms, statuses, span.start))
        if len(lines) > MOST_EVENTS:
            typer.echo(f"  … {counted(len(lines) - MOST_EVENTS, 'earlier event')}; --json prints all")
        for line in lines[-MOST_EVENTS:]:
            typer.echo(f"  {line}")
    complain(damaged)


@history.command()
def rows(
    machine: Machine,
    *,
    last: Last = None,
    start: Start = None,
    stop: Stop = None,
    bundle: Annotated[
        str | None,
        typer.Option(
            help='Bundle that judged the rows, or "default": its scores, expected values and errors are '
            "printed as well."
        ),
    ] = None,
    config: Config = None,
    state: State = None,
    file: File = None,
) -> None:
    """Print a machine's rows as CSV: the readings as they were, severity, verdict and reason."""
    from edge_runtime.cli.history_rows import judged_lines, stored_lines
    from edge_runtime.cli.history_span import complain

    path = _file(config, state, file)
    with _reading(path) as reader:
        span = _span(reader, machine, last, start, stop)
        if bundle is None:
            lines = stored_lines(reader, machine, span.start, span.stop)
        else:
            from edge_runtime.loading.load import load_bundle

            lines = judged_lines(reader, load_bundle(bundle), machine, span.start, span.stop)
        for line in lines:
            typer.echo(line, nl=False)
        damaged = reader.damaged
    complain(damaged)


def _file(config: Path | None, state: Path | None, file: Path | None) -> Path:
    return history_of(config, state) if file is None else file


def _reading(path: Path) -> AbstractContextManager[HistoryReader]:
    from edge_runtime.history.reading import reading_history

    return reading_history(path)


def _span(reader: HistoryReader, machine: str, last: str | None, start: str | None, stop: str | None) -> Span:
    """From when until when.

    Raises:
        UsageError: There is no such machine, or the options say no time.
    """
    from edge_runtime.cli.history_span import machine_in, span_before

    own = machine_in(reader.machines(), machine)
    return span_before(own.stop, f"'{printable(machine)}'", last, start, stop, LAST)


def _time(moment: int | None) -> str:
    from edge_runtime.timeparse import format_time

    return "-" if moment is None else format_time(moment)


def _print_json(document: dict[str, Any]) -> None:
    import json

    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))

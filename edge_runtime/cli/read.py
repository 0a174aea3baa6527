"""`edge-detect read`: how a file is understood, before it is scored or trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_runtime.cli.form_options import form_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_runtime.mapping.roles import RoleOf
    from edge_runtime.text.survey import Survey

__all__ = ["read"]

MAX_CELL = 34
WARNINGS = {
    "times_that_go_back": "go back",
    "times_that_are_repeated": "are those of the row before",
}


def read(
    ctx: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="FILE", help="CSV file, plain or gzip.")],
    *,
    sensor: Annotated[
        list[str] | None,
        typer.Option(
            help="Column of a sensor. May be repeated. [default: every column of numbers that no rule "
            "leaves out]",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show how a CSV file is understood: its columns and what each is for, its times and gaps.

    What `score`, `run --source csv` and `edge-train prepare` read is the same. The options change it, and the
    table [map] that is printed does so in a configuration.
    """
    import json

    from edge_runtime.cli.guard import imported, say
    from edge_runtime.errors import InputError, listed
    from edge_runtime.mapping.roles import Role, roles
    from edge_runtime.text.csvblocks import open_rows
    from edge_runtime.text.survey import survey

    form = form_of(ctx)
    with open_rows(source) as stream:
        _refuse_other_formats(stream, source)
        imported()
        remarks: list[str] = []
        found = survey(stream, form, str(source), remarks.append)
    named = tuple(sensor or ())
    for name in named:
        if name not in found.layout.names:
            known = listed(found.layout.names)
            raise InputError(f"no column '{name}'", where=str(source), hint=f"its columns are: {known}")
    chosen = roles(found.facts, found.time_names, found.machine_name, named=named)
    document = _document(found, chosen, remarks)
    for line in (
        [json.dumps(document, indent=2, ensure_ascii=False)] if as_json else _lines(document, chosen, found)
    ):
        typer.echo(line)
    unclear = next((column for column in chosen if column.role is Role.UNCLEAR), None)
    if unclear is not None:
        raise InputError(f"column '{unclear.name}' {unclear.why}", where=str(source), hint=unclear.hint)
    if not any(column.role is Role.SENSOR for column in chosen):
        say(f"edge-detect: {source}: no column is one of a sensor")


def _refuse_other_formats(stream: Any, source: Path) -> None:
    """What is no CSV is not looked at as if it were one."""
    from edge_runtime.errors import UsageError

    peek = getattr(stream, "peek", None)
    head = bytes(peek(64))[:64] if peek else b""
    if head.startswith((b"PAR1", b"ARROW1")):
        raise UsageError(
            "not a CSV", where=str(source), hint="Parquet and Arrow files say themselves what is in them"
        )
    if head.lstrip()[:1] == b"{":
        raise UsageError(
            "JSON, not a CSV", where=str(source), hint="JSON lines are read by 'run --source stdin'"
        )


def _document(found: Survey, chosen: Sequence[RoleOf], remarks: Sequence[str]) -> dict[str, Any]:
    from edge_runtime.timeparse import format_time

    rows = len(found.moments)
    step, gaps, longest, back, same = found.steps()
    layout = found.layout
    return {
        "file": layout.where,
        "delimiter": layout.delimiter,
        "rows": rows,
        "columns": [
            {"name": one.name, "role": one.role.value, "why": one.why, "hint": one.hint or None}
            for one in chosen
        ],
        "first_rows": [list(row) for row in found.first_rows],
        "machines": {name: int((found.codes == code).sum()) for code, name in enumerate(found.names)},
        "first": format_time(int(found.moments.min())) if rows else None,
        "last": format_time(int(found.moments.max())) if rows else None,
        "step_seconds": step / 1e9 or None,
        "gaps": gaps,
        "longest_gaps": [
            {
                "machine_id": gap.machine,
                "after": format_time(gap.after_ns),
                "until": format_time(gap.until_ns),
                "seconds": (gap.until_ns - gap.after_ns) / 1e9,
            }
            for gap in longest
        ],
        "times_that_go_back": back,
        "times_that_are_repeated": same,
        "remarks": [remark.removeprefix(f"{layout.where}: ") for remark in remarks],
        "map": _map(found),
    }


def _map(found: Survey) -> dict[str, Any]:
    """The settings with which the file is read as it was."""
    form = found.layout.columns.form
    given = {
        "time.from": list(found.time_names),
        "time.format": form.time.format,
        "time.unit": form.time.unit,
        "time.zone": form.time.zone,
        "machine": found.machine_name,
        "decimal": found.decimal,
        "thousands": form.thousands,
        "missing": list(form.missing),
        "delimiter": found.layout.delimiter,
        "skip_rows": form.skip_rows,
        "encoding": form.encoding,
    }
    return {name: value for name, value in given.items() if value}


def _lines(document: dict[str, Any], chosen: Sequence[RoleOf], found: Survey) -> Iterator[str]:
    import json

    from edge_runtime.errors import counted, printable
    from edge_runtime.mapping.roles import aligned

    machines = len(document["machines"])
    yield f"{document['file']}: {counted(document['rows'], 'row')} of {counted(machines, 'machine')}"
    if document["rows"]:
        step = f", one every {document['step_seconds']:g} s" if document["step_seconds"] else ""
        yield f"from {document['first']} to {document['last']}{step}"
    for gap in document["longest_gaps"]:
        yield f"  nothing of {gap['machine_id']} for {gap['seconds']:,.0f} s after {gap['after']}"
    more = document["gaps"] - len(document["longest_gaps"])
    if more > 0:
        yield f"  and {counted(more, 'shorter gap')}"
    for what, name in (
        ("before that of the row before it", "times_that_go_back"),
        ("the same as that of the row before it", "times_that_are_repeated"),
    ):
        if document[name]:
            yield f"  the time of {counted(document[name], 'row')} is {what}, of the same machine"
    yield from (f"  {remark}" for remark in document["remarks"])
    yield ""
    rows = [("column", "role", "why", "first cells")]
    for place, column in enumerate(chosen):
        cells = printable(", ".join(row[place] for row in found.first_rows), MAX_CELL)
        rows.append((column.shown, column.role.value, column.why, cells))
    yield from aligned(rows)
    yield ""
    yield "[map]"
    for name, value in document["map"].items():
        yield f"{name} = {json.dumps(value, ensure_ascii=False)}"

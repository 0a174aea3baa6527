"""What rules would have changed: alarms of the history with the rules in force, and with others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from edge_runtime.errors import UsageError, listed, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from edge_runtime.cli.history_span import Span
    from edge_runtime.engine.rules import Rule
    from edge_runtime.history.trying import Tried
    from edge_runtime.loading.load import Bundle

__all__ = ["LAST", "compare"]

LAST = "7d"
MOST_BUNDLES, DIGEST_LETTERS = 5, 80


def compare(
    path: Path,
    bundle: str,
    before: Sequence[Rule],
    after: Sequence[Rule],
    *,
    last: str | None = None,
    start: str | None = None,
    stop: str | None = None,
    machine: str | None = None,
    as_json: bool = False,
) -> None:
    """Prints which alarms there are with the rules in force and with others, and which are lost.

    First it names each rule that is tried and cannot have an effect, since no sensor or machine is called so.

    Args:
        path: The history.
        bundle: File of the bundle that judged the rows, or "default"; rows that another one judged are left
            out, and it is said how many.
        before: The rules in force.
        after: The rules that are tried.
        last: How much time before the newest row of all machines, such as "7d", which it is unless this or a
            start is given.
        start: Time of the oldest row, such as "2026-01-31T08:00:00Z" or "-7d".
        stop: Time before which to end; the newest row unless given.
        machine: Only this machine; None for all.
        as_json: Print one JSON document instead.

    Raises:
        UsageError: There is no such machine, the texts say no time, or the bundle judged no row of it.
        BundleError: The bundle cannot be used.
        LedgerError: There is no history, it cannot be read, or parts of it are damaged; then the rest is
            printed.
    """
    from edge_runtime.cli.history_span import complain, machine_in, span_before
    from edge_runtime.cli.rule_try_text import document, lines
    from edge_runtime.history.reading import reading_history
    from edge_runtime.history.trying import tried
    from edge_runtime.loading.load import load_bundle
    from edge_runtime.progress import ProgressLine, bar

    with reading_history(path) as reader:
        machines = reader.machines()
        if machine is not None:
            machine_in(machines, machine)
        if not machines:
            raise UsageError("the history has no rows yet", where=str(path))
        newest = max(one.stop for one in machines)
        span = span_before(newest, "the history", last, start, stop, LAST)
        names = [one.machine_id for one in machines if machine in (None, one.machine_id)]
        loaded, shown = load_bundle(bundle), ProgressLine()
        idle = _without_effect([one for one in after if one not in before], loaded, names)
        try:
            found = tried(
                reader,
                loaded,
                names,
                span.start,
                span.stop,
                before,
                after,
                lambda share: shown.show(lambda: bar(share)),
            )
        finally:
            shown.end()
        damaged = reader.damaged
    if not any(one.rows for one in found.machines):
        if damaged:
            complain(damaged)
        raise _nothing(found, loaded, span)
    if as_json:
        import json

        made = document(path, loaded, span, found) | {"without_effect": idle}
        typer.echo(json.dumps(made, indent=2, ensure_ascii=False))
    else:
        for name, why in idle.items():
            typer.echo(f"rule {printable(name)}: {why}")
        for line in lines(path, loaded, span, found):
            typer.echo(line)
    complain(damaged)


def _without_effect(rules: Iterable[Rule], bundle: Bundle, machines: Sequence[str]) -> dict[str, str]:
    """Rules that cannot change anything about these machines, by name, and why: mostly a name is misspelt."""
    from edge_runtime.gateway.ruling import no_such_sensor

    found, sensors = {}, bundle.metadata.sensor_names
    for rule in rules:
        if rule.sensor is not None and rule.sensor not in sensors:
            found[rule.name] = no_such_sensor(rule, sensors)
        elif not any(rule.is_for(machine) for machine in machines):
            found[rule.name] = (
                f"it has no effect here, because no machine matches '{printable(rule.machine)}'; "
                f"machines here: {listed(machines)}"
            )
    return found


def _nothing(found: Tried, bundle: Bundle, span: Span) -> UsageError:
    """Why there is nothing to print."""
    from edge_runtime.timeparse import format_time

    when = f"{format_time(span.start)} to {format_time(span.stop - 1)}"
    if not found.left_out:
        return UsageError("there are no rows in that time", where=when, hint="`edge-detect history list`")
    others = sorted({printable(one.bundle, DIGEST_LETTERS) for one in found.left_out})
    more = f" and {len(others) - MOST_BUNDLES:,} more" if len(others) > MOST_BUNDLES else ""
    return UsageError(
        f"it judged no row from {when}, but {', '.join(others[:MOST_BUNDLES])}{more} did",
        where=f"bundle {bundle.digest}",
        hint="name the file of that one with --bundle",
    )

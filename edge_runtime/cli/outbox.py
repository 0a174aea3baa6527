"""`edge-detect outbox`: what waits for the sinks, and what they refused; sent again or dropped."""

from __future__ import annotations

from typing import Annotated

import typer

from edge_runtime.cli.ledger_options import Config, State, ledger_of, print_table, reading_ledger
from edge_runtime.errors import counted

__all__ = ["outbox"]

outbox = typer.Typer(
    help="Show what waits in a ledger and its dead letters; send dead letters again, or drop entries.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Numbers = Annotated[
    list[int] | None, typer.Argument(metavar="[ID]...", help="Ids, as `edge-detect outbox list` shows them.")
]


@outbox.command(name="list")
def list_entries(
    *,
    config: Config = None,
    state: State = None,
    most: Annotated[int, typer.Option(min=0, help="Number of dead letters to list, newest first.")] = 50,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document instead, with all dead letters.")
    ] = False,
) -> None:
    """List what waits for each sink, and the dead letters. Works while `run` uses the ledger."""
    import json

    from edge_runtime.delivery.handling import overview

    path = ledger_of(config, state)
    with reading_ledger(path) as db:
        document = {"ledger": str(path), **overview(db)}
    if as_json:
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    typer.echo(f"ledger {path}")
    print_table(document["waiting"], "nothing waits")
    letters = document["dead_letters"]
    print_table(letters[::-1][:most], "there are no dead letters")
    if len(letters) > most:
        typer.echo(f"  … and {len(letters) - most:,} older dead letters; --most shows more")


@outbox.command()
def show(
    number: Annotated[int, typer.Argument(metavar="ID", help="Id, as `edge-detect outbox list` shows it.")],
    *,
    config: Config = None,
    state: State = None,
) -> None:
    """Print what an entry or a dead letter holds. Works while `run` uses the ledger.

    It is what the sink would get, decompressed. What is no text, such as a damaged payload, is printed as
    hexadecimal digits.
    """
    from edge_runtime.delivery.handling import as_text, payload_of

    with reading_ledger(ledger_of(config, state)) as db:
        payload = payload_of(db, number)
    text = as_text(payload)
    typer.echo(text, nl=not text.endswith("\n"))


@outbox.command(name="send-again")
def send_again(
    numbers: Numbers = None,
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="All dead letters, except those that were damaged on the disk.")
    ] = False,
    config: Config = None,
    state: State = None,
) -> None:
    """Put dead letters back into the outbox, at its end; the next `run` delivers them. Stop `run` first."""
    from contextlib import closing

    from edge_runtime.delivery.handling import Change

    chosen = _chosen(numbers, everything=everything)
    with closing(Change(ledger_of(config, state), _report)) as change:
        count, rows = change.send_again(chosen)
    typer.echo(
        f"{_letters(count)} with {counted(rows, 'row')} will be sent again by the next `edge-detect run`"
    )


@outbox.command()
def drop(
    numbers: Numbers = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All, of --dead or --waiting.")] = False,
    dead: Annotated[bool, typer.Option("--dead", help="Only dead letters.")] = False,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only entries that wait for a sink.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Really drop them: no sink will ever get them.")] = False,
    config: Config = None,
    state: State = None,
) -> None:
    """Drop entries or dead letters for good; their rows are counted as dropped. Stop `run` first."""
    from contextlib import closing

    from edge_runtime.delivery.handling import Change
    from edge_runtime.errors import UsageError

    chosen = _chosen(numbers, everything=everything)
    tables = [name for name, given in (("dead", dead), ("waiting", waiting)) if given]
    if everything and not tables:
        raise UsageError("--all of what is not said", hint="add --dead or --waiting, or both")
    tables = tables or ["dead", "waiting"]
    with closing(Change(ledger_of(config, state), _report)) as change:
        if not yes:
            count = change.count(chosen, tables)
            entries = counted(count, "entry", "entries")
            raise UsageError(f"this would drop {entries} for good", hint="add --yes to do it")
        count, rows = change.drop(chosen, tables)
    typer.echo(f"{counted(count, 'entry', 'entries')} with {counted(rows, 'row')} dropped")


def _chosen(numbers: list[int] | None, *, everything: bool) -> list[int] | None:
    from edge_runtime.errors import UsageError

    if bool(numbers) == everything:
        raise UsageError("either ids or --all", hint="`edge-detect outbox list` shows the ids")
    return None if everything else numbers


def _report(line: str) -> None:
    typer.echo(f"edge-detect: {line}", err=True)


def _letters(count: int) -> str:
    return counted(count, "dead letter")

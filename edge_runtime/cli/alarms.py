"""`edge-detect alarms`: which alarms are open, all about one of them, and what people say about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_runtime.cli.alarm_say import Id, ack, comment, reset, service, shelve, unshelve
from edge_runtime.cli.ledger_options import Config, State, history_of, ledger_of, print_table
from edge_runtime.errors import EdgeDetectError, counted, listed

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.delivery.openalarms import AlarmsKept, OpenAlarm
    from edge_runtime.engine.alarms import Word
    from edge_runtime.engine.condition import Condition

__all__ = ["alarms"]

alarms = typer.Typer(
    help="Show open alarms; acknowledge, comment on, reset or shelve them, take machines out of service.\n\n"
    "All of it works while `run` uses the ledger, which takes up within a second what is said here. If it "
    "does not run, it takes it up when it starts. The words are kept for good in `operator/operator.sqlite` "
    "beside the ledger.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

MOST_WORDS = 20
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead, with all fields.")]


@alarms.command(name="list")
def list_alarms(
    *,
    config: Config = None,
    state: State = None,
    machine: Annotated[str | None, typer.Option(help="Only alarms of this machine and its sensors.")] = None,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Also those that are shelved or out of service, and what else is."),
    ] = False,
    last: Annotated[
        str | None,
        typer.Option(
            help="List from the history instead: all alarms that were up within this time before the newest "
            "row, such as 7d, the oldest first."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List open alarms: the highest priority first, then the newest."""
    from edge_runtime.cli.alarm_target import machine_of, read_alarms
    from edge_runtime.cli.alarm_text import alarm_row, suspension_row, suspensions

    if last is not None:
        _list_past(history_of(config, state), last, machine, as_json=as_json)
        return
    path = ledger_of(config, state)
    kept = read_alarms(path)
    if machine is not None:
        machine_of(kept, machine, None)
    found = [one for one in kept.open() if machine in (None, one.key.machine_id)]
    told = [one for one in found if everything or one.condition.suspended is None]
    hidden = len(found) - len(told)
    if as_json:
        _print_json(_document(path, kept, told, hidden=hidden))
        return
    typer.echo(f"ledger {path}")
    print_table([alarm_row(one) for one in told], "no alarm is open")
    if hidden:
        typer.echo(
            f"  {counted(hidden, 'open alarm is', 'open alarms are')} shelved or out of service; "
            "--all shows them"
        )
    if everything:
        rows = [
            suspension_row(key, *one)
            for key, condition in sorted(kept.conditions.items())
            for one in suspensions(condition)
            if machine in (None, key.machine_id)
        ]
        print_table(rows, "nothing is shelved or out of service")
    if kept.unreadable:
        typer.echo(f"  the alarms of {listed(kept.unreadable)} cannot be read")
    waiting, unread = _words(path, kept.mark)
    if waiting:
        words = counted(len(waiting), "word waits", "words wait")
        typer.echo(f"  {words} for run to take up, and may change this")
    if unread is not None:
        raise unread


@alarms.command()
def show(alarm: Id, *, config: Config = None, state: State = None, as_json: AsJson = False) -> None:
    """Print all about an alarm, open or over, and what was said about it."""
    from edge_runtime.cli.alarm_past import change_rows, past_of, past_shown
    from edge_runtime.cli.alarm_target import alarm_of, read_alarms
    from edge_runtime.cli.alarm_text import said, shown

    path = ledger_of(config, state)
    kept = read_alarms(path)
    words, unread = _words(path, None)
    over = _over(kept, words, alarm)
    past = None if _is_open(kept, alarm) else past_of(history_of(config, state), alarm)
    if past is not None:
        over = past.fields["event_id"]
    one = None if over else alarm_of(kept, alarm)
    about = [word for word in words if (word.event_id == over if one is None else _is_about(word, one))]
    if as_json:
        fields = past and past.fields if one is None else one.condition.fields(one.alarm)
        _print_json({"ledger": str(path), "alarm": fields, "words": [_word(word) for word in about]})
        if unread is not None:
            raise unread
        return
    if past is not None:
        typer.echo("\n".join(past_shown(past)))
        print_table(change_rows(past), "nothing became of it")
    elif one is None:
        typer.echo(f"alarm {over} of {about[0].machine_id} is not open any more")
    else:
        typer.echo("\n".join(shown(one)))
    if unread is not None:
        raise unread
    rows, older = said(about, MOST_WORDS)
    print_table(rows, "nothing was said about it")
    if older:
        typer.echo(older)


for word in (ack, comment, reset, shelve, unshelve):
    alarms.command()(word)
alarms.add_typer(service, name="service")


def _list_past(path: Path, last: str, machine: str | None, *, as_json: bool) -> None:
    """Alarms of the history."""
    from edge_runtime.cli.alarm_past import alarms_of_late, past_row

    found = alarms_of_late(path, last, machine)
    if as_json:
        _print_json({"history": str(path), "alarms": found})
        return
    typer.echo(f"history {path}")
    print_table([past_row(one) for one in found], "there was no alarm")


def _is_open(kept: AlarmsKept, text: str) -> bool:
    return any(one.alarm.event_id.startswith(text.lower()) for one in kept.open())


def _over(kept: AlarmsKept, words: list[Word], text: str) -> str | None:
    """The id of an alarm that is not open any more, and about which something was said; None for none."""
    from edge_runtime.cli.alarm_target import is_id

    ids = {word.event_id for word in words} | {one.alarm.event_id for one in kept.open()}
    found = [event_id for event_id in ids if event_id is not None and event_id.startswith(text.lower())]
    is_open = any(one.alarm.event_id in found for one in kept.open())
    return found[0] if is_id(text) and len(found) == 1 and not is_open else None


def _is_about(word: Word, one: OpenAlarm) -> bool:
    """Whether a word is about an open alarm, or about what it is of."""
    if word.event_id is not None:
        return word.event_id == one.alarm.event_id
    return (word.machine_id, word.kind, word.subject) == one.key


def _words(path: Path, mark: str | None) -> tuple[list[Word], EdgeDetectError | None]:
    """What was said about this ledger's alarms after a mark; and why that cannot be read, if it cannot."""
    from edge_runtime.cli.alarm_words import words_after
    from edge_runtime.delivery.operator import OperatorFile, feed_of, operator_file

    try:
        return words_after(OperatorFile(operator_file(path)), mark, feed_of(path)), None
    except EdgeDetectError as error:  # the alarms themselves are to be seen all the same
        return [], error


def _document(path: Path, kept: AlarmsKept, told: list[OpenAlarm], *, hidden: int) -> dict[str, Any]:
    return {
        "ledger": str(path),
        "alarms": [one.condition.fields(one.alarm) for one in told],
        "hidden": hidden,
        "suspended": [
            {"machine_id": key.machine_id, "kind": key.kind, "subject": key.subject, **_suspended(condition)}
            for key, condition in sorted(kept.conditions.items())
            if condition.suspended is not None
        ],
        "unreadable": kept.unreadable,
    }


def _suspended(condition: Condition) -> dict[str, Any]:
    from edge_runtime.timeparse import format_time

    found: dict[str, Any] = {}
    for name, why in (("shelved", condition.shelved), ("out_of_service", condition.out_of_service)):
        found[name] = why and {
            "by": why.by,
            "at": format_time(why.at),
            "reason": why.reason,
            "until": None if why.until is None else format_time(why.until),
        }
    return found


def _word(word: Word) -> dict[str, Any]:
    """JSON-ready, its times as everywhere."""
    from dataclasses import asdict

    from edge_runtime.timeparse import format_time

    until = None if word.until is None else format_time(word.until)
    return {**asdict(word), "at": format_time(word.at), "until": until}


def _print_json(document: dict[str, Any]) -> None:
    import json

    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))

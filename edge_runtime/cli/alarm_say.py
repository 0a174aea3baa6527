"""The commands of `edge-detect alarms` by which people say something about alarms."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_runtime.cli.ledger_options import Config, State, ledger_of
from edge_runtime.errors import UsageError

__all__ = ["Id", "ack", "comment", "reset", "service", "shelve", "unshelve"]

service = typer.Typer(
    help="Take a machine or a sensor out of service, or put it back.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

MAX_SHELVED_DAYS, DAY_NS = 30, 86_400_000_000_000

Id = Annotated[
    str, typer.Argument(metavar="ID", help="Id of an open alarm, or its first digits, at least four.")
]
IdOrMachine = Annotated[
    str,
    typer.Argument(metavar="ID|MACHINE", help="Id of an open alarm, or its first digits; or a machine."),
]
Machine = Annotated[str, typer.Argument(metavar="MACHINE", help="The machine.")]
Sensor = Annotated[
    str | None,
    typer.Option(
        help="The machine's sensor. Without it, the machine's own alarms are meant, not those of its sensors."
    ),
]
By = Annotated[str | None, typer.Option(help="Who says it. The login name unless given.", show_default=False)]
Reason = Annotated[str, typer.Option(help="Why. It is kept, and shown with the alarms.")]


def ack(
    alarm: Id,
    *,
    comment: Annotated[str | None, typer.Option(help="What is to be kept with it.")] = None,
    revision: Annotated[
        int | None,
        typer.Option(min=1, help="The revision that was looked at. That of the ledger now unless given."),
    ] = None,
    by: By = None,
    config: Config = None,
    state: State = None,
) -> None:
    """Acknowledge an alarm.

    That says that somebody has seen it and looks after it. It covers what the alarm was at that revision: if
    its priority rises later, it asks again. An alarm that has returned is over when it is acknowledged.
    """
    from edge_runtime.cli.alarm_target import alarm_of
    from edge_runtime.cli.alarm_words import Speaker

    speaker = Speaker(ledger_of(config, state), by)
    one = alarm_of(speaker.kept, alarm)
    if revision is not None and revision > one.alarm.revision:
        raise UsageError(
            f"alarm {one.alarm.event_id} has revision {one.alarm.revision}",
            where="--revision",
            hint="leave it out",
        )
    seen = one.alarm.revision if revision is None else revision
    speaker.say("ack", one.key, event_id=one.alarm.event_id, revision=seen, text=comment)


def comment(
    alarm: Id,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What is to be kept with it.")],
    *,
    by: By = None,
    config: Config = None,
    state: State = None,
) -> None:
    """Comment on an alarm.

    Its last comment goes to the sinks with it; `show` prints all of them.
    """
    from edge_runtime.cli.alarm_target import alarm_of
    from edge_runtime.cli.alarm_words import Speaker

    speaker = Speaker(ledger_of(config, state), by)
    one = alarm_of(speaker.kept, alarm)
    speaker.say("comment", one.key, event_id=one.alarm.event_id, text=text)


def reset(alarm: Id, *, by: By = None, config: Config = None, state: State = None) -> None:
    """Reset an alarm that a rule keeps active although what raised it is over; acknowledge it first."""
    from edge_runtime.cli.alarm_target import alarm_of
    from edge_runtime.cli.alarm_words import Speaker

    speaker = Speaker(ledger_of(config, state), by)
    one = alarm_of(speaker.kept, alarm)
    speaker.say("reset", one.key, event_id=one.alarm.event_id)


def shelve(
    target: IdOrMachine,
    *,
    lasts: Annotated[
        str, typer.Option("--for", metavar="DURATION", help="For how long, such as 8h or 2d; 30d at most.")
    ],
    reason: Reason,
    sensor: Sensor = None,
    by: By = None,
    config: Config = None,
    state: State = None,
) -> None:
    """Shelve alarms of a machine or a sensor for a time.

    They are followed and kept as ever, and nobody is told of them until then.
    """
    from edge_runtime.timeparse import parse_duration

    duration = parse_duration(lasts)
    if not 0 < duration <= MAX_SHELVED_DAYS * DAY_NS:
        raise UsageError(
            f"{lasts} is not between 0 and {MAX_SHELVED_DAYS} days",
            where="--for",
            hint="`edge-detect alarms service out` has no end",
        )
    _of_target("shelve", target, sensor, by, ledger_of(config, state), text=reason, lasts=duration)


def unshelve(
    target: IdOrMachine,
    *,
    sensor: Sensor = None,
    by: By = None,
    config: Config = None,
    state: State = None,
) -> None:
    """End a shelving before its time."""
    _of_target("unshelve", target, sensor, by, ledger_of(config, state))


@service.command()
def out(
    machine: Machine,
    *,
    reason: Reason,
    sensor: Sensor = None,
    by: By = None,
    config: Config = None,
    state: State = None,
) -> None:
    """Take a machine or a sensor out of service.

    Its alarms are followed and kept as ever, and nobody is told of them until it is in service again.
    """
    _of_machine("out of service", machine, sensor, by, ledger_of(config, state), reason)


@service.command(name="in")
def in_again(
    machine: Machine,
    *,
    reason: Reason,
    sensor: Sensor = None,
    by: By = None,
    config: Config = None,
    state: State = None,
) -> None:
    """Put a machine or a sensor back in service."""
    _of_machine("in service", machine, sensor, by, ledger_of(config, state), reason)


def _of_target(
    word: str,
    target: str,
    sensor: str | None,
    by: str | None,
    path: Path,
    *,
    text: str | None = None,
    lasts: int | None = None,
) -> None:
    from edge_runtime.cli.alarm_target import target_of
    from edge_runtime.cli.alarm_words import Speaker

    speaker = Speaker(path, by)
    speaker.say(word, target_of(speaker.kept, target, sensor), text=text, lasts=lasts)


def _of_machine(word: str, machine: str, sensor: str | None, by: str | None, path: Path, reason: str) -> None:
    from edge_runtime.cli.alarm_target import machine_of
    from edge_runtime.cli.alarm_words import Speaker

    speaker = Speaker(path, by)
    speaker.say(word, machine_of(speaker.kept, machine, sensor), text=reason)

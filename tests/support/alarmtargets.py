"""Where each kind of sink that takes alarms delivers to, and some changes of alarms to deliver."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from support.alarmed import FAULTS, ROWS, START, bundle
from support.mailtarget import MailTarget
from support.target import AlarmTarget
from support.webhooktargets import AlertmanagerTarget, NtfyTarget, SlackTarget, TeamsTarget, WebhookTarget

from edge_runtime.engine.alarms import Change, Word
from edge_runtime.engine.engine import Engine
from edge_runtime.errors import SinkError, UsageError
from edge_runtime.simulation import SENSORS, Simulator

if TYPE_CHECKING:
    from pathlib import Path

    from support.feeds import Document
    from support.target import Broken

__all__ = ["ALARM_TARGETS", "AlarmTarget", "alarm_target_of", "later_changes", "some_changes"]

SECOND = 1_000_000_000


class AlarmLogTarget(AlarmTarget):
    """A file of JSON lines."""

    def document(self) -> Document:
        return self.to(self.folder / "alarms.jsonl")

    def to(self, output: Path | str) -> Document:
        """The tables of a sink that writes there."""
        return {self.kind.name: {"output": str(output)}}

    def changes(self) -> list[dict[str, Any]]:
        return _lines(self.folder / "alarms.jsonl")

    def broken(self) -> Broken:
        nowhere = self.to(self.folder / "nowhere" / "alarms.jsonl")
        return {
            "no file named": (UsageError, self.with_tables({})),
            "no such folder": (
                SinkError,
                self.with_tables(nowhere),
            ),
            "a folder": (SinkError, self.with_tables(self.to(self.folder))),
        }

    def away(self) -> Document:
        return self.to("/dev/full")


ALARM_TARGETS: dict[str, type[AlarmTarget]] = {
    "alarmlog": AlarmLogTarget,
    "jsonl": AlarmLogTarget,
    "webhook": WebhookTarget,
    "alertmanager": AlertmanagerTarget,
    "ntfy": NtfyTarget,
    "slack": SlackTarget,
    "teams": TeamsTarget,
    "email": MailTarget,
}


def alarm_target_of(name: str) -> type[AlarmTarget]:
    """The target of this sink; the contract fails where there is none."""
    assert name in ALARM_TARGETS, (
        f"the sink {name} takes alarms and is not under contract: add a target for it to ALARM_TARGETS in "
        "tests/support/alarmtargets.py"
    )
    return ALARM_TARGETS[name]


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    assert not text or text.endswith("\n")
    return [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]


class _Said(NamedTuple):
    """What a person says in `some_changes`, about a machine or one of its sensors."""

    word: str
    machine: str
    sensor: str = ""
    text: str | None = None
    lasts_s: int | None = None


SAID = (
    _Said("ack", "press-1", text='two lines:\n"bearing", Δp = 3 µm'),
    _Said("comment", "press-2", text="valve V2 stuck"),
    _Said("shelve", "press-3", "power", "sensor is changed", lasts_s=3600),
    _Said("unshelve", "press-3", "power"),
    _Said("out of service", "press-2", text="press is empty"),
    _Said("in service", "press-2", text="press runs again"),
    _Said("ack", "press-2"),
)


@cache
def some_changes() -> tuple[Change, ...]:
    """Changes of machine and sensor alarms, with each word that a person can say about them."""
    engine = Engine(bundle(), alarms=True)
    changes = list[Change]()
    for machine, (sensor, by, first, stop) in FAULTS.items():
        block = Simulator(machine, seed=1, rate=0.0, start_ns=START).block(ROWS)
        values = block.values.copy()
        values[first:stop, SENSORS.index(sensor)] += by
        changes += engine.feed(values, machine_id=machine, time=block.times).alarms
    ids = {(one.fields["machine_id"], one.fields["subject"]): one.fields["event_id"] for one in changes}
    at = START + ROWS * SECOND
    for number, said in enumerate(SAID, start=1):
        moment = at + number * SECOND
        of_alarm = said.word in ("ack", "comment")
        word = Word(
            number=number,
            at=moment,
            by="ada",
            word=said.word,
            machine_id=said.machine,
            kind="sensor" if said.sensor else "machine",
            subject=said.sensor,
            event_id=ids[said.machine, said.sensor] if of_alarm else None,
            revision=99 if said.word == "ack" else None,
            until=None if said.lasts_s is None else moment + said.lasts_s * SECOND,
            text=said.text,
        )
        some, refused = engine.tell([word])
        assert not refused
        changes += some
    return tuple(changes)


def later_changes() -> tuple[Change, ...]:
    """The same of other alarms, an hour later."""
    return tuple(
        replace(
            one,
            time=one.time + 3600 * SECOND,
            fields={**one.fields, "event_id": one.fields["event_id"][::-1]},
        )
        for one in some_changes()
    )

"""What a ledger says about alarms, for those who only read it: the conditions, the machines, the mark."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from edge_runtime.delivery.migrations import SCHEMA_VERSION
from edge_runtime.delivery.proof import proof
from edge_runtime.engine.alarms import PRIORITIES, RULE, State
from edge_runtime.engine.alarmstate import condition_of
from edge_runtime.engine.alarmwatch import AlarmWatch
from edge_runtime.engine.condition import Condition
from edge_runtime.engine.stage import ANY_BUNDLE
from edge_runtime.errors import LedgerError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from edge_runtime.engine.alarms import Alarm, Word

__all__ = ["AlarmsKept", "Key", "OpenAlarm", "kept_alarms", "kept_mark", "kept_text"]


class Key(NamedTuple):
    """What can alarm.

    Attributes:
        machine_id: The machine.
        kind: One of `engine.alarms.KINDS`.
        subject: The sensor; empty for the machine itself.
    """

    machine_id: str
    kind: str
    subject: str

    def __str__(self) -> str:
        """As a sentence names it."""
        return f"{self.machine_id}, sensor {self.subject}" if self.subject else f"machine {self.machine_id}"


class OpenAlarm(NamedTuple):
    """An alarm that is not over, and whose it is."""

    key: Key
    alarm: Alarm
    condition: Condition

    @property
    def state(self) -> State:
        """Where it is in its life."""
        return self.alarm.state


@dataclass
class AlarmsKept:
    """What a ledger says about alarms.

    Attributes:
        conditions: Of what there is something to remember: alarms, shelvings, what is out of service.
        machines: Every machine that the ledger knows.
        mark: Of the last of people's words that was taken up; None for none.
        unreadable: Machines whose alarms do not fit their checksum, or are of a later version.
    """

    conditions: dict[Key, Condition] = field(default_factory=dict)
    machines: list[str] = field(default_factory=list)
    mark: str | None = None
    unreadable: list[str] = field(default_factory=list)

    def open(self) -> list[OpenAlarm]:
        """Alarms that are not over: the highest priority first, then the newest."""
        found = [
            OpenAlarm(key, condition.alarm, condition)
            for key, condition in self.conditions.items()
            if condition.alarm is not None
        ]
        found.sort(key=lambda one: (-PRIORITIES.index(one.alarm.priority), -one.alarm.raised, one.key))
        return found

    def end_shelvings(self, now: int) -> None:
        """As it will be once the ledger's process looks at the clock, which may be stopped now."""
        for condition in self.conditions.values():
            condition.end_shelving(now)

    def tell(self, words: Iterable[Word]) -> None:
        """What it will say when the ledger's process has taken these words up."""
        for word in words:
            if word.kind == RULE:
                continue
            key = Key(word.machine_id, word.kind, word.subject)
            self.conditions.setdefault(key, Condition()).tell(word)


def kept_alarms(db: sqlite3.Connection) -> AlarmsKept:
    """Everything about alarms.

    Raises:
        LedgerError: The ledger is of another version.
        sqlite3.Error: It cannot be read.
    """
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version != SCHEMA_VERSION:
        raise LedgerError(
            f"the ledger has version {version}, and alarms are read from version {SCHEMA_VERSION}",
            hint="install a newer edge-detect"
            if version > SCHEMA_VERSION
            else "the next `edge-detect run` brings it up to date",
        )
    kept = AlarmsKept(mark=kept_mark(db))
    kept.machines = [row[0] for row in db.execute("SELECT DISTINCT machine FROM states ORDER BY machine")]
    query = "SELECT machine, version, value, crc FROM states WHERE owner = ? AND stage = ?"
    for machine, layout, value, crc in db.execute(query, (ANY_BUNDLE, AlarmWatch.name)):
        try:
            if crc != proof("states", ANY_BUNDLE, AlarmWatch.name, machine, layout, value):
                raise ValueError("it does not fit its checksum")  # noqa: TRY301 - as all else that is wrong
            if layout != AlarmWatch.version:
                raise ValueError("it is of another version")  # noqa: TRY301
            found = [condition_of(machine, one) for one in json.loads(value)]
        except (ValueError, TypeError):
            kept.unreadable.append(machine)
            continue
        kept.conditions.update({Key(machine, *of): condition for of, condition in found})
    return kept


def kept_mark(db: sqlite3.Connection) -> str | None:
    """The mark of the last of people's words that was taken up; None for none.

    Raises:
        sqlite3.Error: It cannot be read.
    """
    return kept_text(db, "words")


def kept_text(db: sqlite3.Connection, name: str) -> str | None:
    """What is in the ledger under a name; None for nothing that fits its checksum.

    Raises:
        sqlite3.Error: It cannot be read.
    """
    found = db.execute("SELECT value, crc FROM about WHERE name = ?", (name,)).fetchone()
    return str(found[0]) if found is not None and found[1] == proof("about", name, found[0]) else None

"""What a history tells beside its rows: alarms, their changes, sensor status, and where rows are missing."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from edge_runtime.engine.alarms import Change, State
from edge_runtime.records import Reason
from edge_runtime.timeparse import parse_time

if TYPE_CHECKING:
    import sqlite3

    from edge_runtime.history.asking import Asked

__all__ = ["Gap", "StatusChange", "alarms_of", "changes_of", "gaps_of", "ids_of", "statuses_of"]

# So many alarms are looked at, at once.
PIECE_ALARMS = 512
MOST_IDS = 10
FIELDS = {
    *("event_id", "machine_id", "kind", "subject", "active", "acked", "priority", "severity", "raised"),
    *("returned", "acknowledged_by", "comment", "sensors", "bundle"),
}
# Changes after which an alarm is over, whatever its two bits say.
ENDS = ("replaced", "forgotten")
STATES = {
    (True, False): State.UNACKNOWLEDGED,
    (True, True): State.ACKNOWLEDGED,
    (False, False): State.RETURNED,
    (False, True): State.NORMAL,
}
# What is to be taken out, since its rows were judged a second time.
REPLACED = """EXISTS (SELECT 1 FROM cuts WHERE cuts.machine = statuses.machine
    AND cuts.number > statuses.number AND cuts.time <= statuses.time)"""
ALARMS = """SELECT raised, event_id, MAX(id) FROM changes WHERE (raised, event_id) > (?, ?) AND raised < ?
    GROUP BY raised, event_id ORDER BY raised, event_id LIMIT ?"""


class StatusChange(NamedTuple):
    """From a time on, a sensor's readings can be used or not.

    Attributes:
        sensor: Its name.
        time: Of the first row for which it holds, nanoseconds since the epoch.
        reason: Why they cannot be used; NONE where they can.
    """

    sensor: str
    time: int
    reason: Reason


class Gap(NamedTuple):
    """Rows that were judged and are not in the history.

    Attributes:
        since: Time of the oldest of them, or of the last row before them, nanoseconds since the epoch; None
            where that is not known.
        until: Time of the newest of them; None where that is not known.
        why: Why they are missing.
    """

    since: int | None
    until: int | None
    why: str


def alarms_of(asked: Asked, start: int, stop: int, machine_id: str | None) -> list[dict[str, Any]]:
    """As `HistoryReader.alarms`."""
    found: list[dict[str, Any]] = []
    after: tuple[int, str] = (-(2**63), "")
    while True:
        piece = asked.ask(partial(_piece, after=after, stop=stop))
        for raised, _, change, machine, fields in piece:
            if machine_id is None or machine == machine_id:
                alarm = _fields(fields)
                if _end(alarm, change, raised) >= start:
                    found.append({**alarm, "state": _state(alarm, change)})
        if len(piece) < PIECE_ALARMS:
            return found
        after = piece[-1][:2]


def changes_of(asked: Asked, event_id: str) -> list[Change]:
    """As `HistoryReader.changes`."""
    query = "SELECT change, time, told, fields FROM changes WHERE event_id = ? ORDER BY id"
    rows = asked.ask(lambda db: db.execute(query, (event_id,)).fetchall())
    return [Change(change, time, bool(told), _fields(fields)) for change, time, told, fields in rows]


def ids_of(asked: Asked, digits: str) -> list[str]:
    """As `HistoryReader.ids`."""
    query = (
        "SELECT DISTINCT event_id FROM changes WHERE event_id >= ? AND event_id < ? ORDER BY event_id LIMIT ?"
    )
    found = asked.ask(lambda db: db.execute(query, (digits, f"{digits}g", MOST_IDS)).fetchall())
    return [event_id for (event_id,) in found]


def statuses_of(asked: Asked, machine: int, start: int, stop: int) -> list[StatusChange]:
    """As `HistoryReader.statuses`, of a machine's code."""
    of = f"WHERE machine = ? AND sensor = ? AND NOT {REPLACED}"
    columns = f"SELECT sensor, time, reason FROM statuses {of}"  # noqa: S608 - of the text above
    names = asked.sensor_names

    def rows(db: sqlite3.Connection) -> list[tuple[str, int, int]]:
        found = []
        for name in names:
            found += db.execute(
                f"{columns} AND time < ? ORDER BY time DESC, id DESC LIMIT 1", (machine, name, start)
            ).fetchall()
            found += db.execute(
                f"{columns} AND time >= ? AND time < ? ORDER BY time, id", (machine, name, start, stop)
            ).fetchall()
        return found

    found = [StatusChange(sensor, time, Reason(reason)) for sensor, time, reason in asked.ask(rows)]
    return sorted(found, key=lambda one: one.time)


def gaps_of(asked: Asked) -> list[Gap]:
    """As `HistoryReader.gaps`."""
    rows = asked.ask(lambda db: db.execute("SELECT since, until, why FROM gaps ORDER BY id").fetchall())
    return [Gap(*row) for row in rows]


def _fields(text: str) -> dict[str, Any]:
    """An alarm's fields.

    Raises:
        ValueError: That they are not.
    """
    fields = json.loads(text)
    if not isinstance(fields, dict) or not fields.keys() >= FIELDS:
        raise ValueError("these are not the fields of an alarm")
    return fields


def _piece(db: sqlite3.Connection, after: tuple[int, str], stop: int) -> list[tuple[int, str, str, str, str]]:
    """The next alarms in the order of their beginnings, each as its last change has it."""
    last = db.execute(ALARMS, (*after, stop, PIECE_ALARMS)).fetchall()
    query = "SELECT change, machine_id, fields FROM changes WHERE id = ?"
    return [(raised, event, *db.execute(query, (change,)).fetchone()) for raised, event, change in last]


def _end(alarm: dict[str, Any], change: str, raised: int) -> float:
    """Until when it was up; one that was forgotten began in a future that never came."""
    if alarm["returned"] is not None:
        return parse_time(alarm["returned"], 0)
    return raised if change == "forgotten" else float("inf")


def _state(alarm: dict[str, Any], change: str) -> str:
    return change if change in ENDS else STATES[bool(alarm["active"]), bool(alarm["acked"])].value

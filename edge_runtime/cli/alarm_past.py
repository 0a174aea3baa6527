"""Alarms that are over, from the history beside a ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from edge_runtime.errors import LedgerError, UsageError, listed, printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge_runtime.engine.alarms import Change

__all__ = ["Past", "alarms_of_late", "change_rows", "past_of", "past_row", "past_shown"]

MOST_CHANGES = 50


class Past(NamedTuple):
    """An alarm of the history.

    Attributes:
        fields: As its last change has them, and `state`.
        changes: All that became of it.
    """

    fields: dict[str, Any]
    changes: list[Change]


def alarms_of_late(path: Path, last: str, machine: str | None) -> list[dict[str, Any]]:
    """The alarms that were up within some time before the newest row, oldest first.

    Args:
        path: The history.
        last: How much time.
        machine: Only those of this machine; None for all.

    Raises:
        UsageError: That is no time, or there is no such machine.
        LedgerError: The history cannot be read.
    """
    from edge_runtime.history.reading import reading_history
    from edge_runtime.timeparse import parse_duration

    duration = parse_duration(last)
    with reading_history(path) as reader:
        machines = reader.machines()
        newest = max((one.stop for one in machines), default=0)
        found = reader.alarms(newest - duration, newest + 1, machine)
    known = [one.machine_id for one in machines]
    if machine is not None and not found and machine not in known:
        hint = f"it has {listed(known)}" if known else "it has none yet"
        raise UsageError(f"the history has no machine '{printable(machine)}'", hint=hint)
    return found


def past_of(path: Path, digits: str) -> Past | None:
    """The alarm whose id begins so, where the history has exactly one; None where it has none, or is none."""
    from edge_runtime.history.reading import reading_history
    from edge_runtime.timeparse import parse_time

    try:
        with reading_history(path) as reader:
            ids = reader.ids(digits.lower())
            if len(ids) != 1:
                return None
            changes = reader.changes(ids[0])
            raised = parse_time(changes[-1].fields["raised"], 0)
            found = reader.alarms(raised, raised + 1, changes[-1].fields["machine_id"])
    except LedgerError:
        return None
    return next((Past(one, changes) for one in found if one["event_id"] == ids[0]), None)


def past_row(fields: dict[str, Any]) -> dict[str, str]:
    """A row of the list."""
    severity = fields["severity"]
    return {
        "id": fields["event_id"],
        "state": fields["state"],
        "priority": fields["priority"],
        "machine": printable(fields["machine_id"]),
        "what": f"sensor {printable(fields['subject'])}" if fields["subject"] else "machine",
        "raised": fields["raised"],
        "returned": fields["returned"] or "-",
        "severity": "-" if severity is None else f"{severity:.3g}",
        "acknowledged by": printable(fields["acknowledged_by"] or "-"),
    }


def past_shown(past: Past) -> Iterator[str]:
    """All that is known of it, line by line."""
    from edge_runtime.engine.alarmtext import described

    row = past_row(past.fields)
    for name, value in (("alarm", row.pop("id")), *row.items()):
        if value != "-":
            yield f"  {name:<16}{value}"
    if past.fields["comment"]:
        yield f"  {'comment':<16}{printable(' '.join(past.fields['comment'].split()))}"
    for number, sensor in enumerate(past.fields["sensors"]):
        yield f"  {'' if number else 'sensors':<16}{printable(described(sensor))}"
    yield f"  {'bundle':<16}{past.fields['bundle']}"


def change_rows(past: Past) -> list[dict[str, str]]:
    """What became of it, oldest first; of very many changes the last ones."""
    from edge_runtime.gateway.viewing.words import moment

    return [
        {"time": moment(one.time), "change": one.change, "priority": one.fields["priority"]}
        for one in past.changes[-MOST_CHANGES:]
    ]

"""Alarms as text: a row of a table, all that is known of one, and what can alarm in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_runtime.delivery.openalarms import Key
from edge_runtime.engine.alarmtext import described
from edge_runtime.errors import counted, printable
from edge_runtime.gateway.viewing.words import moment
from edge_runtime.timeparse import format_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_runtime.delivery.openalarms import OpenAlarm
    from edge_runtime.engine.alarms import Suspension, Word
    from edge_runtime.engine.condition import Condition

__all__ = ["alarm_row", "said", "sentence", "shown", "suspension_row", "suspensions", "word_row"]

MAX_SENSORS, MAX_LETTERS = 3, 2000  # in a row of the list; in a line


def alarm_row(one: OpenAlarm) -> dict[str, str]:
    """A row of the list."""
    sensors = one.alarm.sensors
    described = [_sensor(sensor) for sensor in sensors[:MAX_SENSORS]]
    if len(sensors) > MAX_SENSORS:
        described.append(f"{len(sensors) - MAX_SENSORS} more")
    notes = [what for what, _ in suspensions(one.condition)] + ["latched"] * one.condition.latched
    note = "".join(f" ({what})" for what in notes)
    return {
        "id": one.alarm.event_id,
        "state": one.state.value + note,
        "priority": one.alarm.priority,
        "machine": _line(one.key.machine_id),
        "what": f"sensor {one.key.subject}" if one.key.subject else "machine",
        "since": moment(one.alarm.raised),
        "severity": _severity(one),
        "sensors": ", ".join(described) or "-",
    }


def suspension_row(key: Key, what: str, why: Suspension) -> dict[str, str]:
    """A row of the list of what is shelved and out of service."""
    return {
        "machine": _line(key.machine_id),
        "what": f"sensor {key.subject}" if key.subject else "machine",
        "is": what,
        "until": "-" if why.until is None else moment(why.until),
        "by": _line(why.by),
        "since": moment(why.at),
        "reason": _line(why.reason),
    }


def word_row(word: Word) -> dict[str, str]:
    """A row of what people said."""
    of = "" if word.event_id is not None else " sensor" if word.subject else " machine"
    until = "" if word.until is None else f" until {moment(word.until)}"
    return {
        "time": moment(word.at),
        "by": _line(word.by),
        "word": f"{word.word}{of}{until}",
        "text": _line(word.text or "-"),
    }


def shown(one: OpenAlarm) -> Iterator[str]:
    """All that is known of an alarm, line by line."""
    alarm = one.alarm
    facts = [
        ("alarm", alarm.event_id),
        ("state", f"{one.state.value}, revision {alarm.revision}"),
        ("priority", alarm.priority),
        ("machine", _line(alarm.machine_id)),
        ("what", f"sensor {alarm.subject}" if alarm.subject else "machine"),
        ("raised", format_time(alarm.raised)),
        ("returned", _time(alarm.returned)),
        ("severity", _severity(one)),
        ("rows", f"{alarm.rows:,}"),
        ("acknowledged", _time(alarm.acknowledged)),
        ("by", "-" if alarm.acknowledged_by is None else _line(alarm.acknowledged_by)),
        ("comment", _line(alarm.comment or "-")),
        ("bundle", alarm.bundle),
    ]
    yield from (f"  {name:<13} {value}" for name, value in facts if value != "-")
    if one.condition.latched and one.condition.clear is not None:
        since = format_time(one.condition.clear)
        yield f"  {'latched':<13} over since {since}, and active until it is reset"
    for what, why in suspensions(one.condition):
        end = "" if why.until is None else f" until {moment(why.until)}"
        yield f"  {what:<13}{end} by {_line(why.by)}: {_line(why.reason)}"
    for number, sensor in enumerate(alarm.sensors):
        yield f"  {'sensors' if not number else '':<13} {_sensor(sensor)}{_share(sensor)}"


def said(words: Sequence[Word], most: int) -> tuple[list[dict[str, str]], str]:
    """The last words as rows, and a line on how many older ones there are; empty for none."""
    older = len(words) - most
    return [word_row(word) for word in words[-most:]], (
        f"  … and {counted(older, 'older word')}; --json prints all" if older > 0 else ""
    )


def sentence(key: Key, condition: Condition | None, word: str = "", event_id: str | None = None) -> str:
    """What can alarm, and what it is now.

    Args:
        key: What can alarm.
        condition: What is known of it; None for nothing.
        word: What was said about it, as in `engine.alarms.Word`.
        event_id: The alarm that is asked for, if it is one, which may be over.
    """
    parts = [] if condition is None else [what + _until(why) for what, why in suspensions(condition)]
    if word == "unshelve" and (condition is None or condition.shelved is None):
        parts.insert(0, "not shelved")
    if word == "in service" and (condition is None or condition.out_of_service is None):
        parts.insert(0, "in service")
    alarm = None if condition is None else condition.alarm
    if event_id is not None and (alarm is None or alarm.event_id != event_id):
        parts.append(f"alarm {event_id} is over")
    if alarm is not None:
        parts.append(f"{alarm.priority} alarm {alarm.event_id} is {alarm.state.value}")
    elif event_id is None:
        parts.append("no open alarm")
    return f"{key}: {', '.join(parts)}"


def suspensions(condition: Condition) -> list[tuple[str, Suspension]]:
    """Why its alarms are not told, each with who said so."""
    each = (("out of service", condition.out_of_service), ("shelved", condition.shelved))
    return [(what, why) for what, why in each if why is not None]


def _until(why: Suspension) -> str:
    return "" if why.until is None else f" until {moment(why.until)}"


def _severity(one: OpenAlarm) -> str:
    return "-" if one.alarm.severity is None else f"{one.alarm.severity:.3g}"


def _sensor(sensor: dict[str, Any]) -> str:
    return _line(described(sensor))


def _share(sensor: dict[str, Any]) -> str:
    share = sensor.get("share")
    return f", {share:.0%} of the score" if isinstance(share, float) else ""


def _time(time_ns: int | None) -> str:
    return "-" if time_ns is None else format_time(time_ns)


def _line(text: str) -> str:
    return printable(" ".join(text.split()), MAX_LETTERS)

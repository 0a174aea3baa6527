"""What a mail about alarms says: a subject, and a text that can be understood at three in the morning."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from edge_runtime.engine.alarms import HIGH, MACHINE, PRIORITIES
from edge_runtime.engine.alarmtext import SAID, described
from edge_runtime.errors import counted, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge_runtime.engine.alarms import Change

__all__ = ["Gateway", "Letter", "about_many", "about_one"]

# Those that ask for somebody, which stand first; then those that say that something is over.
CALLING = ("raised", "priority", "again", "unshelved", "in service")
OVER = ("returned", "forgotten", "replaced")
GROUPS = {
    "raised": "raised",
    "priority": "with a higher priority",
    "again": "still not acknowledged",
    "unshelved": "no longer shelved",
    "in service": "in service again",
    "sensor": "with a further sensor",
    "returned": "returned to normal",
    "forgotten": "discarded",
    "comment": "with a comment",
}
NOTES = {
    "priority": "Its priority has risen. An acknowledgement of what it was before does not cover that.",
    "again": "This alarm of high priority is still active, and nobody has acknowledged it.",
    "unshelved": "It is told again, because it is no longer shelved.",
    "in service": "It is told again, because what it is about is in service again.",
    "forgotten": "It was of a time in the future, from a clock that was wrong, and is not open any more.",
}
NEITHER = "It is over, but nobody has acknowledged it."
MAX_LETTERS, MAX_SUBJECT, MAX_SENSORS, MAX_GROUPS = 300, 180, 40, 4
WIDTH = 15


class Gateway(NamedTuple):
    """Where a person would answer.

    Attributes:
        name: Of the gateway.
        state: The file of its ledger, which commands there need.
    """

    name: str
    state: Path | str


class Letter(NamedTuple):
    """What a mail says.

    Attributes:
        subject: One line of printable letters.
        text: Lines of printable letters.
        urgent: Whether an alarm of high priority asks for somebody.
    """

    subject: str
    text: str
    urgent: bool


def about_one(change: Change, gateway: Gateway, prefix: str) -> Letter:
    """A mail about one change of an alarm.

    Args:
        change: The change.
        gateway: Where it was seen.
        prefix: What the subject begins with.
    """
    heading = _heading(change)
    lines = [heading, *_note(change), "", *_facts(change, gateway), "", *_commands([change], gateway)]
    return _letter(f"{prefix} {heading}", lines, urgent=_is_urgent(change))


def about_many(changes: Sequence[Change], gateway: Gateway, prefix: str) -> Letter:
    """A mail about all changes that came together: what asks for somebody first, and in it what is urgent.

    Args:
        changes: Several changes, oldest first.
        gateway: Where they were seen.
        prefix: What the subject begins with.
    """
    # What is over by now is not urgent any more.
    last = {change.fields["event_id"]: change.fields for change in changes}
    urgent = any(_is_urgent(one) and last[one.fields["event_id"]]["active"] for one in changes)
    machines = len({change.fields["machine_id"] for change in changes})
    what = f"{counted(len(changes), 'change')} of alarms at {counted(machines, 'machine')}"
    groups = Counter(change.change for change in sorted(changes, key=_place))
    parts = [f"{number:,} {_group(name)}" for name, number in groups.items()]
    if len(parts) > MAX_GROUPS:
        parts[MAX_GROUPS - 1 :] = ["…"]
    subject = f"{prefix} {'HIGH ' * urgent}{what}: {', '.join(parts)}"
    lines = [f"{what} came within a short time. This mail is about all of them."]
    for name, number in groups.items():
        lines += ["", f"{number:,} {_group(name)}:", ""]
        lines += [f"- {_brief(change)}" for change in sorted(changes, key=_place) if change.change == name]
    lines += ["", *_commands(changes, gateway)]
    return _letter(subject, lines, urgent=urgent)


def _letter(subject: str, lines: Sequence[str], *, urgent: bool) -> Letter:
    return Letter(_line(subject, MAX_SUBJECT), "\n".join(lines) + "\n", urgent)


def _is_urgent(change: Change) -> bool:
    return change.fields["priority"] == HIGH and change.change in CALLING


def _place(change: Change) -> tuple[int, str, int, int]:
    """Where a change stands in a mail about many."""
    order = list(GROUPS)
    at = order.index(change.change) if change.change in GROUPS else len(order)
    return at, change.change, -PRIORITIES.index(change.fields["priority"]), change.time


def _group(name: str) -> str:
    return GROUPS.get(name, name)


def _of(fields: dict[str, Any]) -> str:
    return f"{fields['machine_id']}, {_what(fields)}" if fields["subject"] else fields["machine_id"]


def _what(fields: dict[str, Any]) -> str:
    return f"sensor {fields['subject']}" if fields["subject"] else "the machine itself"


def _seen(fields: dict[str, Any]) -> list[str]:
    """What its first sensor shows, in a few words; nothing where that is not known."""
    for sensor in fields["sensors"][:1]:
        # A sensor's own alarm names it already.
        more = len(fields["sensors"]) - 1
        text = str(sensor.get("status") or described(sensor))
        return [f"{text} and {counted(more, 'more sensor')}" if more else text]
    return []


def _heading(change: Change) -> str:
    """A change as one line, such as "HIGH press-1: alarm raised, vibration 3.2 mm/s (expected 1.1)"."""
    fields = change.fields
    parts = [f"alarm {SAID.get(change.change, change.change)}"]
    if change.change not in OVER:
        parts += _seen(fields)
    return _line(f"{fields['priority'].upper()} {_of(fields)}: {', '.join(parts)}")


def _brief(change: Change) -> str:
    """The same in a list of changes of one kind, with what is needed to look it up."""
    fields = change.fields
    until = f" until {fields['returned']}" if fields["returned"] else ""
    parts = [*_seen(fields), f"since {fields['raised']}{until}"]
    return _line(f"{fields['event_id']} {fields['priority'].upper()} {_of(fields)}: {', '.join(parts)}")


def _note(change: Change) -> list[str]:
    if note := NOTES.get(change.change):
        return [note]
    return [NEITHER] if change.change == "returned" and not change.fields["acked"] else []


def _facts(change: Change, gateway: Gateway) -> Iterator[str]:
    """All that is known, line by line."""
    fields = change.fields
    severity, said = fields["severity"], fields["acknowledged"]
    facts = [
        ("machine", fields["machine_id"]),
        ("what", _what(fields)),
        ("priority", fields["priority"]),
        ("severity", "" if severity is None else f"{severity:.3g} times the threshold"),
        ("state", _state(fields)),
        ("since", fields["raised"]),
        ("until", fields["returned"] or ""),
        ("acknowledged", f"{said} by {fields['acknowledged_by']}" if said else ""),
        ("shelved until", fields["shelved_until"] or ""),
        ("alarm", f"{fields['event_id']}, revision {fields['revision']}"),
        ("gateway", gateway.name),
    ]
    yield from (f"{name:<{WIDTH}}{_line(value)}" for name, value in facts if value)
    for number, text in enumerate((fields["comment"] or "").splitlines()):
        yield f"{'' if number else 'comment':<{WIDTH}}{_line(text, len(text))}".rstrip()
    if fields["sensors"]:
        yield from ("", "Sensors, in the order in which they came to the fore:")
    for sensor in fields["sensors"][:MAX_SENSORS]:
        share = sensor.get("share") if fields["kind"] == MACHINE else None
        yield f"- {_line(described(sensor))}" + (f", {share:.0%} of the score" if share else "")
    if len(fields["sensors"]) > MAX_SENSORS:
        yield f"- and {counted(len(fields['sensors']) - MAX_SENSORS, 'more sensor')}"


def _state(fields: dict[str, Any]) -> str:
    words = ["active" if fields["active"] else "returned to normal"]
    words.append("acknowledged" if fields["acked"] else "not acknowledged")
    return ", ".join([*words, "out of service"] if fields["out_of_service"] else words)


def _commands(changes: Sequence[Change], gateway: Gateway) -> Iterator[str]:
    """What to do about it: commands that work as they stand."""
    named = f"--state {shlex.quote(_line(str(gateway.state)))}"
    yield f"What to do, on the gateway {gateway.name}:"
    one = changes[0].fields if len(changes) == 1 else None
    if one is None:
        yield f"  edge-detect alarms list {named}"
        yield "    lists the alarms that are open, those with high priority first"
        yield f"  edge-detect alarms ack ID {named}"
        yield "    says that you have seen the alarm with this id and look after it"
        return
    if not one["acked"] and changes[0].change not in OVER[1:]:
        yield f"  edge-detect alarms ack {one['event_id']} --revision {one['revision']} {named}"
        yield '    says that you have seen it and look after it; --comment "…" adds a remark'
    yield f"  edge-detect alarms show {one['event_id']} {named}"
    yield "    shows all that is known of it"


def _line(text: str, most: int = MAX_LETTERS) -> str:
    """On one line of printable letters, whatever names and comments have in them."""
    return _cut(printable(" ".join(text.split()), len(text)), most)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"

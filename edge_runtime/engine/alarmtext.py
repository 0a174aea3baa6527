"""A change of an alarm in words: for the log, and for sinks that speak to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_runtime.errors import printable

if TYPE_CHECKING:
    from edge_runtime.engine.alarms import Change

__all__ = ["described", "sentence", "title"]

MAX_LETTERS, MAX_TITLE_LETTERS = 4000, 200
SAID = {
    "raised": "raised",
    "sensor": "has a further sensor",
    "priority": "has a higher priority now",
    "again": "is still not acknowledged",
    "returned": "has returned to normal",
    "acknowledged": "is acknowledged",
    "comment": "has a comment",
    "shelved": "is shelved",
    "unshelved": "is no longer shelved",
    "out of service": "is out of service",
    "in service": "is in service again",
    "replaced": "has ended, as another one was raised",
    "forgotten": "was of a time in the future, and has been discarded",
}


def sentence(change: Change) -> str:
    """A change of an alarm as one line for a person: the machine, what it is, and what is known of it."""
    fields = change.fields
    parts = [fields["kind"] if not fields["subject"] else f"sensor {fields['subject']}"]
    if change.change in ("raised", "priority", "sensor", "again"):
        parts += [f"{fields['priority']} priority", *_severity(fields)]
        # A sensor's own alarm names it already.
        parts += [str(sensor.get("status") or described(sensor)) for sensor in fields["sensors"]]
        parts.append(f"since {fields['raised']}")
    elif change.change == "returned":
        parts += [*_severity(fields, "greatest "), f"from {fields['raised']} to {fields['returned']}"]
        if not fields["acked"]:
            parts.append("not acknowledged")
    elif change.change == "acknowledged":
        parts.append(f"by {fields['acknowledged_by']}")
    if change.change in ("acknowledged", "comment") and fields["comment"]:
        parts.append(f'"{fields["comment"]}"')
    if change.change in ("unshelved", "in service") and fields["active"]:
        parts.append(f"active since {fields['raised']}")
    what = f"alarm {fields['event_id']} {SAID.get(change.change, change.change)}"
    return _line(f"{what}: {fields['machine_id']}, {', '.join(parts)}", MAX_LETTERS)


def title(change: Change) -> str:
    """The same in a few words, such as "press-1: high priority alarm raised"."""
    fields = change.fields
    of = f"{fields['machine_id']}, sensor {fields['subject']}" if fields["subject"] else fields["machine_id"]
    what = f"{fields['priority']} priority alarm {SAID.get(change.change, change.change)}"
    return _line(f"{of}: {what}", MAX_TITLE_LETTERS)


def _line(text: str, most: int) -> str:
    """On one line, whatever the names and comments in it."""
    return printable(" ".join(text.split()), most)


def _severity(fields: dict[str, Any], which: str = "") -> list[str]:
    severity = fields["severity"]
    return [] if severity is None else [f"{which}severity {severity:.3g}"]


def described(sensor: dict[str, Any]) -> str:
    """A sensor of an alarm, such as "pressure 71.2 PSI (expected 50.1)"; what is not known is left out."""
    actual, expected = _number(sensor.get("actual")), _number(sensor.get("expected"))
    unit = sensor.get("unit")
    words = [str(sensor["name"])]
    if isinstance(sensor.get("status"), str):
        words.append(sensor["status"])
    if actual is not None:
        words.append(f"{actual} {unit}" if isinstance(unit, str) and unit else actual)
    if expected is not None:
        words.append(f"(expected {expected})")
    return " ".join(words)


def _number(value: Any) -> str | None:
    return f"{value:.5g}" if type(value) in (int, float) else None

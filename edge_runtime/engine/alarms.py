"""The life of an alarm, as ISA-18.2 and OPC UA Part 9 draw it, and what is told of it.

Two bits are an alarm's state: whether it is active, and whether somebody has acknowledged it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from edge_runtime.timeparse import format_time

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CHANGES",
    "CONTROL",
    "CONTROL_IN_TEXT",
    "KINDS",
    "MACHINE",
    "PRIORITIES",
    "RULE",
    "SENSOR",
    "TRANSITIONS",
    "Alarm",
    "Cause",
    "Change",
    "State",
    "Suspension",
    "Word",
    "event_id",
]

MACHINE, SENSOR = KINDS = ("machine", "sensor")
# What words are about that are about no alarm.
RULE = "rule"
# What no name that a person gives has in it: what a terminal could take for a command, and halves of letters.
# A text may have several lines.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
CONTROL_IN_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
PRIORITIES = LOW, MEDIUM, HIGH = ("low", "medium", "high")
# What may be said to change of an alarm.
CHANGES = (
    *("raised", "priority", "sensor", "again", "returned", "acknowledged", "comment"),
    *("shelved", "unshelved", "out of service", "in service", "replaced", "forgotten"),
)


class State(Enum):
    """Where an alarm is in its life; NORMAL before it and after it."""

    NORMAL = "normal"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    RETURNED = "returned, unacknowledged"


class Cause(Enum):
    """What moves an alarm from one state to another."""

    RAISED = "raised"
    PRIORITY = "priority rises"
    ACKNOWLEDGED = "acknowledged"
    RETURNED = "returns"


# What is not named changes nothing.
TRANSITIONS: Mapping[tuple[State, Cause], State] = {
    (State.NORMAL, Cause.RAISED): State.UNACKNOWLEDGED,
    (State.UNACKNOWLEDGED, Cause.PRIORITY): State.UNACKNOWLEDGED,
    (State.UNACKNOWLEDGED, Cause.ACKNOWLEDGED): State.ACKNOWLEDGED,
    (State.UNACKNOWLEDGED, Cause.RETURNED): State.RETURNED,
    (State.ACKNOWLEDGED, Cause.PRIORITY): State.UNACKNOWLEDGED,
    (State.ACKNOWLEDGED, Cause.RETURNED): State.NORMAL,
    (State.RETURNED, Cause.ACKNOWLEDGED): State.NORMAL,
    # As another alarm, with an id of its own; the one before ends without an acknowledgement.
    (State.RETURNED, Cause.RAISED): State.UNACKNOWLEDGED,
}


def event_id(machine_id: str, kind: str, subject: str, raised: int) -> str:
    """The id of an alarm: the same for the same alarm, after whatever crash.

    Args:
        machine_id: Its machine.
        kind: One of `KINDS`.
        subject: The sensor; empty for the machine itself.
        raised: Time of the first row of the run that raised it, nanoseconds since the epoch.

    Returns:
        16 hexadecimal digits.
    """
    parts = (machine_id, kind, subject, str(raised))
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(slots=True)
class Alarm:
    """One alarm, from its first row on.

    Attributes:
        machine_id: Whose it is.
        kind: One of `KINDS`.
        subject: The sensor; empty for the machine itself.
        raised: Time of the first row of the run that raised it, nanoseconds since the epoch.
        bundle: Digest of the bundle that raised it.
        event_id: As the function of this name makes it.
        revision: Number of its changes so far; 0 before it is raised.
        active: Whether what raised it still holds.
        acked: Whether somebody has acknowledged it, as it is now.
        priority: One of `PRIORITIES`.
        asked: The revision from which on an acknowledgement covers all that was asked.
        severity: The greatest score divided by the threshold; None for a sensor.
        returned: Time of the first row of the run that ended it; None while it is active.
        acknowledged: When it was acknowledged last, nanoseconds since the epoch; None for never.
        acknowledged_by: By whom.
        comment: The last one.
        sensors: Sensors in the order in which they came to the fore, JSON-ready.
        rows: Number of rows at which it was found.
    """

    machine_id: str
    kind: str
    subject: str
    raised: int
    bundle: str
    event_id: str
    priority: str
    revision: int = 0
    active: bool = True
    acked: bool = False
    asked: int = 1
    severity: float | None = None
    returned: int | None = None
    acknowledged: int | None = None
    acknowledged_by: str | None = None
    comment: str | None = None
    sensors: list[dict[str, Any]] = field(default_factory=list)
    rows: int = 0

    @property
    def state(self) -> State:
        """What the two bits say."""
        if not self.revision:
            return State.NORMAL
        if self.active:
            return State.ACKNOWLEDGED if self.acked else State.UNACKNOWLEDGED
        return State.NORMAL if self.acked else State.RETURNED

    def follow(self, cause: Cause) -> bool:
        """Goes to the next state; returns whether that is a change."""
        after = TRANSITIONS.get((self.state, cause))
        if after is None:
            return False
        self.active = after in (State.UNACKNOWLEDGED, State.ACKNOWLEDGED)
        self.acked = after in (State.ACKNOWLEDGED, State.NORMAL)
        self.revision += 1
        if cause in (Cause.RAISED, Cause.PRIORITY):
            self.asked = self.revision
        return True


@dataclass(frozen=True, slots=True)
class Suspension:
    """Why a condition's alarms are not told.

    Attributes:
        by: Who said so.
        at: When, nanoseconds since the epoch.
        reason: Why.
        until: When it ends by itself, nanoseconds since the epoch; None for never.
    """

    by: str
    at: int
    reason: str
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A change of an alarm, with all that is known of it then.

    Attributes:
        change: One of `CHANGES`.
        time: Of the row that led to it, or of the person's word, nanoseconds since the epoch.
        told: Whether it is to be told; one of an alarm that is shelved or out of service is only recorded.
        fields: The alarm's fields, JSON-ready, by the names of `docs/alarms.md`.
    """

    change: str
    time: int
    told: bool
    fields: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, as sinks write it."""
        return {"time": format_time(self.time), "change": self.change, **self.fields}

    def to_line(self) -> bytes:
        """The same as a line of JSON."""
        return f"{json.dumps(self.to_dict(), separators=(',', ':'))}\n".encode()


@dataclass(frozen=True, slots=True)
class Word:
    """What a person says about an alarm, about what can alarm, or about a rule.

    Attributes:
        number: Of this word; they are taken up in this order, each once.
        at: When it was said, nanoseconds since the epoch.
        by: Who said it.
        word: "ack", "comment", "reset", "shelve", "unshelve", "out of service" or "in service"; about a rule
            "rule", "rule off" or "rule removed".
        machine_id: Of which machine; empty for a rule.
        kind: One of `KINDS`, or `RULE`.
        subject: The sensor; empty for the machine itself; of a rule its name.
        event_id: Of "ack", "comment" and "reset": which alarm.
        revision: Of "ack": the last one that the person saw.
        until: Of "shelve": when it ends, nanoseconds since the epoch.
        text: The comment, or the reason.
        rule: Of "rule": what it asks, as JSON.
    """

    number: int
    at: int
    by: str
    word: str
    machine_id: str
    kind: str
    subject: str
    event_id: str | None = None
    revision: int | None = None
    until: int | None = None
    text: str | None = None
    rule: str | None = None

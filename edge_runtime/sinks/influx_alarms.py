"""Changes of alarms as points of an InfluxDB, in a measurement of their own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import UsageError
from edge_runtime.influxdb.lines import encode_lines
from edge_runtime.timeparse import LATEST

if TYPE_CHECKING:
    from edge_runtime.engine.alarms import Change

__all__ = ["check_names", "encode_change"]

TAGS = ("kind", "subject")
# Of an alarm, as they are; "sensors" is JSON, and what follows are those of the first of them.
FIELDS = (
    *("event_id", "revision", "active", "acked", "priority", "severity", "raised", "returned"),
    *("acknowledged", "acknowledged_by", "comment", "shelved_until", "out_of_service", "rows", "bundle"),
)
OF_FIRST = ("first_out", "actual", "expected", "unit")
# What cannot be the machine's tag: a name is a tag or a field, and never both.
NAMES = frozenset({*TAGS, *FIELDS, "change", "told", "sensors", *OF_FIRST})
INSTEAD = 'choose another one, or write takes = ["rows"]'
MOST_NS = 999_999
REPLACED = "replaced"


def check_names(machine_tag: str, measurement: str, alarm_measurement: str) -> None:
    """Makes sure that changes of alarms can be written beside rows.

    Args:
        machine_tag: The tag with the machine's id.
        measurement: Where rows go to.
        alarm_measurement: Where changes of alarms go to.

    Raises:
        UsageError: They cannot.
    """
    if machine_tag in NAMES:
        raise UsageError(
            f"'{machine_tag}' cannot be the machine's tag: an alarm has something else of this name",
            where="[influx_sink] machine_tag",
            hint=INSTEAD,
        )
    if alarm_measurement == measurement:
        raise UsageError(
            f"rows and alarms cannot both go to the measurement '{measurement}'",
            where="[influx_sink] alarm_measurement",
            hint=INSTEAD,
        )
    encode_lines(alarm_measurement, np.empty(0, np.int64), tags={}, fields={})  # refuses such a name


def encode_change(change: Change, measurement: str, machine_tag: str) -> bytes:
    """A change of an alarm as a line of line protocol.

    The id is a field: as a tag, each alarm would make a series of its own, of which a server can hold only so
    many.

    A point is identified by measurement, tags and time. Two changes may have the same time, as when a row
    raises the next alarm of what has returned; without more, the second would take the place of the first.
    So the time is the change's plus as many nanoseconds as its revision counts, a millisecond at most. The
    revision is part of the change: the same change has the same time whenever it is written, and replaces
    itself. An alarm that is replaced has a higher revision than the one that takes its place at that time: it
    gets no nanoseconds, so that the newest point of a series is of the newest alarm.

    Args:
        change: The change.
        measurement: Where to.
        machine_tag: The tag with the machine's id.
    """
    fields = change.fields
    values: dict[str, Any] = {"change": change.change, "told": change.told}
    values |= {name: fields[name] for name in FIELDS}
    values["sensors"] = json.dumps(fields["sensors"], separators=(",", ":"), ensure_ascii=False)
    for sensor in fields["sensors"][:1]:
        values["first_out"] = sensor["name"]
        values |= {name: _float(sensor.get(name)) for name in ("actual", "expected")}
        values["unit"] = sensor.get("unit") or None
    values["severity"] = _float(fields["severity"])
    later = 0 if change.change == REPLACED else min(fields["revision"], MOST_NS)
    return encode_lines(
        measurement,
        np.array([min(change.time + later, LATEST - 1)]),
        tags={
            machine_tag: [fields["machine_id"]],
            "kind": [fields["kind"]],
            "subject": [fields["subject"]],
        },
        fields={name: np.array([value]) for name, value in values.items() if value is not None},
    )


def _float(value: Any) -> float | None:
    """A number as a field always has it: its type may not change from point to point."""
    return float(value) if type(value) in (int, float) else None

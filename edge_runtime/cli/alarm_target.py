"""Which alarm, machine or sensor is meant: by the first digits of an id, or by a machine's name."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from edge_runtime.delivery.openalarms import AlarmsKept, Key, kept_alarms
from edge_runtime.errors import UsageError, listed, printable

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.delivery.openalarms import OpenAlarm

__all__ = ["alarm_of", "is_id", "machine_of", "read_alarms", "target_of"]

ID = re.compile(r"[0-9a-f]{4,16}", re.ASCII)
WHOLE_ID = 16


def read_alarms(path: Path) -> AlarmsKept:
    """What a ledger says about alarms, while `run` may use it.

    Raises:
        LedgerError: It cannot be read, or is of another version.
    """
    from edge_runtime.cli.ledger_options import reading_ledger

    with reading_ledger(path) as db:
        kept = kept_alarms(db)
    kept.end_shelvings(time.time_ns())
    return kept


def is_id(text: str) -> bool:
    """Whether a text can be an alarm's id, or its first digits."""
    return ID.fullmatch(text.lower()) is not None


def alarm_of(kept: AlarmsKept, text: str) -> OpenAlarm:
    """The open alarm whose id begins so.

    Raises:
        UsageError: There is none, or there are several.
    """
    hint = "`edge-detect alarms list --all` shows the ids"
    if not is_id(text):
        raise UsageError(
            f"'{printable(text)}' is not an alarm's id, which is 4 to 16 hexadecimal digits", hint=hint
        )
    found = [one for one in kept.open() if one.alarm.event_id.startswith(text.lower())]
    if not found:
        raise UsageError(f"no open alarm has the id {text}", hint=hint)
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} open alarms have ids that begin with {text}",
            hint=f"give more digits, of {listed(one.alarm.event_id for one in found)}",
        )
    return found[0]


def target_of(kept: AlarmsKept, text: str, sensor: str | None) -> Key:
    """What is meant by an alarm's id, by a machine, or by a machine and a sensor.

    A machine that is called like the first digits of an id is that machine; a whole id is an alarm's.

    Raises:
        UsageError: The ledger knows no such alarm or machine.
    """
    if is_id(text) and (text not in kept.machines or (len(text) == WHOLE_ID and _is_open(kept, text))):
        if sensor is not None:
            raise UsageError("an alarm's id says which sensor it is of", hint="leave out --sensor")
        return alarm_of(kept, text).key
    return machine_of(kept, text, sensor)


def machine_of(kept: AlarmsKept, text: str, sensor: str | None) -> Key:
    """A machine that the ledger knows, or one of its sensors.

    Raises:
        UsageError: It knows no such machine.
    """
    if text not in kept.machines:
        raise UsageError(f"the ledger knows no machine '{printable(text)}'", hint=_nearest(kept, text))
    return Key(text, "machine", "") if sensor is None else Key(text, "sensor", sensor)


def _is_open(kept: AlarmsKept, text: str) -> bool:
    return any(one.alarm.event_id == text for one in kept.open())


def _nearest(kept: AlarmsKept, text: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(text, kept.machines, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(map(printable, near))}?"
    if not kept.machines:
        return "it knows none yet"
    return f"it knows {listed(kept.machines)}"

"""Conditions and their alarms as JSON-ready values, for the ledger; and back, with every value checked."""

from __future__ import annotations

import re
from dataclasses import fields
from math import isfinite
from typing import TYPE_CHECKING, Any

from edge_runtime.engine.alarms import KINDS, PRIORITIES, Alarm, Suspension, event_id
from edge_runtime.engine.condition import Condition

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["condition_of", "state_of"]

OWN = ("alarm", "forming", "clear", "shelved", "out_of_service", "latched", "told")
OF_SUSPENSION = tuple(one.name for one in fields(Suspension))
MOMENT = 2**63
DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


def _is_moment(value: Any) -> bool:
    return type(value) is int and -MOMENT <= value < MOMENT


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < MOMENT


def _is_flag(value: Any) -> bool:
    return type(value) is bool


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and isfinite(value)


def _are_sensors(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, dict) and _is_text(one.get("name")) for one in value
    )


def _may_be(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


# What is stored of an alarm, beside what its condition and its beginning say, and what that must be.
FITS: dict[str, Callable[[Any], bool]] = {
    "raised": _is_moment,
    "bundle": lambda value: _is_text(value) and DIGEST.fullmatch(value) is not None,
    "priority": PRIORITIES.__contains__,
    "revision": _is_count,
    "active": _is_flag,
    "acked": _is_flag,
    "asked": _is_count,
    "severity": _may_be(_is_number),
    "returned": _may_be(_is_moment),
    "acknowledged": _may_be(_is_moment),
    "acknowledged_by": _may_be(_is_text),
    "comment": _may_be(_is_text),
    "sensors": _are_sensors,
    "rows": _is_count,
}


def state_of(kind: str, subject: str, condition: Condition) -> dict[str, Any]:
    """A condition, JSON-ready; what is not there is left out."""
    found: dict[str, Any] = {"kind": kind, "subject": subject}
    for name in ("alarm", "forming"):
        alarm = getattr(condition, name)
        if alarm is not None:
            found[name] = {key: getattr(alarm, key) for key in FITS}
    for name in ("clear", "told"):
        if getattr(condition, name) is not None:
            found[name] = getattr(condition, name)
    if condition.latched:
        found["latched"] = True
    for name in ("shelved", "out_of_service"):
        why = getattr(condition, name)
        if why is not None:
            found[name] = {key: getattr(why, key) for key in OF_SUSPENSION}
    return found


def condition_of(machine: str, value: Any) -> tuple[tuple[str, str], Condition]:
    """What `state_of` gave, as a machine's kind and subject, and the condition.

    Raises:
        ValueError: The value is none.
    """
    if not isinstance(value, dict) or set(value) - {"kind", "subject", *OWN}:
        raise ValueError("a condition has other fields")
    kind, subject = value.get("kind"), value.get("subject")
    if kind not in KINDS or not isinstance(subject, str):
        raise ValueError("a condition is of no known kind")
    if not all(_may_be(_is_moment)(value.get(name)) for name in ("clear", "told")):
        raise ValueError("a condition has no time")
    condition = Condition(
        alarm=_alarm(machine, str(kind), subject, value.get("alarm")),
        forming=_alarm(machine, str(kind), subject, value.get("forming")),
        clear=value.get("clear"),
        shelved=_suspension(value.get("shelved")),
        out_of_service=_suspension(value.get("out_of_service")),
        latched=value.get("latched", False),
        told=value.get("told"),
    )
    if not _is_flag(condition.latched):
        raise ValueError("a condition is latched or not")
    if (condition.alarm is not None and not condition.alarm.revision) or (
        condition.forming is not None and condition.forming.revision
    ):
        raise ValueError("an alarm's revision does not fit")
    return (str(kind), subject), condition


def _alarm(machine: str, kind: str, subject: str, value: Any) -> Alarm | None:
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) != set(FITS):
        raise ValueError("an alarm has other fields")
    for name, fits in FITS.items():
        if not fits(value[name]):
            raise ValueError(f"an alarm's {name} is none")
    identity = event_id(machine, kind, subject, value["raised"])
    return Alarm(machine_id=machine, kind=kind, subject=subject, event_id=identity, **value)


def _suspension(value: Any) -> Suspension | None:
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) != set(OF_SUSPENSION):
        raise ValueError("a shelving has other fields")
    if not _is_moment(value["at"]) or not _may_be(_is_moment)(value["until"]):
        raise ValueError("a shelving has no time")
    if not _is_text(value["by"]) or not _is_text(value["reason"]):
        raise ValueError("a shelving has no reason")
    return Suspension(**value)

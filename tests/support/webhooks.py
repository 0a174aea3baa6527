"""Sinks that post, made of settings as a configuration has them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from support.alarmtargets import some_changes

from edge_runtime.config import flat
from edge_runtime.connector import Given
from edge_runtime.sinks.base import Verdicts
from edge_runtime.sinks.registry import SINKS

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.engine.alarms import Change

__all__ = ["DIGEST", "SENSORS", "change", "private", "sink_of"]

SENSORS = ("temperature", "vibration", "pressure", "power")
DIGEST = "sha256:" + "ab" * 32


def sink_of(kind: str, tls: dict[str, Any] | None = None, **settings: Any) -> Any:
    """A sink of this kind with these settings."""
    document = {kind: flat(settings), "tls": tls or {}}
    given = Given.of(SINKS.get(kind), document, "edge-detect.toml")
    return SINKS.get(kind).made(given, Verdicts(sensors=SENSORS, digest=DIGEST, report=lambda _: None))


def change(number: int = 0, *, change: str | None = None, time: int | None = None, **fields: Any) -> Change:
    """A change of an alarm of its own, with these fields.

    Args:
        number: Of the alarm.
        change: What changed; "raised" unless given.
        time: When; that of a simulated machine unless given.
        fields: Of the alarm.
    """
    raised = next(one for one in some_changes() if one.change == "raised")
    known = {**raised.fields, "event_id": f"{number:016x}", **fields}
    return replace(
        raised, change=change or "raised", time=raised.time if time is None else time, fields=known
    )


def private(path: Path, text: str) -> Path:
    """A file that its owner alone may read."""
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path

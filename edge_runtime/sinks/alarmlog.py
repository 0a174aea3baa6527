"""Alarms appended to a file, as JSON lines: a line for each change of an alarm, with all of its fields."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.config import setting
from edge_runtime.errors import UsageError
from edge_runtime.sinks.base import ALARMS, ALL_ALARMS, OnlyAlarms, SinkKind, Verdicts
from edge_runtime.sinks.jsonl import JsonlSink, probe_file
from edge_runtime.sinks.rotation import KEEP, MAX_DAYS, MAX_MB, Rotation, rotation_of

if TYPE_CHECKING:
    from edge_runtime.connector import Given
    from edge_runtime.engine.alarms import Change
    from edge_runtime.records import Results

__all__ = ["ALARMLOG", "AlarmLogSettings", "AlarmLogSink"]


@dataclass(frozen=True, slots=True)
class AlarmLogSettings:
    """Which file."""

    output: Path | None = setting(
        None, "File that changes of alarms are appended to; made when missing.", flag="--alarm-log"
    )
    max_mb: float | None = setting(None, MAX_MB, unit="MB")
    max_days: float | None = setting(None, MAX_DAYS, unit="days")
    keep: int = setting(5, KEEP)
    only: OnlyAlarms = ALL_ALARMS

    def rotation(self) -> Rotation | None:
        """When the file is renamed; None for never.

        Raises:
            UsageError: A number is out of range.
        """
        return rotation_of(self.max_mb, self.max_days, self.keep, "alarmlog")


class AlarmLogSink(JsonlSink):
    """Appends alarms to one file, as `JsonlSink` appends rows."""

    name = "alarmlog"

    def encode(self, results: Results) -> bytes:  # noqa: ARG002 - it takes alarms alone
        """Nothing: rows do not go here."""
        return b""

    def encode_alarm(self, change: Change) -> bytes:
        """A line of JSON."""
        return change.to_line()


def _make(given: Given, verdicts: Verdicts) -> AlarmLogSink:
    part = given[AlarmLogSettings]
    if part.output is None:
        raise UsageError("the sink alarmlog needs a file", hint="name it with --alarm-log")
    return AlarmLogSink(part.output, verdicts.sensors, part.rotation(), verdicts.report)


def _probe(given: Given, verdicts: Verdicts) -> None:
    _make(given, verdicts)
    probe_file(given[AlarmLogSettings].output or Path())


ALARMLOG = SinkKind(
    name="alarmlog",
    summary="Appends each change of an alarm to a file as a line of JSON.",
    guarantee="Exactly once: what a crash left half written is cut off and written again from the ledger.",
    tables={"alarmlog": AlarmLogSettings},
    make=_make,
    probe=_probe,
    takes=(ALARMS,),
    settings=AlarmLogSettings,
)

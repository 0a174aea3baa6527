"""What happened beside the rows: changes of alarms, and since when sensors' readings cannot be used."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.records import Reason
from edge_runtime.timeparse import parse_time

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence

    from edge_runtime.engine.alarms import Change
    from edge_runtime.records import Results

__all__ = ["Happened"]


class Happened:
    """Remembers which sensors' readings cannot be used, so that only changes are stored.

    Args:
        db: The open history.
        machines: Machine to its code, which grows.
        sensors: The bundle's.

    Raises:
        sqlite3.Error: It cannot be read.
    """

    def __init__(self, db: sqlite3.Connection, machines: Mapping[str, int], sensors: Sequence[str]) -> None:
        self._machines = machines
        self._sensors = sensors
        # Machine to the reasons of its sensors, of those that have one.
        self._reasons: dict[int, dict[str, int]] = {}
        for machine, sensor, reason in db.execute("SELECT machine, sensor, reason FROM statuses ORDER BY id"):
            self._know(machine, sensor, reason)

    def go_back(self, db: sqlite3.Connection, machine: int, time: int) -> None:
        """Knows of a machine what was so before a time, from which on it is judged a second time.

        Raises:
            sqlite3.Error: It cannot be read.
        """
        self._reasons.pop(machine, None)
        query = "SELECT sensor, reason FROM statuses WHERE machine = ? AND time < ? ORDER BY id"
        for sensor, reason in db.execute(query, (machine, time)):
            self._know(machine, sensor, reason)

    def store(
        self, db: sqlite3.Connection, number: int, results: Results | None, changes: Sequence[Change]
    ) -> None:
        """Stores what is new, within a transaction.

        Raises:
            sqlite3.Error: It cannot be written.
        """
        if results is not None and (self._reasons or results.faults is not None):
            found = list(self._changed(results))
            db.executemany(
                "INSERT INTO statuses (number, machine, sensor, time, reason) VALUES (?, ?, ?, ?, ?)",
                [(number, *one) for one in found],
            )
            for machine, sensor, _, reason in found:
                self._know(machine, sensor, reason)
        db.executemany(
            "INSERT INTO changes (number, time, change, told, event_id, machine_id, kind, subject, raised,"
            " fields) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(number, *_row(change)) for change in changes],
        )

    def _changed(self, results: Results) -> Iterator[tuple[int, str, int, int]]:
        """Machine, sensor, time and reason of each change."""
        groups = results.readings.groups
        times = groups.gather(results.readings.times)
        faults = None if results.faults is None else groups.gather(results.faults)
        for name, own in groups:
            machine = self._machines[name]
            before = self._reasons.get(machine, {})
            if faults is None:
                for sensor in before:
                    yield machine, sensor, int(times[own.start]), Reason.NONE
                continue
            known = np.array([name in before for name in self._sensors], np.bool_)
            for place in np.flatnonzero(known | faults[own].any(0)).tolist():
                sensor, column = self._sensors[place], faults[own, place]
                steps = np.flatnonzero(np.diff(column, prepend=before.get(sensor, Reason.NONE)))
                for row in steps.tolist():
                    yield machine, sensor, int(times[own.start + row]), int(column[row])

    def _know(self, machine: int, sensor: str, reason: int) -> None:
        known = self._reasons.setdefault(machine, {})
        known.pop(sensor, None)
        if reason != Reason.NONE:
            known[sensor] = reason
        elif not known:
            del self._reasons[machine]


def _row(change: Change) -> tuple[object, ...]:
    fields = change.fields
    return (
        change.time,
        change.change,
        int(change.told),
        fields["event_id"],
        fields["machine_id"],
        fields["kind"],
        fields["subject"],
        parse_time(fields["raised"], 0),
        json.dumps(fields, ensure_ascii=False, separators=(",", ":")),
    )

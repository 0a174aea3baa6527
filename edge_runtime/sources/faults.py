"""What is wrong with a database's readings: counted, and told once for each machine and sensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.errors import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.influxdb.rows import Rows

__all__ = ["Faults"]

CONFLICTING = "conflicting"


class Faults:
    """Tells.

    Args:
        sensors: In the order of the columns.
        report: Called with one line for a person.
    """

    def __init__(self, sensors: tuple[str, ...], report: Callable[[str], None]) -> None:
        self._sensors = sensors
        self._report = report
        self._told: set[tuple[str, str]] = set()

    def unreadable(self, rows: Rows) -> int:
        """How many readings were no numbers."""
        if rows.unreadable is None:
            return 0
        for sensor, strange in zip(self._sensors, rows.unreadable.T, strict=True):
            for machine in dict.fromkeys(rows.readings.machines[strange].tolist()):
                self._tell(machine, sensor, "has values that are no numbers; they count as missing")
        return int(rows.unreadable.sum())

    def conflicts(self, rows: Rows) -> dict[str, int]:
        """How many rows were left out, as `Batch.skipped` has it."""
        if rows.conflicts is None:
            return {}
        for machine in dict.fromkeys(rows.readings.machines.tolist()):
            self._tell(machine, "", "two series disagree about one time; one of them is kept")
        return {CONFLICTING: int(rows.conflicts.sum())}

    def _tell(self, machine: str, sensor: str, words: str) -> None:
        if (machine, sensor) not in self._told:
            self._told.add((machine, sensor))
            self._report(f"influx: {printable(machine)}: {sensor + ' ' if sensor else ''}{words}")

"""What became of a database's rows, machine by machine, and which readings they lack."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import counted, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from edge_runtime.influxdb.rows import Rows

__all__ = ["MachineAccount", "ReadAccount"]

# Machines that are named in one sentence.
MAX_MACHINES = 12
# A sensor that more rows of a machine lack than this share is worth a sentence.
RARE = 0.5


@dataclass(slots=True)
class MachineAccount:
    """One machine's rows: read = taken + merged + repeated + conflicting.

    Attributes:
        readings: [sensors] rows with a reading of each sensor that is a finite number.
        unreadable: [sensors] values that are no numbers.
        taken: Rows as they are passed on, one for each time.
        merged: Rows that completed another one of their time.
        repeated: Rows that said what another one of their time says.
        conflicting: Rows left out because another one of their time says something else.
        complete: Rows taken with a reading of every sensor.
        conflict_ns: Time of the first contradiction; None without one.
    """

    readings: NDArray[np.int64]
    unreadable: NDArray[np.int64]
    taken: int = 0
    merged: int = 0
    repeated: int = 0
    conflicting: int = 0
    complete: int = 0
    conflict_ns: int | None = None

    @property
    def read(self) -> int:
        """Rows that the database gave."""
        return self.taken + self.merged + self.repeated + self.conflicting


class ReadAccount:
    """Counts blocks of rows as they come.

    Args:
        sensors: The rows' columns.
    """

    def __init__(self, sensors: Sequence[str]) -> None:
        self.sensors = tuple(sensors)
        self.machines: defaultdict[str, MachineAccount] = defaultdict(self._new)

    def _new(self) -> MachineAccount:
        return MachineAccount(*np.zeros((2, len(self.sensors)), np.int64))

    def add(self, rows: Rows) -> None:
        """Counts a block."""
        names, codes = rows.readings.dictionary
        there = np.isfinite(rows.readings.values)
        whole: NDArray[np.bool_] = np.logical_and.reduce(there, axis=1)

        def count(chosen: NDArray[np.bool_] | None = None) -> NDArray[np.intp]:
            return np.bincount(codes if chosen is None else codes[chosen], minlength=len(names))

        def total(counts: NDArray[np.int64] | None) -> NDArray[np.int64]:
            weights = np.zeros(len(rows)) if counts is None else counts
            return np.bincount(codes, weights, len(names)).astype(np.int64)

        taken, complete = count(), count(whole)
        others = [total(counts) for counts in (rows.merged, rows.repeated, rows.conflicts)]
        readings = np.stack([count(column) for column in there.T], axis=1)
        strange = None
        if rows.unreadable is not None:
            strange = np.stack([count(column) for column in rows.unreadable.T], axis=1)
        for place in np.flatnonzero(taken).tolist():
            machine = self.machines[names[place]]
            machine.taken += int(taken[place])
            machine.complete += int(complete[place])
            merged, repeated, conflicting = (int(counts[place]) for counts in others)
            machine.merged += merged
            machine.repeated += repeated
            machine.conflicting += conflicting
            machine.readings += readings[place]
            if strange is not None:
                machine.unreadable += strange[place]
            if conflicting and machine.conflict_ns is None and rows.conflicts is not None:
                first = np.flatnonzero((codes == place) & (rows.conflicts > 0))[0]
                machine.conflict_ns = int(rows.readings.times[first])

    def total(self, name: str) -> int:
        """A count of all machines together."""
        return sum(getattr(machine, name) for machine in self.machines.values())

    def unreadable(self) -> dict[str, int]:
        """Sensor to its values that are no numbers, where there are any."""
        counts = sum(
            (one.unreadable for one in self.machines.values()), np.zeros(len(self.sensors), np.int64)
        )
        return {name: n for name, n in sorted(zip(self.sensors, counts.tolist(), strict=True)) if n}

    def to_dict(self) -> dict[str, Any]:
        """The counts as JSON-ready values."""
        names = ("read", "taken", "merged", "repeated", "conflicting")
        return {
            **{name: self.total(name) for name in names},
            "machines": {
                machine: {
                    **{name: getattr(one, name) for name in names},
                    "complete": one.complete,
                    "missing": _where(self.sensors, one.taken - one.readings),
                    "unreadable": _where(self.sensors, one.unreadable),
                }
                for machine, one in sorted(self.machines.items())
            },
        }

    def summary(self) -> str:
        """The counts in one line for people."""
        return (
            f"read {counted(self.total('read'), 'row')} of the database: {self.total('taken'):,} taken, "
            f"{self.total('merged'):,} merged into another one of their time, "
            f"{self.total('repeated'):,} repeated, {self.total('conflicting'):,} conflicting"
        )

    def never_read(self) -> list[str]:
        """The sensors of which no row of any machine has a reading, if there are rows."""
        readings = sum(
            (one.readings for one in self.machines.values()), np.zeros(len(self.sensors), np.int64)
        )
        return [
            name for name, n in zip(self.sensors, readings.tolist(), strict=True) if self.machines and not n
        ]

    def lacking(self) -> Iterator[str]:
        """Sentences for people: which machines lack which sensors, and in how many rows."""
        missing = {
            sensor: {name: one.taken - int(one.readings[place]) for name, one in self.machines.items()}
            for place, sensor in enumerate(self.sensors)
        }
        taken = {name: one.taken for name, one in self.machines.items()}
        told: set[str] = set()
        for sensor, of in missing.items():
            if lacks := {name: counted(n, "row") for name, n in of.items() if n == taken[name]}:
                told |= lacks.keys()
                yield (
                    f"there is no reading of '{sensor}' from {_counted(lacks)}: choose other sensors with "
                    "--sensor, or machines with --machine"
                )
        complete = {name for name, one in self.machines.items() if one.complete}
        if never := {name: counted(n, "row") for name, n in taken.items() if name not in complete | told}:
            yield (
                f"no row has a reading of every sensor from {_counted(never)}: choose other sensors with "
                "--sensor, or write the sensors of one time together"
            )
        for sensor, of in missing.items():
            if mostly := {
                name: f"{n:,} of {counted(taken[name], 'row')}"
                for name, n in of.items()
                if name in complete and n > RARE * taken[name]
            }:
                yield f"most rows lack '{sensor}' and are not trained: {_counted(mostly)}"


def _where(sensors: Sequence[str], counts: NDArray[np.int64]) -> dict[str, int]:
    return {name: n for name, n in zip(sensors, counts.tolist(), strict=True) if n}


def _counted(rows: dict[str, str]) -> str:
    """Machines with their rows, sorted by name."""
    shown = [f"{printable(name)} ({count})" for name, count in sorted(rows.items())]
    more = len(shown) - MAX_MACHINES
    return ", ".join(shown[:MAX_MACHINES]) + (f" and {counted(more, 'more machine')}" if more > 0 else "")

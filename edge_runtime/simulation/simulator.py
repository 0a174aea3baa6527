"""One simulated machine as a stream of blocks: healthy readings, with events laid over them and labelled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import UsageError
from edge_runtime.simulation.events import DEFAULT_RATE, Event, Kind, Schedule
from edge_runtime.simulation.machine import NOISE_SD, SENSORS, HealthyMachine, MachineCharacter, stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Block", "Simulator"]

# No reading falls below zero but a temperature's.
FLOOR = np.array([-np.inf, 0.0, 0.0, 0.0])
# What an operator would set as limits; a MULTI_SENSOR event moves no level nearer to them than three of its
# noise's deviations.
LIMITS = (np.array([-np.inf, 0.0, 30.0, 0.0]), np.array([85.0, 2.5, 70.0, 400.0]))


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows of one machine.

    Attributes:
        times: [rows] int64 nanoseconds since the epoch.
        values: [rows, sensors] float32, in the order of `SENSORS`.
        anomaly: [rows] bool, whether the row belongs to an event.
        kinds: [rows] int8 codes of `Kind`.
    """

    times: NDArray[np.int64]
    values: NDArray[np.float32]
    anomaly: NDArray[np.bool_]
    kinds: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.times)


class Simulator:
    """A machine with events, block after block; the same rows whether drawn in one block or in many.

    Name, seed and start decide everything: another seed or start is another day of the same machine. Readings
    between events do not depend on rate and severity, and the events' times do not depend on the severity, so
    that runs differ in what was asked alone.

    Args:
        machine: Which machine; a name stands for `MachineCharacter.from_name(name)`.
        seed: Of every random choice.
        cadence: Seconds between rows; every other time of the simulation stays what it is in seconds.
        severity: Multiplies the events' offsets; 0 for a healthy machine.
        rate: Events per hour; 0 for a healthy machine.
        start_ns: Time of the first row, nanoseconds since the epoch.
        events_from_ns: No event before this time; None for events from the start.

    Attributes:
        machine: The machine's character.
        events: What was injected into the rows drawn so far, oldest first; `take_events` empties it.

    Raises:
        UsageError: Cadence, severity or rate is out of range.
    """

    def __init__(
        self,
        machine: MachineCharacter | str,
        *,
        seed: int = 0,
        cadence: float = 1.0,
        severity: float = 1.0,
        rate: float = DEFAULT_RATE,
        start_ns: int = 0,
        events_from_ns: int | None = None,
    ) -> None:
        if not (math.isfinite(cadence) and cadence > 0):
            raise UsageError(f"a cadence of {cadence:g} s", hint="choose a positive number of seconds")
        if not (math.isfinite(severity) and severity >= 0):
            raise UsageError(f"a severity of {severity:g}", hint="choose 0 or more")
        if seed < 0:
            raise UsageError(f"a seed of {seed}", hint="choose 0 or more")
        self.machine = MachineCharacter.from_name(machine) if isinstance(machine, str) else machine
        self.events: list[Event] = []
        self._severity = severity
        self._cadence_ns = max(1, round(cadence * 1e9))
        self._start_ns = start_ns
        self._row = 0
        self._healthy = HealthyMachine(self.machine, seed=seed, cadence=cadence, start_ns=start_ns)
        quiet_ns = max(0, (start_ns if events_from_ns is None else events_from_ns) - start_ns)
        self._schedule = Schedule(
            stream(seed, self.machine.name, "events", start_ns),
            rate=rate if severity else 0.0,
            cadence=cadence,
            first_row=-(-quiet_ns // self._cadence_ns),
        )

    def block(self, rows: int) -> Block:
        """The next rows."""
        first, stop = self._row, self._row + rows
        levels, noise = self._healthy.rows(first, rows)
        values = levels + noise
        kinds = np.zeros(rows, np.int8)
        for injection in self._schedule.between(first, stop):
            index = np.arange(max(injection.onset, first), min(injection.stop, stop))
            offsets = injection.offsets(index) * self._severity
            moved = values[index - first] + offsets
            if injection.kind is Kind.MULTI_SENSOR:
                margin = 3.0 * np.array(NOISE_SD)
                level = levels[index - first] + offsets
                held = np.clip(level, LIMITS[0] + margin, LIMITS[1] - margin)
                # What is held at a limit still has its noise: no sensor stands still.
                near = np.where(held == level, moved, held + noise[index - first])
                moved = np.where(offsets == 0.0, moved, np.clip(near, *LIMITS))
            values[index - first] = moved
            kinds[max(injection.start - first, 0) : max(injection.stop - first, 0)] = injection.kind
            if first <= injection.start < stop:
                names = tuple(name for name, size in zip(SENSORS, injection.sizes, strict=True) if size)
                start, end, onset = (
                    self._time(r) for r in (injection.start, injection.stop, injection.onset)
                )
                self.events.append(Event(self.machine.name, injection.kind, names, start, end, onset))
        times = self._start_ns + np.arange(first, stop, dtype=np.int64) * self._cadence_ns
        self._row = stop
        return Block(times, np.maximum(values, FLOOR).astype(np.float32), kinds != 0, kinds)

    def take_events(self) -> list[Event]:
        """The events that began since the last call, so that an endless run does not collect them."""
        taken, self.events = self.events, []
        return taken

    def _time(self, row: int) -> int:
        return self._start_ns + row * self._cadence_ns

"""Readings of simulated machines, as they would come: a feed to try everything with."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.config import setting
from edge_runtime.errors import SensorMismatchError, UsageError
from edge_runtime.records import Readings
from edge_runtime.simulation import SENSORS, Simulator
from edge_runtime.sources.base import Batch, Feed, SourceKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_runtime.checkpoint import Checkpoint
    from edge_runtime.connector import Given

__all__ = ["SIMULATE", "SimulateSettings", "SimulateSource"]

MAX_TICKS = 500
SHORTEST_WAIT_S = 0.02


@dataclass(frozen=True, slots=True)
class SimulateSettings:
    """Which machines, and how they fail."""

    machines: int = setting(3, "Number of simulated machines.", flag="--machines")
    severity: float = setting(2.0, "Factor by which faults move the sensors.", flag="--severity")
    rate: float = setting(10.0, "Faults of each machine in an hour.", unit="per hour", flag="--rate")
    seed: int = setting(0, "Seed of every random choice.", flag="--seed")
    speed: float = setting(
        1.0,
        "How many times faster than real time they run; 0 means as fast as possible.",
        flag="--speed",
    )
    cadence: float = setting(1.0, "Time between two rows of a machine.", unit="s", flag="--cadence")


class SimulateSource:
    """Some simulated machines that tick together.

    Args:
        sensors: The bundle's; each must be one that the simulation has.
        machines: Number of machines.
        severity: Multiplies the faults' offsets.
        rate: Faults per hour.
        seed: Of every random choice.
        cadence: Seconds between rows of a machine.
        speed: How many times faster than real time; 0 for as fast as possible.
        now_ns: The wall clock; the first row's time.
        clock: Monotonic clock, in seconds.
        wait: Waits so many seconds or until the source is closed.

    Raises:
        SensorMismatchError: The bundle has a sensor that the simulation does not.
    """

    name = "simulate"
    live = False

    def __init__(  # noqa: PLR0913 - one for each option
        self,
        sensors: tuple[str, ...],
        *,
        machines: int,
        severity: float,
        rate: float,
        seed: int,
        cadence: float,
        speed: float,
        now_ns: Callable[[], int] = time.time_ns,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        unknown = [sensor for sensor in sensors if sensor not in SENSORS]
        if unknown:
            raise SensorMismatchError(
                f"the simulated machine has no sensor {', '.join(unknown)}",
                hint=f"use a bundle over {', '.join(SENSORS)}, or another --source",
            )
        if machines < 1 or not speed >= 0:
            raise UsageError("a simulation needs at least one machine and a speed of 0 or more")
        start = now_ns() // 1_000_000_000 * 1_000_000_000  # whole seconds read better
        self._simulators = [
            Simulator(
                f"machine-{i + 1}", seed=seed, cadence=cadence, severity=severity, rate=rate, start_ns=start
            )
            for i in range(machines)
        ]
        self._columns = [SENSORS.index(sensor) for sensor in sensors]
        self._tick_s = cadence / speed if speed else 0.0
        self._clock = clock
        self._closed = False
        # What a signal handler may release: an Event holds a lock for a moment, and could wait for itself.
        self._asleep = threading.Lock()
        self._asleep.acquire()
        self._wait = wait or self._wait_for_close

    def check(self) -> None:
        """There is nothing to check."""

    def what_came(self) -> str | None:
        """Nothing: what could not fit was an error at the start."""
        return None

    def acknowledge(self) -> None:
        """There is nobody to tell."""

    def close(self) -> None:
        """Ends `batches` at its next tick."""
        self._closed = True
        with suppress(RuntimeError):  # released already
            self._asleep.release()

    def batches(self, checkpoint: Checkpoint | None) -> Iterator[Batch]:  # noqa: ARG002 - a simulation cannot go back
        """Yields ticks when they are due, all machines' rows together."""
        started, done = self._clock(), 0
        while not self._closed:
            due = done + MAX_TICKS
            if self._tick_s:
                due = min(due, 1 + int((self._clock() - started) / self._tick_s))
            if due > done:
                yield Batch(self._ticks(due - done), None, {})
                done = due
            else:
                self._wait(max(SHORTEST_WAIT_S, started + done * self._tick_s - self._clock()))

    def _wait_for_close(self, seconds: float) -> bool:
        return self._asleep.acquire(timeout=seconds)

    def _ticks(self, count: int) -> Readings:
        blocks = [simulator.block(count) for simulator in self._simulators]
        for simulator in self._simulators:
            simulator.take_events()
        names = np.asarray([simulator.machine.name for simulator in self._simulators])
        values = np.stack([block.values for block in blocks], axis=1)[:, :, self._columns]
        return Readings(
            np.tile(names, count),
            np.repeat(blocks[0].times, len(names)),
            np.ascontiguousarray(values.reshape(-1, len(self._columns))),
        )


def _make(given: Given, feed: Feed) -> SimulateSource:
    part = given[SimulateSettings]
    return SimulateSource(
        feed.sensors,
        machines=part.machines,
        severity=part.severity,
        rate=part.rate,
        seed=part.seed,
        cadence=part.cadence,
        speed=part.speed,
        now_ns=feed.now_ns,
    )


SIMULATE = SourceKind(
    name="simulate",
    summary="Simulates machines with faults: a feed to try everything with.",
    guarantee="Nothing is kept: the machines start anew with each run.",
    tables={"simulate": SimulateSettings},
    make=_make,
    identity=lambda _: "simulate",
    needs_bundle=False,
)

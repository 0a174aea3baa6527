"""The healthy machine: load regimes drive power; vibration, pressure and temperature follow."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SENSORS", "UNITS", "HealthyMachine", "MachineCharacter", "stream"]

SENSORS = ("temperature", "vibration", "pressure", "power")
UNITS = ("°C", "mm/s", "PSI", "W")

LOADS = (0.15, 0.45, 0.7, 0.95)
# A plant runs at part load most of its time.
LOAD_SHARES = (0.1, 0.35, 0.4, 0.15)
REGIME_S = (120.0, 900.0)
RAMP_S = 30.0
BEAT_S = 47.0
LAG_S = 300.0
WANDER_S = 200.0
WANDER_SD = 0.8
DAY_S = 86_400.0
WARMEST_S = 15 * 3600.0
NOISE_SD = (0.35, 0.05, 0.6, 4.0)


def stream(seed: int, name: str, purpose: str, start_ns: int = 0) -> np.random.Generator:
    """A generator for one purpose of one machine from one time on, so that no draw shifts another's."""
    words = (seed, zlib.crc32(name.encode()), zlib.crc32(purpose.encode()), start_ns % (1 << 64))
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))


@dataclass(frozen=True, slots=True)
class MachineCharacter:
    """What tells one machine from another of its make; the defaults are the nominal machine.

    Attributes:
        name: Machine id.
        idle_power: W at no load.
        load_power: W from no load to full load.
        idle_vibration: mm/s at no load.
        load_vibration: mm/s from no load to full load.
        idle_pressure: PSI at no load.
        load_pressure: PSI lost from no load to full load.
        ambient: °C, mean of day and night.
        ambient_swing: °C, from that mean to the warmest hour.
        heating: °C for each W.
        ambient_delay: Seconds by which this machine's warmest hour is late.
        beat_phase: Radians of the slow beat in its vibration at the epoch.
    """

    name: str
    idle_power: float = 150.0
    load_power: float = 170.0
    idle_vibration: float = 0.7
    load_vibration: float = 0.9
    idle_pressure: float = 54.0
    load_pressure: float = 9.0
    ambient: float = 24.0
    ambient_swing: float = 3.0
    heating: float = 0.11
    ambient_delay: float = 0.0
    beat_phase: float = 0.0

    @staticmethod
    def from_name(name: str) -> MachineCharacter:
        """The machine of this name, the same in every run: a few percent of each spread off the nominal."""
        random = stream(0, name, "character")

        def near(nominal: float, by: float) -> float:
            return nominal + by * float(random.uniform(-1.0, 1.0))

        return MachineCharacter(
            name,
            idle_power=near(150.0, 1.5),
            load_power=near(170.0, 2.0),
            idle_vibration=near(0.7, 0.01),
            load_vibration=near(0.9, 0.015),
            idle_pressure=near(54.0, 0.1),
            load_pressure=near(9.0, 0.15),
            ambient=near(24.0, 0.25),
            ambient_swing=near(3.0, 0.2),
            heating=near(0.11, 0.001),
            ambient_delay=near(0.0, 1800.0),
            beat_phase=near(0.0, np.pi),
        )


class HealthyMachine:
    """Readings of a machine without faults, block after block.

    Every random process draws from its own generator, row by row, so that the rows do not depend on how they
    are cut into blocks.

    Args:
        character: Which machine.
        seed: Of every random choice.
        cadence: Seconds between rows.
        start_ns: Time of row 0, nanoseconds since the epoch.
    """

    def __init__(self, character: MachineCharacter, *, seed: int, cadence: float, start_ns: int) -> None:
        self._machine = character
        self._cadence = cadence
        self._load = _LoadProfile(stream(seed, character.name, "load", start_ns))
        self._noise = stream(seed, character.name, "noise", start_ns)
        self._wander_noise = stream(seed, character.name, "wander", start_ns)
        self._wander = WANDER_SD * float(self._wander_noise.standard_normal())
        self._start_s = start_ns / 1e9
        first = float(self._load.at(np.zeros(1))[0])
        ambient = float(self._ambient(np.array([self._start_s]))[0])
        self._temperature = ambient + character.heating * (
            character.idle_power + character.load_power * first
        )

    def rows(self, first: int, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rows `first` to `first + count`, called with consecutive stretches.

        Returns:
            [count, sensors] what the sensors would read without noise, and the noise of each reading.
        """
        machine = self._machine
        since_start = np.arange(first, first + count, dtype=np.float64) * self._cadence
        clock = since_start + self._start_s
        load = self._load.at(since_start)
        power = machine.idle_power + machine.load_power * load
        beat = 0.08 * np.sin(2 * np.pi * (clock % BEAT_S) / BEAT_S + machine.beat_phase)
        vibration = machine.idle_vibration + machine.load_vibration * load**1.5 + beat
        pressure = machine.idle_pressure - machine.load_pressure * load + self._wanders(count)
        temperature = self._lags(self._ambient(clock) + machine.heating * power)
        noise = self._noise.standard_normal((count, len(SENSORS))) * NOISE_SD
        return np.stack([temperature, vibration, pressure, power], axis=1), noise

    def _ambient(self, clock: NDArray[np.float64]) -> NDArray[np.float64]:
        """°C around the machine, by the time of day."""
        late = (clock - WARMEST_S - self._machine.ambient_delay) % DAY_S
        swing: NDArray[np.float64] = self._machine.ambient_swing * np.cos(2 * np.pi * late / DAY_S)
        return self._machine.ambient + swing

    def _wanders(self, count: int) -> NDArray[np.float64]:
        """The pressure's slow wander: an Ornstein-Uhlenbeck process, exact for the cadence."""
        keep = float(np.exp(-self._cadence / WANDER_S))
        steps = self._wander_noise.standard_normal(count) * (WANDER_SD * np.sqrt(1 - keep * keep))
        path = list(accumulate(steps.tolist(), lambda level, step: keep * level + step, initial=self._wander))
        self._wander = path[-1]
        return np.array(path[1:])

    def _lags(self, goal: NDArray[np.float64]) -> NDArray[np.float64]:
        """The temperature: a first-order lag behind where ambient and power would take it."""
        gain = float(-np.expm1(-self._cadence / LAG_S))
        path = list(
            accumulate(
                goal.tolist(), lambda level, to: level + gain * (to - level), initial=self._temperature
            )
        )
        self._temperature = path[-1]
        return np.array(path[1:])


class _LoadProfile:
    """Load over time: regimes of some minutes, joined by ramps; knots are drawn as time reaches them."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        self._level = float(random.choice(LOADS, p=LOAD_SHARES))
        # A start in the middle of a regime: machines that start together do not change together.
        self._times = [0.0]
        self._loads = [self._level]
        self._hold(float(random.uniform(0.0, 1.0)))

    def _hold(self, share: float) -> None:
        self._times.append(self._times[-1] + share * float(self._random.uniform(*REGIME_S)))
        self._loads.append(self._level)

    def at(self, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Load, 0 to 1, at rising times; never asks for a time before an earlier call's first."""
        if not len(seconds):
            return np.empty(0)
        while self._times[-1] <= seconds[-1]:
            self._level = float(self._random.choice(LOADS, p=LOAD_SHARES))
            self._times.append(self._times[-1] + RAMP_S)
            self._loads.append(self._level)
            self._hold(1.0)
        past = int(np.searchsorted(self._times, seconds[0], side="right")) - 1
        del self._times[:past], self._loads[:past]
        return np.interp(seconds, self._times, self._loads)

"""What goes wrong with a simulated machine: four kinds of events, drawn over time and laid over its readings.

Offsets at severity 1 are multiplied by the severity. SPIKE: some seconds on one sensor. DRIFT: one sensor
ramps away for minutes; labelled from 30 % of the ramp, where it shows. CYCLIC: one sensor oscillates.
MULTI_SENSOR: two to four sensors shift together, each within its limits, as no load would shift them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import UsageError
from edge_runtime.simulation.machine import SENSORS

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DEFAULT_RATE", "MAX_RATE", "Event", "Injection", "Kind", "Schedule"]

DEFAULT_RATE = 11.0
MAX_RATE = 60.0
QUIET_S = 20.0
DRIFT_HIDDEN = 0.3
MULTI_RAMP_S = 10.0
PERIOD_S = (8.0, 20.0)
ROWS_A_PERIOD = 4


class Kind(IntEnum):
    """What was injected into a row; NONE in a healthy one."""

    NONE = 0
    SPIKE = 1
    DRIFT = 2
    CYCLIC = 3
    MULTI_SENSOR = 4

    @property
    def label(self) -> str:
        """The name that tables carry; empty for NONE."""
        return "" if self is Kind.NONE else self.name


@dataclass(frozen=True, slots=True)
class Event:
    """One injected event.

    Attributes:
        machine: Machine id.
        kind: What happened.
        sensors: Names of the sensors that it moved.
        start_ns: Time of its first labelled row.
        stop_ns: Time of the first row after it.
        onset_ns: Time of the first row that it moved; before `start_ns` for a DRIFT alone.
    """

    machine: str
    kind: Kind
    sensors: tuple[str, ...]
    start_ns: int
    stop_ns: int
    onset_ns: int


@dataclass(frozen=True, slots=True)
class _Recipe:
    """How a kind is drawn.

    Attributes:
        share: Part of all events.
        seconds: Shortest and longest, the unlabelled onset of a DRIFT included.
        sizes: Smallest and largest offset of each sensor at severity 1, in its unit; None where it has none.
        signs: The directions that each sensor's offset may take.
    """

    share: float
    seconds: tuple[float, float]
    sizes: tuple[tuple[float, float] | None, ...]
    signs: tuple[tuple[int, ...], ...]


_UP, _DOWN, _EITHER = (1,), (-1,), (1, -1)
RECIPES = {
    Kind.SPIKE: _Recipe(0.85, (1, 5), ((6, 32), (0.5, 2), (7, 26), (60, 220)), (_UP, _UP, _EITHER, _UP)),
    Kind.DRIFT: _Recipe(
        0.055, (120, 380), ((8, 30), (0.5, 1.8), (8, 24), (50, 180)), (_UP, _UP, _EITHER, _UP)
    ),
    Kind.CYCLIC: _Recipe(0.0475, (100, 290), (None, (0.4, 1.2), (5, 18), (40, 130)), (_UP, _UP, _UP, _UP)),
    Kind.MULTI_SENSOR: _Recipe(
        0.0475, (55, 195), ((4, 15), (0.3, 1), (4, 14), (30, 110)), (_UP, _UP, _DOWN, _EITHER)
    ),
}
_MEAN_S = sum(recipe.share * sum(recipe.seconds) / 2 for recipe in RECIPES.values())


@dataclass(frozen=True, slots=True)
class Injection:
    """An event in rows: what it adds to which of them.

    Attributes:
        kind: What happens.
        onset: First row that it moves.
        start: First labelled row.
        stop: First row after it.
        sizes: [sensors] signed offset at severity 1; 0 for a sensor that it leaves alone.
        period: Rows of one oscillation of a CYCLIC; 0 for the others.
        ramp: Rows over which a MULTI_SENSOR comes and goes; 0 for the others.
    """

    kind: Kind
    onset: int
    start: int
    stop: int
    sizes: tuple[float, ...]
    period: float = 0.0
    ramp: float = 0.0

    def offsets(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """[rows, sensors] what it adds at severity 1 to these rows, all between `onset` and `stop`."""
        since = (rows - self.onset).astype(np.float64)
        if self.kind is Kind.DRIFT:
            shape = (since + 1.0) / (self.stop - self.onset)
        elif self.kind is Kind.CYCLIC:
            shape = np.sin(2 * np.pi * (since + 1.0) / self.period)
        elif self.kind is Kind.MULTI_SENSOR:
            left = (self.stop - rows).astype(np.float64)
            shape = np.minimum(1.0, np.minimum(since + 1.0, left) / max(self.ramp, 1.0))
        else:
            shape = np.ones(len(rows))
        offsets: NDArray[np.float64] = shape[:, None] * np.array(self.sizes)
        return offsets


class Schedule:
    """Draws events as time reaches them: how many an hour is the rate, when is left to chance.

    Args:
        random: Of its own, so that the events do not depend on how rows are cut into blocks.
        rate: Events per hour; 0 for none.
        cadence: Seconds between rows.
        first_row: No event before this row.

    Raises:
        UsageError: The rate is negative, or leaves no time between events.
    """

    def __init__(
        self, random: np.random.Generator, *, rate: float, cadence: float, first_row: int = 0
    ) -> None:
        if not 0.0 <= rate <= MAX_RATE:
            raise UsageError(f"a rate of {rate:g} events per hour", hint=f"choose one from 0 to {MAX_RATE:g}")
        self._random = random
        self._rate = rate
        self._cadence = cadence
        self._pending: list[Injection] = []
        self._free = first_row
        if rate:
            self._draw()

    def between(self, first: int, stop: int) -> list[Injection]:
        """The injections that touch rows `first` to `stop`; called with consecutive stretches."""
        if not self._rate:
            return []
        while self._pending[-1].onset < stop:
            self._draw()
        self._pending = [injection for injection in self._pending if injection.stop > first]
        return [injection for injection in self._pending if injection.onset < stop]

    def _draw(self) -> None:
        random, kinds = self._random, tuple(RECIPES)
        spare = 3600.0 / self._rate - _MEAN_S - QUIET_S
        onset = self._free + self._rows(QUIET_S + float(random.exponential(max(spare, 1.0))))
        kind = kinds[int(random.choice(len(kinds), p=[RECIPES[k].share for k in kinds]))]
        recipe = RECIPES[kind]
        able = [i for i, size in enumerate(recipe.sizes) if size]
        count = int(random.integers(2, len(able) + 1)) if kind is Kind.MULTI_SENSOR else 1
        chosen = random.choice(able, size=count, replace=False)
        sizes = [0.0] * len(SENSORS)
        for sensor in sorted(int(i) for i in chosen):
            low, high = recipe.sizes[sensor] or (0.0, 0.0)
            sizes[sensor] = float(random.choice(recipe.signs[sensor])) * float(random.uniform(low, high))
        if kind is Kind.SPIKE:
            stop = onset + self._rows(float(random.integers(1, 6)))
        else:
            stop = onset + self._rows(float(random.uniform(*recipe.seconds)))
        start = onset + int(DRIFT_HIDDEN * (stop - onset)) if kind is Kind.DRIFT else onset
        period = ramp = 0.0
        if kind is Kind.CYCLIC:
            # An oscillation faster than the rows can show would look like noise.
            period = max(float(random.uniform(*PERIOD_S)) / self._cadence, float(ROWS_A_PERIOD))
        elif kind is Kind.MULTI_SENSOR:
            ramp = MULTI_RAMP_S / self._cadence
        self._pending.append(Injection(kind, onset, start, stop, tuple(sizes), period, ramp))
        self._free = stop

    def _rows(self, seconds: float) -> int:
        return max(1, round(seconds / self._cadence))

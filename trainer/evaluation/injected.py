"""Faults of single sensors, put into normal rows: to compare detectors where nobody has labelled any.

One sensor at a time is broken for a minute of rows, again and again: shifted by some of its own standard
deviations, ramping away, oscillating, noisy or dead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from trainer.data.split import Split

__all__ = ["APART", "FAULTS", "LENGTH", "Injected", "inject"]

LENGTH, APART = 60, 180
ALONG = np.linspace(0, 1, LENGTH)
# In standard deviations of the sensor over normal rows; NaN stands for a reading of 0.
FAULTS: dict[str, Callable[[NDArray[np.float64], np.random.Generator], NDArray[np.float64]]] = {
    "shift of 3 sd": lambda rows, random: rows + 3 * random.choice([-1, 1]),
    "shift of 5 sd": lambda rows, random: rows + 5 * random.choice([-1, 1]),
    "ramp to 6 sd": lambda rows, random: rows + 6 * ALONG * random.choice([-1, 1]),
    "oscillation of 4 sd": lambda rows, _random: rows + 4 * np.sin(2 * np.pi * ALONG * 4),
    "noise of 4 sd": lambda rows, random: rows + random.normal(0, 4, LENGTH),
    "dead (0)": lambda rows, _random: np.full_like(rows, np.nan),
}


@dataclass(frozen=True, slots=True)
class Injected:
    """Rows with a sensor broken every three minutes of rows.

    Attributes:
        split: The rows, labelled, with the faults as kinds.
        starts: [events] first row of each.
        sensors: [events] which sensor is broken.
    """

    split: Split
    starts: NDArray[np.intp]
    sensors: NDArray[np.intp]


def inject(split: Split, normal_values: NDArray[np.float32], fault: str | None, *, seed: int = 1) -> Injected:
    """Breaks sensors in turns.

    Args:
        split: Rows; those that are not finite, labelled or ignored stay as they are and out of the events.
        normal_values: [rows, sensors] of training, for each sensor's standard deviation.
        fault: One of `FAULTS`; None for all of them in turns, each sensor beginning with the next.
        seed: Of every random choice.

    Raises:
        TrainingError: There is no run of normal rows that is long enough.
    """
    random = np.random.default_rng(seed)
    centre = normal_values.mean(0, dtype=np.float64)
    deviation = np.maximum(normal_values.std(0, dtype=np.float64), 1e-12)
    order = np.lexsort((split.times, split.machines))
    values = split.values[order].astype(np.float64)
    usable, machines = split.normal[order], split.machines[order]
    kinds = np.full(len(values), "", f"<U{max(map(len, FAULTS))}")
    labels = np.zeros(len(values), np.bool_)
    starts: list[int] = []
    sensors: list[int] = []
    for start in range(APART - LENGTH, len(values) - LENGTH, APART):
        rows = slice(start, start + LENGTH)
        if not usable[rows].all() or machines[start] != machines[start + LENGTH - 1]:
            continue
        turn, sensor = divmod(len(starts), values.shape[1])
        name = fault or list(FAULTS)[(turn + sensor) % len(FAULTS)]
        scaled = (values[rows, sensor] - centre[sensor]) / deviation[sensor]
        changed = FAULTS[name](scaled, random)
        values[rows, sensor] = np.where(np.isnan(changed), 0.0, changed * deviation[sensor] + centre[sensor])
        labels[rows], kinds[rows] = True, name
        starts.append(start)
        sensors.append(sensor)
    if not starts:
        raise TrainingError(
            f"no {LENGTH} normal rows of a machine in a row, so no fault can be put into them",
            where=str(split.path),
            hint="take a longer history",
        )
    broken = replace(
        split,
        times=split.times[order],
        machines=machines,
        values=values.astype(np.float32),
        labels=labels if split.labels is None else labels | split.labels[order],
        kinds=kinds,
        ignored=None if split.ignored is None else split.ignored[order],
    )
    return Injected(broken, np.asarray(starts), np.asarray(sensors))

"""Whether the errors point at the sensor that is broken.

One sensor at a time is broken for a minute, in rows that are normal otherwise: shifted by some of its own
standard deviations, ramping away, oscillating, noisy, stuck or dead. Of the events that are found, it counts
whether the sensor with the largest error, summed over the flagged rows, is the broken one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from simulated import read_simulated
from tables import summary

from trainer.assess import choose_threshold
from trainer.calibrate import verdicts
from trainer.fit import Settings, fit
from trainer.recipes import DEFAULT_HOLD

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["measure_attribution"]

LENGTH, APART = 60, 180
ALONG = np.linspace(0, 1, LENGTH)
# In standard deviations of the sensor over normal rows.
FAULTS: dict[str, Callable[[NDArray[np.float64], np.random.Generator], NDArray[np.float64]]] = {
    "shift of 3 sd": lambda rows, random: rows + 3 * random.choice([-1, 1]),
    "shift of 5 sd": lambda rows, random: rows + 5 * random.choice([-1, 1]),
    "ramp to 6 sd": lambda rows, random: rows + 6 * ALONG * random.choice([-1, 1]),
    "oscillation of 4 sd": lambda rows, _random: rows + 4 * np.sin(2 * np.pi * ALONG * 4),
    "noise of 4 sd": lambda rows, random: rows + random.normal(0, 4, LENGTH),
    "dead (0)": lambda rows, _random: np.full_like(rows, np.nan),
}


@dataclass(frozen=True, slots=True)
class Broken:
    """Rows with one sensor broken every three minutes.

    Attributes:
        values: [rows, sensors] raw units.
        starts: [events] first row of each.
        sensors: [events] which one.
    """

    values: NDArray[np.float32]
    starts: NDArray[np.intp]
    sensors: NDArray[np.intp]


def measure_attribution(
    folder: Path, settings: list[Settings], percentile: float, say: Callable[[str], None]
) -> dict[str, dict[str, dict[str, float]]]:
    """Fault to the parts found and rightly attributed: mean and standard deviation over the settings.

    Args:
        folder: As for the simulated files, of which train and val are used.
        settings: One for each training seed.
        percentile: Of the normal validation rows' scores: the threshold.
        say: Told how far it is.

    Raises:
        InputError: A file is missing.
    """
    data = read_simulated(folder, "2")[0]
    normal = data.train.normal_values
    runs: dict[str, list[dict[str, float]]] = {fault: [] for fault in (*FAULTS, "all")}
    for each in settings:
        detector = fit(data, each).detector
        threshold = choose_threshold(
            data.val, detector, "percentile", percentile=percentile, hold=DEFAULT_HOLD
        )
        total = np.zeros(3)
        for fault in FAULTS:
            broken = _break(data.val.values, normal.std(0), normal.mean(0), fault)
            times, machines = data.val.times, data.val.machines
            score, errors, _ = detector.score_rows(broken.values, times, machines)
            flagged = verdicts(score, threshold, times, machines)
            counts = np.zeros(3)
            for start, sensor in zip(broken.starts, broken.sensors, strict=True):
                rows = np.arange(start, start + LENGTH)
                rows = rows[flagged[rows]]
                top = -1 if not len(rows) else int(np.argmax(errors[rows].sum(0)))
                counts += (1, len(rows) > 0, top == sensor)
            runs[fault].append(_parts(counts))
            total += counts
        runs["all"].append(_parts(total))
        say(f"attribution: seed {each.seed}")
    return {fault: summary(found) for fault, found in runs.items()}


def _parts(counts: NDArray[np.float64]) -> dict[str, float]:
    events, found, right = counts
    return {"events": float(events), "found": found / events, "top_sensor_right": right / max(found, 1.0)}


def _break(
    values: NDArray[np.float32], deviation: NDArray[np.float32], centre: NDArray[np.float32], fault: str
) -> Broken:
    random = np.random.default_rng(1)
    starts = np.arange(APART, len(values) - LENGTH, APART)
    sensors = np.arange(len(starts)) % values.shape[1]
    broken = values.astype(np.float64)
    for start, sensor in zip(starts, sensors, strict=True):
        rows = slice(start, start + LENGTH)
        scaled = (broken[rows, sensor] - centre[sensor]) / deviation[sensor]
        changed = FAULTS[fault](scaled, random)
        broken[rows, sensor] = np.where(np.isnan(changed), 0.0, changed * deviation[sensor] + centre[sensor])
    return Broken(broken.astype(np.float32), starts, sensors)

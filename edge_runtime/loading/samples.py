"""Rows that a bundle is tried on: as in training, across what its sensors can give, and far outside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import default_rng  # imported at once: the trial can open no file later

from edge_runtime.scoring.baseline import no_baseline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Metadata
    from edge_runtime.scoring.baseline import Given

__all__ = ["FAR", "Series", "half_ranges", "sample_series"]

# How far off the farthest rows are: in halves of the training range, from its middle.
FAR = 1000.0
# Of the ordinary rows one in so many is an anomaly, from hardly one to a plain one, in the same unit.
HIDDEN_EVERY, SLIGHTEST, PLAINEST = 20, 1.5, 30.0
JITTER = 0.02  # of a golden row that comes again, in the same unit
POSSIBLE = 0.25  # the part of the other rows that are spread over the physical range
# Half the range of a sensor that stood still in training, as a part of its reading.
STILL = 1e-3
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Rows of one machine, oldest first.

    Attributes:
        name: What they are.
        readings: [rows, sensors] float32, raw units.
        within: [rows] bool, whether every reading lies in its training range.
        reach: [rows] how far its farthest reading is from the middle of the training range, in halves of
            that range; at least 1.
        seconds: [rows] float32 since midnight UTC; None for a model that does not ask.
        baseline: [1, columns] float32 each, the slow baseline that all are scored with, and the bound; None
            for a bundle without one.
    """

    name: str
    readings: NDArray[np.float32]
    within: NDArray[np.bool_]
    reach: NDArray[np.float64]
    seconds: NDArray[np.float32] | None
    baseline: Given | None = None

    def __len__(self) -> int:
        return len(self.readings)

    def only(self, rows: NDArray[np.bool_] | slice) -> Series:
        """Some of its rows."""
        seconds = None if self.seconds is None else self.seconds[rows]
        return replace(
            self,
            readings=self.readings[rows],
            within=self.within[rows],
            reach=self.reach[rows],
            seconds=seconds,
        )


def sample_series(metadata: Metadata, rows: int, seed: int = 0) -> tuple[Series, Series]:
    """Ordinary rows with anomalies hidden among them, and rows of every kind: equal seeds give equal ones.

    Args:
        metadata: Of the bundle. Its golden rows are the ordinary ones.
        rows: How many in each.
        seed: Of every choice.
    """
    random, shape = default_rng(seed), (rows, len(metadata.sensors))
    low, high = np.asarray([s.training_range for s in metadata.sensors], np.float64).T
    middle, half = (low + high) / 2, half_ranges(metadata)
    golden = np.asarray(metadata.golden.readings, np.float64)
    ordinary = np.resize(golden, shape) + random.uniform(-JITTER, JITTER, shape) * half
    hidden = random.random(rows) < 1 / HIDDEN_EVERY
    distance = np.exp(random.uniform(np.log(SLIGHTEST), np.log(PLAINEST), (rows, 1)))
    ordinary[hidden] += (random.choice([-1.0, 0.0, 1.0], shape) * distance * half)[hidden]
    spread = random.choice([1.0, 1.0, 10.0, FAR], (rows, 1))
    mixed = middle + random.uniform(-1, 1, shape) * half * spread
    possible = random.random(rows) < POSSIBLE
    least, most = np.asarray([s.physical_range or s.training_range for s in metadata.sensors], np.float64).T
    mixed[possible] = random.uniform(least, most, shape)[possible]
    seconds = None
    if metadata.model.time_of_day:
        seconds = np.sort(random.uniform(0, 86_400, rows)).astype(np.float32)

    begun = drifted = None
    if (baseline := metadata.baseline) is not None:
        spread = np.asarray([baseline.spread], np.float64)
        begun = no_baseline(spread.shape[1])
        bound = np.where(random.random(spread.shape) < POSSIBLE, baseline.bound * spread, LARGEST)
        away = random.uniform(-1, 1, spread.shape) * baseline.near * spread
        drifted = away.astype(np.float32), bound.astype(np.float32)

    def series(name: str, values: NDArray[np.float64], levels: Given | None) -> Series:
        readings = np.clip(values, -LARGEST, LARGEST).astype(np.float32)
        within = ((readings >= low) & (readings <= high)).all(1)
        reach = np.maximum(1, (np.abs(readings - middle) / half).max(1))
        return Series(name, readings, within, reach, seconds, levels)

    return (
        series("ordinary rows with anomalies among them", ordinary, begun),
        series("rows of every kind", mixed, drifted),
    )


def half_ranges(metadata: Metadata) -> NDArray[np.float64]:
    """[sensors] Half of each training range, or a little of the reading where a sensor stood still."""
    low, high = np.asarray([s.training_range for s in metadata.sensors], np.float64).T
    still = np.maximum(STILL * np.maximum(np.abs(low), np.abs(high)), STILL)
    half: NDArray[np.float64] = np.where(high > low, high / 2 - low / 2, still)
    return half

"""For how long each sensor stands still in normal operation: more than three times that, and it is flat.

A run is a number of readings in succession that lie within a distance of the first of them. The distance is
two and a half of the sensor's digits, so that a frozen value may move by one to either side, or a part of its
usual step, if that is more: what barely moves beside a sensor's own noise stands still. Where a run of that
kind lasts too long in training to mean anything, as of a sensor with few values, only equal readings count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.bundle.judging import SensorLimit, SensorStatus
from edge_runtime.engine.runs import Breaks, follow
from edge_runtime.engine.sensors import SensorWatch
from edge_runtime.records import Readings, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from trainer.data.split import Split
    from trainer.data.training_data import TrainingData

__all__ = ["Standing", "longest_run", "measure_standing"]

# "Three times training's longest run", and never fewer rows than these.
TIMES_LONGEST = 3
FEWEST_ROWS = 10
DIGITS = 2.5
PART_OF_STEP = 0.05
# A sensor that stood still for more than a thirtieth of its longest machine's rows may do so.
LONGEST_PART = 30


@dataclass(frozen=True, slots=True)
class Standing:
    """What was found.

    Attributes:
        sensors: Their names.
        status: What the bundle says.
        longest: [sensors] number of readings of the longest run in normal rows.
        test_flat: [sensors] number of test rows at which the sensor is flat.
        test_rows: Number of test rows.
    """

    sensors: tuple[str, ...]
    status: SensorStatus
    longest: tuple[int, ...]
    test_flat: tuple[int, ...]
    test_rows: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        found = zip(self.sensors, self.status.limits, self.longest, self.test_flat, strict=True)
        return {
            "rows": self.status.rows,
            "test_rows": self.test_rows,
            "sensors": {
                name: {
                    "longest_run": longest,
                    "flat_rows": limit.flat_rows,
                    "within": limit.within,
                    "max_rate": limit.max_rate,
                    "test_flat_rows": flat,
                }
                for name, limit, longest, flat in found
            },
        }

    def table(self) -> str:
        """For the screen: how long each sensor stood still in training, and from when on it is flat."""
        width = max(len("sensor"), *map(len, self.sensors))
        lines = [
            "Sensor status",
            f"{'sensor':<{width}}  longest run  flat from     within  max rate  flat on test",
        ]
        for name, limit, longest, flat in zip(
            self.sensors, self.status.limits, self.longest, self.test_flat, strict=True
        ):
            start = "-" if limit.flat_rows is None else f"{limit.flat_rows:,}"
            rate = "-" if limit.max_rate is None else f"{limit.max_rate:.4g}"
            lines.append(
                f"{name:<{width}}  {longest:>11,}  {start:>9}  {limit.within:>9.3g}  {rate:>8}  {flat:>12,}"
            )
        lines.append("Runs are of rows; a sensor with '-' under 'flat from' may stand still for any time.")
        return "\n".join(lines)


def measure_standing(
    data: TrainingData, *, flat: bool = True, max_rates: Mapping[str, float] | None = None
) -> Standing:
    """Measures the longest runs of the normal rows of training and validation, machine by machine.

    Args:
        data: The splits.
        flat: Whether a sensor can be flat; else only rates are limited.
        max_rates: Sensor to the fastest that it can change, in raw units a second.
    """
    rates = max_rates or {}
    limits, longest = [], []
    parts = [part for split in (data.train, data.val) for part in _by_machine(split)]
    for place, name in enumerate(data.sensors):
        # As a gateway counts: a missing reading neither lengthens nor ends a run, of whichever sensor it is.
        columns = [column[np.isfinite(column)] for column in (part[:, place] for part in parts)]
        run, within = _longest_run(columns)
        most = max(map(len, columns), default=0)
        can_be_flat = flat and 0 < run * LONGEST_PART <= most
        limits.append(
            SensorLimit(
                max(FEWEST_ROWS, TIMES_LONGEST * run) if can_be_flat else None, within, rates.get(name)
            )
        )
        longest.append(run)
    status = SensorStatus(tuple(limits), sum(map(len, parts)))
    watch = SensorWatch(status, data.cadence_seconds)
    with np.errstate(over="ignore", invalid="ignore"):
        found, _ = watch.check(_readings(data.test), None, None)
    counts = [0] * len(limits) if found is None else (found == Reason.FLAT).sum(0).tolist()
    return Standing(tuple(data.sensors), status, tuple(longest), tuple(counts), len(data.test))


def _by_machine(split: Split) -> list[NDArray[np.float32]]:
    """Each machine's rows that are neither anomalous nor ignored, in time order; readings may be missing."""
    rows = np.flatnonzero(split.counted if split.labels is None else split.counted & ~split.labels)
    rows = rows[np.lexsort((split.times[rows], split.machines[rows]))]
    machines = split.machines[rows]
    starts = np.flatnonzero(machines[1:] != machines[:-1]) + 1
    return [split.values[part] for part in np.split(rows, starts) if len(part)]


def _readings(split: Split) -> Readings:
    rows = np.lexsort((split.times, split.machines))
    return Readings(split.machines[rows], split.times[rows], split.values[rows])


def _longest_run(columns: Sequence[NDArray[np.float32]]) -> tuple[int, float]:
    """The longest run of one sensor's readings, and the distance within which its readings lie."""
    columns = [column for column in columns if len(column)]
    if not columns:
        return 0, 0.0
    digit = _digit(columns)
    steps = np.concatenate([np.abs(np.diff(column)) for column in columns])
    step = float(np.median(steps)) if len(steps) else 0.0
    most = max(map(len, columns))
    within = max(DIGITS * digit, PART_OF_STEP * step)
    run = max(longest_run(column, within) for column in columns)
    if run * LONGEST_PART > most:
        within = digit / 2
        run = max(longest_run(column, within) for column in columns)
    return run, within


def longest_run(column: NDArray[np.float32], within: float) -> int:
    """Number of readings of the longest run.

    Args:
        column: One sensor's readings, in order, all finite.
        within: How far a reading of a run may be from its first one.
    """
    with np.errstate(over="ignore"):
        breaks = Breaks([within]).between(column[:, None])[:, 0]
    bounds = np.concatenate([[0], np.flatnonzero(breaks) + 1, [len(column)]])
    lengths, longest = np.diff(bounds), 0
    for one in np.argsort(-lengths, kind="stable").tolist():
        if lengths[one] <= longest:
            break
        runs, _ = follow(column[bounds[one] : bounds[one + 1]].tolist(), 0, np.nan, within)
        longest = max(longest, *runs)
    return longest


def _digit(columns: Sequence[NDArray[np.float32]]) -> float:
    """The least difference of two readings, which is the last digit of a sensor that is rounded."""
    steps = np.diff(np.unique(np.concatenate(columns)))
    return float(steps.min()) if len(steps) else 0.0

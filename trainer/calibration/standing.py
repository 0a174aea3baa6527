"""For how long each sensor stands still in normal operation: at three times that, it is flat.

A run is a number of readings in succession that lie within a distance of the first of them. The distance is
two and a half of the sensor's digits, so that a frozen value may move by one to either side, or a part of its
usual step, if that is more: what barely moves beside a sensor's own noise stands still. Where a run of that
kind lasts too long in training to mean anything, as of a sensor with few values, only equal readings count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.bundle.caps import LARGEST
from edge_runtime.bundle.judging import SensorLimit, SensorStatus
from edge_runtime.engine.runs import Breaks, follow
from edge_runtime.engine.sensors import SensorWatch
from edge_runtime.records import Readings, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from trainer.data.split import Split
    from trainer.data.training_data import TrainingData

__all__ = ["Standing", "longest_run", "measure_standing"]

# "Three times training's longest run", and never fewer rows than these.
TIMES_LONGEST = 3
FEWEST_ROWS = 10
DIGITS = 2.5
PART_OF_STEP = 0.05
# A sensor that stood still for more than a thirtieth of the longest table of one machine may do so.
LONGEST_PART = 30
BLOCK_ROWS = 65_536
# So many normal test rows of one sensor that are not used speak against the limit.
DOUBTFUL = 0.01
HINTS = {
    Reason.FLAT: "if the sensor works, train with a history that shows such rests",
    Reason.TOO_STEEP: "check --max-rate, which is in units a second",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """What was found.

    Attributes:
        sensors: Their names.
        status: What the bundle says.
        longest: [sensors] number of readings of the longest run in normal rows.
        test_flat: [sensors] number of test rows at which the sensor is flat.
        test_steep: [sensors] number of test rows at which its reading is too steep.
        test_rows: Number of test rows.
        doubts: Sentences on sensors that are found not to be good on many normal test rows.
    """

    sensors: tuple[str, ...]
    status: SensorStatus
    longest: tuple[int, ...]
    test_flat: tuple[int, ...]
    test_steep: tuple[int, ...]
    test_rows: int
    doubts: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
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
                    "test_steep_rows": steep,
                }
                for name, limit, longest, flat, steep in self._by_sensor()
            },
        }

    def table(self) -> str:
        """For the screen: how long each sensor stood still in training, and from when on it is flat."""
        width = max(len("sensor"), *map(len, self.sensors))
        lines = [
            "Sensor status",
            f"{'sensor':<{width}}  longest run  flat from     within  max rate  flat on test  too steep",
        ]
        for name, limit, longest, flat, steep in self._by_sensor():
            start = "-" if limit.flat_rows is None else f"{limit.flat_rows:,}"
            rate = "-" if limit.max_rate is None else f"{limit.max_rate:.4g}"
            cells = f"{longest:>11,}  {start:>9}  {limit.within:>9.3g}  {rate:>8}  {flat:>12,}  {steep:>9,}"
            lines.append(f"{name:<{width}}  {cells}")
        lines.append("Runs are of rows; a sensor with '-' under 'flat from' may stand still for any time.")
        return "\n".join(lines)

    def _by_sensor(self) -> Iterator[tuple[str, SensorLimit, int, int, int]]:
        return zip(
            self.sensors, self.status.limits, self.longest, self.test_flat, self.test_steep, strict=True
        )


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
    of_all, of_normal = _counted(SensorWatch(status, data.cadence_seconds), data.test)
    flat_rows, steep_rows = (tuple(of_all[reason].tolist()) for reason in (Reason.FLAT, Reason.TOO_STEEP))
    normal = int(data.test.normal.sum())
    doubts = tuple(
        f"{name}: {counts[place]:,} of {normal:,} normal test rows are {reason.label}, and would not be "
        f"used; {HINTS[reason]}"
        for reason, counts in of_normal.items()
        for place, name in enumerate(data.sensors)
        if counts[place] > DOUBTFUL * normal
    )
    return Standing(
        tuple(data.sensors), status, tuple(longest), flat_rows, steep_rows, len(data.test), doubts
    )


def _counted(watch: SensorWatch, test: Split) -> list[dict[Reason, NDArray[np.intp]]]:
    """Reason to [sensors] number of rows that are found so: of all rows, and of the normal ones."""
    order = np.lexsort((test.times, test.machines))
    none = np.zeros(test.values.shape[1], np.intp)
    counts = [dict.fromkeys((Reason.FLAT, Reason.TOO_STEEP), none) for _ in range(2)]
    for start in range(0, len(order), BLOCK_ROWS):
        rows = order[start : start + BLOCK_ROWS]
        with np.errstate(over="ignore", invalid="ignore"):
            found, moved = watch.check(
                Readings(test.machines[rows], test.times[rows], test.values[rows]), None, None
            )
        watch.take(moved)
        if found is not None:
            for count, some in zip(counts, (found, found[test.normal[rows]]), strict=True):
                for reason in count:
                    count[reason] = count[reason] + (some == reason).sum(0)
    return counts


def _by_machine(split: Split) -> list[NDArray[np.float32]]:
    """Each machine's rows that are neither anomalous nor ignored, in time order; readings may be missing."""
    rows = np.flatnonzero(split.counted if split.labels is None else split.counted & ~split.labels)
    rows = rows[np.lexsort((split.times[rows], split.machines[rows]))]
    machines = split.machines[rows]
    starts = np.flatnonzero(machines[1:] != machines[:-1]) + 1
    return [split.values[part] for part in np.split(rows, starts) if len(part)]


def _longest_run(columns: Sequence[NDArray[np.float32]]) -> tuple[int, float]:
    """The longest run of one sensor's readings, and the distance within which its readings lie."""
    columns = [column for column in columns if len(column)]
    if not columns:
        return 0, 0.0
    digit = _digit(columns)
    steps = np.concatenate([np.abs(np.diff(column.astype(np.float64))) for column in columns])
    step = float(np.median(steps)) if len(steps) else 0.0
    most = max(map(len, columns))
    within = min(max(DIGITS * digit, PART_OF_STEP * step), LARGEST)
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
    steps = np.diff(np.unique(np.concatenate(columns)).astype(np.float64))
    return float(steps.min()) if len(steps) else 0.0

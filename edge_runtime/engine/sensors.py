"""Sensors that stand still or jump: what a single reading does not show, the ones before it do.

A reading counts for a run whether or not it can be used, and a missing one neither lengthens nor ends it. The
last usable reading is what the next one must be within reach of.
"""

from __future__ import annotations

from math import isfinite, isnan, nan
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edge_runtime.bundle.caps import LARGEST
from edge_runtime.records import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from edge_runtime.bundle.judging import SensorStatus
    from edge_runtime.records import Readings

__all__ = ["SensorWatch", "breaks_between", "follow", "surely_apart"]

NANOSECONDS = 1e9
ENDLESS = 2**62
FEW_ROWS = 8
STATE_BYTES, SENSOR_BYTES, RATE_BYTES = 600, 80, 80
ROW_BYTES, READING_BYTES = 64, 32
# Complete rows of a machine that wait to be taken into its runs.
MOST_WAITING = 8
FLAT, TOO_STEEP = np.int8(Reason.FLAT), np.int8(Reason.TOO_STEEP)
# Differences of float32 are rounded: what is beyond twice the distance by less is looked at closely.
ROUNDED = 1 + 1e-6


class _Watched:
    """What is known of one machine's sensors.

    Attributes:
        anchors: The first reading of the run under way, of each sensor that can be flat; NaN before one.
        runs: The run's number of readings, of each of these.
        last: The last usable reading, of each sensor with a rate; NaN before the first one.
        at: When that was, nanoseconds since the epoch.
        rows: [rows][sensors] readings of complete rows that are not in the runs yet.
        spare: So many more may wait; none of them makes a sensor flat.
    """

    __slots__ = ("anchors", "at", "last", "rows", "runs", "spare")

    def __init__(self, flat: int, rated: int) -> None:
        self.anchors, self.runs = [nan] * flat, [0] * flat
        self.last, self.at = [nan] * rated, [0] * rated
        self.rows: list[list[float]] = []
        self.spare = 0

    def copy(self) -> _Watched:
        """Another one that knows the same, without rows that are not in the runs."""
        other = _Watched(0, 0)
        other.anchors, other.runs = self.anchors.copy(), self.runs.copy()
        other.last, other.at = self.last.copy(), self.at.copy()
        return other


class SensorWatch:
    """The stage that finds readings of sensors that are flat or too steep.

    Args:
        status: The bundle's limits.
        cadence_seconds: Time between two rows of one machine.
    """

    name = "sensors"
    version = 1
    belongs: Literal["bundle", "machine"] = "bundle"

    def __init__(self, status: SensorStatus, cadence_seconds: float) -> None:
        limits = status.limits
        self._flat = [
            (place, limit.flat_rows, limit.within)
            for place, limit in enumerate(limits)
            if limit.flat_rows is not None
        ]
        self._fewest = min((most for _, most, _ in self._flat), default=ENDLESS)
        self._surely_apart = surely_apart(limit.within for limit in limits)
        self._rated = [
            (place, limit.max_rate) for place, limit in enumerate(limits) if limit.max_rate is not None
        ]
        self._cadence = cadence_seconds
        self.machine_bytes = (
            STATE_BYTES
            + SENSOR_BYTES * len(limits)
            + RATE_BYTES * len(self._rated)
            + MOST_WAITING * (ROW_BYTES + READING_BYTES * len(limits))
        )
        self._machines: dict[str, _Watched] = {}
        self._changed: set[str] = set()
        self._row: tuple[str, _Watched, int, list[float]]

    def check(
        self, readings: Readings, faults: NDArray[np.int8] | None, judged: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int8] | None, dict[str, _Watched]]:
        """The faults of readings, those of sensors that are flat or too steep among them.

        Args:
            readings: The rows, each machine's new ones in time order.
            faults: [rows, sensors] codes of `Reason` for readings that cannot be used anyway; None for none.
            judged: [rows] which rows are new; None for all. The others have no part in it.

        Returns:
            [rows, sensors] codes of `Reason`, None where all readings can be used; and what `take` needs to
            know once the rows are judged.
        """
        index = None if judged is None or judged.all() else np.flatnonzero(judged)
        rows = readings if index is None else readings.take(index)
        moved: dict[str, _Watched] = {}
        groups = rows.groups
        values = groups.gather(rows.values)
        found = np.zeros(values.shape, np.int8)
        for machine, part in groups:
            before = self._machines.get(machine)
            if before is None:
                watched = _Watched(len(self._flat), len(self._rated))
            else:
                if before.rows:
                    self._settle(before)
                watched = before.copy()
            self._find_flat(watched, values[part], found[part])
            moved[machine] = watched
        if self._rated:
            known = None if faults is None else groups.gather(faults if index is None else faults[index])
            times = groups.gather(rows.times)
            for machine, part in groups:
                usable = None if known is None else known[part] == 0
                self._find_steep(moved[machine], values[part], times[part], usable, found[part])
        if not np.count_nonzero(found):
            return faults, moved
        found = groups.scatter(found)
        everywhere = np.zeros(readings.values.shape, np.int8) if faults is None else faults.copy()
        place = slice(None) if index is None else index
        everywhere[place] = np.where(everywhere[place] == 0, found, everywhere[place])
        return everywhere, moved

    def take(self, moved: Mapping[str, _Watched]) -> None:
        """Goes on from these rows: they are judged."""
        self._machines.update(moved)
        self._changed.update(moved)

    def is_ordinary(self, machine: str, time: int, readings: list[float]) -> bool:
        """Whether no sensor of one complete row is flat or too steep; if in doubt, not.

        Args:
            machine: Its id.
            time: Nanoseconds since the epoch.
            readings: [sensors] all usable as far as the row itself shows.
        """
        watched = self._machines.get(machine)
        if watched is None or (watched.spare < 1 and self._settle(watched) < 1):
            return False
        if self._rated:
            for (place, rate), last in zip(self._rated, watched.last, strict=True):
                if not abs(readings[place] - last) <= rate * self._cadence:
                    return False
        self._row = machine, watched, time, readings
        return True

    def take_row(self) -> None:
        """Goes on from the row that was found ordinary last: it is judged."""
        machine, watched, time, readings = self._row
        watched.spare -= 1
        watched.rows.append(readings)
        if self._rated:
            watched.last = [readings[place] for place, _ in self._rated]
            watched.at = [time] * len(self._rated)
        self._changed.add(machine)

    def _settle(self, watched: _Watched) -> int:
        """Moves the runs on by the rows that wait; returns how many may wait before a sensor is flat."""
        rows, watched.rows = watched.rows, []
        spare = MOST_WAITING
        for number, (place, most, within) in enumerate(self._flat):
            if rows:
                start, apart = len(rows) - 1, 2 * within * ROUNDED
                while start and abs(rows[start][place] - rows[start - 1][place]) <= apart:
                    start -= 1
                if start:  # there the run under way surely began
                    watched.runs[number], watched.anchors[number] = 0, nan
                readings = [row[place] for row in rows[start:]]
                runs, anchor = follow(readings, watched.runs[number], watched.anchors[number], within)
                watched.runs[number], watched.anchors[number] = runs[-1], anchor
            spare = min(spare, most - watched.runs[number] - 1)
        watched.spare = spare
        return spare

    def _find_flat(self, watched: _Watched, values: NDArray[np.float32], found: NDArray[np.int8]) -> None:
        """Marks a machine's readings that are part of too long a run, and moves its runs on."""
        if len(values) <= FEW_ROWS:
            for number, (place, _, _) in enumerate(self._flat):
                self._follow(watched, number, values[:, place], found[:, place])
            return
        breaks = breaks_between(values, self._surely_apart)
        if _all_short(breaks, self._fewest - 1 - max(watched.runs, default=0)):
            ends, last = breaks[-1].tolist(), values[-1].tolist()
            for number, (place, _, _) in enumerate(self._flat):
                if ends[place]:
                    watched.runs[number], watched.anchors[number] = 1, last[place]
                else:
                    self._go_on(watched, number, _last_stretch(breaks, place), values, found)
            return
        for number, (place, most, _) in enumerate(self._flat):
            bounds = np.concatenate([[0], np.flatnonzero(breaks[:, place]) + 1, [len(values)]])
            # Only a stretch that is long enough can hold such a run, and the last one goes on.
            lengths = np.diff(bounds)
            lengths[0] += watched.runs[number]
            for one in (*np.flatnonzero(lengths[:-1] >= most).tolist(), len(lengths) - 1):
                self._go_on(watched, number, slice(*bounds[one : one + 2].tolist()), values, found)

    def _go_on(
        self,
        watched: _Watched,
        number: int,
        rows: slice,
        values: NDArray[np.float32],
        found: NDArray[np.int8],
    ) -> None:
        """The same for a stretch of one sensor's readings, at whose start a run begins unless it is row 0."""
        if rows.start:
            watched.runs[number], watched.anchors[number] = 0, nan
        place = self._flat[number][0]
        self._follow(watched, number, values[rows, place], found[rows, place])

    def _follow(
        self, watched: _Watched, number: int, column: NDArray[np.float32], marks: NDArray[np.int8]
    ) -> None:
        """The same for a stretch of one sensor's readings."""
        _, most, within = self._flat[number]
        runs, watched.anchors[number] = follow(
            column.tolist(), watched.runs[number], watched.anchors[number], within
        )
        watched.runs[number] = runs[-1]
        if max(runs) >= most:
            marks[(np.asarray(runs) >= most) & ~np.isnan(column)] = FLAT

    def _find_steep(
        self,
        watched: _Watched,
        values: NDArray[np.float32],
        times: NDArray[np.int64],
        usable: NDArray[np.bool_] | None,
        found: NDArray[np.int8],
    ) -> None:
        """Marks a machine's readings that are out of reach of the last usable one, and moves that on."""
        moments = times.tolist()
        for number, (place, rate) in enumerate(self._rated):
            last, at = watched.last[number], watched.at[number]
            fine = found[:, place] == 0 if usable is None else usable[:, place] & (found[:, place] == 0)
            rows = zip(moments, values[:, place].tolist(), fine.tolist(), strict=True)
            for row, (moment, reading, is_fine) in enumerate(rows):
                if not is_fine:
                    continue
                if abs(reading - last) > rate * max(self._cadence, (moment - at) / NANOSECONDS):
                    found[row, place] = TOO_STEEP
                else:
                    last, at = reading, moment
            watched.last[number], watched.at[number] = last, at

    def changed(self) -> set[str]:
        """As `Stage.changed`."""
        changed, self._changed = self._changed, set()
        return changed

    def state(self, machine: str) -> list[Any] | None:
        """Each run's first reading and its length; of sensors with a rate, what came last and when."""
        watched = self._machines.get(machine)
        if watched is None:
            return None
        self._settle(watched)
        runs = [[_known(anchor), run] for anchor, run in zip(watched.anchors, watched.runs, strict=True)]
        return [runs, [[_known(last), at] for last, at in zip(watched.last, watched.at, strict=True)]]

    def restore(self, machine: str, value: Any, _version: int) -> None:
        """As `Stage.restore`."""
        runs, last = value
        if len(runs) != len(self._flat) or len(last) != len(self._rated):
            raise ValueError("of other sensors")
        watched = _Watched(0, 0)
        watched.anchors, watched.runs = _numbers(runs)
        watched.last, watched.at = _numbers(last)
        if min(watched.runs, default=0) < 0:
            raise ValueError("a run of less than no reading")
        self._machines[machine] = watched


def breaks_between(values: NDArray[np.float32], apart: NDArray[np.float32]) -> NDArray[np.bool_]:
    """[rows - 1, sensors] Between which readings a run surely ends, whatever its first reading is.

    Args:
        values: [rows, sensors] raw units.
        apart: [sensors] as `surely_apart` gives it.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        steps = values[1:] - values[:-1]
        np.abs(steps, out=steps)
    # After a missing reading, and between infinities, it is not sure.
    found: NDArray[np.bool_] = steps > apart
    return found


def _all_short(breaks: NDArray[np.bool_], steps: int) -> bool:
    """Whether no sensor surely has that many steps in succession without a break; False if in doubt."""
    calm, together = ~breaks, 1
    while 2 * together <= steps:
        calm = calm[:-together] & calm[together:]
        together *= 2
    return steps > 0 and not np.count_nonzero(calm)


def _last_stretch(breaks: NDArray[np.bool_], place: int) -> slice:
    """The rows from a sensor's last break on."""
    row = len(breaks)
    while row and not breaks[row - 1, place]:
        row -= 1
    return slice(row, len(breaks) + 1)


def surely_apart(within: Iterable[float]) -> NDArray[np.float32]:
    """[sensors] What `breaks_between` takes, for the distance of a run's readings from its first one."""
    found: NDArray[np.float32] = np.minimum([2 * ROUNDED * each for each in within], LARGEST).astype(
        np.float32
    )
    return found


def follow(readings: list[float], run: int, anchor: float, within: float) -> tuple[list[int], float]:
    """How long the run of readings is at each of them, and what the run under way began with.

    Args:
        readings: One sensor's, in order; NaN where one is missing.
        run: Number of readings before them that the run has.
        anchor: The first of these; NaN where there is none.
        within: How far from it a reading of the run may be.
    """
    runs = []
    for reading in readings:
        if -within <= reading - anchor <= within:
            run += 1
        elif not isnan(reading):
            anchor, run = reading, 1
        runs.append(run)
    return runs, anchor


def _known(number: float) -> float | None:
    return number if isfinite(number) else None


def _numbers(pairs: Any) -> tuple[list[float], list[int]]:
    firsts, seconds = [], []
    for first, second in pairs:
        if type(second) is not int or not (first is None or type(first) in (int, float)):
            raise ValueError("not numbers")
        firsts.append(nan if first is None else float(first))
        seconds.append(second)
    return firsts, seconds

"""Sensors that stand still or jump: what a single reading does not show, the ones before it do.

A reading counts for a run whether or not it can be used, and a missing one neither lengthens nor ends it. The
last usable reading is what the next one must be within reach of.
"""

from __future__ import annotations

from math import inf, isfinite, nan
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edge_runtime.bundle.caps import LARGEST
from edge_runtime.engine.runs import Breaks, all_short, follow, last_break, long_stretches
from edge_runtime.records import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edge_runtime.bundle.judging import SensorStatus
    from edge_runtime.records import Readings

__all__ = ["SensorWatch"]

NANOSECONDS = 1e9
ENDLESS = 2**62
FEW_ROWS = 8
# An object with its list, its name and its places in a dictionary and a set; two tuples, where there are any.
STATE_BYTES, RATED_BYTES = 356, 112
# A number and its place take 32 or 40 bytes.
SENSOR_BYTES, RATE_BYTES = 72, 72
NEVER, AFTER_ALL = -(2**63), 2**63
FLAT, TOO_STEEP = np.int8(Reason.FLAT), np.int8(Reason.TOO_STEEP)


class _Watched:
    """What is known of one machine's sensors.

    Attributes:
        runs: Of each sensor that can be flat in turn: the first reading of the run under way, NaN before one,
            and its number of readings. One list takes less memory than two.
        last: The last usable reading, of each sensor with a rate; NaN before the first one.
        at: When that was, nanoseconds since the epoch.
        spare: So many rows may come before any sensor can be flat.
    """

    __slots__ = ("at", "last", "runs", "spare")

    def __init__(self, flat: int, rated: int) -> None:
        self.runs: list[Any] = [nan, 0] * flat
        self.last: tuple[float, ...] = (nan,) * rated
        self.at: tuple[int, ...] = (0,) * rated
        self.spare = 0

    def copy(self) -> _Watched:
        """Another one that knows the same."""
        other = _Watched.__new__(_Watched)
        other.runs, other.last, other.at = self.runs[:], self.last, self.at
        other.spare = 0
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
        self._breaks = Breaks([limit.within for limit in limits])
        self._rated = [
            (place, limit.max_rate) for place, limit in enumerate(limits) if limit.max_rate is not None
        ]
        self._cadence = cadence_seconds
        self.machine_bytes = STATE_BYTES + SENSOR_BYTES * len(self._flat)
        if self._rated:
            self.machine_bytes += RATED_BYTES + RATE_BYTES * len(self._rated)
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
        found: NDArray[np.int8] | None = None
        for machine, part in groups:
            before = self._machines.get(machine)
            watched = _Watched(len(self._flat), len(self._rated)) if before is None else before.copy()
            for flat, place in self._find_flat(watched, values[part]):
                found = np.zeros(values.shape, np.int8) if found is None else found
                found[part][flat, place] = FLAT
            moved[machine] = watched
        if self._rated:
            found = np.zeros(values.shape, np.int8) if found is None else found
            known = None if faults is None else groups.gather(faults if index is None else faults[index])
            times = groups.gather(rows.times)
            for machine, part in groups:
                usable = None if known is None else known[part] == 0
                self._find_steep(moved[machine], values[part], times[part], usable, found[part])
        if found is None or not found.any():
            return faults, moved
        found = groups.scatter(found)
        everywhere = np.zeros(readings.values.shape, np.int8) if faults is None else faults.copy()
        new = slice(None) if index is None else index
        everywhere[new] = np.where(everywhere[new] == 0, found, everywhere[new])
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
        if watched is None or (watched.spare < 1 and self._count(watched) < 1):
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
        runs, at = watched.runs, 0
        for place, _, within in self._flat:
            reading = readings[place]
            if -within <= reading - runs[at] <= within:
                runs[at + 1] += 1
            else:
                runs[at], runs[at + 1] = reading, 1
            at += 2
        if self._rated:
            watched.last = tuple([readings[place] for place, _ in self._rated])
            watched.at = (time,) * len(self._rated)
        self._changed.add(machine)

    def _count(self, watched: _Watched) -> int:
        runs = zip(self._flat, watched.runs[1::2], strict=True)
        watched.spare = min((most - run - 1 for (_, most, _), run in runs), default=ENDLESS)
        return watched.spare

    def _find_flat(
        self, watched: _Watched, values: NDArray[np.float32]
    ) -> list[tuple[NDArray[np.intp], int]]:
        """Moves a machine's runs on; returns the rows at which a sensor is flat, and which sensor that is."""
        stretches: list[tuple[int, int, int]] = []  # a sensor's number, first row, end
        rows = len(values)
        if rows <= FEW_ROWS:
            stretches = [(number, 0, rows) for number in range(len(self._flat))]
        else:
            breaks = self._breaks.between(values)
            if all_short(breaks, self._fewest - 1 - max(watched.runs[1::2], default=0)):
                ends, last = breaks[-1].tolist(), values[-1].tolist()
                for number, (place, _, _) in enumerate(self._flat):
                    if ends[place]:
                        watched.runs[2 * number : 2 * number + 2] = last[place], 1
                    else:
                        stretches.append((number, last_break(breaks, place), rows))
            else:
                for number, (place, most, _) in enumerate(self._flat):
                    found = long_stretches(breaks[:, place], most, watched.runs[2 * number + 1])
                    stretches += [(number, start, stop) for start, stop in found]
        return [
            flat for stretch in stretches if (flat := self._follow(watched, values, *stretch)) is not None
        ]

    def _follow(
        self, watched: _Watched, values: NDArray[np.float32], number: int, start: int, stop: int
    ) -> tuple[NDArray[np.intp], int] | None:
        """The same for some rows of one sensor; with a row other than the first, a run begins."""
        place, most, within = self._flat[number]
        anchor, run = (nan, 0) if start else watched.runs[2 * number : 2 * number + 2]
        column = values[start:stop, place]
        runs, anchor = follow(column.tolist(), run, anchor, within)
        watched.runs[2 * number : 2 * number + 2] = anchor, runs[-1]
        if max(runs) < most:
            return None
        return np.flatnonzero((np.asarray(runs) >= most) & ~np.isnan(column)) + start, place

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
        reached = []
        for (place, rate), *newest in zip(self._rated, watched.last, watched.at, strict=True):
            fine = found[:, place] == 0 if usable is None else usable[:, place] & (found[:, place] == 0)
            rows = zip(moments, values[:, place].tolist(), fine.tolist(), strict=True)
            last, at = newest
            for row, (moment, reading, is_fine) in enumerate(rows):
                if not is_fine:
                    continue
                # A row from before it follows only one of the future that was forgotten: the first one again.
                reach = rate * max(self._cadence, (moment - at) / NANOSECONDS) if moment >= at else inf
                if abs(reading - last) > reach:
                    found[row, place] = TOO_STEEP
                else:
                    last, at = reading, moment
            reached.append((last, at))
        watched.last, watched.at = (tuple(each) for each in zip(*reached, strict=True))

    def changed(self) -> set[str]:
        """As `Stage.changed`."""
        changed, self._changed = self._changed, set()
        return changed

    def state(self, machine: str) -> list[Any] | None:
        """Each run's first reading and its length; of sensors with a rate, what came last and when."""
        watched = self._machines.get(machine)
        if watched is None:
            return None
        return [
            [[_known(first), run] for first, run in zip(watched.runs[::2], watched.runs[1::2], strict=True)],
            [[_known(last), at] for last, at in zip(watched.last, watched.at, strict=True)],
        ]

    def restore(self, machine: str, value: Any, _version: int) -> None:
        """As `Stage.restore`."""
        runs, last = value
        if len(runs) != len(self._flat) or len(last) != len(self._rated):
            raise ValueError("it is that of other sensors")
        watched = _Watched(0, 0)
        watched.runs = [part for pair in runs for part in _pair(pair, 0, ENDLESS)]
        usable = [_pair(pair, NEVER, AFTER_ALL) for pair in last]
        watched.last, watched.at = tuple(pair[0] for pair in usable), tuple(pair[1] for pair in usable)
        self._machines[machine] = watched


def _known(number: float) -> float | None:
    return number if isfinite(number) else None


def _pair(pair: Any, least: int, beyond: int) -> tuple[float, int]:
    """A reading, NaN where there is none, and a whole number from the least one on, below another."""
    reading, number = pair
    if reading is not None and (type(reading) not in (int, float) or not abs(reading) <= LARGEST):
        raise ValueError("a reading is not one")
    if type(number) is not int or not least <= number < beyond:
        raise ValueError("a whole number is out of range")
    return nan if reading is None else float(reading), number

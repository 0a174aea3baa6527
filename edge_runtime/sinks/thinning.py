"""Which rows go to a sink that does not take all: of some machines, one of so many, changes, around alarms.

What it knows is of this process alone: after a restart a machine's first row counts as a change, and rows
from before the restart are not around an alarm any more.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.records import COMPLETE, Reason, Results

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from edge_runtime.engine.alarms import Change
    from edge_runtime.sinks.base import Only

__all__ = ["Thinning"]

NANOSECONDS = 1e9
# Of more machines than that the oldest are forgotten; only rows that are not judged can be of so many.
MAX_MACHINES = 10_000
# Rows that are kept in case that an alarm follows: some 100 MB at most with a hundred sensors.
MAX_RECENT = 100_000


class Thinning:
    """Leaves out rows.

    Args:
        only: Which rows go there.
    """

    def __init__(self, only: Only) -> None:
        self._only = only
        self._seen: dict[str, int] = {}
        self._last: dict[str, bytes] = {}
        self._around = _Around(round(only.around_s * NANOSECONDS)) if only.rows == "alarms" else None

    def begin(self, alarms: Iterable[dict[str, Any]]) -> None:
        """There are these alarms already, by their fields."""
        if self._around is not None:
            self._around.begin(alarms)

    def of(self, results: Results | None, changes: Sequence[Change]) -> Results | None:
        """Those rows that go there, of these and of earlier ones; None for none.

        Args:
            results: The next rows; None for none.
            changes: What changed in alarms with them.
        """
        if results is not None and self._only.machines:
            results = _taken(results, self._of_machines(results))
        if self._around is not None:
            results = self._around.of(results, changes)
        elif results is not None and self._only.rows == "changes":
            results = _taken(results, self._differing(results))
        if results is not None and self._only.every > 1:
            results = _taken(results, self._every(results))
        return results

    def _of_machines(self, results: Results) -> NDArray[np.bool_]:
        names, codes = results.readings.dictionary
        wanted = [any(fnmatchcase(name, one) for one in self._only.machines) for name in names]
        of_row: NDArray[np.bool_] = np.asarray(wanted, np.bool_)[codes]
        return of_row

    def _differing(self, results: Results) -> NDArray[np.bool_]:
        """Whether verdict or status differ from those of the machine's row before."""
        rows, sensors = results.readings.values.shape
        degraded = np.full(rows, COMPLETE) if results.degraded is None else results.degraded
        faults = np.zeros((rows, sensors), np.int8) if results.faults is None else results.faults
        found = np.column_stack([results.verdicts, results.reasons, degraded, faults]).astype(np.int16)
        groups = results.readings.groups
        ordered = groups.gather(found)
        differs = np.ones(rows, np.bool_)
        differs[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
        _bound(self._last)
        for machine, part in groups:
            differs[part.start] = self._last.get(machine) != ordered[part.start].tobytes()
            self._last[machine] = ordered[part.stop - 1].tobytes()
        return groups.scatter(differs)

    def _every(self, results: Results) -> NDArray[np.bool_]:
        """Whether a row is the first of so many of its machine."""
        groups, every = results.readings.groups, self._only.every
        taken = np.empty(len(results), np.bool_)
        _bound(self._seen)
        for machine, part in groups:
            seen, count = self._seen.get(machine, 0), part.stop - part.start
            taken[part] = (np.arange(seen, seen + count) % every) == 0
            self._seen[machine] = (seen + count) % every
        return groups.scatter(taken)


class _Around:
    """Rows around alarms; those of the last while are kept, as an alarm may follow.

    Args:
        around: How far before and after an alarm, in nanoseconds.
    """

    def __init__(self, around: int) -> None:
        self._around = around
        # Machine to its active alarms, and to where the rows around them begin and, if none is active, end.
        self._active: dict[str, set[str]] = {}
        self._spans: dict[str, list[tuple[int, int | None]]] = {}
        self._recent: list[Results] = []
        self._kept = 0  # rows in `_recent` when they were looked through last

    def begin(self, alarms: Iterable[dict[str, Any]]) -> None:
        """As `Thinning.begin`."""
        for fields in alarms:
            if fields["active"]:
                self._active.setdefault(fields["machine_id"], set()).add(fields["event_id"])
                self._spans[fields["machine_id"]] = [(-(2**63), None)]

    def of(self, results: Results | None, changes: Sequence[Change]) -> Results | None:
        """As `Thinning.of`."""
        began = [self._follow(change) for change in changes]
        kept, looked = self._recent, [] if results is None else [results]
        if any(began):  # what is kept may be around an alarm now, and is not around any other one
            kept, looked = [], [*kept, *looked]
        pool = Results.joined(looked) if self._spans and looked else None
        if pool is None:
            self._recent = [*kept, *looked]
            self._forget()
            return None
        around = self._rows_around(pool)
        self._end_spans(results)
        self._recent = kept if (rest := _taken(pool, ~around)) is None else [*kept, rest]
        self._forget()
        return _taken(pool, around)

    def _follow(self, change: Change) -> bool:
        """Whether rows are around an alarm from now on that were not before."""
        machine, alarm = change.fields["machine_id"], change.fields["event_id"]
        active, spans = self._active.setdefault(machine, set()), self._spans.setdefault(machine, [])
        begins = bool(change.fields["active"]) and not active
        if change.fields["active"] and alarm not in active:
            if begins:
                spans.append((change.time - self._around, None))
            active.add(alarm)
        elif not change.fields["active"] and alarm in active:
            active.remove(alarm)
            if not active:
                spans[-1] = spans[-1][0], change.time + self._around
        if not active:
            del self._active[machine]
        if not spans:
            del self._spans[machine]
        return begins

    def _rows_around(self, pool: Results) -> NDArray[np.bool_]:
        names, codes = pool.readings.dictionary
        times, found = pool.readings.times, np.zeros(len(pool), np.bool_)
        for place, name in enumerate(names):
            for start, stop in self._spans.get(name, ()):
                inside = (codes == place) & (times >= start)
                found |= inside if stop is None else inside & (times <= stop)
        return found

    def _end_spans(self, results: Results | None) -> None:
        """Forgets spans that the newest rows of their machine have passed."""
        if results is None:
            return
        names, codes = results.readings.dictionary
        newest = _newest(results)
        for code in np.unique(codes).tolist():
            spans = self._spans.get(names[code])
            if spans is None:
                continue
            spans[:] = [span for span in spans if span[1] is None or span[1] >= newest[code]]
            if not spans:
                del self._spans[names[code]]

    def _forget(self) -> None:
        """Forgets rows that are too old to be around an alarm; now and then, as looking takes time."""
        rows = sum(map(len, self._recent))
        if rows <= 2 * self._kept + 100:
            return
        pool = Results.joined(self._recent)
        _, codes = pool.readings.dictionary
        young = _taken(pool, _of_now(pool) & (pool.readings.times >= _newest(pool)[codes] - self._around))
        young = None if young is None else young.take(slice(max(0, len(young) - MAX_RECENT), None))
        self._recent = [] if young is None else [young]
        self._kept = sum(map(len, self._recent))


def _newest(results: Results) -> NDArray[np.int64]:
    """The newest time of each machine in the dictionary of names, but for times in the future."""
    names, codes = results.readings.dictionary
    newest, of_now = np.full(len(names), -(2**63), np.int64), _of_now(results)
    np.maximum.at(newest, codes[of_now], results.readings.times[of_now])
    return newest


def _of_now(results: Results) -> NDArray[np.bool_]:
    """Which rows have a time that can be right: one of the future says nothing about where a machine is."""
    of_now: NDArray[np.bool_] = results.reasons != Reason.TIME_IN_THE_FUTURE
    return of_now


def _taken(results: Results, rows: NDArray[np.bool_]) -> Results | None:
    if rows.all():
        return results
    return results.take(np.flatnonzero(rows)) if rows.any() else None


def _bound(known: dict[str, Any]) -> None:
    if len(known) > MAX_MACHINES:
        known.clear()

"""Judging stored rows a second time: what was expected of them, which a history does not store."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edge_runtime.engine.engine import Engine
from edge_runtime.engine.judged import Judged
from edge_runtime.errors import UsageError
from edge_runtime.records import NO_TIME, Readings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_runtime.history.reading import HistoryReader
    from edge_runtime.history.rows import Rows
    from edge_runtime.loading.load import Bundle

__all__ = ["LeftOut", "replayed"]


class LeftOut(NamedTuple):
    """Rows of a machine, one after the other, that another bundle judged.

    Attributes:
        machine_id: The machine.
        bundle: Digest of the bundle that judged them.
        since: Time of the oldest of them, nanoseconds since the epoch.
        until: Time of the newest of them.
        rows: How many there are.
    """

    machine_id: str
    bundle: str
    since: int
    until: int
    rows: int


def replayed(
    reader: HistoryReader,
    bundle: Bundle,
    machine_id: str,
    start: int,
    stop: int,
    *,
    leave_out: Callable[[LeftOut], None] | None = None,
) -> Iterator[Judged]:
    """A machine's rows with start <= time < stop, judged as they were, from the state kept before them.

    Wherever a state was kept, it is gone on from: so a row that is missing in the history, but was judged,
    makes a difference until the next one at most.

    Args:
        reader: The history.
        bundle: The one that judged the rows.
        machine_id: The machine.
        start: Nanoseconds since the epoch.
        stop: The same.
        leave_out: Called for rows that another bundle judged, which are then left out, in the order of time;
            several times in a row for many. None to raise an error instead.

    Yields:
        Some rows, oldest first. Alarms are not followed.

    Raises:
        UsageError: Another bundle judged some of the rows, and `leave_out` is None.
        LedgerError: The history cannot be read.
    """
    if stop <= start:
        return
    before = reader.states(machine_id, start, start)
    engine, reached = Engine(bundle), (NO_TIME, -1)
    for part in reader.rows(machine_id, before[0].time + 1 if before else NO_TIME + 1, stop):
        rows = part.rows
        first, last = int(rows.times[0]), int(rows.times[-1])
        if part.bundle != bundle.digest:
            if last >= start:
                if leave_out is None:
                    raise UsageError(
                        f"rows of {machine_id} were judged by another bundle, {part.bundle}",
                        where=f"bundle {bundle.digest}",
                        hint="give that one, or a time in which this one judged",
                    )
                begin = int(np.searchsorted(rows.times, start))
                since, count = int(rows.times[begin]), len(rows) - begin
                leave_out(LeftOut(machine_id, part.bundle, since, last, count))
            continue
        place = 0
        for state in [*reader.states(machine_id, first, last), None]:
            end = len(rows) if state is None else int(np.searchsorted(rows.times, state.time, "right"))
            if end > place:
                yield from _judged(engine, machine_id, rows.take(slice(place, end)), start)
                place = end
            if state is not None and (state.time, state.number) > reached:
                engine, reached = Engine(bundle), (state.time, state.number)
                engine.restore(state.states)


def _judged(engine: Engine, machine_id: str, rows: Rows, start: int) -> Iterator[Judged]:
    """All of them, of which those from `start` on are given."""
    judged = engine.feed(Readings.coded((machine_id,), None, rows.times, rows.values))
    skipped = int(np.searchsorted(rows.times, start))
    if skipped < len(rows):
        results = judged.results.take(slice(skipped, None)) if skipped else judged.results
        yield Judged(results, engine.bundle.metadata.sensor_names, None)

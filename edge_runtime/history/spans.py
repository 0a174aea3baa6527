"""Of which machines a history has rows, and from when until when."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edge_runtime.delivery.proof import DamageError
from edge_runtime.history.parts import parts, waiting
from edge_runtime.history.recent import recent_read
from edge_runtime.timeparse import EARLIEST, LATEST

if TYPE_CHECKING:
    import sqlite3

    from edge_runtime.history.asking import Asked
    from edge_runtime.history.parts import Waiting

    # Number, bundle and data of a commit; first and last time, and the number of rows.
    Commit = tuple[int, int, bytes]
    Span = tuple[int, int, int]

__all__ = ["MachineSpan", "spans_of"]

# So many are looked at, at once.
PIECE_MACHINES = 16


class MachineSpan(NamedTuple):
    """What rows there are of a machine.

    Attributes:
        machine_id: The machine.
        start: Time of its oldest row, nanoseconds since the epoch.
        stop: Time of its newest row.
        rows: How many there are.
    """

    machine_id: str
    start: int
    stop: int
    rows: int


def spans_of(asked: Asked) -> list[MachineSpan]:
    """As `HistoryReader.machines`."""
    query = "SELECT name, code FROM machines ORDER BY name"
    known = asked.ask(lambda db: db.execute(query).fetchall())
    found = []
    for first in range(0, len(known), PIECE_MACHINES):
        some = known[first : first + PIECE_MACHINES]
        packed, unpacked = asked.ask(partial(_spans, machines=[code for _, code in some]))
        times = _waiting_times(unpacked.commits)
        for (name, code), span in zip(some, packed, strict=True):
            if unpacked.replaced_from(code):
                # Some rows stand there twice, for a moment or until the next commit: so they are looked at.
                rows_of = [part.rows for part in parts(asked, code, EARLIEST, LATEST)]
                there = [(int(one.times[0]), int(one.times[-1]), len(one)) for one in rows_of]
            else:
                there = [one for one in (span, times.get(code)) if one is not None and one[2]]
            if there:
                starts, stops, rows = zip(*there, strict=True)
                found.append(MachineSpan(name, min(starts), max(stops), sum(rows)))
    return found


def _waiting_times(commits: list[Commit]) -> dict[int, tuple[int, int, int]]:
    """Of each machine's rows that are not packed yet, the first and the last time, and how many there are."""
    blocks = []
    for number, _, data in commits:
        with suppress(DamageError):
            blocks.append(recent_read(data, number))
    found = {}
    if blocks:
        machines = np.concatenate([one.machines for one in blocks])
        times = np.concatenate([one.rows.times for one in blocks])
        order = np.argsort(machines, kind="stable")
        codes, first, count = np.unique(machines[order], return_index=True, return_counts=True)
        times = times[order]
        for code, place, rows in zip(codes.tolist(), first.tolist(), count.tolist(), strict=True):
            found[code] = int(times[place]), int(times[place + rows - 1]), rows
    return found


def _spans(db: sqlite3.Connection, machines: list[int]) -> tuple[list[tuple[int, int, int]], Waiting]:
    query = "SELECT MIN(start), MAX(stop), SUM(rows) FROM blocks WHERE machine = ?"
    return [db.execute(query, (machine,)).fetchone() for machine in machines], waiting(db)

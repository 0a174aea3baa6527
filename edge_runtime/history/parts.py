"""The rows of a machine, piece by piece: nothing is held while they are unpacked, and a writer may go on."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edge_runtime.delivery.proof import DamageError
from edge_runtime.history.packing import rows_of_block
from edge_runtime.history.recent import recent_read
from edge_runtime.history.rows import Rows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from edge_runtime.history.asking import Asked, SensorOf

    # Start, stop, bundle and data of a block.
    Block = tuple[int, int, int, bytes]

__all__ = ["NOTHING", "Part", "Waiting", "parts", "waiting", "waiting_of"]

# So many blocks are fetched at once, of some tens of KB each.
PIECE_BLOCKS = 64
# From the block that holds a time, or the next one. The time of a row may be any.
BLOCKS = """SELECT start, stop, bundle, data FROM blocks WHERE machine = ?1 AND start >= COALESCE(
    (SELECT MAX(start) FROM blocks WHERE machine = ?1 AND start <= ?2), ?2) AND start < ?3 AND stop >= ?2
    ORDER BY start LIMIT ?4"""


class Part(NamedTuple):
    """Some rows of one machine, one after the other, which one bundle judged.

    Attributes:
        bundle: Its digest.
        sensors: What the columns of the readings are.
        rows: The rows.
    """

    bundle: str
    sensors: tuple[SensorOf, ...]
    rows: Rows


class Waiting(NamedTuple):
    """What is not packed yet, of all machines.

    Attributes:
        commits: Number, bundle and data of each.
        cuts: Number, machine and time: from this time on the commit replaces older rows of the machine, which
            are still there.
    """

    commits: list[tuple[int, int, bytes]]
    cuts: list[tuple[int, int, int]]

    def replaced_from(self, machine: int) -> list[int]:
        """The times from which on packed rows of a machine are replaced."""
        return [time for _, of, time in self.cuts if of == machine]


NOTHING = Waiting([], [])


def parts(
    asked: Asked, machine: int, start: int, stop: int, *, packed_from: int | None = None
) -> Iterator[Part]:
    """The rows with start <= time < stop, oldest first; what is damaged is left out and noted.

    Whatever is packed or joined in the meantime, it goes on after the last row that it gave.

    Args:
        asked: The history.
        machine: The machine's code.
        start: Nanoseconds since the epoch.
        stop: The same.
        packed_from: Of rows in blocks, only those from this time on; None for all.

    Raises:
        LedgerError: The history cannot be read.
    """
    after, given = start if packed_from is None else max(start, packed_from), False
    while True:
        blocks, last_piece = asked.ask(lambda db, after=after: _piece(db, machine, after, stop))  # type: ignore[misc]
        until = min([stop, *last_piece.replaced_from(machine)])
        for first, last, bundle, data in blocks:
            rows = _unpacked(asked, first, last, data)
            if rows is not None and len(rows := _between(rows, after, until)):
                yield Part(*asked.layout(bundle), rows)
            after, given = last + 1, True
        if len(blocks) < PIECE_BLOCKS:
            begin = min(after, until) if given else start
            yield from waiting_of(asked, machine, begin, stop, last_piece)
            return


def _piece(db: sqlite3.Connection, machine: int, after: int, stop: int) -> tuple[list[Block], Waiting]:
    """The next blocks; and with the last ones, what is not packed at the same moment."""
    blocks = db.execute(BLOCKS, (machine, after, stop, PIECE_BLOCKS)).fetchall()
    return blocks, waiting(db, commits=len(blocks) < PIECE_BLOCKS)


def waiting(db: sqlite3.Connection, *, commits: bool = True) -> Waiting:
    """What is not packed yet, of all machines; the commits only where they are asked for."""
    query = "SELECT number, bundle, data FROM recent ORDER BY number"
    cuts = db.execute("SELECT number, machine, time FROM cuts").fetchall()
    return Waiting(db.execute(query).fetchall() if commits else [], cuts)


def waiting_of(asked: Asked, machine: int, start: int, stop: int, found: Waiting) -> Iterator[Part]:
    """What `waiting` gave, of one machine, with start <= time < stop; without what is replaced."""
    for bundle, of in groupby(found.commits, key=lambda commit: commit[1]):
        layout, blocks = asked.layout(bundle), []
        for number, _, data in of:
            try:
                machines, rows = recent_read(data, number)
            except DamageError:
                asked.note_damage(start, stop)
                continue
            wanted = machines == machine
            for by, replaced, time in found.cuts:
                if replaced == machine and number < by:
                    wanted &= rows.times < time
            if wanted.any():
                blocks.append(rows.take(wanted))
        if blocks and len(own := _between(Rows.joined(blocks), start, stop)):
            yield Part(*layout, own)


def _unpacked(asked: Asked, first: int, last: int, data: bytes) -> Rows | None:
    try:
        return rows_of_block(data)
    except DamageError:
        asked.note_damage(first, last)
        return None


def _between(rows: Rows, start: int, stop: int) -> Rows:
    first, end = np.searchsorted(rows.times, (start, stop)).tolist()
    return rows if (first, end) == (0, len(rows)) else rows.take(slice(first, end))

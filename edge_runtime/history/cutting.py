"""What is taken out of a history again: what the ledger does not know, and what is judged a second time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.history.packing import add_block, add_rollups, rows_of_block
from edge_runtime.history.recent import Recent, recent_read, recent_written
from edge_runtime.history.schema import HOUR_S, MINUTE_S

if TYPE_CHECKING:
    import sqlite3

    from edge_runtime.history.rows import Rows

__all__ = ["cut_after", "cut_what_is_replaced"]

SECOND = 1_000_000_000


def cut_after(db: sqlite3.Connection, number: int) -> int:
    """Takes out everything that was stored after a commit, within a transaction.

    Args:
        db: The open history.
        number: Of the last commit that stays.

    Returns:
        How many rows went.

    Raises:
        DamageError: What stays of a block cannot be read.
        sqlite3.Error: It cannot be read or written.
    """
    gone = 0
    for of, data in db.execute("SELECT number, data FROM recent WHERE number > ?", (number,)).fetchall():
        gone += len(recent_read(data, of).rows)
    for table in ("recent", "states", "changes", "statuses", "gaps", "cuts"):
        db.execute(f"DELETE FROM {table} WHERE number > ?", (number,))  # noqa: S608
    # Blocks are made of commits that the ledger has; only one that was put back from a backup has fewer.
    found = db.execute("SELECT id, machine, bundle, data FROM blocks WHERE last > ?", (number,)).fetchall()
    earliest: dict[int, int] = {}
    for block, machine, bundle, data in found:
        rows = rows_of_block(data)
        stays = rows.numbers <= number
        gone += _keep_part(db, block, machine, bundle, rows.take(stays), len(rows))
        first = int(rows.times[~stays][0])
        earliest[machine] = min(first, earliest.get(machine, first))
    for machine, time in earliest.items():
        _roll_again(db, machine, time)
    return gone


def cut_what_is_replaced(db: sqlite3.Connection) -> int:
    """Takes out rows that were judged a second time, within a transaction; the ledger has the new ones.

    Returns:
        How many rows went.

    Raises:
        DamageError: What stays cannot be read.
        sqlite3.Error: It cannot be read or written.
    """
    cuts = db.execute("SELECT number, machine, time FROM cuts ORDER BY number").fetchall()
    db.execute("DELETE FROM cuts")
    return sum(_cut(db, *one) for one in cuts)


def _cut(db: sqlite3.Connection, before: int, machine: int, time: int) -> int:
    """Takes out a machine's rows from a time on that were stored before a commit."""
    gone = 0
    for number, data in db.execute("SELECT number, data FROM recent WHERE number < ?", (before,)).fetchall():
        recent = recent_read(data, number)
        stays = (recent.machines != machine) | (recent.rows.times < time)
        if not stays.all():
            gone += len(stays) - int(stays.sum())
            left = Recent(recent.machines[stays], recent.rows.take(stays))
            db.execute("UPDATE recent SET data = ? WHERE number = ?", (recent_written(left), number))
    query = "SELECT id, bundle, data FROM blocks WHERE machine = ? AND stop >= ?"
    for block, bundle, data in db.execute(query, (machine, time)).fetchall():
        rows = rows_of_block(data)
        gone += _keep_part(db, block, machine, bundle, rows.take(rows.times < time), len(rows))
    for table in ("states", "statuses"):
        query = f"DELETE FROM {table} WHERE machine = ? AND time >= ? AND number < ?"  # noqa: S608
        db.execute(query, (machine, time, before))
    _roll_again(db, machine, time)
    return gone


def _keep_part(db: sqlite3.Connection, block: int, machine: int, bundle: int, rows: Rows, before: int) -> int:
    db.execute("DELETE FROM blocks WHERE id = ?", (block,))
    if len(rows):
        add_block(db, machine, bundle, rows)
    return before - len(rows)


def _roll_again(db: sqlite3.Connection, machine: int, time: int) -> None:
    """Makes the rollups anew of the minute and the hour in which what stays ends."""
    for step in (MINUTE_S, HOUR_S):
        start = time // (step * SECOND) * step
        db.execute(
            "DELETE FROM rollups WHERE machine = ? AND step = ? AND start >= ?", (machine, step, start)
        )
    hour = time // (HOUR_S * SECOND) * HOUR_S * SECOND
    minute = time // (MINUTE_S * SECOND) * MINUTE_S * SECOND
    query = "SELECT bundle, data FROM blocks WHERE machine = ? AND stop >= ? ORDER BY start"
    for bundle, data in db.execute(query, (machine, hour)).fetchall():
        rows = rows_of_block(data)
        for step, begin in ((MINUTE_S, minute), (HOUR_S, hour)):
            part = rows.take(rows.times >= begin)
            if len(part):
                add_rollups(db, machine, bundle, part, steps=(step,))

"""What a damaged ledger of version 1 to 3, without checksums, still gives back, as far as SQLite reads it."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from edge_runtime.delivery.migrations import SCHEMA_VERSION, STEPS
from edge_runtime.delivery.proof import is_unread
from edge_runtime.errors import counted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["copy_rows"]

PLAIN = ("about", "counters", "states")
BY_ID = ("outbox", "dead_letters")


def copy_rows(damaged: Path, target: Path) -> str:
    """Makes a ledger of the same version of the rows that can be read; says how many.

    Raises:
        sqlite3.DatabaseError: There is nothing in it that could be read.
        OSError, sqlite3.Error: The new one cannot be written.
    """
    old = sqlite3.connect(damaged, isolation_level=None)
    new = sqlite3.connect(target, isolation_level=None)
    try:
        version = int(old.execute("PRAGMA user_version").fetchone()[0])
        if not 0 < version < SCHEMA_VERSION:
            raise sqlite3.DatabaseError("nothing in it can be read")
        new.execute("PRAGMA auto_vacuum = INCREMENTAL")
        new.execute("BEGIN")
        for step in STEPS[:version]:
            step(new)
        new.execute(f"PRAGMA user_version = {version}")
        tables = [table for table in PLAIN if table != "states" or version > 1]
        counts = {table: _plain(old, new, table) for table in tables}
        counts |= {table: _by_id(old, new, table) for table in BY_ID}
        new.execute("COMMIT")
    finally:
        old.close()
        new.close()
    return (
        f"{counted(counts['outbox'], 'entry that waits', 'entries that wait')} and "
        f"{counted(counts['dead_letters'], 'dead letter')}; how many are "
        "missing is not known, for a ledger of an earlier version does not say"
    )


def _plain(old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> int:
    rows = []
    try:
        for row in old.execute(f"SELECT * FROM {table}"):  # noqa: S608
            rows.append(row)  # noqa: PERF402 - those before one that cannot be read
    except sqlite3.DatabaseError as error:
        if is_unread(error):
            raise
    return sum(_insert(new, table, row) for row in rows)


def _by_id(old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> int:
    try:
        last = old.execute("SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence").fetchone()[0]
    except sqlite3.DatabaseError:
        last = 1 << 24

    def take(low: int, high: int) -> int:
        query = f"SELECT * FROM {table} WHERE id BETWEEN ? AND ? ORDER BY id"  # noqa: S608
        return sum(_insert(new, table, row) for row in old.execute(query, (low, high)).fetchall())

    return _halves(take, 1, int(last))


def _halves(take: Callable[[int, int], int], low: int, high: int) -> int:
    """Takes a range; where it cannot be read, its halves, down to the single entries that cannot."""
    try:
        return take(low, high)
    except sqlite3.DatabaseError as error:
        if is_unread(error):
            raise
        if low >= high:
            return 0
        middle = (low + high) // 2
        return _halves(take, low, middle) + _halves(take, middle + 1, high)


def _insert(new: sqlite3.Connection, table: str, row: tuple[object, ...]) -> int:
    marks = ", ".join("?" * len(row))
    try:
        return new.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row).rowcount  # noqa: S608
    except sqlite3.IntegrityError:  # a column that cannot be empty is
        return 0

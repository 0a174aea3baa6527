"""How large a history may get, and what goes first: rows, then minutes, then hours, alarms last of all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.history.schema import HOUR_S, MINUTE_S
from edge_runtime.timeparse import EARLIEST

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Bounds", "keep_within", "used_bytes"]

SECOND, DAY = 1_000_000_000, 86_400 * 1_000_000_000
# Minutes reach back at least so many times as far as rows, and hours as far as minutes.
MINUTES_PER_ROWS, HOURS_PER_MINUTES = 4, 8
# At once so many blocks, or spans of so many seconds' length, so that no commit waits long.
STEP_BLOCKS, STEP_SPANS = 64, 4096


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a history may hold.

    Attributes:
        max_mb: Size of its file, MB of 10^6 bytes.
        max_days: Age of rows, by the newest row there is, or by the clock if that row is in the future;
            minutes may be four times as old.
    """

    max_mb: int = 1000
    max_days: int = 366


def used_bytes(db: sqlite3.Connection) -> int:
    """Size of the file without its free pages.

    Raises:
        sqlite3.Error: It cannot be read.
    """
    pages, free, size = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def keep_within(db: sqlite3.Connection, bounds: Bounds, now: int) -> bool:
    """Takes out some of what is too much, the oldest first, within a transaction: no commit waits long.

    Args:
        db: The open history.
        bounds: How large it may get.
        now: The clock, nanoseconds since the epoch: a row with a wrong time, years ahead, makes no other old.

    Returns:
        Whether something went.

    Raises:
        sqlite3.Error: It cannot be written.
    """
    newest = _extreme(db, "SELECT MAX(stop) FROM blocks")
    if newest is None:
        return False
    # No row is older than what int64 holds, however many days are wanted.
    latest = min(newest, now)
    went = _without_rows_before(db, max(EARLIEST, latest - bounds.max_days * DAY))
    went |= _without_spans_before(
        db, MINUTE_S, max(EARLIEST, latest - MINUTES_PER_ROWS * bounds.max_days * DAY) // SECOND
    )
    if used_bytes(db) > bounds.max_mb * 1_000_000:
        went |= _without_oldest(db, newest)
    return went


def _without_oldest(db: sqlite3.Connection, newest: int) -> bool:
    rows = newest - (_extreme(db, "SELECT MIN(stop) FROM blocks") or newest)
    minutes, hours = (
        newest - SECOND * (_oldest(db, step) or newest // SECOND) for step in (MINUTE_S, HOUR_S)
    )
    if rows * MINUTES_PER_ROWS > minutes and _without_rows_before(db, newest):
        return True
    if minutes * HOURS_PER_MINUTES > hours and _without_spans_before(db, MINUTE_S, newest // SECOND):
        return True
    if _without_spans_before(db, HOUR_S, newest // SECOND):
        return True
    gone = 0
    for table in ("changes", "statuses"):
        oldest = f"SELECT id FROM {table} ORDER BY id LIMIT {STEP_BLOCKS}"  # noqa: S608
        gone += db.execute(f"DELETE FROM {table} WHERE id IN ({oldest})").rowcount  # noqa: S608
    return gone > 0


def _without_rows_before(db: sqlite3.Connection, time: int) -> bool:
    found = db.execute(
        "SELECT id, machine, stop FROM blocks WHERE stop < ? ORDER BY stop LIMIT ?", (time, STEP_BLOCKS)
    ).fetchall()
    db.executemany("DELETE FROM blocks WHERE id = ?", [(one[0],) for one in found])
    # The last state before what stays is still of use.
    db.executemany(
        "DELETE FROM states WHERE machine = ?1 AND time <"
        " (SELECT MAX(time) FROM states WHERE machine = ?1 AND time <= ?2)",
        [(machine, stop) for _, machine, stop in found],
    )
    return bool(found)


def _without_spans_before(db: sqlite3.Connection, step: int, start: int) -> bool:
    oldest = _oldest(db, step)
    if oldest is None or oldest >= start:
        return False
    machines = int(db.execute("SELECT COUNT(*) FROM machines").fetchone()[0])
    some = min(start, oldest + step * max(1, STEP_SPANS // machines))
    db.execute(
        "DELETE FROM rollups WHERE machine IN (SELECT code FROM machines) AND step = ? AND start < ?",
        (step, some),
    )
    return True


def _oldest(db: sqlite3.Connection, step: int) -> int | None:
    """Start of the oldest span of all machines, each of which is asked by itself: so no index is needed."""
    return _extreme(
        db,
        "SELECT MIN((SELECT MIN(start) FROM rollups WHERE machine = code AND step = ?)) FROM machines",
        step,
    )


def _extreme(db: sqlite3.Connection, query: str, *of: int) -> int | None:
    found = db.execute(query, of).fetchone()[0]
    return None if found is None else int(found)

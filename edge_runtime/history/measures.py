"""How much a history takes, for those who ask for how long there is room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.history.bounds import DAY, SECOND
from edge_runtime.history.schema import HOUR_S, MINUTE_S, PAGE_BYTES

if TYPE_CHECKING:
    import sqlite3

    from edge_runtime.history.asking import Asked

__all__ = ["bytes_per_day"]

# What is looked at: the newest blocks, of a day at most, and some states and spans.
BLOCKS, OTHERS = 4096, 256
LEAST_NS = 60 * SECOND
# After about so many rows of a machine its state is stored.
STATE_ROWS = 4096
BESIDE_BLOB = 40  # bytes of a record beside its blob, and of its place in an index
OF_PAGE = PAGE_BYTES - 4  # what a long blob gets of a page
LONG = PAGE_BYTES // 3  # of such blobs, few share a page


def bytes_per_day(asked: Asked) -> float | None:
    """As `HistoryReader.bytes_per_day`."""
    return asked.ask(_estimated)


def _estimated(db: sqlite3.Connection) -> float | None:
    found = db.execute("SELECT MAX(stop) FROM blocks").fetchone()[0]
    if found is None:
        return None
    newest = int(found)
    blocks = db.execute(
        "SELECT start, stop, rows, LENGTH(data) FROM blocks WHERE stop > ? ORDER BY stop DESC LIMIT ?",
        (newest - DAY, BLOCKS),
    ).fetchall()
    oldest = blocks[-1][1] if len(blocks) == BLOCKS else min(one[0] for one in blocks)
    since = max(newest - DAY, int(oldest))
    if newest - since < LEAST_NS:
        return None
    size = rows = 0.0
    for start, stop, count, length in blocks:
        share = min(1.0, (stop - since) / max(1, stop - start))
        size += share * _stored(length)
        rows += share * count
    for step in (MINUTE_S, HOUR_S):
        spans = db.execute(
            "SELECT COUNT(*) FROM rollups WHERE step = ? AND start >= ?", (step, since // SECOND)
        ).fetchone()[0]
        size += spans * (_mean(db, "rollups") + BESIDE_BLOB)
    states = rows / STATE_ROWS
    size += states * (_mean(db, "states") + BESIDE_BLOB)
    return size * DAY / (newest - since)


def _stored(length: int) -> int:
    """What a blob takes in the file: a long one whole pages."""
    length += BESIDE_BLOB
    return length if length < LONG else -(-length // OF_PAGE) * PAGE_BYTES


def _mean(db: sqlite3.Connection, table: str) -> float:
    some = f"SELECT LENGTH(data) AS size FROM {table} LIMIT {OTHERS}"  # noqa: S608 - of the names above
    return float(db.execute(f"SELECT COALESCE(AVG(size), 0) FROM ({some})").fetchone()[0])  # noqa: S608

"""From the rows of commits to blocks of machines: packed when there are enough, and small ones joined."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from edge_runtime.delivery.proof import DamageError
from edge_runtime.history.columns import packed, unpacked
from edge_runtime.history.recent import by_machine, recent_read
from edge_runtime.history.rollups import rolled, rollups_read
from edge_runtime.history.rows import Rows
from edge_runtime.history.schema import HOUR_S, LARGE, MINUTE_S, SMALL

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

__all__ = ["BLOCK_ROWS", "Crowded", "add_block", "add_rollups", "join_small", "pack_recent", "rows_of_block"]

BLOCK_ROWS = 4096  # of a large block, at least; and fewer than twice as many
SMALL_BLOCKS = 16  # so many are joined, however few rows they have

# Machines and bundles whose small blocks are to be joined.
Crowded = list[tuple[int, int]]


def pack_recent(db: sqlite3.Connection) -> Crowded:
    """Makes blocks and rollups of all rows that wait for it, within a transaction.

    Returns:
        What is to be joined now.

    Raises:
        DamageError: Rows are not as they were written.
        sqlite3.Error: It cannot be written.
    """
    waiting = db.execute("SELECT number, bundle, data FROM recent ORDER BY number").fetchall()
    for bundle, commits in groupby(waiting, key=lambda row: int(row[1])):
        for machine, rows in by_machine([recent_read(data, number) for number, _, data in commits]):
            add_block(db, machine, bundle, rows)
            add_rollups(db, machine, bundle, rows)
    db.execute("DELETE FROM recent")
    return [
        (machine, bundle)
        for machine, bundle in db.execute(
            "SELECT machine, bundle FROM blocks WHERE level = 0 GROUP BY machine, bundle"
            " HAVING SUM(rows) >= ? OR COUNT(*) >= ?",
            (BLOCK_ROWS, SMALL_BLOCKS),
        )
    ]


def add_block(
    db: sqlite3.Connection, machine: int, bundle: int, rows: Rows, level: int | None = None
) -> None:
    """Stores rows of a machine, at least one, as a small block, or as large ones when there are enough.

    Args:
        db: The open history.
        machine: The machine's code.
        bundle: The bundle's code.
        rows: The rows.
        level: Whether they count as small or large whatever their number; None for by it.

    Raises:
        sqlite3.Error: It cannot be written.
    """
    if level is None:
        level = SMALL if len(rows) < BLOCK_ROWS else LARGE
    for part in _parts(rows):
        db.execute(
            "INSERT INTO blocks (machine, bundle, start, stop, first, last, level, rows, data)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                machine,
                bundle,
                int(part.times[0]),
                int(part.times[-1]),
                int(part.numbers[0]),
                int(part.numbers[-1]),
                level,
                len(part),
                packed(part, quickly=level == SMALL),
            ),
        )


def join_small(db: sqlite3.Connection, machine: int, bundle: int) -> None:
    """Makes large blocks of a machine's small ones, within a transaction.

    A large block before them that is not full yet is joined as well: so a machine that has a row an hour gets
    full blocks, too. Blocks with another bundle's rows between them stay apart, so that no two overlap.

    Raises:
        DamageError: A block is not as it was written.
        sqlite3.Error: It cannot be written.
    """
    own = "FROM blocks WHERE machine = ? AND bundle = ?"
    first = db.execute(f"SELECT MIN(start) {own} AND level = 0", (machine, bundle)).fetchone()[0]
    if first is None:
        return
    earlier = "SELECT MAX(start) FROM blocks WHERE machine = ? AND start < ?"
    before = db.execute(earlier, (machine, first)).fetchone()[0]
    found = db.execute(
        "SELECT id, level, bundle, rows FROM blocks WHERE machine = ? AND start >= ? ORDER BY start",
        (machine, first if before is None else before),
    ).fetchall()
    # Only blocks that follow each other directly are joined: a block that came large can stand between them.
    run: list[int] = []
    for number, level, of, rows in [*found, (0, LARGE, bundle, BLOCK_ROWS)]:
        if of == bundle and level == SMALL:
            run.append(number)
            continue
        _join(db, machine, bundle, run)
        run = [number] if of == bundle and rows < BLOCK_ROWS else []


def _join(db: sqlite3.Connection, machine: int, bundle: int, blocks: list[int]) -> None:
    marks = ", ".join("?" * len(blocks))
    query = f"SELECT level, data FROM blocks WHERE id IN ({marks}) ORDER BY start"  # noqa: S608
    found = db.execute(query, blocks).fetchall()
    if any(level == SMALL for level, _ in found):
        rows = Rows.joined([rows_of_block(data) for _, data in found])
        db.execute(f"DELETE FROM blocks WHERE id IN ({marks})", blocks)  # noqa: S608
        add_block(db, machine, bundle, rows, LARGE)


def add_rollups(
    db: sqlite3.Connection, machine: int, bundle: int, rows: Rows, steps: tuple[int, ...] = (MINUTE_S, HOUR_S)
) -> None:
    """Adds rows of a machine, at least one, to its minutes and hours, within a transaction.

    Raises:
        sqlite3.Error: They cannot be written.
    """
    for step in steps:
        spans = rolled(rows, step)
        first = int(spans.starts[0])
        key = (machine, step, first, bundle)
        known = db.execute(
            "SELECT data FROM rollups WHERE machine = ? AND step = ? AND start = ? AND bundle = ?", key
        ).fetchone()
        written = spans.written()
        if known is not None:  # times rise, so that only the first span can be there
            earlier = rollups_read([first], [known[0]], rows.values.shape[1])
            written[0] = earlier.with_more(spans.take(slice(0, 1))).written()[0]
        db.executemany(
            "INSERT OR REPLACE INTO rollups (machine, step, start, bundle, data) VALUES (?, ?, ?, ?, ?)",
            [
                (machine, step, start, bundle, data)
                for start, data in zip(spans.starts.tolist(), written, strict=True)
            ],
        )


def rows_of_block(data: bytes) -> Rows:
    """The rows of a block.

    Raises:
        DamageError: It is not as it was written.
    """
    try:
        return unpacked(data)
    except ValueError as error:
        raise DamageError(str(error)) from None


def _parts(rows: Rows) -> Iterator[Rows]:
    """Of so many rows that none is less than full, and none twice as long, where there are enough."""
    full = max(1, len(rows) // BLOCK_ROWS)
    for number in range(full):
        stop = len(rows) if number == full - 1 else (number + 1) * BLOCK_ROWS
        yield rows.take(slice(number * BLOCK_ROWS, stop))

"""What a person does with a ledger's entries: look at them, send dead letters again, drop some."""

from __future__ import annotations

import sqlite3
import zlib
from typing import TYPE_CHECKING, Any

from edge_runtime.delivery.entries import Kept, Parcel
from edge_runtime.delivery.ledger import Ledger
from edge_runtime.delivery.outbox import DAMAGED
from edge_runtime.errors import LedgerUnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge_runtime.delivery.book import Book

__all__ = ["MAX_TEXT", "Change", "as_text", "overview", "payload_of"]

MAX_TEXT = 64 << 20  # of a payload that is decompressed
TABLES = {"waiting": "outbox", "dead": "dead_letters"}


def overview(db: sqlite3.Connection) -> dict[str, Any]:
    """What waits, sink by sink, and every dead letter.

    Args:
        db: A ledger of any version, to be read.

    Raises:
        sqlite3.Error: It cannot be read.
    """
    waiting = db.execute(
        "SELECT sink, COUNT(*), SUM(rows), SUM(LENGTH(payload)), MIN(id), MAX(id) FROM outbox"
        " GROUP BY sink ORDER BY sink"
    )
    names = ("sink", "entries", "rows", "bytes", "oldest", "newest")
    document: dict[str, Any] = {"waiting": [dict(zip(names, row, strict=True)) for row in waiting]}
    letters = db.execute("SELECT id, sink, rows, LENGTH(payload), error FROM dead_letters ORDER BY id")
    columns = ("id", "sink", "rows", "bytes", "error")
    document["dead_letters"] = [dict(zip(columns, row, strict=True)) for row in letters]
    return document


def payload_of(db: sqlite3.Connection, number: int) -> bytes:
    """The payload of an entry that waits or of a dead letter.

    Raises:
        UsageError: There is no such entry.
        sqlite3.Error: The ledger cannot be read.
    """
    for table in TABLES.values():
        found = db.execute(f"SELECT payload FROM {table} WHERE id = ?", (number,)).fetchone()  # noqa: S608
        if found is not None:
            return found[0] if isinstance(found[0], bytes) else str(found[0]).encode()
    raise _unknown(number)


def as_text(payload: bytes) -> str:
    """A payload for a person: decompressed, if it is compressed; hexadecimal digits, if it is no text."""
    unpacking = zlib.decompressobj()
    try:
        plain = unpacking.decompress(payload, MAX_TEXT)
    except zlib.error:
        plain = payload
    try:
        return plain.decode()
    except UnicodeDecodeError:
        return payload.hex(" ")


class Change:
    """Changes entries of a ledger that no process has open.

    Args:
        path: Its file.
        report: Called with one line when it is damaged.

    Raises:
        LedgerError: It is in use, or cannot be used.
    """

    def __init__(self, path: Path, report: Callable[[str], None]) -> None:
        self._path = path
        self._ledger = Ledger(path, None, report=report)

    def close(self) -> None:
        """Ends it; what was deleted cannot be found in the file any more, even if it is damaged later."""
        self._ledger.close()

    def send_again(self, numbers: Sequence[int] | None) -> tuple[int, int]:
        """Puts dead letters back into the outbox, at its end; None for all but those damaged on the disk.

        Returns:
            How many, and how many rows.

        Raises:
            UsageError: One of them is not there; nothing was done.
            LedgerUnavailableError: The disk is full or does not answer; nothing was done.
        """
        return self._each("dead_letters", numbers, again=True)

    def drop(self, numbers: Sequence[int] | None, tables: Sequence[str]) -> tuple[int, int]:
        """Drops entries of `waiting`, `dead`, or both, and counts their rows as dropped; None for all.

        Returns, Raises:
            As `send_again`.
        """
        if numbers is None:
            totals = [self._each(TABLES[table], None) for table in tables]
        else:
            dead, waiting = self._found(numbers, tables)
            totals = [self._each("dead_letters", dead), self._each("outbox", waiting)]
        return sum(count for count, _ in totals), sum(rows for _, rows in totals)

    def count(self, numbers: Sequence[int] | None, tables: Sequence[str]) -> int:
        """How many entries `drop` would drop.

        Raises:
            UsageError: One of them is not there.
        """
        if numbers is not None:
            return sum(map(len, self._found(numbers, tables)))
        with self._ledger.transaction() as (db, _, _):
            queries = (f"SELECT COUNT(*) FROM {TABLES[table]}" for table in tables)  # noqa: S608
            return sum(int(db.execute(query).fetchone()[0]) for query in queries)

    def _found(self, numbers: Sequence[int], tables: Sequence[str]) -> tuple[list[int], list[int]]:
        """The dead letters among these, and the entries that wait; each once."""
        numbers = list(dict.fromkeys(numbers))
        dead = [number for number in numbers if "dead" in tables and self._is_there("dead_letters", number)]
        waiting = [number for number in numbers if number not in dead]
        for number in waiting:
            if "waiting" not in tables or not self._is_there("outbox", number):
                raise _unknown(number)
        return dead, waiting

    def _is_there(self, table: str, number: int) -> bool:
        with self._ledger.transaction() as (db, _, _):
            query = f"SELECT 1 FROM {table} WHERE id = ?"  # noqa: S608
            return db.execute(query, (number,)).fetchone() is not None

    def _each(self, table: str, numbers: Sequence[int] | None, *, again: bool = False) -> tuple[int, int]:
        count = total = 0
        try:
            with self._ledger.transaction() as (db, book, outbox):
                # What a person drops or sends again must not come back out of a page that is free.
                db.execute("PRAGMA secure_delete = ON").fetchall()
                if numbers is None:
                    query = f"SELECT id FROM {table} ORDER BY id"  # noqa: S608
                    some = [row[0] for row in db.execute(query)]
                else:
                    some = sorted(set(numbers))
                for number in some:
                    query = f"SELECT * FROM {table} WHERE id = ?"  # noqa: S608
                    row = db.execute(query, (number,)).fetchone()
                    if row is None:
                        raise _unknown(number)
                    if again and numbers is None and row[4] == DAMAGED:
                        continue
                    _, sink, rows, payload, *_ = row
                    db.execute(f"DELETE FROM {table} WHERE id = ?", (number,))  # noqa: S608
                    _gone(book, table, Parcel(number, rows, payload))
                    book.count({f"dead.{sink}": -rows} if table == "dead_letters" else {})
                    if again:
                        outbox.put([(sink, payload, rows)])
                    else:
                        book.count({f"dropped.{sink}": rows})
                    count += 1
                    total += rows
                outbox.make_room()
        except sqlite3.Error as error:
            raise LedgerUnavailableError(f"cannot be written ({error})", where=str(self._path)) from None
        return count, total


def _gone(book: Book, table: str, parcel: Parcel) -> None:
    kept = Kept.of(book)
    if table == "outbox":
        kept.entries -= 1
        kept.bytes -= len(parcel.payload)
    else:
        kept.letters -= 1
        kept.dead_bytes -= len(parcel.payload)
    kept.into(book)


def _unknown(number: int) -> UsageError:
    return UsageError(f"there is no entry {number}", hint="`edge-detect outbox list` shows what there is")

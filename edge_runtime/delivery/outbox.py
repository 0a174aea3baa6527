"""The outbox: payloads that wait for their sinks, oldest first, and where each row of them went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

__all__ = ["Outbox", "Parcel", "SinkSums", "count"]


@dataclass(frozen=True, slots=True)
class Parcel:
    """A payload on its way to a sink.

    Attributes:
        id: Its place in the order; rises.
        rows: Number of rows in it.
        payload: What the sink encoded.
    """

    id: int
    rows: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class SinkSums:
    """Rows of one sink since the ledger was made.

    Attributes:
        encoded: That were put into the outbox.
        delivered: That the sink has.
        waiting: That are in the outbox.
        dead: That the sink refused for good.
        dropped: That went because the outbox was full.
    """

    encoded: int
    delivered: int
    waiting: int
    dead: int
    dropped: int

    @property
    def balanced(self) -> bool:
        """Whether every row is in one of the parts."""
        return self.encoded == self.delivered + self.waiting + self.dead + self.dropped

    def __str__(self) -> str:
        text = (
            f"{self.waiting:,} rows wait in the ledger; of {self.encoded:,} since it was made "
            f"{self.delivered:,} were delivered, {self.dead:,} are dead letters and {self.dropped:,} "
            "were dropped"
        )
        return text if self.balanced else f"{text}; these numbers do not balance: please report it"


class Outbox:
    """The outbox within a ledger; each method is part of a transaction or a reading of the ledger's.

    Args:
        db: The open ledger.
        max_bytes: Bound on the payloads that wait.
    """

    def __init__(self, db: sqlite3.Connection, max_bytes: int) -> None:
        self._db = db
        self._max_bytes = max_bytes
        self.bytes = int(db.execute("SELECT COALESCE(SUM(LENGTH(payload)), 0) FROM outbox").fetchone()[0])

    def parcels(self, sink: str, most: int, max_bytes: int) -> list[Parcel]:
        """The oldest of a sink: at most so many and so many bytes, but one when there is one."""
        found: list[Parcel] = []
        size = 0
        rows = self._db.execute(
            "SELECT id, rows, payload FROM outbox WHERE sink = ? ORDER BY id LIMIT ?", (sink, most)
        )
        for row in rows:
            parcel = Parcel(*row)
            size += len(parcel.payload)
            if found and size > max_bytes:
                break
            found.append(parcel)
        return found

    def add(self, payloads: Mapping[str, tuple[bytes, int]]) -> None:
        """Puts in payloads, each with its number of rows; the oldest go while too many bytes wait."""
        self._db.executemany(
            "INSERT INTO outbox (sink, rows, payload) VALUES (?, ?, ?)",
            [(sink, rows, payload) for sink, (payload, rows) in payloads.items()],
        )
        count(self._db, {f"encoded.{sink}": rows for sink, (_, rows) in payloads.items()})
        self.bytes += sum(len(payload) for payload, _ in payloads.values())
        self._make_room()

    def delivered(self, sink: str, parcels: Sequence[Parcel]) -> None:
        """Takes out parcels that the sink has."""
        self._take(sink, parcels)
        count(self._db, {f"delivered.{sink}": sum(parcel.rows for parcel in parcels)})

    def bury(self, sink: str, parcel: Parcel, error: str, refused: tuple[bytes, int]) -> None:
        """Puts what the sink will never take of a parcel among the dead letters: its payload and rows."""
        self._take(sink, [parcel])
        payload, rows = refused[0], min(refused[1], parcel.rows)
        self._db.execute(
            "INSERT INTO dead_letters VALUES (?, ?, ?, ?, ?)", (parcel.id, sink, rows, payload, error)
        )
        count(self._db, {f"dead.{sink}": rows, f"delivered.{sink}": parcel.rows - rows})

    def waiting(self, sink: str) -> int:
        """Number of rows that wait for a sink."""
        found = self._db.execute("SELECT COALESCE(SUM(rows), 0) FROM outbox WHERE sink = ?", (sink,))
        return int(found.fetchone()[0])

    def sums(self, sink: str) -> SinkSums:
        """Where the rows of a sink went."""
        names = [f"{part}.{sink}" for part in ("encoded", "delivered", "dead", "dropped")]
        marks = ", ".join("?" * len(names))
        rows = self._db.execute(f"SELECT name, value FROM counters WHERE name IN ({marks})", names)  # noqa: S608
        found = dict(rows.fetchall())
        encoded, delivered, dead, dropped = (found.get(name, 0) for name in names)
        return SinkSums(encoded, delivered, self.waiting(sink), dead, dropped)

    def _take(self, sink: str, parcels: Sequence[Parcel]) -> None:
        for parcel in parcels:
            if self._db.execute("DELETE FROM outbox WHERE id = ?", (parcel.id,)).rowcount:
                self.bytes -= len(parcel.payload)
            else:  # it went for room while it was under way: it arrived all the same
                count(self._db, {f"dropped.{sink}": -parcel.rows})

    def _make_room(self) -> None:
        """Drops the oldest parcels while too many bytes wait, and counts their rows."""
        if self.bytes <= self._max_bytes:
            return
        oldest = self._db.execute("SELECT id, sink, rows, LENGTH(payload) FROM outbox ORDER BY id").fetchall()
        for parcel, sink, rows, size in oldest[:-1]:
            if self.bytes <= self._max_bytes:
                break
            self._db.execute("DELETE FROM outbox WHERE id = ?", (parcel,))
            self.bytes -= size
            count(self._db, {f"dropped.{sink}": rows})


def count(db: sqlite3.Connection, counters: Mapping[str, int]) -> None:
    """Adds to counters; those that are not there yet begin at 0."""
    db.executemany(
        "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
        [(name, number) for name, number in counters.items() if number],
    )

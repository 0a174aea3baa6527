"""The outbox: payloads that wait for their sinks, oldest first, and the dead letters; both have bounds.

What is summed over the entries stands in the book, so that no question costs more while many wait.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from edge_runtime.delivery.entries import Bounds, Entry, Kept, Parcel
from edge_runtime.delivery.proof import proof_of_parcel
from edge_runtime.delivery.sums import SinkSums, sums_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from edge_runtime.delivery.book import Book

__all__ = ["FOR_ROOM", "Bounds", "Entry", "Outbox", "Parcel", "SinkSums"]

DAMAGED = "damaged on the disk"
FOR_ROOM = "dropped for room"
STEP = 1000  # entries that are looked at together when the oldest go


class Outbox:
    """The outbox within a ledger; each method is part of a transaction or a reading of the ledger's.

    Args:
        db: The open ledger.
        book: Its book.
        bounds: How much is kept.
    """

    def __init__(self, db: sqlite3.Connection, book: Book, bounds: Bounds) -> None:
        self._db = db
        self._book = book
        self._bounds = bounds
        # Up to which id nothing waits for a sink, so that another's backlog is not read again each time.
        self._after: dict[str, int] = {}

    def parcels(
        self, sink: str, most: int, max_bytes: int, after: int | None = None
    ) -> tuple[list[Parcel], list[Parcel]]:
        """The oldest of a sink, or those after an id: at most so many and so many bytes, but at least one.

        Returns:
            Those that are as they were written; or, where the oldest is not, the oldest ones that are not.
        """
        found: list[Parcel] = []
        damaged: list[Parcel] = []
        size = 0
        if f"encoded.{sink}" not in self._book.counters:
            return [], []
        kept = Kept.of(self._book)
        done = int(self._book.about.get(f"done.{sink}", "0"))
        start = max(kept.floor, done, self._after.get(sink, 0), after or 0)
        rows = self._db.execute(
            "SELECT id, rows, payload, crc FROM outbox WHERE id > ? AND sink = ? ORDER BY id LIMIT ?",
            (start, sink, most),
        )
        for number, count, payload, crc in rows:
            if not _sound(number, sink, count, payload, crc, kept.old):
                if found:
                    break  # when it is the oldest: parcels go in the order of their ids
                damaged.append(Parcel(number, count, payload))
                continue
            if damaged:
                break
            size += len(payload)
            if found and size > max_bytes:
                break
            found.append(Parcel(number, count, payload))
        if not found and not damaged and after is None:
            self._after[sink] = kept.last
        return found, damaged

    def add(self, entries: Sequence[Entry | tuple[str, bytes, int]]) -> None:
        """Puts in payloads, each with its number of rows; the oldest go while too many bytes wait."""
        self.put(entries)
        for sink, _, rows in entries:
            self._book.count({f"encoded.{sink}": rows})
        self.make_room()

    def put(self, entries: Iterable[Entry | tuple[str, bytes, int]]) -> None:
        """Puts in payloads at the end, without counting them as new."""
        kept = Kept.of(self._book)
        waiting = self._waiting_bytes(kept)
        for sink, payload, rows in entries:
            kept.last += 1
            kept.entries += 1
            kept.bytes += len(payload)
            waiting[sink] = waiting.get(sink, 0) + len(payload)
            crc = proof_of_parcel(kept.last, sink, rows, payload)
            self._db.execute(
                "INSERT INTO outbox (id, sink, rows, payload, crc) VALUES (?, ?, ?, ?, ?)",
                (kept.last, sink, rows, payload, crc),
            )
        kept.into(self._book)
        self._note_bytes(kept, waiting)

    def delivered(self, sink: str, parcels: Sequence[Parcel]) -> None:
        """Takes out parcels that the sink has."""
        self._take(sink, parcels)
        self._book.count({f"delivered.{sink}": sum(parcel.rows for parcel in parcels)})

    def bury(self, sink: str, parcel: Parcel, error: str, refused: tuple[bytes, int] | None = None) -> None:
        """Puts what the sink will never take of a parcel among the dead letters, whose oldest may go for it.

        Args:
            sink: Its name.
            parcel: The whole parcel, which leaves the outbox.
            error: Why.
            refused: Payload and number of the rows that are refused, the others being delivered; None for
                all.
        """
        payload, rows = refused or (parcel.payload, parcel.rows)
        rows = min(rows, parcel.rows)
        crc = proof_of_parcel(parcel.id, sink, rows, payload)
        self._take(sink, [parcel])
        self._db.execute(
            "INSERT OR REPLACE INTO dead_letters (id, sink, rows, payload, error, crc)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (parcel.id, sink, rows, payload, error, crc),
        )
        self._book.count({f"dead.{sink}": rows, f"delivered.{sink}": parcel.rows - rows})
        kept = Kept.of(self._book)
        kept.letters += 1
        kept.dead_bytes += len(payload)
        kept.into(self._book)
        self._forget_letters()

    def bury_damaged(self, sink: str, parcels: Sequence[Parcel]) -> int:
        """Puts parcels that do not fit their checksums among the dead letters; returns their rows.

        The number of rows may be what is damaged: no more are counted than wait.
        """
        total = 0
        for parcel in parcels:
            rows = parcel.rows if isinstance(parcel.rows, int) else 0
            rows = max(0, min(rows, self.sums(sink).waiting))
            payload = parcel.payload if isinstance(parcel.payload, bytes) else str(parcel.payload).encode()
            self.bury(sink, Parcel(parcel.id, rows, payload), DAMAGED)
            total += rows
        return total

    def missing(self, sink: str) -> int:
        """Rows that should wait for a sink for which nothing waits: they are lost, or were counted twice."""
        sums = self.sums(sink)
        if sums.waiting:
            # Too many were counted somewhere: only the rows of damaged letters are not certain.
            part = "lost" if sums.waiting > 0 else "dead"
            self._book.count({f"{part}.{sink}": sums.waiting})
        return sums.waiting

    def sums(self, sink: str) -> SinkSums:
        """Where the rows of a sink went."""
        return sums_of(sink, self._book.counters)

    def _take(self, sink: str, parcels: Sequence[Parcel]) -> None:
        kept = Kept.of(self._book)
        waiting = self._waiting_bytes(kept)
        for parcel in parcels:
            if self._db.execute("DELETE FROM outbox WHERE id = ?", (parcel.id,)).rowcount:
                kept.entries -= 1
                kept.bytes -= len(parcel.payload)
                waiting[sink] = waiting.get(sink, 0) - len(parcel.payload)
            else:  # it went for room while it was under way: it arrived all the same
                self._book.count({f"dropped.{sink}": -parcel.rows})
        kept.into(self._book)
        self._note_bytes(kept, waiting)
        if parcels:
            done = max(parcel.id for parcel in parcels)
            name = f"done.{sink}"
            self._book.about[name] = str(max(done, int(self._book.about.get(name, "0"))))

    def make_room(self) -> None:
        """Drops parcels while too many bytes wait, and counts their rows.

        The oldest go of the sink for which most waits: rows for a database that is away do not push out the
        few alarms that wait for people.
        """
        kept = Kept.of(self._book)
        if kept.bytes <= self._bounds.waiting_bytes:
            return
        waiting = self._waiting_bytes(kept)
        left = sorted(waiting)
        while kept.bytes > self._bounds.waiting_bytes and left:
            sink = max(left, key=lambda name: waiting[name])
            enough = max((waiting[name] for name in left if name != sink), default=0)
            if not self._drop_oldest(sink, kept, waiting, enough):
                left.remove(sink)
        kept.into(self._book)
        self._note_bytes(kept, waiting)

    def _drop_oldest(self, sink: str, kept: Kept, waiting: dict[str, int], enough: int) -> bool:
        """Drops a sink's oldest parcels until enough bytes wait for it, and never the newest parcel of all.

        Returns:
            Whether there were any.
        """
        after = max(kept.floor, int(self._book.about.get(f"done.{sink}", "0")))
        gone, dropped = list[tuple[int]](), 0
        found = self._db.execute(
            "SELECT id, rows, LENGTH(payload) FROM outbox WHERE id > ? AND id < ? AND sink = ?"
            " ORDER BY id LIMIT ?",
            (after, kept.last, sink, STEP),
        )
        for number, rows, size in found:
            if kept.bytes <= self._bounds.waiting_bytes or (gone and waiting[sink] < enough):
                break
            gone.append((number,))
            dropped += rows if isinstance(rows, int) else 0
            kept.entries -= 1
            kept.bytes -= size
            waiting[sink] -= size
        found.close()
        if not gone:
            return False
        self._db.executemany("DELETE FROM outbox WHERE id = ?", gone)
        self._book.about[f"done.{sink}"] = str(gone[-1][0])
        self._book.count({f"dropped.{sink}": dropped, FOR_ROOM: dropped})
        return True

    def _waiting_bytes(self, kept: Kept) -> dict[str, int]:
        """Sink to the bytes that wait for it, as of these sums; counted anew where another version wrote."""
        known = json.loads(self._book.about.get("bytes", "{}"))
        if known.get("of") == [kept.last, kept.entries, kept.bytes]:
            return dict(known["waiting"])
        query = "SELECT sink, SUM(LENGTH(payload)) FROM outbox WHERE id > ? GROUP BY sink"
        return dict(self._db.execute(query, (kept.floor,)).fetchall())

    def _note_bytes(self, kept: Kept, waiting: Mapping[str, int]) -> None:
        of = [kept.last, kept.entries, kept.bytes]
        self._book.about["bytes"] = json.dumps({"of": of, "waiting": waiting}, separators=(",", ":"))

    def _forget_letters(self) -> None:
        kept, bounds = Kept.of(self._book), self._bounds
        while kept.letters > 1 and (
            kept.letters > bounds.dead_letters or kept.dead_bytes > bounds.dead_bytes
        ):
            found = self._db.execute(
                "SELECT id, sink, rows, LENGTH(payload) FROM dead_letters ORDER BY id LIMIT 1"
            ).fetchone()
            if found is None:
                kept.letters = kept.dead_bytes = 0
                break
            number, sink, rows, size = found
            self._db.execute("DELETE FROM dead_letters WHERE id = ?", (number,))
            kept.dead_floor = max(kept.dead_floor, number)
            kept.letters -= 1
            kept.dead_bytes -= size
            self._book.count({f"dead.{sink}": -rows, f"dropped.{sink}": rows, "dropped dead letters": 1})
        kept.into(self._book)


def _sound(number: int, sink: str, rows: object, payload: object, crc: object, old: int) -> bool:
    if not isinstance(rows, int) or not isinstance(payload, bytes) or rows < 0:
        return False
    if crc is None:
        return number <= old
    return crc == proof_of_parcel(number, sink, rows, payload)

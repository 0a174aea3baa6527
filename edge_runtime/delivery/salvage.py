"""What a damaged ledger still gives back: each row that fits its checksum, wherever in the file it stands.

A page that no tree leads to any more may be an old one. Entries on it that a sink has, or that were dropped,
are left out by what the book says: up to which id each sink has them, and up to which they went for room.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge_runtime.delivery.book import Book, twin_of
from edge_runtime.delivery.entries import Kept
from edge_runtime.delivery.pages import INTERIOR_INDEX, LEAF_INDEX, LEAF_TABLE, Image, Record, Value
from edge_runtime.delivery.proof import proof, proof_of_parcel
from edge_runtime.delivery.sums import sums_of
from edge_runtime.errors import counted

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

__all__ = ["Salvaged", "find_book", "salvage"]

STEP = 5000  # rows of a transaction
NEWEST = re.compile(r"\[(\d{16,19}),")  # as the stage `times` and the source `influx` begin theirs


@dataclass
class Salvaged:
    """What was carried over, and what was not.

    Attributes:
        entries: That wait.
        letters: Dead letters.
        states: Of stages and machines.
        lost: Sink to its lost rows.
        between: The lowest and the highest id that is missing; None where none is.
        checkpoint: Whether it is known where the source goes on.
    """

    entries: int = 0
    letters: int = 0
    states: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    between: tuple[int, int] | None = None
    checkpoint: bool = True

    def __str__(self) -> str:
        text = (
            f"{counted(self.entries, 'entry that waits', 'entries that wait')}, "
            f"{counted(self.letters, 'dead letter')} and {counted(self.states, 'state')}"
        )
        if self.lost:
            rows = ", ".join(f"{counted(rows, 'row')} for {sink}" for sink, rows in sorted(self.lost.items()))
            where = f", between the entries {self.between[0]} and {self.between[1]}" if self.between else ""
            text += f"; {rows} {'is' if sum(self.lost.values()) == 1 else 'are'} lost{where}"
        else:
            text += "; no row is lost"
        if not self.checkpoint:
            text += (
                "; where the source was is not known: it begins as at a first start, and may read rows again"
            )
        return text


def find_book(image: Image) -> Book | None:
    """The newest book in a file, of its two copies; None where there is none of either."""
    twin: Book | None = None
    for record in image.records(LEAF_TABLE):
        found = _twin(record)
        if found is not None and (twin is None or _age(found) >= _age(twin)):
            twin = found
    rows = Book()
    for record in image.records(LEAF_INDEX, INTERIOR_INDEX):
        match record.values:
            case (str(name), str(text), int(crc)) if crc == proof("about", name, text):
                rows.about[name] = text
            case (str(name), int(number), int(crc)) if crc == proof("counters", name, number):
                rows.counters[name] = number
    if twin is None:
        return rows if "kept" in rows.about and "seq" in rows.about else None
    older, newer = (twin, rows) if _age(rows) > _age(twin) else (rows, twin)
    return Book({**older.about, **newer.about}, {**older.counters, **newer.counters})


def salvage(image: Image, db: sqlite3.Connection, book: Book) -> Salvaged:
    """Carries over into a new ledger what can be proved, and counts what cannot.

    Args:
        image: The damaged file.
        db: The new ledger, with empty tables.
        book: What is known of the damaged one; afterwards what is so of the new one.

    Raises:
        sqlite3.Error: The new ledger cannot be written.
        OSError: The damaged one cannot be read at all.
    """
    kept = Kept.of(book)
    done = {name[5:]: int(text) for name, text in book.about.items() if name.startswith("done.")}
    db.execute("BEGIN")
    for record in image.records(LEAF_INDEX, INTERIOR_INDEX):
        match record.values:
            case (str(), str(), str(), int(), str(), int(crc)) if crc == proof("states", *record.values[:5]):
                _carry_state(db, record.values)
    for count, record in enumerate(image.records(LEAF_TABLE)):
        _carry(db, record, kept, done)
        if count % STEP == STEP - 1:  # so that the new log stays short
            db.execute("COMMIT")
            db.execute("BEGIN")
    # An entry that became a dead letter stands on an old page as one that waits.
    db.execute("DELETE FROM outbox WHERE id IN (SELECT id FROM dead_letters)")
    result = _reckon(db, book, kept)
    book.forget_written()
    written = book.write(db)
    db.execute("COMMIT")
    book.wrote(written)
    result.checkpoint = "checkpoint" in book.about or not book.counters.get("read")
    return result


def _carry_state(db: sqlite3.Connection, values: Sequence[Value]) -> None:
    """The last one of a stage and machine; but none whose machine's newest time is older than another's.

    A page that is not in use any more may come after the one that is, and would send a source back.
    """
    query = "SELECT value FROM states WHERE owner = ? AND stage = ? AND machine = ?"
    before = db.execute(query, tuple(values[:3])).fetchone()
    if before is None or _newest_in(values[4]) >= _newest_in(before[0]):
        db.execute("INSERT OR REPLACE INTO states VALUES (?, ?, ?, ?, ?, ?)", tuple(values))


def _newest_in(state: Value) -> int:
    """The newest time at the beginning of a state; 0 for a state that has none."""
    begin = NEWEST.match(state) if isinstance(state, str) else None
    return int(begin[1]) if begin else 0


def _carry(db: sqlite3.Connection, record: Record, kept: Kept, done: dict[str, int]) -> None:
    number = record.id or 0
    match record.values:
        case (None, str(sink), int(rows), bytes(payload), str(error), (int() | None) as crc):
            if number > kept.dead_floor and _proved(number, sink, rows, payload, crc, kept.old):
                row = (number, sink, rows, payload, error, crc)
                db.execute("INSERT OR REPLACE INTO dead_letters VALUES (?, ?, ?, ?, ?, ?)", row)
        case (None, str(sink), int(rows), bytes(payload), str(error)) if number <= kept.old:
            if number > kept.dead_floor:
                row = (number, sink, rows, payload, error, None)
                db.execute("INSERT OR REPLACE INTO dead_letters VALUES (?, ?, ?, ?, ?, ?)", row)
        case (None, str(sink), int(rows), bytes(payload), *rest):
            crc = rest[0] if rest and isinstance(rest[0], int) else None
            if number <= max(kept.floor, done.get(sink, 0)) or len(rest) > 1:
                return
            if _proved(number, sink, rows, payload, crc, kept.old):
                entry = (number, sink, rows, payload, crc)
                db.execute("INSERT OR REPLACE INTO outbox VALUES (?, ?, ?, ?, ?)", entry)


def _proved(number: int, sink: str, rows: int, payload: bytes, crc: int | None, old: int) -> bool:
    if crc is None:
        return 0 < number <= old and rows >= 0
    return crc == proof_of_parcel(number, sink, rows, payload)


def _reckon(db: sqlite3.Connection, book: Book, kept: Kept) -> Salvaged:
    """The sums of each sink with what was found; what is missing is lost."""
    result = Salvaged(states=db.execute("SELECT COUNT(*) FROM states").fetchone()[0])
    found: dict[str, list[int]] = {}
    sizes = []
    for place, table in enumerate(("outbox", "dead_letters")):
        query = f"SELECT sink, SUM(rows) FROM {table} GROUP BY sink"  # noqa: S608
        for sink, rows in db.execute(query):
            found.setdefault(sink, [0, 0])[place] = rows
        query = f"SELECT COUNT(*), COALESCE(SUM(LENGTH(payload)), 0), COALESCE(MAX(id), 0) FROM {table}"  # noqa: S608
        sizes.append(db.execute(query).fetchone())
    sinks = {name[8:] for name in book.counters if name.startswith("encoded.")}
    for sink in sorted(sinks | set(found)):
        waiting, dead = found.get(sink, [0, 0])
        sums = sums_of(sink, book.counters)
        missing = sums.waiting + sums.dead - waiting - dead
        book.count({f"dead.{sink}": dead - sums.dead})
        if missing > 0:
            result.lost[sink] = missing
            book.count({f"lost.{sink}": missing})
        else:  # the book is older than what was found
            book.count({f"encoded.{sink}": -missing})
    (kept.entries, kept.bytes, last), (kept.letters, kept.dead_bytes, last_letter) = sizes
    done = [int(text) for name, text in book.about.items() if name.startswith("done.")]
    kept.last = max(kept.last, last, last_letter, *done, 0)
    kept.into(book)
    result.entries, result.letters = kept.entries, kept.letters
    if result.lost:
        first = min(int(book.about.get(f"done.{sink}", "0")) for sink in result.lost)
        result.between = _gap(db, max(kept.floor, first), kept.last)
    return result


def _gap(db: sqlite3.Connection, after: int, last: int) -> tuple[int, int] | None:
    lowest = highest = 0
    expected = after + 1
    query = "SELECT id FROM outbox WHERE id > ? UNION SELECT id FROM dead_letters WHERE id > ? ORDER BY 1"
    for (number,) in db.execute(query, (after, after)):
        if number > expected:
            lowest, highest = lowest or expected, number - 1
        expected = number + 1
    if expected <= last:
        lowest, highest = lowest or expected, last
    return (lowest, highest) if lowest else None


def _twin(record: Record) -> Book | None:
    match record.values:
        case (None, str(text), int(crc)) if crc == proof("twin", text):
            return twin_of(text)
    return None


def _age(book: Book) -> int:
    return int(book.about.get("seq", "0"))

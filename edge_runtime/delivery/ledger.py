"""The ledger: one SQLite file in which results, checkpoint and state are committed together, or not at all.

What is in it after a power cut is what was committed before: WAL with `synchronous=FULL` syncs each commit.
A file that is found damaged, at start or later, is set aside and what can be read of it carried over.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import threading
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

from edge_runtime.delivery.opening import FILE_MODE, FOLDER_MODE, open_database
from edge_runtime.delivery.outbox import Bounds, Kept, Outbox, Parcel, SinkSums
from edge_runtime.delivery.proof import DamageError, is_damage, proof
from edge_runtime.delivery.upkeep import give_room_back, make_sure_of_room
from edge_runtime.engine.stage import StageState
from edge_runtime.errors import LedgerError, LedgerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from edge_runtime.delivery.book import Book

__all__ = ["Ledger", "Parcel", "locked"]


class Ledger:
    """The open ledger of one process; safe to use from several threads.

    Args:
        path: The file; made when missing, with its folder.
        source: What is read, such as "influx http://… plant sensors": a ledger belongs to one source.
            None for whatever it belongs to.
        report: Called with one line when something of it was damaged, or went for room.
        bounds: How much waits and how many dead letters are kept; beyond it the oldest go, and are counted.

    Raises:
        LedgerError: Another process uses it, it belongs to another source, is of another version, is no
            ledger, or its folder cannot be written.
    """

    def __init__(
        self,
        path: Path,
        source: str | None,
        *,
        report: Callable[[str], None] = lambda _: None,
        bounds: Bounds | None = None,
    ) -> None:
        self._path = path
        self._report = report
        self._bounds = bounds or Bounds()
        self._mutex = threading.RLock()
        self._lock = locked(path)
        self._damage: str | None = None  # what is not mended yet
        self._owed: list[tuple[str, Sequence[Parcel], str | None]] = []
        self._told: dict[str, int] = {}
        try:
            self._open()
            self._belongs_to(source)
        except LedgerError:
            self._lock.close()
            raise
        except (sqlite3.Error, OSError, DamageError) as error:
            self._lock.close()
            raise LedgerError(
                f"cannot be used ({error})",
                where=str(path),
                hint="move it away to start a new one, or free some disk space",
            ) from None

    def commit(
        self,
        *,
        checkpoint: str | None,
        states: Sequence[StageState],
        payloads: Mapping[str, tuple[bytes, int]],
        counters: Mapping[str, int],
        clock: int | None = None,
    ) -> None:
        """Stores everything that a block of rows led to, in one transaction.

        Args:
            checkpoint: Where the source goes on; None keeps the last one.
            states: Of stages and machines; each replaces the one before, or takes it away.
            payloads: Sink to its payload and the number of rows in it.
            counters: Name to what is added to it.
            clock: The gateway's clock, nanoseconds since the epoch; None where it is not believed.

        Raises:
            LedgerUnavailableError: The disk is full or does not answer; nothing was stored.
            LedgerError: The file is damaged, and cannot be mended.
        """

        def store() -> None:
            make_sure_of_room(self._db, self._path, sum(len(payload) for payload, _ in payloads.values()))

        def work() -> None:
            about = {"checkpoint": checkpoint, "clock": clock}
            self._book.about.update({name: str(value) for name, value in about.items() if value is not None})
            _keep(self._db, states)
            self._book.count(counters)
            self._outbox.add(payloads)

        self._write(work, before=store)

    def parcels(self, sink: str, *, most: int, max_bytes: int = 4 << 20) -> list[Parcel]:
        """The oldest parcels of a sink: at most so many and so many bytes, but one when there is one.

        What is damaged among them goes to the dead letters first, and is said.

        Raises:
            LedgerUnavailableError: The disk is full or does not answer.
            LedgerError: The file is damaged, and cannot be mended.
        """
        with self._mutex:
            self._settle()
            while True:
                found, damaged = self._read(lambda: self._outbox.parcels(sink, most, max_bytes))
                if damaged:
                    self._bury_damaged(sink, damaged)
                elif found:
                    return found
                else:
                    self._nothing_waits(sink)
                    return []

    def delivered(self, sink: str, parcels: Sequence[Parcel], position: str | None) -> None:
        """Takes parcels out of the outbox, for they are where they belong.

        Raises:
            LedgerUnavailableError: The disk is full or does not answer. They are known to be delivered all
                the same: `parcels` writes that down before it gives out others, and does not give them again.
            LedgerError: The file is damaged, and cannot be mended.
        """
        with self._mutex:
            self._owed.append((sink, parcels, position))
            self._settle()

    def bury(self, sink: str, parcel: Parcel, error: str) -> None:
        """Puts a parcel that its sink will never take among the dead letters.

        Raises:
            LedgerUnavailableError: The disk is full or does not answer.
        """
        self._write(lambda: self._outbox.bury(sink, parcel, error))

    def checkpoint(self) -> str | None:
        """Where the source goes on."""
        return self._about("checkpoint")

    def clock(self) -> int | None:
        """The gateway's clock when it was believed last, nanoseconds since the epoch."""
        text = self._about("clock")
        return None if text is None else int(text)

    def states(self) -> list[StageState]:
        """Every state as it was committed last; what does not fit its checksum is one that no stage takes."""
        query = "SELECT owner, stage, machine, version, value, crc FROM states"
        rows = self._read(lambda: self._db.execute(query).fetchall())
        return [StageState(*row[:4], _value(row)) for row in rows]

    def position(self, sink: str) -> str | None:
        """What the sink had delivered."""
        return self._about(f"position.{sink}")

    def counters(self) -> dict[str, int]:
        """Everything that was counted since the ledger was made."""
        with self._mutex:
            return dict(self._book.counters)

    def waiting(self, sink: str) -> int:
        """Number of rows that wait for a sink."""
        return self.sums(sink).waiting

    def sums(self, sink: str) -> SinkSums:
        """Where the rows of a sink went since the ledger was made."""
        with self._mutex:
            return self._outbox.sums(sink)

    def close(self) -> None:
        """Closes the file and lets other processes have it."""
        with self._mutex:
            with suppress(LedgerError):
                self._settle()
            with suppress(sqlite3.Error):
                self._db.close()
            self._lock.close()

    @contextmanager
    def transaction(self) -> Iterator[tuple[sqlite3.Connection, Book, Outbox]]:
        """For what else is done with the entries, one by one: all of it or nothing.

        Raises:
            LedgerUnavailableError: The disk is full or does not answer.
        """
        with self._mutex, self._transact():
            yield self._db, self._book, self._outbox

    def _open(self) -> None:
        from_before = self._path.with_name(f"{self._path.name}.mended")
        if from_before.exists():
            from edge_runtime.delivery.mending import put_in_place  # noqa: PLC0415 - after damage alone

            put_in_place(self._path, from_before)
        try:
            self._db, self._book = open_database(self._path, self._report)
        except DamageError as error:
            self._mend(str(error), None)
        self._outbox = Outbox(self._db, self._book, self._bounds)

    def _mend(self, damage: str, db: sqlite3.Connection | None) -> None:
        """Sets the file aside and goes on in a new one, with what could be read."""
        from edge_runtime.delivery.mending import mend  # noqa: PLC0415 - after damage alone

        self._damage = damage
        known = None if db is None else self._book
        self._report(f"ledger: {mend(self._path, damage, known, db)}")
        self._db, self._book = open_database(self._path, self._report)
        self._outbox = Outbox(self._db, self._book, self._bounds)
        self._damage = None

    def _mend_while_running(self, damage: str) -> None:
        try:
            self._mend(damage, self._db)
        except OSError as error:
            raise self._unavailable(error) from None
        except sqlite3.Error as error:
            if not is_damage(error):
                raise self._unavailable(error) from None
            raise self._hopeless(error) from None
        except DamageError as error:
            raise self._hopeless(error) from None

    def _hopeless(self, error: Exception) -> LedgerError:
        hint = "look at the disk it lies on, then start again"
        return LedgerError(f"is damaged and cannot be mended ({error})", where=str(self._path), hint=hint)

    def _unavailable(self, error: Exception) -> LedgerUnavailableError:
        return LedgerUnavailableError(
            f"cannot be written ({error})", where=str(self._path), hint="free some disk space"
        )

    def _belongs_to(self, source: str | None) -> None:
        known = self._about("source")
        if known is None and source is not None:
            self._write(lambda: self._book.about.update({"schema": "4", "source": source}))
        elif source not in (None, known):
            self._db.close()
            raise LedgerError(
                f"belongs to another source ({known})",
                where=str(self._path),
                hint="name another --state file",
            )

    def _bury_damaged(self, sink: str, damaged: Sequence[Parcel]) -> None:
        rows: list[int] = []
        self._write(lambda: rows.append(self._outbox.bury_damaged(sink, damaged)))
        self._report(
            f"ledger: {rows[-1]:,} rows for {sink} were damaged on the disk, and were moved to the dead letters"
        )

    def _nothing_waits(self, sink: str) -> None:
        if self._outbox.sums(sink).waiting:
            rows: list[int] = []
            self._write(lambda: rows.append(self._outbox.missing(sink)))
            self._report(f"ledger: {abs(rows[-1]):,} rows for {sink} are missing, and were counted as lost")
        with suppress(sqlite3.Error):  # whatever is wrong, the next transaction says it
            give_room_back(self._db)

    def _settle(self) -> None:
        """Writes down what is known to be delivered and could not be written when it was."""
        while self._owed:
            sink, parcels, position = self._owed[0]

            def work(
                sink: str = sink, parcels: Sequence[Parcel] = parcels, at: str | None = position
            ) -> None:
                self._outbox.delivered(sink, parcels)
                if at is not None:
                    self._book.about[f"position.{sink}"] = at

            self._write(work)
            self._owed.pop(0)
            with suppress(sqlite3.Error):
                give_room_back(self._db)

    def _read(self, question: Callable[[], Any]) -> Any:
        with self._mutex:
            return self._twice(question)

    def _write(self, work: Callable[[], None], *, before: Callable[[], None] = lambda: None) -> None:
        def transaction() -> None:
            before()
            with self._transact():
                work()

        with self._mutex:
            dropped = self._book.counters.get("dropped dead letters", 0)
            self._twice(transaction)
            now = self._book.counters.get("dropped dead letters", 0)
            if now > dropped and now >= 2 * self._told.get("letters", 0):
                self._told["letters"] = now
                self._report(f"ledger: too many dead letters; the oldest were dropped, {now:,} until now")

    def _twice(self, work: Callable[[], Any]) -> Any:
        """Does something with the file; where that shows damage, mends the file and does it again."""
        if self._damage is not None:
            self._mend_while_running(self._damage)
        try:
            return work()
        except (sqlite3.Error, OSError) as error:
            if not is_damage(error):
                raise self._unavailable(error) from None
            self._mend_while_running(str(error))
        try:
            return work()
        except (sqlite3.Error, OSError) as error:
            raise (self._hopeless if is_damage(error) else self._unavailable)(error) from None

    @contextmanager
    def _transact(self) -> Iterator[None]:
        before = self._book.snapshot()
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            written = self._book.write(self._db)
            self._db.execute("COMMIT")
        except BaseException:
            self._book.restore(before)
            with suppress(sqlite3.Error):
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
            raise
        self._book.wrote(written)

    def _about(self, name: str) -> str | None:
        with self._mutex:
            return self._book.about.get(name)


def locked(path: Path) -> IO[bytes]:
    """The lock of a ledger, held until it is closed.

    Raises:
        LedgerError: Another process holds it, or it cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        lock = open(  # noqa: SIM115 - held
            path.with_name(f"{path.name}.lock"),
            "ab",
            opener=lambda name, flags: os.open(name, flags, FILE_MODE),
        )
    except OSError as error:
        raise LedgerError(
            f"cannot be written ({error.strerror})",
            where=str(path),
            hint="name another file with --state",
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise LedgerError(
            "is in use by another edge-detect",
            where=str(path),
            hint="stop that process, or name another --state file",
        ) from None
    return lock


def _keep(db: sqlite3.Connection, states: Sequence[StageState]) -> None:
    known = [
        (*state[:4], json.dumps(state.value, separators=(",", ":")))
        for state in states
        if state.value is not None
    ]
    gone = [state[:3] for state in states if state.value is None]
    db.executemany(
        "INSERT OR REPLACE INTO states (owner, stage, machine, version, value, crc) VALUES (?, ?, ?, ?, ?, ?)",
        [(*row, proof("states", *row)) for row in known],
    )
    db.executemany("DELETE FROM states WHERE owner = ? AND stage = ? AND machine = ?", gone)


def _value(row: Sequence[Any]) -> Any:
    if row[5] == proof("states", *row[:5]):
        with suppress(ValueError):
            return json.loads(row[4])
    return {"unreadable": row[4]}  # what no stage takes

"""The ledger's file while it is open: its lock, its transactions, and how it is mended when it is damaged."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, TypeVar

from edge_runtime.delivery.opening import file_of, open_database
from edge_runtime.delivery.outbox import FOR_ROOM, Bounds, Outbox
from edge_runtime.delivery.proof import DamageError, UnreadableError, is_damage, is_unread
from edge_runtime.errors import LedgerError, LedgerUnavailableError
from edge_runtime.files import OWN_FILE, make_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge_runtime.delivery.book import Book

__all__ = ["Store"]

T = TypeVar("T")
LOCK_TRIES, LOCK_WAIT_S = 5, 0.02
# What is counted when it goes for room, and how that is said.
WENT = {
    "dropped dead letters": "too many dead letters; the oldest were dropped",
    FOR_ROOM: "more waits than the ledger keeps; the oldest rows and changes were dropped",
}


class Store:
    """The open file of one process; its methods hold `mutex`, so that several threads may use it.

    Args:
        path: The file; made when missing, with its folder.
        report: Called with one line when something of it was damaged, or went for room.
        bounds: How much is kept.

    Attributes:
        mended: How often it was found damaged and made anew, of what could be read of it.

    Raises:
        LedgerError: Another process uses it, it is of another version, is no ledger, or cannot be written.
    """

    def __init__(self, path: Path, report: Callable[[str], None], bounds: Bounds) -> None:
        self._path = path = file_of(path)
        self._report = report
        self._bounds = bounds
        self._mutex = threading.RLock()
        self._lock = _locked(path)
        self.mended = 0  # how often since it was opened
        self._damage: str | None = None  # what is not mended yet
        self._told: dict[str, int] = {}  # how much of what had gone, when that was said last
        try:
            self._open()
        except LedgerError:
            self._lock.close()
            raise
        except (sqlite3.Error, OSError, DamageError) as error:
            self._lock.close()
            raise LedgerError(
                f"cannot be used ({error})",
                where=str(path),
                hint="look at the disk it lies on"
                if is_unread(error)
                else "move it away to start a new one, or free some disk space",
            ) from None

    def close(self) -> None:
        """Closes the file and lets other processes have it."""
        with self._mutex:
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
        try:
            self._report(f"ledger: {mend(self._path, damage, known, db)}")
        except UnreadableError:
            self._damage = None  # nothing was touched, and it may be whole when the disk answers again
            raise
        self._db, self._book = open_database(self._path, self._report)
        self._outbox = Outbox(self._db, self._book, self._bounds)
        self._damage = None
        self.mended += 1

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
        if is_unread(error):
            hint = "look at the disk it lies on"
            return LedgerUnavailableError(f"cannot be read now ({error})", where=str(self._path), hint=hint)
        return LedgerUnavailableError(
            f"cannot be written ({error})", where=str(self._path), hint="free some disk space"
        )

    def _read(self, question: Callable[[], T]) -> T:
        with self._mutex:
            return self._twice(question)

    def _write(self, work: Callable[[], None], *, before: Callable[[], None] = lambda: None) -> None:
        def transaction() -> None:
            before()
            with self._transact():
                work()

        with self._mutex:
            before_it = {name: self._book.counters.get(name, 0) for name in WENT}
            self._twice(transaction)
            for name, words in WENT.items():
                now = self._book.counters.get(name, 0)
                if now > before_it[name] and now >= 2 * self._told.get(name, 0):
                    self._told[name] = now
                    self._report(f"ledger: {words}, {now:,} until now")

    def _twice(self, work: Callable[[], T]) -> T:
        """Does something with the file; where that shows damage, mends the file and does it again."""
        if self._damage is not None:
            self._mend_while_running(self._damage)
        for tried in (False, True):
            try:
                return work()
            except (sqlite3.Error, OSError) as error:
                if not is_damage(error):
                    raise self._unavailable(error) from None
                if tried:  # a passing fault of the disk looks like damage once
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


def _locked(path: Path) -> IO[bytes]:
    """The lock of a ledger, held until it is closed.

    Raises:
        LedgerError: Another process holds it, or it cannot be made.
    """
    try:
        make_folder(path.parent)
        lock = open(  # noqa: SIM115 - held
            path.with_name(f"{path.name}.lock"),
            "ab",
            opener=lambda name, flags: os.open(name, flags, OWN_FILE),
        )
    except OSError as error:
        raise LedgerError(
            f"cannot be written ({error.strerror})",
            where=str(path),
            hint="name another file with --state",
        ) from None
    for tried in range(LOCK_TRIES):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if tried + 1 < LOCK_TRIES:  # a command may be looking whether anybody has it
                time.sleep(LOCK_WAIT_S)
        else:
            return lock
    lock.close()
    raise LedgerError(
        "is in use by another edge-detect",
        where=str(path),
        hint="stop that process, or name another --state file",
    )

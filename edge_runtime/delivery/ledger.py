"""The ledger: one SQLite file in which results, checkpoint and state are committed together, or not at all.

What is in it after a power cut is what was committed before: WAL with `synchronous=FULL` syncs each commit.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import threading
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from edge_runtime.delivery.migrations import migrate
from edge_runtime.delivery.outbox import Outbox, Parcel, SinkSums, count
from edge_runtime.engine.stage import StageState
from edge_runtime.errors import LedgerError, LedgerUnavailableError
from edge_runtime.files import OWN_FILE, make_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["Ledger", "Parcel"]

MAX_OUTBOX_BYTES = 256 << 20


class Ledger:
    """The open ledger of one process; safe to use from several threads.

    Args:
        path: The file; made when missing, with its folder.
        source: What is read, such as "influx http://… plant sensors": a ledger belongs to one source.
        max_bytes: Bound on the payloads that wait; beyond it the oldest go, and are counted.

    Raises:
        LedgerError: Another process uses it, it belongs to another source, is of another version or damaged,
            or its folder cannot be written.
    """

    def __init__(self, path: Path, source: str, *, max_bytes: int = MAX_OUTBOX_BYTES) -> None:
        self._path = path
        self._mutex = threading.RLock()
        self._lock = self._take_lock()
        try:
            if not path.exists():  # SQLite would let everybody read it, and what it puts beside the file
                _own(path).close()
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._prepare(source)
            self._outbox = Outbox(self._db, max_bytes)
        except (sqlite3.Error, OSError) as error:
            self._lock.close()
            raise LedgerError(
                f"cannot be used ({error})",
                where=str(path),
                hint="move it away to start a new one, or free some disk space",
            ) from None
        except LedgerError:
            self._db.close()
            self._lock.close()
            raise

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
        """
        with self._transaction() as db:
            about = {"checkpoint": checkpoint, "clock": clock}
            db.executemany(
                "INSERT OR REPLACE INTO about VALUES (?, ?)",
                [(name, str(value)) for name, value in about.items() if value is not None],
            )
            _keep(db, states)
            count(db, counters)
            self._outbox.add(payloads)

    def parcels(self, sink: str, *, most: int, max_bytes: int = 4 << 20) -> list[Parcel]:
        """The oldest parcels of a sink: at most so many and so many bytes, but one when there is one."""
        with self._reading():
            return self._outbox.parcels(sink, most, max_bytes)

    def delivered(self, sink: str, parcels: Sequence[Parcel], position: str | None) -> None:
        """Takes parcels out of the outbox, for they are where they belong.

        Raises:
            LedgerUnavailableError: The disk is full or does not answer.
        """
        with self._transaction() as db:
            self._outbox.delivered(sink, parcels)
            if position is not None:
                db.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (f"position.{sink}", position))

    def bury(
        self, sink: str, parcel: Parcel, error: str, *, refused: tuple[bytes, int] | None = None
    ) -> None:
        """Puts a parcel that its sink will never take among the dead letters.

        Args:
            sink: Its name.
            parcel: The whole parcel, which leaves the outbox.
            error: What the sink says.
            refused: Payload and number of the rows that were refused, the others being delivered; None for
                all.

        Raises:
            LedgerUnavailableError: The disk is full or does not answer.
        """
        with self._transaction():
            self._outbox.bury(sink, parcel, error, refused or (parcel.payload, parcel.rows))

    def checkpoint(self) -> str | None:
        """Where the source goes on."""
        return self._about("checkpoint")

    def clock(self) -> int | None:
        """The gateway's clock when it was believed last, nanoseconds since the epoch."""
        text = self._about("clock")
        return None if text is None else int(text)

    def states(self) -> list[StageState]:
        """Every state as it was committed last."""
        with self._mutex:
            rows = self._db.execute("SELECT owner, stage, machine, version, value FROM states").fetchall()
        return [
            StageState(owner, stage, name, version, _read(text)) for owner, stage, name, version, text in rows
        ]

    def position(self, sink: str) -> str | None:
        """What the sink had delivered."""
        return self._about(f"position.{sink}")

    def counters(self) -> dict[str, int]:
        """Everything that was counted since the ledger was made."""
        with self._mutex:
            return dict(self._db.execute("SELECT name, value FROM counters").fetchall())

    def waiting(self, sink: str) -> int:
        """Number of rows that wait for a sink."""
        with self._reading():
            return self._outbox.waiting(sink)

    def sums(self, sink: str) -> SinkSums:
        """Where the rows of a sink went since the ledger was made."""
        with self._reading():
            return self._outbox.sums(sink)

    def close(self) -> None:
        """Closes the file and lets other processes have it."""
        with self._mutex:
            self._db.close()
            self._lock.close()

    def _take_lock(self) -> IO[bytes]:
        try:
            make_folder(self._path.parent)
            lock = _own(self._path.with_name(f"{self._path.name}.lock"))
        except OSError as error:
            raise LedgerError(
                f"cannot be written ({error.strerror})",
                where=str(self._path),
                hint="name another file with --state",
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise LedgerError(
                "is in use by another edge-detect",
                where=str(self._path),
                hint="stop that process, or name another --state file",
            ) from None
        return lock

    def _prepare(self, source: str) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        migrate(self._db, self._path)
        known = self._about("source")
        if known is None:
            self._db.execute("INSERT INTO about VALUES ('source', ?)", (source,))
        elif known != source:
            raise LedgerError(
                f"belongs to another source ({known})",
                where=str(self._path),
                hint="name another --state file",
            )

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._mutex:
            try:
                yield
            except sqlite3.Error as error:
                raise LedgerUnavailableError(f"cannot be read ({error})", where=str(self._path)) from None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._mutex:
            size = self._outbox.bytes
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                self._outbox.bytes = size
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise LedgerUnavailableError(
                    f"cannot be written ({error})", where=str(self._path), hint="free some disk space"
                ) from None

    def _about(self, name: str) -> str | None:
        with self._mutex:
            row = self._db.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
            return None if row is None else str(row[0])


def _own(path: Path) -> IO[bytes]:
    """A file of ours, made where it is missing."""
    return open(path, "ab", opener=lambda name, flags: os.open(name, flags, OWN_FILE))


def _keep(db: sqlite3.Connection, states: Sequence[StageState]) -> None:
    known = [state for state in states if state.value is not None]
    gone = [state[:3] for state in states if state.value is None]
    db.executemany(
        "INSERT OR REPLACE INTO states VALUES (?, ?, ?, ?, ?)",
        [(*state[:4], json.dumps(state.value, separators=(",", ":"))) for state in known],
    )
    db.executemany("DELETE FROM states WHERE owner = ? AND stage = ? AND machine = ?", gone)


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {"unreadable": text}  # what no stage takes

"""The history's file: its tables, how it is opened, and where it lies beside a ledger."""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import uuid
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from edge_runtime.delivery.opening import file_of, make_private
from edge_runtime.delivery.proof import DamageError, is_damage
from edge_runtime.errors import LedgerError
from edge_runtime.files import OWN_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "APPLICATION_ID",
    "CONTENT_ERRORS",
    "HOUR_S",
    "LARGE",
    "MINUTE_S",
    "PAGE_BYTES",
    "SMALL",
    "VERSION",
    "history_file",
    "locked",
    "open_history",
    "transaction",
]

# What comes of content that is not as it was written, where SQLite finds nothing wrong with it.
CONTENT_ERRORS = (ValueError, TypeError, LookupError, ArithmeticError)
APPLICATION_ID, VERSION = 0x65646869, 1  # "edhi"
PAGE_BYTES = 4096
LOG_PAGES = 1024
# What `level` of a block and `step` of a rollup say.
SMALL, LARGE = 0, 1
MINUTE_S, HOUR_S = 60, 3600
TABLES = (
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE machines (code INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    # `sensors` is a JSON list of objects with `name` and `unit`, in the order of the columns.
    """CREATE TABLE bundles (
        code INTEGER PRIMARY KEY, digest TEXT NOT NULL, sensors TEXT NOT NULL, UNIQUE (digest, sensors))""",
    # The rows of one commit, all machines together, as `recent.py` writes them.
    "CREATE TABLE recent (number INTEGER PRIMARY KEY, bundle INTEGER NOT NULL, data BLOB NOT NULL)",
    # Rows of one machine, as `columns.py` writes them, from the time `start` to the time `stop`, of commits
    # `first` to `last`.
    """CREATE TABLE blocks (
        id INTEGER PRIMARY KEY, machine INTEGER NOT NULL, bundle INTEGER NOT NULL, start INTEGER NOT NULL,
        stop INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, level INTEGER NOT NULL,
        rows INTEGER NOT NULL, data BLOB NOT NULL)""",
    # Whoever looks for rows finds where they are, and how many, without a look at a block.
    "CREATE INDEX blocks_of_machine ON blocks (machine, start, stop, rows)",
    "CREATE INDEX blocks_by_age ON blocks (stop)",
    "CREATE INDEX small_blocks ON blocks (machine, bundle, rows) WHERE level = 0",
    # What the engine knew of a machine after its rows up to `time`, which is `NO_TIME` where there was none;
    # empty for nothing. The later of two of one time holds.
    """CREATE TABLE states (
        machine INTEGER NOT NULL, time INTEGER NOT NULL, number INTEGER NOT NULL, bundle INTEGER NOT NULL,
        data BLOB NOT NULL, PRIMARY KEY (machine, time, number))""",
    # `start` is in seconds since the epoch, a multiple of `step`; `data` is what `rollups.py` writes.
    """CREATE TABLE rollups (
        machine INTEGER NOT NULL, step INTEGER NOT NULL, start INTEGER NOT NULL, bundle INTEGER NOT NULL,
        data BLOB NOT NULL, PRIMARY KEY (machine, step, start, bundle)) WITHOUT ROWID""",
    # Each change of an alarm, with all its fields as JSON; an alarm's last change says what became of it.
    """CREATE TABLE changes (
        id INTEGER PRIMARY KEY, number INTEGER NOT NULL, time INTEGER NOT NULL, change TEXT NOT NULL,
        told INTEGER NOT NULL, event_id TEXT NOT NULL, machine_id TEXT NOT NULL, kind TEXT NOT NULL,
        subject TEXT NOT NULL, raised INTEGER NOT NULL, fields TEXT NOT NULL)""",
    "CREATE INDEX changes_of_alarm ON changes (event_id, id)",
    "CREATE INDEX changes_by_raised ON changes (raised, event_id)",
    # From `time` on the sensor's readings have this code of `Reason`; NONE where they can be used again.
    """CREATE TABLE statuses (
        id INTEGER PRIMARY KEY, number INTEGER NOT NULL, machine INTEGER NOT NULL, sensor TEXT NOT NULL,
        time INTEGER NOT NULL, reason INTEGER NOT NULL)""",
    "CREATE INDEX statuses_of_machine ON statuses (machine, sensor, time)",
    # What the rows of a commit replace, which is taken out once the ledger has them: rows of the machine from
    # `time` on that were stored before.
    "CREATE TABLE cuts (number INTEGER NOT NULL, machine INTEGER NOT NULL, time INTEGER NOT NULL)",
    # Where rows are missing that were judged, and why; `since` is NULL where that is not known.
    """CREATE TABLE gaps (
        id INTEGER PRIMARY KEY, number INTEGER NOT NULL, since INTEGER, until INTEGER, why TEXT NOT NULL)""",
)


def history_file(ledger: Path) -> Path:
    """Where the history of a ledger lies: under the ledger's name, in a folder beside it."""
    path = file_of(ledger).absolute()
    return path.parent / "history" / path.name


def locked(path: Path) -> IO[bytes]:
    """The right to write a history, held until it is closed.

    Raises:
        OSError: Another process has it, or it cannot be made.
    """
    lock = open(  # noqa: SIM115 - held
        path.with_name(f"{path.name}.lock"), "ab", opener=lambda name, flags: os.open(name, flags, OWN_FILE)
    )
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise OSError(errno.EBUSY, "another edge-detect writes it, with another ledger") from None
    return lock


def open_history(path: Path) -> sqlite3.Connection:
    """The open file, made when it is missing.

    Raises:
        DamageError: It is damaged, or no history.
        LedgerError: It is of a later version.
        OSError, sqlite3.Error: It cannot be used now.
    """
    make_private(path)
    fresh = not path.stat().st_size
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        if fresh:
            db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
        # A power cut may take the last commits; the ledger, which keeps everything, then says so.
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        db.execute(f"PRAGMA journal_size_limit = {LOG_PAGES * PAGE_BYTES}")
        with transaction(db):
            _make_or_check(db, path)
    except (sqlite3.Error, *CONTENT_ERRORS) as error:
        with suppress(sqlite3.Error):
            db.close()
        if is_damage(error) or not isinstance(error, sqlite3.Error):
            raise DamageError(" ".join(str(error).split())) from None
        raise
    except BaseException:
        db.close()
        raise
    return db


def _make_or_check(db: sqlite3.Connection, path: Path) -> None:
    application, version, tables = (
        int(db.execute(query).fetchone()[0])
        for query in ("PRAGMA application_id", "PRAGMA user_version", "SELECT COUNT(*) FROM sqlite_master")
    )
    if not tables and not version:
        for statement in TABLES:
            db.execute(statement)
        db.execute("INSERT INTO about VALUES ('identity', ?), ('number', '0')", (uuid.uuid4().hex,))
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {VERSION}")
    elif application != APPLICATION_ID:
        raise DamageError("it is no history of edge-detect")
    elif version > VERSION:
        raise LedgerError(
            f"the history has version {version}, and this edge-detect knows {VERSION}",
            where=str(path),
            hint="install a newer edge-detect, or move the file away to begin a new history",
        )


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing.

    Raises:
        DamageError: The content is not as it was written; nothing was.
        sqlite3.Error: Nothing was written.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException as error:
        with suppress(Exception):
            if db.in_transaction:
                db.execute("ROLLBACK")
        if isinstance(error, CONTENT_ERRORS):
            raise DamageError("its content is not as it was written") from error
        raise

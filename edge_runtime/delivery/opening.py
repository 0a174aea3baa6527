"""Opening a ledger's file: who may read it, whether it is whole, and whether it is what it says."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.delivery.book import Book
from edge_runtime.delivery.entries import Kept
from edge_runtime.delivery.migrations import SCHEMA_VERSION, migrate
from edge_runtime.delivery.proof import DamageError, is_damage
from edge_runtime.files import OWN_FILE, make_folder

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["file_of", "make_private", "open_database"]

OTHERS = 0o007  # rights of everybody else
LOG_PAGES = 256  # of 4 KiB, after which the log is taken over into the file
COLUMNS = {
    "about": ["name TEXT", "value TEXT", "crc INTEGER"],
    "counters": ["name TEXT", "value INTEGER", "crc INTEGER"],
    "dead_letters": [
        *("id INTEGER", "sink TEXT", "rows INTEGER", "payload BLOB", "error TEXT", "crc INTEGER"),
    ],
    "outbox": ["id INTEGER", "sink TEXT", "rows INTEGER", "payload BLOB", "crc INTEGER"],
    "states": [
        *("owner TEXT", "stage TEXT", "machine TEXT", "version INTEGER", "value TEXT", "crc INTEGER"),
    ],
    "twin": ["id INTEGER", "value TEXT", "crc INTEGER"],
}


def file_of(path: Path) -> Path:
    """The file that a ledger's name leads to.

    SQLite puts a database's log beside the file itself and not beside a link to it, so whatever else lies
    beside a ledger must lie there too: under each of its names it has one log and one lock.
    """
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def make_private(path: Path) -> None:
    """Makes the file when missing; takes the rights of all but its owner and group from one that is there.

    SQLite gives its log the rights of the file. What the group may do is for the owner to say.

    Raises:
        OSError: It cannot be made.
    """
    make_folder(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, OWN_FILE)
    try:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if mode & OTHERS:
            with suppress(PermissionError):  # another's file, which its owner lets us write
                os.fchmod(descriptor, mode & ~OTHERS)
    finally:
        os.close(descriptor)


def open_database(path: Path, report: Callable[[str], None]) -> tuple[sqlite3.Connection, Book]:
    """The open file, made or brought up to date, and its book; all of it was looked at.

    Args:
        path: The file.
        report: Called with one line when the last transaction was left out.

    Raises:
        DamageError: It is damaged; nothing was changed that could still be read.
        LedgerError: It is of a later version.
        OSError, sqlite3.Error: It cannot be used now.
    """
    make_private(path)
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        from edge_runtime.delivery.wal import read_log  # noqa: PLC0415 - after a crash alone

        found = read_log(log)
        if found.damaged:
            raise DamageError("its log is damaged")
        if found.torn:
            report(
                "ledger: the last transaction in its log is not whole, as after a power cut: it is left out"
            )
    fresh = not path.stat().st_size
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        return db, _opened(db, path, fresh=fresh)
    except sqlite3.Error as error:
        db.close()
        if is_damage(error) or (not fresh and "no such" in str(error)):
            raise DamageError(str(error)) from None
        raise
    except BaseException:
        db.close()
        raise


def _opened(db: sqlite3.Connection, path: Path, *, fresh: bool) -> Book:
    if fresh:
        db.execute("PRAGMA page_size = 4096")
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    else:
        found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise DamageError(" ".join(str(found).split()))
        _check_version(db)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
    db.execute(f"PRAGMA journal_size_limit = {LOG_PAGES * 4096}")
    migrate(db, path)
    for table, columns in COLUMNS.items():
        if [f"{name} {kind}" for _, name, kind, *_ in db.execute(f"PRAGMA table_info({table})")] != columns:
            raise DamageError(f"the table {table} is not as it was made")
    book = Book.read(db)
    if not fresh:
        _check_totals(db, book)
    return book


def _check_version(db: sqlite3.Connection) -> None:
    """The version stands in the header and in `about`: a header that is damaged is no later version."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version == SCHEMA_VERSION:
        return
    try:
        found = db.execute("SELECT value FROM about WHERE name = 'schema'").fetchone()
    except sqlite3.OperationalError:
        return  # of another program, or of a version that has no such table
    # A later version writes both, and one bit makes a later version of this one.
    if found is not None and (version == 0 or (version ^ int(found[0])).bit_count() == 1):
        raise DamageError(f"its header says version {version}, its content version {found[0]}")


def _check_totals(db: sqlite3.Connection, book: Book) -> None:
    """What the book says of the entries, without reading a payload."""
    kept = Kept.of(book)
    for table, name, entries, size in (
        ("outbox", "entries", kept.entries, kept.bytes),
        ("dead letters", "letters", kept.letters, kept.dead_bytes),
    ):
        found = db.execute(
            f"SELECT COUNT(*), COALESCE(SUM(LENGTH(payload)), 0) FROM {table.replace(' ', '_')}"  # noqa: S608
        ).fetchone()
        if found != (entries, size):
            raise DamageError(f"{found[0]} {name} of {found[1]} bytes are there, not {entries} of {size}")

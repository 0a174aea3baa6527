"""The operator file's tables, how they are made, and what tells such a file from other SQLite databases."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3

__all__ = ["APPLICATION_ID", "FIRST", "RULES", "VERSION", "add_rules", "header", "is_empty", "make_tables"]

# A file is of version 1 until the first word about a rule, or a reset, so that an earlier edge-detect can
# read it.
APPLICATION_ID, VERSION = 0x65646F70, 2  # "edop"
FIRST, RULES = 1, 2
TABLES = (
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE words (
        number INTEGER PRIMARY KEY, feed TEXT NOT NULL, at INTEGER NOT NULL, by TEXT NOT NULL,
        word TEXT NOT NULL, machine_id TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
        event_id TEXT, revision INTEGER, until INTEGER, text TEXT, crc INTEGER NOT NULL)""",
    "CREATE TRIGGER never_changed BEFORE UPDATE ON words BEGIN SELECT RAISE(ABORT, 'never changed'); END",
    "CREATE TRIGGER never_deleted BEFORE DELETE ON words BEGIN SELECT RAISE(ABORT, 'never deleted'); END",
)


def header(db: sqlite3.Connection) -> tuple[int, int]:
    """What kind of file it is, and of which version.

    Raises:
        sqlite3.Error: It cannot be read.
    """
    return _number(db, "application_id"), _number(db, "user_version")


def is_empty(db: sqlite3.Connection) -> bool:
    """Whether nothing was ever made in it.

    Raises:
        sqlite3.Error: It cannot be read.
    """
    found = db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
    return not found and _number(db, "user_version") == 0


def make_tables(db: sqlite3.Connection) -> None:
    """Makes the tables of an empty file, and its identity, within a transaction.

    Raises:
        sqlite3.Error: It cannot be written.
    """
    for statement in TABLES:
        db.execute(statement)
    db.execute("INSERT INTO about VALUES ('identity', ?)", (uuid.uuid4().hex,))
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {FIRST}")


def add_rules(db: sqlite3.Connection) -> None:
    """Makes room for words about rules, within a transaction.

    Raises:
        sqlite3.Error: It cannot be written.
    """
    db.execute("ALTER TABLE words ADD COLUMN rule TEXT")
    db.execute(f"PRAGMA user_version = {RULES}")


def _number(db: sqlite3.Connection, name: str) -> int:
    found: Any = db.execute(f"PRAGMA {name}").fetchone()[0]
    return int(found)

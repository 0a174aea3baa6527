"""The ledger's schema, version by version: an older file is copied beside itself, then brought up to date."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from edge_runtime.delivery.proof import proof
from edge_runtime.errors import LedgerError
from edge_runtime.files import OWN_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["SCHEMA_VERSION", "migrate"]


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Makes a new ledger's tables, or brings an older ledger up to date; steps take nothing away.

    Args:
        db: The open ledger.
        path: Its file. The copy has the version and the day in its name.

    Raises:
        LedgerError: The ledger is of a later version than this code knows.
        sqlite3.Error: It cannot be read, or there is no room for the copy; nothing was changed.
    """
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA_VERSION:
        raise LedgerError(
            f"has version {version}, but this edge-detect knows version {SCHEMA_VERSION}",
            where=str(path),
            hint="install a newer edge-detect, or name another --state file",
        )
    if version == SCHEMA_VERSION:
        return
    if version:
        _copy(db, path, version)
    db.execute("BEGIN IMMEDIATE")
    try:
        for step in STEPS[version:]:
            step(db)
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    if 0 < version < ROOM_BACK:
        # From here on the file gives room back; and nothing old is left in it that could be taken for new.
        # Without the room for it the ledger works all the same.
        with suppress(sqlite3.Error):
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            db.execute("VACUUM")


def _copy(db: sqlite3.Connection, path: Path, version: int) -> None:
    """A whole copy, in place when it is complete; one that is there from an earlier try is replaced."""
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    target = path.with_name(f"{path.name}.v{version}.{day}")
    unfinished = target.with_name(f"{target.name}.part")
    unfinished.unlink(missing_ok=True)
    try:
        os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWN_FILE))
        copy = sqlite3.connect(unfinished)
        try:
            db.backup(copy)
        finally:
            copy.close()
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def _first(db: sqlite3.Connection) -> None:
    """Outbox, counters, and what is known of the feed."""
    db.execute("CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
    db.execute("CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID")
    db.execute(
        "CREATE TABLE outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL,"
        " rows INTEGER NOT NULL, payload BLOB NOT NULL)"
    )
    db.execute("CREATE INDEX outbox_by_sink ON outbox (sink, id)")
    db.execute(
        "CREATE TABLE dead_letters (id INTEGER PRIMARY KEY, sink TEXT NOT NULL, rows INTEGER NOT NULL,"
        " payload BLOB NOT NULL, error TEXT NOT NULL)"
    )


def _states_by_machine(db: sqlite3.Connection) -> None:
    """The engine's states, a row a stage and machine. Before, all machines' stood in one text in `about`."""
    db.execute(
        "CREATE TABLE states (owner TEXT NOT NULL, stage TEXT NOT NULL, machine TEXT NOT NULL,"
        " version INTEGER NOT NULL, value TEXT NOT NULL, PRIMARY KEY (owner, stage, machine)) WITHOUT ROWID"
    )
    rows = db.execute("SELECT name, value FROM about WHERE name GLOB 'state.*'").fetchall()
    known = {name.removeprefix("state."): _read(value) for name, value in rows}
    db.executemany(
        "INSERT OR REPLACE INTO states VALUES (?, ?, ?, 1, ?)",
        [(*key, json.dumps(value)) for key, value in _states_of_version_1(known)],
    )


def _states_of_version_1(known: dict[str, Any]) -> Iterator[tuple[tuple[str, str, str], Any]]:
    """Owner, stage and machine, and the state as the stage has it now; rows before are not known.

    What is not as version 1 wrote it is left out; a value that a stage cannot use, the engine leaves out.
    """
    for machine, newest in _mapping(known, "quality").items():
        yield ("-", "times", machine), [newest, "", ""]
    bundle = known.get("bundle")
    if not isinstance(bundle, str):
        return
    for stage in ("debounce", "hold"):
        for machine, value in _mapping(known, stage).items():
            yield (bundle, stage, machine), value
    for name, value in known.items():
        stage, _, machine = name.partition(".")
        if stage == "memory":
            yield (bundle, "memory", machine), value


def _sums_by_sink(db: sqlite3.Connection) -> None:
    """How many rows each sink was to get. Before, only what became of them was counted."""
    parts = db.execute(
        "SELECT SUBSTR(name, INSTR(name, '.') + 1), value FROM counters"
        " WHERE name GLOB 'delivered.*' OR name GLOB 'dead.*' OR name GLOB 'dropped.*'"
        " UNION ALL SELECT sink, rows FROM outbox"
    ).fetchall()
    sums: dict[str, int] = {}
    for sink, rows in parts:
        sums[sink] = sums.get(sink, 0) + rows
    db.executemany(
        "INSERT OR REPLACE INTO counters VALUES (?, ?)",
        [(f"encoded.{sink}", rows) for sink, rows in sums.items()],
    )


def _checksums(db: sqlite3.Connection) -> None:
    """A checksum for each row, and the book's second copy. What waits already has none: it may be damaged.

    The index by sink goes: a sink's entries are found by their ids, and what is not there is never damaged.
    """
    for table in ("about", "counters", "states", "outbox", "dead_letters"):
        db.execute(f"ALTER TABLE {table} ADD COLUMN crc INTEGER")
    db.execute("CREATE TABLE twin (id INTEGER PRIMARY KEY, value TEXT NOT NULL, crc INTEGER NOT NULL)")
    db.execute("DROP INDEX IF EXISTS outbox_by_sink")
    last = db.execute(
        "SELECT MAX(COALESCE((SELECT MAX(id) FROM outbox), 0),"
        " COALESCE((SELECT MAX(id) FROM dead_letters), 0),"
        " COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0))"
    ).fetchone()[0]
    entries, size = db.execute("SELECT COUNT(*), COALESCE(SUM(LENGTH(payload)), 0) FROM outbox").fetchone()
    letters, dead_size = db.execute(
        "SELECT COUNT(*), COALESCE(SUM(LENGTH(payload)), 0) FROM dead_letters"
    ).fetchone()
    kept = {"last": last, "entries": entries, "bytes": size, "letters": letters, "dead_bytes": dead_size}
    db.executemany(
        "INSERT OR REPLACE INTO about (name, value) VALUES (?, ?)",
        [("schema", "4"), ("kept", json.dumps({**kept, "old": last}))],
    )
    for table, key in (("about", "name"), ("counters", "name"), ("states", "owner, stage, machine, version")):
        rows = db.execute(f"SELECT {key}, value FROM {table}").fetchall()  # noqa: S608
        where = " AND ".join(f"{column} = ?" for column in key.removesuffix(", version").split(", "))
        keys = 1 if key == "name" else 3
        db.executemany(
            f"UPDATE {table} SET crc = ? WHERE {where}",  # noqa: S608
            [(proof(table, *row), *row[:keys]) for row in rows],
        )


def _mapping(known: dict[str, Any], name: str) -> dict[str, Any]:
    found = known.get(name)
    return found if isinstance(found, dict) else {}


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


STEPS: tuple[Callable[[sqlite3.Connection], None], ...] = (
    _first,
    _states_by_machine,
    _sums_by_sink,
    _checksums,
)
SCHEMA_VERSION = len(STEPS)
ROOM_BACK = 4  # the first version whose files give room back

"""Where a feed's ledger lies, and under which identity: what is read, however its settings spell it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

from edge_runtime.connector import Fact
from edge_runtime.delivery.migrations import SCHEMA_VERSION
from edge_runtime.delivery.opening import file_of
from edge_runtime.delivery.reading import reading
from edge_runtime.errors import UsageError, counted
from edge_runtime.files import state_folder

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.gateway.settings import Settings

__all__ = ["ledger_fact", "place_of_ledger"]


def place_of_ledger(settings: Settings) -> tuple[Path, str]:
    """The ledger's file, and the identity of the feed as that ledger has it, or would get it.

    `state` in [run] names the file. Otherwise it lies in the state folder, and its name is made of the
    identity. A ledger of an earlier version, whose name was made of the settings as they were written, is
    found by that name, or by what it says it belongs to.

    Raises:
        UsageError: There are several of the latter, or `state` names a folder.
    """
    source = settings.source
    identity = source.kind.identity(source.given)
    path = settings.run.state
    if path is not None:
        if path.is_dir():
            raise UsageError("the ledger cannot be a folder", where=str(path), hint="name a file in it")
        return path, _same(settings, path) or identity
    path = _named(source.kind.name, identity)
    if path.exists():
        return path, identity
    if source.kind.earlier_identity is not None:
        earlier = source.kind.earlier_identity(source.given)
        old = _named(source.kind.name, earlier)
        if old.exists():  # whatever is wrong with it is said by who opens it
            return old, earlier
    others = [(file, stored) for file in _ledgers(source.kind.name) if (stored := _same(settings, file))]
    if len(others) > 1:
        files = ", ".join(str(file) for file, _ in others)
        raise UsageError(f"several ledgers fit {identity}", where=files, hint="name one with --state")
    return others[0] if others else (path, identity)


def _named(kind: str, identity: str) -> Path:
    import hashlib  # noqa: PLC0415 - where there is no name

    return state_folder() / f"{kind}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}.sqlite"


def _ledgers(kind: str) -> list[Path]:
    return sorted(state_folder().glob(f"{kind}-*.sqlite"))


def _same(settings: Settings, path: Path) -> str | None:
    """What a ledger says that it belongs to, if that is this feed."""
    source = settings.source
    stored = _stored(path)
    if stored is None:
        return None
    same = stored == source.kind.identity(source.given) or source.kind.has_earlier(stored, source.given)
    return stored if same else None


def _stored(path: Path) -> str | None:
    # Whatever is wrong with the file is said by who opens it to use it.
    with suppress(sqlite3.Error, OSError), reading(path) as db:
        found = db.execute("SELECT value FROM about WHERE name = 'source'").fetchone()
        return None if found is None else str(found[0])
    return None


def ledger_fact(path: Path, identity: str) -> Fact:
    """What there is at a ledger's place, and whether `run` could use it for this feed."""
    folder = next(one for one in file_of(path).absolute().parents if one.exists())
    if not folder.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
        return Fact("ledger", f"{path}: cannot be written", wrong=True)
    if not path.exists():
        return Fact("ledger", f"{path}: not there yet")
    try:
        with reading(path) as db:
            version = int(db.execute("PRAGMA user_version").fetchone()[0])
            if version > SCHEMA_VERSION:
                words = f"has version {version}, and this edge-detect knows {SCHEMA_VERSION}"
                return Fact("ledger", f"{path}: {words}", wrong=True)
            (source,) = db.execute("SELECT value FROM about WHERE name = 'source'").fetchone() or (identity,)
            waiting = db.execute("SELECT sink, SUM(rows) FROM outbox GROUP BY sink ORDER BY sink").fetchall()
            states = "SELECT COUNT(DISTINCT machine) FROM states" if version > 1 else "SELECT 0"
            machines = db.execute(states).fetchone()[0]
    except (sqlite3.Error, OSError) as error:
        return Fact("ledger", f"{path}: cannot be read ({error})", wrong=True)
    if source != identity:
        return Fact("ledger", f"{path}: belongs to another source ({source})", wrong=True)
    rows = [f"{counted(number, 'row waits', 'rows wait')} for {sink}" for sink, number in waiting]
    known = f"{counted(machines, 'machine')} known"
    return Fact("ledger", f"{path}: {', '.join([known, *(rows or ['no row waits'])])}")

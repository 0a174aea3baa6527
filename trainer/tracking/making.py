"""MLflow's own store, a SQLite file, which is there whole or not at all.

MLflow makes one in about sixty steps, each of which stays: a process that ends among them, or a second one
beside it, leaves tables that MLflow never opens again. So a store is made in a file beside it, while others
wait, and comes into its place in one transaction of SQLite.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from edge_runtime.errors import TrainingError
from trainer.tracking.failures import failed
from trainer.tracking.names import SQLITE, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["make_whole"]

VERSIONS, PART = "alembic_version", ".making"
# What MLflow puts into a new store by itself.
FIRST_ROWS = {"experiments": "Default", "workspaces": "default"}
BUSY_S, PATIENCE_S, LOOK_AGAIN_S = 20.0, 120.0, 0.05


@dataclass(frozen=True, slots=True)
class Content:
    """What a SQLite file holds.

    Attributes:
        tables: Its tables.
        versions: Of the schema, as the tables say; one, of a store that is whole.
        rows: How many rows somebody has put into it.
    """

    tables: frozenset[str]
    versions: tuple[str, ...]
    rows: int


def make_whole(store: Store, clock: Callable[[], float] = time.monotonic) -> None:
    """Makes a SQLite store that is not there, or only half, and waits for who is doing so already.

    What is in a store stays in it: one of an earlier version of MLflow is brought to this one's where MLflow
    does so by itself, and one that can be neither opened nor made anew is refused.

    Args:
        store: Another kind of store is left alone.
        clock: Monotonic seconds.

    Raises:
        TrainingError: It cannot be used, and why; it is as it was.
    """
    path = store.database
    if path is None:
        return
    try:
        if _is_ready(path):
            return
        with _alone_in(path.parent, store, clock):
            content = _content(path)
            if not _is_whole(content):
                _make(path, content, store)
    except (OSError, sqlite3.Error) as error:
        raise failed(store, error) from None


def _is_ready(path: Path) -> bool:
    """Whether it is whole, as far as can be seen while others write."""
    try:
        return _is_whole(_content(path, wait_s=LOOK_AGAIN_S))
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        return False


def _content(path: Path, wait_s: float = BUSY_S) -> Content:
    if not path.exists():
        return Content(frozenset(), (), 0)
    if path.is_dir():
        raise IsADirectoryError("it is a folder, not a SQLite file")
    with closing(_connect(path, wait_s=wait_s)) as connection:
        return _content_of(connection)


def _content_of(connection: sqlite3.Connection) -> Content:
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    versions = (
        connection.execute("SELECT version_num FROM alembic_version").fetchall() if VERSIONS in tables else []
    )
    rows = 0
    for table in tables:
        if table.startswith(("alembic_", "sqlite_")):
            continue
        first = FIRST_ROWS.get(table)
        own = "" if first is None else f" WHERE name IS NOT '{first}'"
        rows += connection.execute(f'SELECT COUNT(*) FROM "{table}"{own}').fetchone()[0]  # noqa: S608
    return Content(frozenset(tables), tuple(str(row[0]) for row in versions), rows)


def _is_whole(content: Content) -> bool:
    if len(content.versions) != 1:
        return False
    from mlflow.store.db.base_sql_model import Base  # noqa: PLC0415
    from mlflow.store.tracking import sqlalchemy_store  # noqa: F401, PLC0415 - it defines the tables

    return content.versions[0] == _known()[0] and set(Base.metadata.tables) <= content.tables


def _known() -> tuple[str, frozenset[str]]:
    """The version of the schema that this MLflow writes, and all that it knows."""
    import mlflow  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    script = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    return str(script.get_current_head()), frozenset(one.revision for one in script.walk_revisions())


def _make(path: Path, content: Content, store: Store) -> None:
    if not set(content.versions) <= _known()[1]:
        raise TrainingError(
            "a later version of MLflow wrote this store, which this one cannot read",
            where=store.shown,
            hint="upgrade with 'pip install --upgrade mlflow', or name another store with --tracking-uri",
        )
    if content.tables and VERSIONS not in content.tables and not content.tables & {"experiments", "runs"}:
        raise TrainingError(
            "this database is not one of MLflow's",
            where=store.shown,
            hint="name another file with --tracking-uri",
        )
    for left in path.parent.glob(f".{escape(path.name)}.*{PART}*"):
        left.unlink(missing_ok=True)
    part = path.with_name(f".{path.name}.{os.urandom(6).hex()}{PART}")
    try:
        part.touch()  # says at once what MLflow would try for minutes
        if not content.rows:
            _open_with_mlflow(part, store, keeps=False)
        with closing(_connect(path, "rwc")) as target:
            _put(part, target, store, content)
    except BaseException:
        with suppress(OSError, sqlite3.Error):
            if not content.tables and not _content(path).tables:
                path.unlink(missing_ok=True)
        raise
    finally:
        for ending in ("", "-journal", "-wal", "-shm"):
            part.with_name(part.name + ending).unlink(missing_ok=True)


def _put(part: Path, target: sqlite3.Connection, store: Store, content: Content) -> None:
    """Brings what was made to its place, or what is in its place to this version of MLflow."""
    # Nobody else writes from here to the end of the copy back: the lock stays with the connection.
    target.execute("PRAGMA locking_mode = EXCLUSIVE")
    target.execute("BEGIN EXCLUSIVE")
    target.commit()
    if _content_of(target) != content:
        raise TrainingError(
            "another program is making this store at the same time",
            where=store.shown,
            hint="try again when it is done",
        )
    if content.rows:
        with closing(sqlite3.connect(part)) as copy:
            target.backup(copy)
        _open_with_mlflow(part, store, keeps=True)
    with closing(sqlite3.connect(part)) as made:
        made.backup(target)


def _open_with_mlflow(part: Path, store: Store, *, keeps: bool) -> None:
    """Has MLflow make the tables, and what it puts into them."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # noqa: PLC0415

    opened: Any = None
    open_store: Any = SqlAlchemyStore
    try:
        opened = open_store(f"{SQLITE}{part}", store.artifact_location)
    except Exception as error:  # noqa: BLE001 - a migration may raise whatever there is
        if keeps:
            raise TrainingError(
                "an earlier version of MLflow wrote this store, or a change of its tables was broken off, "
                "and this version of MLflow does not open it",
                where=store.shown,
                hint=f"copy the file, run 'mlflow db upgrade {store.shown}', or name another store with "
                "--tracking-uri",
            ) from None
        raise failed(store, error) from None
    finally:
        if opened is not None:
            opened.engine.dispose()


def _connect(path: Path, mode: str = "rw", wait_s: float = BUSY_S) -> sqlite3.Connection:
    """Falls back on reading where writing is not allowed."""
    return sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", uri=True, timeout=wait_s)


@contextmanager
def _alone_in(folder: Path, store: Store, clock: Callable[[], float]) -> Iterator[None]:
    """One process at a time makes a store in this folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        until = clock() + PATIENCE_S
        while not _locked(descriptor):
            if clock() > until:
                raise TrainingError(
                    f"another process has been making this store for {PATIENCE_S:.0f} s",
                    where=store.shown,
                    hint="see whether it is stopped, or name another store with --tracking-uri",
                )
            time.sleep(LOOK_AGAIN_S)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system that cannot lock a folder: SQLite's own lock is left
        return True
    return True

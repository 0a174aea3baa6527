"""Reading a ledger, or the history beside it, without touching it, whether or not a process has it open.

SQLite makes files beside a database that nobody has open, even to read it. So such a file is read as one that
does not change; if a crash left a log beside it, a copy of both is read. The memory that processes share by a
file may be left by a crash too, and whoever opens it for writing would begin it anew.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from edge_runtime.delivery.opening import file_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Moments", "reading"]

# A file that is opened or closed at this moment is tried again so many times, seconds apart.
TRIES, REST_S = 25, 0.02
# What SQLite says then: files beside it are gone, the memory in one of them is not made yet, or its locks
# change hands again and again, as where a process is killed.
PASSING = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PROTOCOL)
# How a file is read: as one that others have open, as one that does not change, or by a copy.
SHARED, STILL, COPIED = "shared", "still", "copied"

T = TypeVar("T")


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A ledger to be read, as it is at one moment, and not touched.

    Raises:
        OSError, sqlite3.Error: It cannot be read.
    """
    with ExitStack() as stack:
        yield _open_in_time(path, stack)[0]


class Moments:
    """A file that is read again and again, each time as it is at that moment, with nothing held in between.

    Where a crash left a log, one copy is read for as long as this is open.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack = ExitStack()
        self._copy: sqlite3.Connection | None = None

    def at_once(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        """What `ask` finds in the file, within one transaction.

        Args:
            ask: Called with the open file; it fetches what it needs, and works on it later. It may be called
                again, where a process began to write a file that nobody had open.

        Raises:
            OSError, sqlite3.Error: It cannot be read.
        """
        if self._copy is not None:
            return ask(self._copy)
        for _ in range(TRIES):
            before = _state(self._path)
            with ExitStack() as stack:
                db, how = _open_in_time(self._path, stack)
                if how is COPIED and before == _state(self._path):
                    self._copy, self._stack = db, stack.pop_all()
                    return ask(db)
                if how is COPIED:
                    continue  # a process began to write it meanwhile: file and log may be of two moments
                try:
                    found = ask(db)
                except sqlite3.DatabaseError:
                    if how is SHARED or before == _state(self._path):
                        raise
                else:
                    if how is SHARED or before == _state(self._path):
                        return found
            time.sleep(REST_S)
        with reading(self._path) as db:
            return ask(db)

    def close(self) -> None:
        """Removes the copy, if there is one."""
        self._copy = None
        self._stack.close()


def _state(path: Path) -> tuple[int, int, bool]:
    """What changes when somebody writes a file."""
    path = file_of(path)
    found = path.stat()
    return found.st_mtime_ns, found.st_size, path.with_name(f"{path.name}-wal").exists()


def _open_in_time(path: Path, stack: ExitStack) -> tuple[sqlite3.Connection, str]:
    path = file_of(path)
    tries = TRIES
    while True:
        tries -= 1
        try:
            return _opened(path, stack)
        except (FileNotFoundError, sqlite3.OperationalError) as error:
            # The process that has it opens or closes it at this moment, and with it the files beside it.
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CANTOPEN)
            if not tries or not path.exists() or code & 0xFF not in PASSING:
                raise
            stack.close()
            time.sleep(REST_S)


def _opened(path: Path, stack: ExitStack) -> tuple[sqlite3.Connection, str]:
    """The file, or a copy of it, within a transaction; and how it is read."""
    log = path.with_name(f"{path.name}-wal")
    opened, how = path.with_name(f"{path.name}-shm").exists(), COPIED
    if opened or not log.exists() or not log.stat().st_size:
        how = SHARED if opened else STILL
        where = f"{path.absolute().as_uri()}?mode=ro&{'readonly_shm' if opened else 'immutable'}=1"
    else:
        import shutil  # noqa: PLC0415 - for this alone
        import tempfile  # noqa: PLC0415

        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="edge-detect-"))
        copy = Path(folder, "ledger")
        shutil.copyfile(path, copy)
        shutil.copyfile(log, copy.with_name("ledger-wal"))
        where = copy.as_uri()
    db = stack.enter_context(closing(sqlite3.connect(where, uri=True, isolation_level=None)))
    db.execute("BEGIN")
    db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    return db, how

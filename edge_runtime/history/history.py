"""The history that `run` writes beside its ledger: what was read and found, for those who look back.

It never costs a verdict: whatever is wrong with it is said, and the feed goes on without it.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress
from typing import IO, TYPE_CHECKING

import numpy as np

from edge_runtime.delivery.mending import set_aside
from edge_runtime.delivery.opening import file_of
from edge_runtime.delivery.proof import DamageError, is_damage
from edge_runtime.delivery.upkeep import give_room_back
from edge_runtime.engine.alarmrows import NOT_JUDGED
from edge_runtime.errors import LedgerError
from edge_runtime.files import make_folder
from edge_runtime.history.bounds import Bounds
from edge_runtime.history.opened import OpenHistory
from edge_runtime.history.room import make_sure_of_room
from edge_runtime.history.schema import locked, open_history, transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge_runtime.engine.alarms import Change
    from edge_runtime.engine.engine import Engine
    from edge_runtime.records import Results

__all__ = ["History"]

RETRY_S = 60.0
MAX_WAITING = 1000


class History:
    """The history of one process, which has the ledger's lock.

    Args:
        path: The file; made when it is missing, with its folder.
        engine: Whose rows are stored; its states let them be judged again. It has judged all that the ledger
            has, and nothing else.
        mark: Of the last commit that the ledger has, as `append` returned it; None for none.
        report: Called with one line when it cannot be written, and when it can again.
        tell: Stores a mark in the ledger by itself; may raise `LedgerError`. It is called for a file that the
            ledger does not know, before anything is stored in it: otherwise nobody could say, after a crash,
            which of it the ledger has. None where no ledger outlives the process.
        bounds: How large it may get.
        clock: Monotonic clock, in seconds.
        now: The clock, nanoseconds since the epoch, by which rows get old.
    """

    def __init__(
        self,
        path: Path,
        engine: Engine,
        mark: str | None,
        *,
        report: Callable[[str], None],
        tell: Callable[[str], None] | None = None,
        bounds: Bounds | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self._path = path
        self._engine = engine
        self._mark = mark
        self._report = report
        self._tell = tell
        self._bounds = bounds or Bounds()
        self._clock = clock
        self._now = now
        self._db: sqlite3.Connection | None = None
        self._lock: IO[bytes] | None = None
        self._open: OpenHistory | None = None
        self._complained: str | None = None
        self._lost: tuple[int, int] | None = None  # times of rows that could not be stored
        self._waiting: list[Change] = []  # changes of alarms that could not be stored
        self._retry = clock()
        self._try_to_open()

    def append(self, results: Results | None, changes: Sequence[Change]) -> str | None:
        """Stores what a commit of the ledger is about to store; all commits before are in the ledger.

        Args:
            results: The rows; None for none.
            changes: What changed in alarms.

        Returns:
            The mark to store in the ledger with them; None where there is none that is new.
        """
        results = _judged(results)
        changes = [*self._waiting, *changes]
        if results is None and not changes:
            return None
        if self._open is None and self._clock() >= self._retry:
            # The engine has judged these rows already, and no longer knows what it knew before them.
            self._miss(results)
            results = None
            self._try_to_open()
        if self._db is None or self._open is None:
            self._miss(results)
            self._waiting = changes[-MAX_WAITING:]
            return None
        try:
            make_sure_of_room(self._path)  # which also says when somebody deleted the file
            self._make_known(self._open)
            with transaction(self._db):
                self._open.append(results, changes)
            self._waiting = []
            self._mark = _mark_of(self._open)
        except (sqlite3.Error, OSError, DamageError, LedgerError) as error:
            self._miss(results)
            self._waiting = changes[-MAX_WAITING:]
            self._fail(error)
            if is_damage(error):
                self._try_to_open()  # a new one
            return None
        with suppress(sqlite3.Error):  # whatever is wrong, the next transaction says it
            give_room_back(self._db)
        return self._mark

    def _make_known(self, history: OpenHistory) -> None:
        """The ledger knows which file it is, before the file has what the ledger does not have."""
        if self._mark is None or self._mark.partition(":")[0] != history.identity:
            if self._tell is not None:
                self._tell(_mark_of(history))
            self._mark = _mark_of(history)

    def close(self) -> None:
        """Closes the file."""
        db, self._db, self._open = self._db, None, None
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _try_to_open(self) -> None:
        """Opens the file, and begins where the ledger is; whatever is wrong is said."""
        try:
            try:
                self._begin()
            except DamageError as error:
                self._set_aside(error)
                self._begin()
        except (sqlite3.Error, OSError, DamageError, LedgerError) as error:
            self._fail(error)

    def _begin(self) -> None:
        make_folder(self._path.parent)
        make_sure_of_room(self._path.parent)
        self._lock = self._lock or locked(file_of(self._path))
        self._db = db = open_history(self._path)
        lost = None if self._lost is None else (*self._lost, self._complained or "")
        try:
            with transaction(db):
                self._open = OpenHistory(
                    db, self._engine, self._mark, lost, bounds=self._bounds, now=self._now
                )
        except BaseException as error:
            self.close()
            if is_damage(error):
                raise DamageError(str(error)) from None
            raise
        self._lost = None
        if self._complained is not None:
            self._report("history: is written again")
            self._complained = None

    def _fail(self, error: BaseException) -> None:
        """Goes on without a history, and tries again after a while."""
        self.close()
        self._retry = self._clock() + RETRY_S
        if is_damage(error):
            try:
                self._set_aside(error)
            except OSError as failed:
                error = failed
        why = getattr(error, "strerror", None) or str(error)
        if why != self._complained:
            self._complained = why
            self._report(f"history: cannot be written ({why}); rows are judged and delivered without it")

    def _set_aside(self, error: BaseException) -> None:
        aside = set_aside(self._path, most=1)
        self._report(f"history: {self._path} was damaged ({error}) and lies in {aside} now; a new one begins")

    def _miss(self, results: Results | None) -> None:
        """Remembers of which times rows are missing."""
        if results is not None:
            times = results.readings.times
            found = int(times.min()), int(times.max())
            before = self._lost or found
            self._lost = min(before[0], found[0]), max(before[1], found[1])


def _mark_of(history: OpenHistory) -> str:
    return f"{history.identity}:{history.number}"


def _judged(results: Results | None) -> Results | None:
    """The rows that were judged; those whose time was wrong have no part in a machine's history."""
    if results is None or not len(results):
        return None
    if results.reasons.any():
        rows = np.flatnonzero(~NOT_JUDGED[results.reasons])
        if not len(rows):
            return None
        if len(rows) < len(results):
            results = results.take(rows)
    return _in_order(results)


def _in_order(results: Results) -> Results:
    """Without rows of a machine that are followed by earlier ones: their times were found to be wrong."""
    groups = results.readings.groups
    times = groups.gather(results.readings.times)
    falls = np.flatnonzero(times[1:] <= times[:-1]) + 1
    if np.isin(falls, groups.bounds).all():
        return results
    stays = np.ones(len(times), np.bool_)
    for _, own in groups:
        of = times[own]
        stays[own][:-1] = of[:-1] < np.minimum.accumulate(of[:0:-1])[::-1]
    places = np.arange(len(times)) if groups.order is None else groups.order
    return results.take(np.sort(places[stays]))

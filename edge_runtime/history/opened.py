"""A history while it is open and whole: it begins where the ledger is, and stores commit after commit."""

from __future__ import annotations

import json
import uuid
import zlib
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.delivery.proof import DamageError
from edge_runtime.history.bounds import keep_within
from edge_runtime.history.cutting import cut_after, cut_what_is_replaced
from edge_runtime.history.happened import Happened
from edge_runtime.history.packing import join_small, pack_recent
from edge_runtime.history.recent import recent_of, recent_read, recent_written
from edge_runtime.records import NO_TIME

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from edge_runtime.engine.alarms import Change
    from edge_runtime.engine.engine import Engine
    from edge_runtime.history.bounds import Bounds
    from edge_runtime.history.packing import Crowded
    from edge_runtime.records import Results

__all__ = ["Lost", "OpenHistory"]

# So many commits or rows wait to be packed.
PACK_COMMITS, PACK_ROWS = 256, 65_536
# After so many rows of a machine, its state is stored again.
STATE_ROWS = 8192
JOINS = 2  # at most in one commit
NOT_WRITTEN = "no history was written when they were judged"

# Times of the first and last row that are missing, and why.
Lost = tuple[int, int, str]


class OpenHistory:
    """What is known of an open history; after an error it is not to be used any more.

    Args:
        db: The file, within a transaction.
        engine: Whose rows are stored. It has judged all that was stored before, and what was lost.
        mark: Of the last commit that the ledger has; None for none.
        lost: Rows that could not be stored before; None for none.
        bounds: How large it may get.
        now: The clock, nanoseconds since the epoch.

    Attributes:
        identity: Of the file.
        number: Of the last commit in it.

    Raises:
        DamageError: It is not as it was written.
        sqlite3.Error: It cannot be read or written.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        engine: Engine,
        mark: str | None,
        lost: Lost | None,
        *,
        bounds: Bounds,
        now: Callable[[], int],
    ) -> None:
        self._db = db
        self._engine = engine
        self._bounds = bounds
        self._now = now
        about = dict(db.execute("SELECT name, value FROM about"))
        try:
            self.identity, self.number = about["identity"], int(about["number"])
        except (KeyError, ValueError):
            raise DamageError("it does not say what it is") from None
        stored = self.number
        why = self._follow(mark)
        cut_what_is_replaced(db)
        self._replaces = False
        self._machines = {
            str(name): int(code) for code, name in db.execute("SELECT code, name FROM machines")
        }
        # A state may be newer than the rows, where all of these were taken out for being too old.
        known = (
            "SELECT machine, MAX(time) FROM states GROUP BY machine"
            " UNION ALL SELECT machine, MAX(stop) FROM blocks GROUP BY machine"
        )
        self._newest = dict[int, int]()
        for machine, time in db.execute(known):
            self._newest[machine] = max(time, self._newest.get(machine, NO_TIME))
        self._commits = self._rows = 0
        for of, data in db.execute("SELECT number, data FROM recent ORDER BY number"):
            recent = recent_read(data, of)
            for machine, time in zip(recent.machines.tolist(), recent.rows.times.tolist(), strict=True):
                self._newest[machine] = max(time, self._newest.get(machine, NO_TIME))
            self._commits, self._rows = self._commits + 1, self._rows + len(recent.rows)
        if lost is not None:
            self._note(self.number, *lost)
        if lost is None or why is not None:
            self._note_what_is_missing(min(stored, self.number), why)
        self._crowded: Crowded = []
        self._may_be_too_large = True
        self._bundle = self._code_of_bundle()
        self._happened = Happened(db, self._machines, engine.bundle.metadata.sensor_names)
        self._since: dict[int, int] = {}  # machine to its rows since its state was stored
        for name in engine.machine_names:
            code = self._code(name)
            # Rows that were judged without a history are among what is known.
            self._newest[code] = max(engine.newest(name), self._newest.get(code, NO_TIME))
            self._store_state(name, code, self._newest[code])

    def append(self, results: Results | None, changes: Sequence[Change]) -> None:
        """Stores a commit, within a transaction. All before it are in the ledger.

        Args:
            results: The rows, which were judged; None for none.
            changes: What changed in alarms.

        Raises:
            DamageError: What is there already is not as it was written.
            sqlite3.Error: It cannot be written.
        """
        if self._replaces:
            cut_what_is_replaced(self._db)
            self._replaces = False
        self._pack_in_time()
        self.number += 1
        if results is not None:
            self._store(results)
        self._happened.store(self._db, self.number, results, changes)
        self._store_number()

    def _follow(self, mark: str | None) -> str | None:
        """Takes out what the ledger does not have, or says why this lacks what the ledger has."""
        identity, _, text = (mark or "").partition(":")
        if identity != self.identity or not (text.isascii() and text.isdigit()):
            if self.number:
                # The ledger that was here before may come back: it must not take out what this one stores.
                self.identity = uuid.uuid4().hex
                self._db.execute("UPDATE about SET value = ? WHERE name = 'identity'", (self.identity,))
                return None
            # Of a file that was damaged, moved away, or lost in a power cut.
            return None if mark is None else "what was stored before is in another history"
        number = int(text)
        if self.number > number:
            cut_after(self._db, number)
        lacks = self.number < number
        self.number = number
        self._store_number()
        return "the last commits before a power cut are missing" if lacks else None

    def _note_what_is_missing(self, number: int, why: str | None) -> None:
        """Notes rows that the engine judged and this has not, which machines' newest times tell as well."""
        known = {name: self._newest.get(code, NO_TIME) for name, code in self._machines.items()}
        since: int | None = None
        until: int | None = None
        for name in self._engine.machine_names:
            newest, ours = self._engine.newest(name), known.get(name, NO_TIME)
            if newest > ours and self._newest:
                since = ours if since is None else min(since, ours)
                until = newest if until is None else max(until, newest)
        if since == NO_TIME:  # of a machine of which all is missing
            since = until = None
            why = why or NOT_WRITTEN
        if why is not None or since is not None:
            self._note(number, since, until, why or NOT_WRITTEN)

    def _note(self, number: int, since: int | None, until: int | None, why: str) -> None:
        row = (number, since, until, why)
        self._db.execute("INSERT INTO gaps (number, since, until, why) VALUES (?, ?, ?, ?)", row)

    def _store_number(self) -> None:
        self._db.execute("UPDATE about SET value = ? WHERE name = 'number'", (str(self.number),))

    def _code_of_bundle(self) -> int:
        bundle = self._engine.bundle
        sensors = [{"name": sensor.name, "unit": sensor.unit} for sensor in bundle.metadata.sensors]
        of = (bundle.digest, json.dumps(sensors, ensure_ascii=False, separators=(",", ":")))
        self._db.execute("INSERT OR IGNORE INTO bundles (digest, sensors) VALUES (?, ?)", of)
        found = self._db.execute("SELECT code FROM bundles WHERE digest = ? AND sensors = ?", of).fetchone()
        return int(found[0])

    def _code(self, name: str) -> int:
        code = self._machines.get(name)
        if code is None:
            code = int(self._db.execute("INSERT INTO machines (name) VALUES (?)", (name,)).lastrowid or 0)
            self._machines[name] = code
        return code

    def _pack_in_time(self) -> None:
        if self._commits >= PACK_COMMITS or self._rows >= PACK_ROWS:
            self._crowded = pack_recent(self._db)
            self._commits = self._rows = 0
            self._may_be_too_large = True
        for _ in range(min(JOINS, len(self._crowded))):
            join_small(self._db, *self._crowded.pop())
        if self._may_be_too_large:
            self._may_be_too_large = keep_within(self._db, self._bounds, self._now())

    def _store(self, results: Results) -> None:
        """The rows, and of each machine its state from time to time."""
        groups = results.readings.groups
        times = groups.gather(results.readings.times)
        for name, own in groups:
            code = self._code(name)
            first, last = int(times[own.start]), int(times[own.stop - 1])
            again = self._newest.get(code, NO_TIME) >= first
            if again:
                cut = (self.number, code, first)
                self._db.execute("INSERT INTO cuts (number, machine, time) VALUES (?, ?, ?)", cut)
                self._replaces = True
                self._happened.go_back(self._db, code, first)
            self._newest[code] = last
            if code not in self._since:
                # Its first rows of all: before them nothing was known of it.
                self._put_state(code, first - 1, b"")
            self._since[code] = self._since.get(code, 0) + own.stop - own.start
            # What was known before rows that are judged again is not what the rows before them lead to.
            if again or self._since[code] >= STATE_ROWS:
                self._store_state(name, code, last)
        names, places = results.readings.dictionary
        codes = np.array([self._machines.get(name, 0) for name in names], np.int32)[places]
        data = recent_written(recent_of(results, codes, self.number))
        row = (self.number, self._bundle, data)
        self._db.execute("INSERT INTO recent (number, bundle, data) VALUES (?, ?, ?)", row)
        self._commits, self._rows = self._commits + 1, self._rows + len(results)

    def _store_state(self, name: str, code: int, newest: int) -> None:
        states = [[one.owner, one.stage, one.version, one.value] for one in self._engine.state(name)]
        data = zlib.compress(json.dumps(states, separators=(",", ":")).encode(), 6)
        self._put_state(code, newest, data)
        self._since[code] = 0

    def _put_state(self, code: int, newest: int, data: bytes) -> None:
        row = (code, newest, self.number, self._bundle, data)
        self._db.execute(
            "INSERT OR REPLACE INTO states (machine, time, number, bundle, data) VALUES (?, ?, ?, ?, ?)", row
        )

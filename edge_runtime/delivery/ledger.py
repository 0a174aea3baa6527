"""The ledger: one SQLite file in which results, checkpoint and state are committed together, or not at all.

What is in it after a power cut is what was committed before: WAL with `synchronous=FULL` syncs each commit.
A file that is found damaged, at start or later, is set aside and what can be read of it carried over.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

from edge_runtime.checkpoint import Checkpoint
from edge_runtime.delivery.outbox import Bounds, Entry, Parcel, SinkSums
from edge_runtime.delivery.states import keep_states, kept_machines, kept_states, states_of_source
from edge_runtime.delivery.store import Store
from edge_runtime.delivery.upkeep import give_room_back, make_sure_of_room
from edge_runtime.errors import LedgerError, LedgerUnavailableError, counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from edge_runtime.engine.stage import StageState

__all__ = ["Ledger", "Parcel"]


class Ledger(Store):
    """The open ledger of one process; safe to use from several threads.

    Args:
        path: The file; made when missing, with its folder.
        source: What is read, such as "influx http://… plant sensors": a ledger belongs to one source.
            None for whatever it belongs to.
        report: Called with one line when something of it was damaged, or went for room.
        bounds: How much waits and how many dead letters are kept; beyond it the oldest go, and are counted.

    Raises:
        LedgerError: Another process uses it, it belongs to another source, is of another version, is no
            ledger, or its folder cannot be written.
    """

    def __init__(
        self,
        path: Path,
        source: str | None,
        *,
        report: Callable[[str], None] = lambda _: None,
        bounds: Bounds | None = None,
    ) -> None:
        super().__init__(path, report, bounds or Bounds())
        self._owed: list[tuple[str, Sequence[Parcel], str | None]] = []
        try:
            self._belongs_to(source)
        except LedgerError:
            self.close()
            raise

    def commit(
        self,
        *,
        checkpoint: Checkpoint | None,
        states: Sequence[StageState],
        payloads: Sequence[Entry | tuple[str, bytes, int]],
        counters: Mapping[str, int],
        clock: int | None = None,
        words: str | None = None,
        rules: str | None = None,
        history: str | None = None,
    ) -> None:
        """Stores everything that a block of rows led to, in one transaction.

        Args:
            checkpoint: Where the source goes on; None keeps the last one, and so does each machine that is
                not named.
            states: Of stages and machines; each replaces the one before, or takes it away.
            payloads: What goes to sinks: for each its sink, the payload, and the number of rows in it.
            counters: Name to what is added to it.
            clock: The gateway's clock, nanoseconds since the epoch; None where it is not believed.
            words: The mark of the last of people's words that was taken up; None keeps the last one.
            rules: The rules in force, as `RulesKept` writes them; None keeps the last ones.
            history: The mark of this commit in the history; None keeps the last one.

        Raises:
            LedgerUnavailableError: The disk is full or does not answer; nothing was stored.
            LedgerError: The file is damaged, and cannot be mended, or was deleted.
        """

        def room() -> None:
            make_sure_of_room(self._db, self._path, sum(len(payload) for _, payload, _ in payloads))

        def work() -> None:
            text, moved = (None, {}) if checkpoint is None else (checkpoint.text, checkpoint.machines)
            about = {"checkpoint": text, "clock": clock, "words": words, "rules": rules, "history": history}
            self._book.about.update({name: str(value) for name, value in about.items() if value is not None})
            keep_states(self._db, [*states, *states_of_source(moved)])
            self._book.count(counters)
            self._outbox.add(payloads)

        self._write(work, before=room)

    def parcels(
        self, sink: str, *, most: int, max_bytes: int = 4 << 20, after: int | None = None
    ) -> list[Parcel]:
        """The oldest parcels of a sink: at most so many and so many bytes, but one when there is one.

        What is damaged among them goes to the dead letters first, and is said.

        Args:
            sink: Its name.
            most: So many of them.
            max_bytes: So many bytes of payloads.
            after: Only those after this id, up to the first that is damaged.

        Raises:
            LedgerUnavailableError: The disk is full or does not answer.
            LedgerError: The file is damaged, and cannot be mended.
        """
        with self._mutex:
            self._settle()
            while True:
                found, damaged = self._read(lambda: self._outbox.parcels(sink, most, max_bytes, after))
                if after is not None:
                    return found  # what is damaged has its turn when it is the oldest
                if damaged:
                    self._bury_damaged(sink, damaged)
                elif found:
                    return found
                else:
                    self._nothing_waits(sink)
                    return []

    def delivered(self, sink: str, parcels: Sequence[Parcel], position: str | None) -> None:
        """Takes parcels out of the outbox, for they are where they belong.

        Raises:
            LedgerUnavailableError: The disk is full or does not answer. They are known to be delivered all
                the same: `parcels` writes that down before it gives out others, and does not give them again.
            LedgerError: The file is damaged, and cannot be mended.
        """
        with self._mutex:
            self._owed.append((sink, parcels, position))
            self._settle()

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
        self._write(lambda: self._outbox.bury(sink, parcel, error, refused or (parcel.payload, parcel.rows)))

    def checkpoint(self) -> Checkpoint | None:
        """Where the source goes on, with all its machines."""
        text = self._about("checkpoint")
        return None if text is None else Checkpoint(text, self._read(lambda: kept_machines(self._db)))

    def clock(self) -> int | None:
        """The gateway's clock when it was believed last, nanoseconds since the epoch."""
        text = self._about("clock")
        return None if text is None else int(text)

    def words(self) -> str | None:
        """The mark of the last of people's words that was taken up."""
        return self._about("words")

    def rules(self) -> str | None:
        """The rules in force, as `RulesKept` reads them."""
        return self._about("rules")

    def history(self) -> str | None:
        """The mark of the last commit that the history has as well."""
        return self._about("history")

    def note_history(self, mark: str) -> None:
        """Stores a mark of the history by itself.

        Raises:
            LedgerUnavailableError: The disk is full or does not answer; nothing was stored.
            LedgerError: As by `commit`.
        """
        self.commit(checkpoint=None, states=(), payloads=(), counters={}, history=mark)

    def states(self) -> list[StageState]:
        """Every state as it was committed last; what does not fit its checksum is one that no stage takes."""
        return self._read(lambda: kept_states(self._db))

    def position(self, sink: str) -> str | None:
        """What the sink had delivered."""
        return self._about(f"position.{sink}")

    def counters(self) -> dict[str, int]:
        """Everything that was counted since the ledger was made."""
        with self._mutex:
            return dict(self._book.counters)

    def waiting(self, sink: str) -> int:
        """Number of rows that wait for a sink."""
        return self.sums(sink).waiting

    def sums(self, sink: str) -> SinkSums:
        """Where the rows of a sink went since the ledger was made."""
        with self._mutex:
            return self._outbox.sums(sink)

    def close(self) -> None:
        """Closes the file and lets other processes have it."""
        with self._mutex:
            with suppress(LedgerError):
                self._settle()
            super().close()

    def _belongs_to(self, source: str | None) -> None:
        known = self._about("source")
        if known is None and source is not None:
            self._write(lambda: self._book.about.update({"schema": "4", "source": source}))
        elif source not in (None, known):
            raise LedgerError(
                f"belongs to another source ({known})",
                where=str(self._path),
                hint="name another --state file",
            )

    def _bury_damaged(self, sink: str, damaged: Sequence[Parcel]) -> None:
        rows: list[int] = []
        self._write(lambda: rows.append(self._outbox.bury_damaged(sink, damaged)))
        self._report(
            "ledger: "
            + counted(
                rows[-1],
                f"row for {sink} was damaged on the disk; it is a dead letter now",
                f"rows for {sink} were damaged on the disk; they are dead letters now",
            )
        )

    def _nothing_waits(self, sink: str) -> None:
        if self._outbox.sums(sink).waiting:
            rows: list[int] = []
            self._write(lambda: rows.append(self._outbox.missing(sink)))
            self._report(
                "ledger: "
                + counted(
                    abs(rows[-1]),
                    f"row for {sink} is missing, and was counted as lost",
                    f"rows for {sink} are missing, and were counted as lost",
                )
            )
        with suppress(sqlite3.Error):  # whatever is wrong, the next transaction says it
            give_room_back(self._db)

    def _settle(self) -> None:
        """Writes down what is known to be delivered and could not be written when it was."""
        while self._owed:
            sink, parcels, position = self._owed[0]

            def work(
                sink: str = sink, parcels: Sequence[Parcel] = parcels, at: str | None = position
            ) -> None:
                self._outbox.delivered(sink, parcels)
                if at is not None:
                    self._book.about[f"position.{sink}"] = at

            try:
                self._write(work)
            except LedgerUnavailableError:
                if position is not None or len(parcels) < 2:  # noqa: PLR2004 - a half would be nothing
                    raise
                # On a disk that is nearly full there is room for fewer. With a position it is all or nothing:
                # it is the one after the last of them.
                middle = len(parcels) // 2
                self._owed[:1] = [(sink, parcels[:middle], None), (sink, parcels[middle:], None)]
                with suppress(sqlite3.Error):
                    self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                continue
            self._owed.pop(0)
            with suppress(sqlite3.Error):
                give_room_back(self._db)

    def _about(self, name: str) -> str | None:
        with self._mutex:
            return self._book.about.get(name)

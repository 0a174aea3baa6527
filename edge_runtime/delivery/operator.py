"""The operator file: what people say about alarms, for the process that has the ledger to take up.

The ledger has one writer, `edge-detect run`. Whoever else has something to say appends it to this file, in a
folder beside the ledger, and `run` reads on from where it was. Nothing in it is ever changed or deleted: it
is the record of who said what, and when.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import NoReturn

from edge_runtime.delivery.opening import file_of
from edge_runtime.delivery.operatorfolder import make_operator_file
from edge_runtime.delivery.operatorschema import (
    APPLICATION_ID,
    FIRST,
    VERSION,
    header,
    is_empty,
)
from edge_runtime.delivery.operatorwords import append_word, stored_words
from edge_runtime.delivery.proof import is_damage
from edge_runtime.delivery.words import rule_in, wrong_word
from edge_runtime.engine.alarms import Word
from edge_runtime.errors import LedgerUnavailableError, UsageError

__all__ = ["OperatorFile", "feed_of", "operator_file", "place_in"]

# Seconds: a person waits for other writers, the loop that reads once a second does not.
WRITE_TIMEOUT_S, READ_TIMEOUT_S = 10.0, 0.1
# So many calls in a row may find the file busy before that is said: a slow card takes its time to sync.
BUSY_CALLS = 30
MOST_WORDS = 1000


def operator_file(ledger: Path) -> Path:
    """Where the operator file of a ledger lies: in a folder of its own beside the ledger's file."""
    return file_of(ledger).absolute().parent / "operator" / "operator.sqlite"


def feed_of(ledger: Path) -> str:
    """What words of this ledger's feed are filed under: the ledger's file name."""
    return os.fsencode(file_of(ledger).name).decode("utf-8", "backslashreplace")


def place_in(mark: str | None) -> tuple[str, int]:
    """A mark's two parts: which operator file it is of, and the number of the last word before it.

    A mark that is none begins with the first word.
    """
    identity, number, _ = [*(mark or "").split(":"), "", ""][:3]
    return (identity, int(number)) if number.isascii() and number.isdigit() else ("", 0)


class OperatorFile:
    """The words that people have said, as an open file never is: it is opened for each question anew.

    Args:
        path: The file, as `operator_file` gives it. It need not be there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._busy = 0  # calls of `after` in a row
        self._passed = ("", "", 0), 0  # up to where no word of this feed came after this place

    def say(  # noqa: PLR0913 - one for each part of a word
        self,
        *,
        feed: str,
        at: int,
        by: str,
        word: str,
        machine_id: str,
        kind: str,
        subject: str,
        event_id: str | None = None,
        revision: int | None = None,
        until: int | None = None,
        text: str | None = None,
        rule: str | None = None,
    ) -> Word:
        """Appends a word; it is on the disk when this returns. The file is made when it is missing.

        Args:
            feed: As `feed_of` gives it.
            at: Now, nanoseconds since the epoch.
            by: Who says it.
            word: As in `engine.alarms.Word`, as are all others.
            machine_id: Of which machine; empty for a rule.
            kind: "machine", "sensor" or "rule".
            subject: The sensor; empty for the machine itself; of a rule its name.
            event_id: Of "ack", "comment" and "reset".
            revision: Of "ack".
            until: Of "shelve", nanoseconds since the epoch.
            text: The comment, or the reason.
            rule: Of "rule": what it asks, as JSON.

        Raises:
            UsageError: It is no word that could be taken up.
            LedgerUnavailableError: It cannot be written, or is none of ours; nothing was said.
        """
        said = Word(0, at, by, word, machine_id, kind, subject, event_id, revision, until, text, rule)
        wrong = wrong_word(said)
        if wrong is not None:
            raise UsageError(wrong[1], where=wrong[0])
        rule_in(said)
        try:
            make_operator_file(self._path)
            self._is_regular()
            with closing(self._opened(WRITE_TIMEOUT_S)) as db:
                return self._append(db, feed, said)
        except (sqlite3.Error, OSError) as error:
            self._fail(error, "written")

    @property
    def is_busy(self) -> bool:
        """Whether the last call of `after` gave nothing because another process was writing."""
        return self._busy > 0

    def after(self, mark: str | None, feed: str) -> tuple[list[Word], str | None]:
        """The words of a feed that come after a mark, oldest first; at most a thousand.

        Nothing is made, and another process is waited for a tenth of a second at most. While it writes for
        longer there are no words yet.

        Args:
            mark: What the call before returned; None for the first words. One of another operator file,
                such as one that was moved away, begins with the first word of this one.
            feed: As `feed_of` gives it.

        Returns:
            The words, and the mark to go on from, which is the same where there is no word.

        Raises:
            LedgerUnavailableError: The file cannot be read, is damaged, or is none of ours.
        """
        try:
            if not self._is_regular():
                self._busy = 0
                return [], mark
            with closing(self._opened(READ_TIMEOUT_S)) as db:
                db.execute("BEGIN")  # so that all of it is of one moment
                identity = self._identity(db)
                words, last = self._from(db, identity, mark, feed)
        except (sqlite3.Error, OSError) as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
                self._busy += 1
                if self._busy < BUSY_CALLS:
                    return [], mark
            self._fail(error, "read")
        self._busy = 0
        return words, last if words else mark

    def _from(
        self, db: sqlite3.Connection, identity: str, mark: str | None, feed: str
    ) -> tuple[list[Word], str]:
        """The next words of a feed, and the mark after them."""
        if not identity:
            return [], ""
        known, last = place_in(mark)
        if known != identity:
            last = 0
        elif mark != self._mark(db, identity, last):
            raise self._damaged(f"word {last}, which was taken up, is not in it: it is an earlier copy")
        passed = (identity, feed, last)
        if self._passed[0] == passed:
            last = self._passed[1]
        while True:
            found = self._words(db, last)
            words = [word for of, word in found if of == feed]
            last = found[-1][1].number if found else last
            if words or len(found) < MOST_WORDS:
                if not words:
                    self._passed = passed, last  # other feeds' words are looked at once
                return words, self._mark(db, identity, last)

    @staticmethod
    def _mark(db: sqlite3.Connection, identity: str, number: int) -> str:
        """The mark after a word; it tells the word from another one of that number."""
        found = db.execute("SELECT crc FROM words WHERE number = ?", (number,)).fetchone()
        return f"{identity}:{number}:{'' if found is None else found[0]}"

    def identity(self) -> str | None:
        """What the marks of this file begin with; None where there is no file.

        Raises:
            LedgerUnavailableError: As `after`.
        """
        try:
            if not self._is_regular():
                return None
            with closing(self._opened(WRITE_TIMEOUT_S)) as db:
                db.execute("BEGIN")
                return self._identity(db) or None
        except (sqlite3.Error, OSError) as error:
            self._fail(error, "read")

    def _is_regular(self) -> bool:
        """Whether there is something in it. A link or a pipe that somebody put there is not opened."""
        try:
            found = os.lstat(self._path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        if not stat.S_ISREG(found.st_mode):
            raise self._foreign("is not a file")
        return found.st_size > 0

    def _opened(self, timeout: float) -> sqlite3.Connection:
        # "rw" makes nothing; and where a writer was killed, its unfinished word can be taken back.
        uri = f"{self._path.absolute().as_uri()}?mode=rw"
        return sqlite3.connect(uri, uri=True, timeout=timeout, isolation_level=None)

    def _append(self, db: sqlite3.Connection, feed: str, said: Word) -> Word:
        db.execute("BEGIN")
        self._identity(db)  # before anything of another program's file is changed
        db.execute("COMMIT")
        db.execute("PRAGMA journal_mode = DELETE").fetchone()
        # FULL, and the end of the journal is on the disk as well: without that a power cut takes a word back.
        db.execute("PRAGMA synchronous = EXTRA")
        db.execute("BEGIN IMMEDIATE")
        word = append_word(db, feed, said)
        db.execute("COMMIT")
        return word

    def _identity(self, db: sqlite3.Connection) -> str:
        """Of the file, within a transaction; empty where nothing is in it yet."""
        kind, version = header(db)
        if kind != APPLICATION_ID:
            if is_empty(db):
                return ""
            raise self._foreign("is of another program")
        if not FIRST <= version <= VERSION:
            raise LedgerUnavailableError(
                f"has version {version}, but this edge-detect knows version {VERSION}",
                where=str(self._path),
                hint="install a newer edge-detect",
            )
        (identity,) = db.execute("SELECT value FROM about WHERE name = 'identity'").fetchone() or ("",)
        if not isinstance(identity, str) or not identity.isalnum():
            raise self._damaged("it has no identity")
        return identity

    def _words(self, db: sqlite3.Connection, number: int) -> list[tuple[str, Word]]:
        """Feed and word, from a number on; each has to be there."""
        try:
            return list(stored_words(db, number, MOST_WORDS))
        except ValueError as error:
            raise self._damaged(str(error)) from None

    def _damaged(self, why: str) -> LedgerUnavailableError:
        return LedgerUnavailableError(
            f"is damaged ({why})",
            where=str(self._path),
            hint="move it away, and say again what was not taken up",
        )

    def _foreign(self, what: str) -> LedgerUnavailableError:
        return LedgerUnavailableError(
            f"{what}, not the file in which edge-detect keeps what people say about alarms",
            where=str(self._path),
            hint="move it away",
        )

    def _fail(self, error: Exception, done: str) -> NoReturn:
        if isinstance(error, sqlite3.Error) and (is_damage(error) or "no such" in str(error)):
            raise self._damaged(str(error)) from None
        raise LedgerUnavailableError(
            f"cannot be {done} ({getattr(error, 'strerror', None) or error})",
            where=str(self._path),
            hint="look at the disk and at the rights of its folder",
        ) from None

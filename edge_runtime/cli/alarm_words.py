"""Saying something about alarms: it goes to the operator file, and `run` takes it up within a second."""

from __future__ import annotations

import os
import time
from copy import deepcopy
from typing import TYPE_CHECKING, NamedTuple

import typer

from edge_runtime.cli.alarm_target import read_alarms
from edge_runtime.cli.alarm_text import sentence
from edge_runtime.engine.alarms import Word
from edge_runtime.engine.condition import Condition
from edge_runtime.errors import UsageError, counted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_runtime.delivery.openalarms import AlarmsKept, Key
    from edge_runtime.delivery.operator import OperatorFile

__all__ = ["Speaker", "Taken", "login_name", "wait_until_taken", "words_after"]

# `run` looks once a second; and how often the ledger is asked meanwhile.
WAIT_S, STEP_S = 3.0, 0.1
NOT_RUNNING = "run does not run now; it will take this up when it starts"
NOT_YET = "run has not taken it up within 3 s, and will take it up later"


class Taken(NamedTuple):
    """What became of a word.

    Attributes:
        why_not: Why it was not taken up yet; None where it was.
        kept: What the ledger says then.
    """

    why_not: str | None
    kept: AlarmsKept


class Speaker:
    """A person who says something about one ledger's alarms.

    Args:
        path: The ledger's file.
        by: The person's name; None for the login name.

    Attributes:
        kept: What the ledger says.

    Raises:
        LedgerError: The ledger or the operator file cannot be read.
    """

    def __init__(self, path: Path, by: str | None) -> None:
        from edge_runtime.delivery.operator import OperatorFile, feed_of, operator_file

        self._path = path
        self._by = login_name() if by is None else by
        self._file, self._feed = OperatorFile(operator_file(path)), feed_of(path)
        self.kept = read_alarms(path)
        self._waiting = words_after(self._file, self.kept.mark, self._feed)

    def say(
        self,
        word: str,
        key: Key,
        *,
        event_id: str | None = None,
        revision: int | None = None,
        lasts: int | None = None,
        text: str | None = None,
    ) -> None:
        """Says a word, waits until it is taken up, and prints what it is about then.

        Args:
            word: As in `engine.alarms.Word`.
            key: What it is about.
            event_id: Of which alarm, for "ack", "comment" and "reset".
            revision: Of "ack".
            lasts: Of "shelve": nanoseconds.
            text: The comment or the reason.

        Raises:
            UsageError: It would change nothing, or cannot be said.
            LedgerUnavailableError: The operator file cannot be written.
        """
        at = time.time_ns()
        until = None if lasts is None else at + lasts
        self._try(Word(0, at, self._by, word, *key, event_id, revision, until, text), key)
        said = self._file.say(
            feed=self._feed,
            at=at,
            by=self._by,
            word=word,
            machine_id=key.machine_id,
            kind=key.kind,
            subject=key.subject,
            event_id=event_id,
            revision=revision,
            until=until,
            text=text,
        )
        taken = wait_until_taken(self._path, self._file.identity(), said, time.monotonic, time.sleep)
        if taken.why_not is not None:
            typer.echo(f"{key}: {word} by {self._by} is kept; {taken.why_not}")
            return
        condition = taken.kept.conditions.get(key)
        typer.echo(sentence(key, condition, word, event_id))
        alarm = None if condition is None else condition.alarm
        if word == "ack" and alarm is not None and alarm.event_id == event_id and not alarm.acked:
            raise UsageError(
                "the alarm is not acknowledged: its priority has risen since",
                hint=f"look at it with `edge-detect alarms show {event_id}` and acknowledge it again",
            )

    def _try(self, word: Word, key: Key) -> None:
        """Refuses a word that would change nothing when what waits is taken up."""
        kept = deepcopy(self.kept) if self._waiting else self.kept
        kept.tell(self._waiting)
        _, why = deepcopy(kept.conditions.get(key, Condition())).tell(word)
        if why is None:
            return
        hint = "`edge-detect alarms list --all` shows what there is"
        if self._waiting:
            hint += f"; run has still to take up {counted(len(self._waiting), 'word')} from before"
        raise UsageError(f"{key}: {why}", hint=hint)


def words_after(file: OperatorFile, mark: str | None, feed: str) -> list[Word]:
    """Every word of a feed after a mark.

    Raises:
        LedgerUnavailableError: As `OperatorFile.after`.
    """
    words = list[Word]()
    while (found := file.after(mark, feed))[0]:
        words += found[0]
        mark = found[1]
    return words


def wait_until_taken(
    path: Path,
    identity: str | None,
    word: Word,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Taken:
    """Waits until the ledger's process has taken a word up, if there is one; for three seconds at most.

    Args:
        path: The ledger's file.
        identity: Of the operator file in which the word is.
        word: As it was said.
        clock: In seconds.
        sleep: Waits for so many seconds.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    from edge_runtime.delivery.inuse import is_in_use
    from edge_runtime.delivery.operator import place_in

    end = clock() + WAIT_S
    while True:
        runs = is_in_use(path)  # before the mark is read: one that ends now may have taken it up
        kept = read_alarms(path)
        known, number = place_in(kept.mark)
        if known == identity and number >= word.number:
            return Taken(None, kept)
        if not runs:
            return Taken(NOT_RUNNING, kept)
        if clock() >= end:
            return Taken(NOT_YET, kept)
        sleep(STEP_S)


def login_name() -> str:
    """Who has called this command: who called sudo, or else the user of this process."""
    import pwd

    by_sudo = os.environ.get("SUDO_USER", "").strip()
    if by_sudo:
        return by_sudo
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"

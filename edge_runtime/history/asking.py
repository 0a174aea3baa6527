"""The history's file as those see it who look back: asked for a moment at a time, and never written."""

from __future__ import annotations

import json
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from edge_runtime.delivery.proof import DamageError, is_damage
from edge_runtime.delivery.reading import Moments
from edge_runtime.errors import LedgerError, UsageError
from edge_runtime.history.schema import APPLICATION_ID, CONTENT_ERRORS, VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["Asked", "Layout", "SensorOf"]

T = TypeVar("T")


class SensorOf(NamedTuple):
    """A sensor, as the bundle has it that judged the rows.

    Attributes:
        name: Its name.
        unit: Its unit; empty for none.
    """

    name: str
    unit: str


class Layout(NamedTuple):
    """Whose rows they are: the bundle that judged them, and what their columns are.

    Attributes:
        bundle: Its digest.
        sensors: Its sensors, in the order of the columns.
    """

    bundle: str
    sensors: tuple[SensorOf, ...]


class Asked:
    """A history that can be asked for what is in it.

    Args:
        path: The file.

    Attributes:
        path: The file.
        damaged: From which time until which something could not be read, nanoseconds since the epoch.

    Raises:
        LedgerError: There is none, it is of a later version, or it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged: list[tuple[int, int]] = []
        self._moments = Moments(path)
        self._codes: dict[str, int] = {}
        self._layouts: dict[int, Layout] = {}
        try:
            there = path.exists()
        except OSError as error:  # a folder that others may not look into
            raise LedgerError(
                f"the history cannot be read ({error.strerror})",
                where=str(path),
                hint="its owner and group may read it",
            ) from None
        if not there:
            raise LedgerError(
                "there is no history",
                where=str(path),
                hint="`edge-detect run` with a ledger makes one, unless [history] keep is false",
            )
        try:
            self.ask(_check(path))
        except BaseException:
            self.close()
            raise

    def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """What there is in the file at one moment.

        Args:
            question: Fetches it, in less than a tenth of a second; it may be called twice.

        Raises:
            LedgerError: It cannot be read.
        """
        try:
            return self._moments.at_once(question)
        except (sqlite3.Error, OSError, DamageError, *CONTENT_ERRORS) as error:
            hint = "try again, or look at the disk"
            if is_damage(error) or isinstance(error, CONTENT_ERRORS) or "no such" in str(error):
                hint = "the next `edge-detect run` lays it aside and begins a new one"
            why = getattr(error, "strerror", None) or " ".join(str(error).split())
            raise LedgerError(
                f"the history cannot be read ({why})", where=str(self.path), hint=hint
            ) from None

    @contextmanager
    def whole(self) -> Iterator[None]:
        """For work on what `ask` gave: content that cannot be is damage.

        Raises:
            LedgerError: It is not as it was written.
        """
        try:
            yield
        except (*CONTENT_ERRORS, UsageError) as error:
            raise LedgerError(
                "the history cannot be read (its content is not as it was written)",
                where=str(self.path),
                hint="move the file away: the next `edge-detect run` begins a new one",
            ) from error

    def machine(self, name: str) -> int | None:
        """A machine's code; None for one that is not known.

        Raises:
            LedgerError: The history cannot be read.
        """
        if name not in self._codes:
            self._codes.update(self.ask(lambda db: db.execute("SELECT name, code FROM machines").fetchall()))
        return self._codes.get(name)

    def layout(self, bundle: int) -> Layout:
        """Whose the rows of a bundle's code are.

        Raises:
            LedgerError: The history cannot be read.
        """
        if bundle not in self._layouts:
            found = self.ask(lambda db: db.execute("SELECT code, digest, sensors FROM bundles").fetchall())
            self._layouts.update({code: _layout(digest, sensors) for code, digest, sensors in found})
        known = self._layouts.get(bundle)
        return known or self.ask(_unknown(bundle))

    @property
    def sensor_names(self) -> list[str]:
        """Those of all bundles, each once.

        Raises:
            LedgerError: The history cannot be read.
        """
        found = self.ask(
            lambda db: db.execute("SELECT digest, sensors FROM bundles ORDER BY code").fetchall()
        )
        return list(dict.fromkeys(one.name for of in found for one in _layout(*of).sensors))

    def note_damage(self, start: int, stop: int) -> None:
        """Remembers that something could not be read, from a time until another."""
        if (start, stop) not in self.damaged:
            self.damaged.append((start, stop))

    def close(self) -> None:
        """Ends it."""
        self._moments.close()


def _layout(digest: str, sensors: str) -> Layout:
    found = json.loads(sensors)
    return Layout(digest, tuple(SensorOf(one["name"], one["unit"] or "") for one in found))


def _unknown(bundle: int) -> Callable[[sqlite3.Connection], Layout]:
    def raises(_db: sqlite3.Connection) -> Layout:
        raise DamageError(f"there is no bundle {bundle}")

    return raises


def _check(path: Path) -> Callable[[sqlite3.Connection], None]:
    """Raises where the file is no history that this version knows."""

    def check(db: sqlite3.Connection) -> None:
        application, version = (
            int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("application_id", "user_version")
        )
        if not application and not db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
            raise LedgerError(
                "the history is empty", where=str(path), hint="`edge-detect run` is about to begin it"
            )
        if application != APPLICATION_ID:
            raise LedgerError(
                "this is no history of edge-detect",
                where=str(path),
                hint="it lies in the folder `history` beside the ledger, under the ledger's name",
            )
        if version > VERSION:
            raise LedgerError(
                f"the history has version {version}, and this edge-detect knows {VERSION}",
                where=str(path),
                hint="install a newer edge-detect",
            )
        for table in ("machines", "bundles", "recent", "blocks", "rollups", "states", "changes", "statuses"):
            db.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()  # noqa: S608 - of the names above

    return check

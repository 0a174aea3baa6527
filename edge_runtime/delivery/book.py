"""The ledger's book: what is known of the feed, and what was counted; in memory, written with each change.

It is small, and everything depends on it: it is in the file twice, in `about` and `counters`, and together in
`twin`. Each row has a checksum, and each writing a number, so that after damage the newest is known.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from edge_runtime.delivery.proof import DamageError, proof

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

__all__ = ["MAX_TWIN_VALUE", "Book", "twin_of"]

# A longer value, such as the checkpoint of very many machines, would make each commit that much longer.
MAX_TWIN_VALUE = 4096

Snapshot = tuple[dict[str, str], dict[str, int]]


class Book:
    """Names and their values.

    Args:
        about: Name to text, such as `checkpoint`, `clock`, `position.<sink>`, `done.<sink>`, `kept`.
        counters: Name to number.
    """

    def __init__(
        self, about: Mapping[str, str] | None = None, counters: Mapping[str, int] | None = None
    ) -> None:
        self.about = dict(about or {})
        self.counters = dict(counters or {})
        self._written: Snapshot = ({}, {})

    @classmethod
    def read(cls, db: sqlite3.Connection) -> Book:
        """The book of an open ledger.

        Raises:
            DamageError: A row of it is not as it was written.
            sqlite3.Error: It cannot be read.
        """
        book = cls()
        for table, found in (("about", book.about), ("counters", book.counters)):
            for name, value, crc in db.execute(f"SELECT name, value, crc FROM {table}"):  # noqa: S608
                if crc != proof(table, name, value):
                    raise DamageError(f"a row of {table} does not fit its checksum")
                found[name] = value
        book._written = book.snapshot()
        return book

    def snapshot(self) -> Snapshot:
        """What is in it now, for `restore`."""
        return dict(self.about), dict(self.counters)

    def restore(self, before: Snapshot) -> None:
        """What was in it before a transaction that failed."""
        self.about, self.counters = before

    def forget_written(self) -> None:
        """Nothing of it is in the file: the next writing writes everything."""
        self._written = ({}, {})

    def count(self, counted: Mapping[str, int]) -> None:
        """Adds to counters; those that are not there yet begin at 0."""
        for name, number in counted.items():
            if number:
                self.counters[name] = self.counters.get(name, 0) + number

    def write(self, db: sqlite3.Connection) -> Snapshot:
        """Writes what changed, within a transaction.

        Returns:
            For `wrote`, once the transaction is committed.
        """
        about, counters = self._written
        if about == self.about and counters == self.counters:
            return self._written
        self.about["seq"] = str(int(self.about.get("seq", "0")) + 1)
        _insert(db, "about", (item for item in self.about.items() if about.get(item[0]) != item[1]))
        _insert(db, "counters", (item for item in self.counters.items() if counters.get(item[0]) != item[1]))
        text = _twin(self.about, self.counters)
        db.execute("INSERT OR REPLACE INTO twin VALUES (1, ?, ?)", (text, proof("twin", text)))
        return self.snapshot()

    def wrote(self, written: Snapshot) -> None:
        """The transaction is committed."""
        self._written = written


def twin_of(text: str) -> Book | None:
    """The book as a row of `twin` has it; None where that is none."""
    try:
        about, counters = json.loads(text)
        return Book({str(k): str(v) for k, v in about.items()}, {str(k): int(v) for k, v in counters.items()})
    except (ValueError, TypeError, AttributeError):
        return None


def _twin(about: dict[str, str], counters: dict[str, int]) -> str:
    short = {name: value for name, value in about.items() if len(value) <= MAX_TWIN_VALUE}
    return json.dumps([short, counters], separators=(",", ":"))


def _insert(db: sqlite3.Connection, table: str, items: Iterable[tuple[str, Any]]) -> None:
    db.executemany(
        f"INSERT OR REPLACE INTO {table} (name, value, crc) VALUES (?, ?, ?)",  # noqa: S608
        [(name, value, proof(table, name, value)) for name, value in items],
    )

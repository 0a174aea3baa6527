"""Words as rows of the operator file: appended with a number and a checksum, read back with both checked."""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING, Any

from edge_runtime.delivery.operatorschema import RULES, add_rules, header, is_empty, make_tables
from edge_runtime.delivery.proof import proof
from edge_runtime.delivery.words import COLUMNS, word_of
from edge_runtime.engine.alarms import RULE, Word

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

__all__ = ["append_word", "stored_words"]


def append_word(db: sqlite3.Connection, feed: str, said: Word) -> Word:
    """Appends a word, within a transaction; the tables are made where there are none.

    Raises:
        sqlite3.Error: It cannot be written.
    """
    if is_empty(db):
        make_tables(db)
    version = header(db)[1]
    if (said.kind == RULE or said.word == "reset") and version < RULES:
        add_rules(db)
        version = RULES
    number = db.execute("SELECT COALESCE(MAX(number), 0) + 1 FROM words").fetchone()[0]
    values = [number, feed, *astuple(said)[1:]]
    names = ["number", "feed", *COLUMNS[1:], "crc"]
    crc = _proof(values)
    if version < RULES:
        names.remove("rule")
        values.pop()
    marks = ", ".join("?" * len(names))
    db.execute(f"INSERT INTO words ({', '.join(names)}) VALUES ({marks})", (*values, crc))  # noqa: S608
    return Word(number, *astuple(said)[1:])


def stored_words(db: sqlite3.Connection, number: int, most: int) -> Iterator[tuple[str, Word]]:
    """Feed and word, so many at most, after a number; each has to be there.

    Raises:
        ValueError: One is missing, or is not as it was said.
        sqlite3.Error: It cannot be read.
    """
    rule = "rule" if header(db)[1] >= RULES else "NULL"
    columns = ", ".join(["feed", *COLUMNS[:-1], rule, "crc"])
    query = f"SELECT {columns} FROM words WHERE number > ? ORDER BY number LIMIT ?"  # noqa: S608
    for feed, *values, crc in db.execute(query, (number, most)):
        number += 1
        if values[0] != number:
            raise ValueError(f"word {number} is missing")
        if crc != _proof([number, feed, *values[1:]]):
            raise ValueError(f"word {number} does not fit its checksum")
        try:
            word = word_of(values)
        except ValueError as error:
            raise ValueError(f"word {number}: {error}") from None
        yield feed, word


def _proof(values: list[Any]) -> int:
    """The checksum of a word; one without a rule has that of version 1."""
    return proof("words", *(values if values[-1] is not None else values[:-1]))

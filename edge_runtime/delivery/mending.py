"""A damaged ledger is set aside under a dated name, and a new one made of what can be read of it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from edge_runtime.delivery.opening import make_private, open_database
from edge_runtime.delivery.pages import Image
from edge_runtime.delivery.proof import DamageError
from edge_runtime.delivery.salvage import find_book, salvage
from edge_runtime.delivery.salvage_rows import copy_rows

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.delivery.book import Book

__all__ = ["MOST_SET_ASIDE", "mend", "put_in_place", "set_aside"]

MOST_SET_ASIDE = 3
TABLES = (b"CREATE TABLE outbox", b"CREATE TABLE dead_letters")


def mend(path: Path, damage: str, known: Book | None, db: sqlite3.Connection | None) -> str:
    """Makes a new ledger of what can be read of a damaged one, and puts it in its place.

    Args:
        path: The file.
        damage: What is wrong with it.
        known: Its book, where it was read before the damage.
        db: The connection to it, which is closed when nothing more is read; None where there is none.

    Returns:
        What was done, for a person.

    Raises:
        DamageError: It is no ledger, so nothing was touched; or nothing in it can be read.
        UnreadableError: The disk does not give a block of it; nothing was touched.
        OSError, sqlite3.Error: The disk is full or does not answer; the damaged ledger stays where it is.
    """
    part = path.with_name(f"{path.name}.mended.part")
    _remove(part)
    try:
        with closing(Image(path)) as image:
            head = image.head()
            book = known or find_book(image)
            if book is None and not any(table in head for table in TABLES):
                raise DamageError(damage)  # noqa: TRY301 - what is half made goes
            make_private(part)
            if book is not None:
                new, own = open_database(part, lambda _: None)
                with closing(new):
                    own.about, own.counters = {**own.about, **book.about}, dict(book.counters)
                    said = str(salvage(image, new, own))
            else:
                said = _copied(path, part, damage)
        _sync(part)
        mended = path.with_name(f"{path.name}.mended")
        part.replace(mended)
    except BaseException:
        _remove(part)
        raise
    aside = set_aside(path)
    if db is not None:
        # Only now: closing would take its log over into the file, and remove the log, whatever is there.
        with suppress(sqlite3.Error):
            db.close()
    _place(path, mended)
    return f"{path} was damaged ({damage}) and lies in {aside} now; carried over were {said}"


def put_in_place(path: Path, mended: Path) -> None:
    """Ends what an earlier process began: a mended ledger is complete, and not in its place yet.

    Raises:
        OSError: It cannot be moved.
    """
    if any(part.exists() for part in _parts(path)):
        set_aside(path)
    _place(path, mended)


def _copied(path: Path, part: Path, damage: str) -> str:
    try:
        return copy_rows(path, part)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        raise DamageError(f"{damage}; {error}") from None


def _parts(path: Path) -> list[Path]:
    return [path.with_name(f"{path.name}{ending}") for ending in ("", "-wal", "-shm")]


def _remove(path: Path) -> None:
    for part in (*_parts(path), path.with_name(f"{path.name}-journal")):
        part.unlink(missing_ok=True)


def set_aside(path: Path, most: int = MOST_SET_ASIDE) -> Path:
    """Moves the file and its log to a dated name.

    Args:
        path: The file.
        most: So many are kept; the oldest that were set aside before go.

    Returns:
        Where it lies now.

    Raises:
        OSError: It cannot be moved.
    """
    aside = path.with_name(f"{path.name}.damaged.{datetime.now(UTC):%Y-%m-%dT%H-%M-%SZ}")
    number = 1
    while any(part.exists() for part in _parts(aside)):
        number += 1
        aside = aside.with_name(f"{aside.name.split('Z')[0]}Z.{number}")
    for part, target in zip(_parts(path), _parts(aside), strict=True):
        if part.exists():
            part.replace(target)
    pattern = f"{path.name}.damaged."
    before = sorted(
        one
        for one in path.parent.iterdir()
        if one.name.startswith(pattern) and not one.name.endswith(("-wal", "-shm")) and one != aside
    )
    for oldest in before[: max(0, len(before) + 1 - most)]:
        with suppress(OSError):
            _remove(oldest)
    return aside


def _place(path: Path, mended: Path) -> None:
    mended.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())

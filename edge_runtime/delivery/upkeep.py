"""Room on the disk: the ledger gives back what it no longer needs, and does not fill a disk to the end."""

from __future__ import annotations

import os
import sqlite3
import time
from typing import TYPE_CHECKING

from edge_runtime.errors import LedgerError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["give_room_back", "make_sure_of_room"]

SPARE_PAGES = 64  # free pages that stay in the file for what comes next
STEP_PAGES = 8
STEP_S = 0.01
RESERVE = 256 << 10


def give_room_back(db: sqlite3.Connection) -> None:
    """Makes the file shorter by some free pages: for a hundredth of a second, so that nobody waits for it.

    Raises:
        sqlite3.Error: It did not work; the ledger is as before.
    """
    free = int(db.execute("PRAGMA freelist_count").fetchone()[0])
    until = time.monotonic() + STEP_S
    while free > SPARE_PAGES and time.monotonic() < until:
        db.execute(f"PRAGMA incremental_vacuum({STEP_PAGES})").fetchall()
        left = int(db.execute("PRAGMA freelist_count").fetchone()[0])
        if left >= free:  # the file is of a version that did not give room back
            return
        free = left


def make_sure_of_room(db: sqlite3.Connection, path: Path, size: int) -> None:
    """Leaves enough of the disk to take the log over into the file, and to write down what is delivered.

    A ledger that filled the disk could do neither, and would never give room back.

    Args:
        db: The open ledger.
        path: Its file.
        size: Bytes that are to be stored.

    Raises:
        sqlite3.OperationalError: The disk is as good as full.
        OSError: It does not say how full it is.
        LedgerError: The file is not there any more; what is stored would go with the process.
    """
    log = path.with_name(f"{path.name}-wal")
    for last_try in (False, True):
        try:
            disk = os.statvfs(path)
        except FileNotFoundError:
            raise LedgerError(
                "was deleted, or its disk taken away, while it was in use",
                where=str(path),
                hint="put it back, or start again without what waited in it",
            ) from None
        try:
            logged = log.stat().st_size
        except FileNotFoundError:
            logged = 0
        if disk.f_bavail * disk.f_frsize > logged + 2 * size + RESERVE:
            return
        if last_try:
            raise sqlite3.OperationalError("database or disk is full")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

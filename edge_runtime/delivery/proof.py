"""What proves that a row of the ledger is as it was written, and what tells that its file is damaged.

SQLite finds damage to the structure of a file, not a flipped bit in what is stored. So each row has a CRC-32.
"""

from __future__ import annotations

import sqlite3
import zlib

__all__ = ["DamageError", "is_damage", "proof", "proof_of_parcel"]

SQLITE_IOERR_READ = 266


class DamageError(Exception):
    """The ledger's file is not as it was written; who catches it mends the file."""


def is_damage(error: BaseException) -> bool:
    """Whether an error means that the file itself is damaged, and not that a disk is full or busy."""
    if isinstance(error, DamageError):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        # Raised by the module itself: text that is not UTF-8 any more.
        return isinstance(error, sqlite3.OperationalError) and "decode" in str(error)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or code == SQLITE_IOERR_READ


def proof(table: str, *columns: object) -> int:
    """The checksum of a row of `about`, `counters`, `states` or `twin`: of its columns, in their order."""
    return zlib.crc32("\0".join([table, *map(str, columns)]).encode("utf-8", "surrogatepass"))


def proof_of_parcel(number: int, sink: str, rows: int, payload: bytes) -> int:
    """The checksum of an entry of the outbox, which it keeps as a dead letter."""
    return zlib.crc32(payload, zlib.crc32(f"{number}\0{sink}\0{rows}\0".encode("utf-8", "surrogatepass")))

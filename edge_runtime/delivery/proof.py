"""What proves that a row of the ledger is as it was written, and what tells that its file is damaged.

SQLite finds damage to the structure of a file, not a flipped bit in what is stored. So each row has a CRC-32.
"""

from __future__ import annotations

import sqlite3
import zlib

__all__ = ["DamageError", "UnreadableError", "is_damage", "is_unread", "proof", "proof_of_parcel"]

# A passing fault of a medium, or of the network before it; says nothing about the file.
SQLITE_IOERR_READS = (266, 522)


class DamageError(Exception):
    """The ledger's file is not as it was written; who catches it mends the file."""


class UnreadableError(OSError):
    """The disk does not give a block of the ledger, which may be as it was written."""


def is_damage(error: BaseException) -> bool:
    """Whether an error means that the file itself is damaged, and not that a disk is full, busy or away.

    SQLite calls it damage, too, when the disk says EIO: so it is asked twice, and who mends reads for itself.
    """
    if isinstance(error, DamageError):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        # Raised by the module itself: text that is not UTF-8 any more.
        return isinstance(error, sqlite3.OperationalError) and "decode" in str(error)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_unread(error: BaseException) -> bool:
    """Whether an error means that the disk does not give what is on it, now or ever."""
    return isinstance(error, UnreadableError) or getattr(error, "sqlite_errorcode", 0) in SQLITE_IOERR_READS


def proof(table: str, *columns: object) -> int:
    """The checksum of a row of `about`, `counters`, `states` or `twin`: of its columns, in their order."""
    return zlib.crc32("\0".join([table, *map(str, columns)]).encode("utf-8", "surrogatepass"))


def proof_of_parcel(number: int, sink: str, rows: int, payload: bytes) -> int:
    """The checksum of an entry of the outbox, which it keeps as a dead letter."""
    return zlib.crc32(payload, zlib.crc32(f"{number}\0{sink}\0{rows}\0".encode("utf-8", "surrogatepass")))

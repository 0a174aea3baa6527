"""What a gateway remembers of the bundles it accepted: one small JSON file in its state folder.

It is what makes an older bundle recognisable. A gateway without the file has accepted nothing yet; one whose
file is damaged does not know, and says so, because to forget silently would let an older bundle in.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import SignatureError
from edge_runtime.files import read_regular, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["Remembered", "locked", "read_remembered", "write_remembered"]

FORMAT_VERSION = 1
MAX_FILE_BYTES = 1_000_000
LAST_SECOND = 253_402_300_800  # of the year 9999


@dataclass(frozen=True, slots=True)
class Remembered:
    """The last bundle that was accepted under one key for one target.

    Attributes:
        target: As in its statement.
        key_id: As in its statement.
        version: As in its statement.
        digest: As in its statement.
        seen: Seconds since 1970 that it then was, or later when it was started again.
    """

    target: str
    key_id: str
    version: int
    digest: str
    seen: int


def read_remembered(path: Path) -> tuple[Remembered, ...]:
    """What is in the file; nothing when there is none.

    Raises:
        SignatureError: It is damaged, or cannot be read.
    """
    try:
        data = read_regular(path, MAX_FILE_BYTES)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise SignatureError(
            f"cannot read which bundles were accepted before ({error.strerror}: {path})",
            hint="let edge-detect read and write there, or name another folder with [trust] state",
        ) from None
    try:
        document = json.loads(data.decode())
        entries = document["remembered"]
        intact = document["format_version"] == FORMAT_VERSION and document["sha256"] == _sum(entries)
        found = tuple(_entry(entry) for entry in entries)
    except (ValueError, KeyError, TypeError, RecursionError):
        intact = False
    if not intact:
        raise SignatureError(
            f"the record of which bundles were accepted before is damaged ({path})",
            hint="make sure that this bundle is the newest, then delete the file",
        )
    return found


def write_remembered(path: Path, entries: Iterable[Remembered]) -> None:
    """Writes the file, whole and to the disk.

    Raises:
        OSError: It cannot be written; an old file is as it was.
    """
    listed = [dataclasses.asdict(entry) for entry in entries]
    document = {"format_version": FORMAT_VERSION, "remembered": listed, "sha256": _sum(listed)}
    write_whole(path, json.dumps(document, indent=1).encode() + b"\n", 0o600)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keeps other processes from writing the file until the block is done.

    Raises:
        OSError: Its folder cannot be made or opened.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _entry(document: dict[str, Any]) -> Remembered:
    entry = Remembered(**document)
    kinds = [type(value) for value in dataclasses.astuple(entry)]
    if kinds != [str, str, int, str, int] or not 0 <= entry.seen < LAST_SECOND:
        raise TypeError("a field has the wrong type")
    return entry


def _sum(entries: list[dict[str, Any]]) -> str:
    """Tells damage, not forgery: whoever may write the file may delete it as well."""
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()

"""Small files that a person names: read within bounds, out of a pipe too, and never waited for for long."""

from __future__ import annotations

import errno
import os
import select
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_bounded"]

# How long a pipe may say nothing before it counts as one that nobody writes to.
PATIENCE_S = 5.0
# A pipe gives its content once, and a configuration or a secret is looked at several times.
_out_of_pipes: dict[tuple[int, int], bytes] = {}


def read_bounded(path: Path, max_bytes: int) -> tuple[bytes, int]:
    """The content of a file, or of a pipe that is written, and its `st_mode`; waits for no one for long.

    What comes out of a pipe is remembered, for it comes once.

    Raises:
        OSError: It cannot be read, is longer than that, or is a pipe that nobody writes to; `strerror` says
            which.
    """
    with open(path, "rb", buffering=0, opener=_without_waiting) as file:
        status = os.fstat(file.fileno())
        piped = stat.S_ISFIFO(status.st_mode)
        place = (status.st_dev, status.st_ino)
        data = _out_of_pipes.get(place) if piped else None
        if data is None:
            data = _read(file.fileno(), max_bytes, str(path), waits=not stat.S_ISREG(status.st_mode))
        if piped:
            _out_of_pipes[place] = data
        return data, status.st_mode


def _read(descriptor: int, max_bytes: int, name: str, *, waits: bool) -> bytes:
    found = bytearray()
    while True:
        if waits and not select.select([descriptor], [], [], PATIENCE_S)[0]:
            raise OSError(errno.EAGAIN, "nothing is written to it", name)
        try:
            part = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            continue
        if not part:
            return bytes(found)
        found += part
        if len(found) > max_bytes:
            raise OSError(errno.EFBIG, f"it is longer than {max_bytes:,} bytes", name)


def _without_waiting(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))

"""Where files lie that outlive a process; small ones that are whole or not there, power cuts included."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import IO

__all__ = ["NotRegularError", "open_regular", "read_regular", "state_folder", "write_all", "write_whole"]


class NotRegularError(OSError):
    """A pipe, a device or a socket where a file should be."""


def state_folder() -> Path:
    """Where this user's or this service's edge-detect keeps what outlives it."""
    service = os.environ.get("STATE_DIRECTORY", "").split(":")[0]  # set by systemd
    if service:
        return Path(service)
    home = os.environ.get("XDG_STATE_HOME")
    return (Path(home) if home else Path.home() / ".local" / "state") / "edge-detect"


def read_regular(path: Path, max_bytes: int) -> bytes:
    """A regular file's content; one byte more than `max_bytes` of a longer one.

    A pipe or a device, which would block or never end, is not waited for.

    Raises:
        NotRegularError: It is none.
        OSError: It cannot be read.
    """
    with open_regular(path) as file:
        return file.read(max_bytes + 1)


def open_regular(path: Path) -> IO[bytes]:
    """A regular file, open for reading, as `read_regular` opens it.

    Raises:
        OSError: As `read_regular`.
    """
    file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 - the caller closes it
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise NotRegularError(errno.EINVAL, "it is not a regular file", str(path))
    return file


def _without_waiting(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def write_all(stream: IO[bytes], data: bytes) -> None:
    """Writes all of it.

    A stream without a buffer, as standard output is under PYTHONUNBUFFERED, may take a part only, such as
    when a signal comes while its pipe is full.
    """
    left = memoryview(data)
    while left:
        left = left[stream.write(left) or 0 :]


def write_whole(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Writes a file beside its place, to the disk, and then into its place; an old one is replaced.

    Args:
        path: The file; its folder is made if there is none.
        data: The whole content.
        mode: Its permissions.

    Raises:
        OSError: It cannot be written; nothing is left, and an old file is as it was.
    """
    import tempfile  # noqa: PLC0415 - not for those who write nothing

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        temporary = Path(file.name)
        try:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    # The new name is in the folder, so the folder must reach the disk, too.
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

"""Where files lie that outlive a process; outputs that are whole or not there, power cuts included."""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "OWN_FILE",
    "OWN_FOLDER",
    "NotRegularError",
    "is_in_place",
    "make_folder",
    "open_regular",
    "read_regular",
    "refuse_same",
    "state_folder",
    "sync_folder",
    "unwritable",
    "write_all",
    "write_whole",
    "writing",
]

# What a gateway keeps is for its own user, and for a group that may be let in to read; umask may take more.
OWN_FILE, OWN_FOLDER = 0o640, 0o750
# What a person's command writes is as the umask has it.
USUAL_FILE = 0o666


class NotRegularError(OSError):
    """A pipe, a device or a socket where a file should be."""


def state_folder() -> Path:
    """Where this user's or this service's edge-detect keeps what outlives it."""
    service = os.environ.get("STATE_DIRECTORY", "").split(":")[0]  # set by systemd
    if service:
        return Path(service)
    home = os.environ.get("XDG_STATE_HOME")
    return (Path(home) if home else Path.home() / ".local" / "state") / "edge-detect"


def make_folder(folder: Path) -> None:
    """Makes a folder of ours where it is missing, and those that it lies in.

    Raises:
        OSError: It cannot be made.
    """
    for each in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
        each.mkdir(mode=OWN_FOLDER, exist_ok=True)
    folder.mkdir(exist_ok=True)  # says so if it is something else


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


def write_whole(path: Path, data: bytes, mode: int = USUAL_FILE) -> None:
    """Writes a file beside its place, to the disk, and then into its place; an old one is replaced.

    Args:
        path: The file; its folder is made if there is none. A pipe or a device is written to as it stands.
        data: The whole content.
        mode: Its permissions, of which the umask takes some.

    Raises:
        OSError: It cannot be written; nothing is left, and an old file is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path, mode) as file:
        file.write(data)


@contextmanager
def writing(path: Path, mode: int = USUAL_FILE) -> Iterator[IO[bytes]]:
    """A file that is in its place, and on the disk, when the block ends well; otherwise nothing is left.

    Pipes, devices and what `/dev/stdout` or `/dev/fd/N` names are written to as they stand, and never
    replaced. A link to a file stays a link.

    Raises:
        OSError: It cannot be written.
    """
    descriptor = _as_it_stands(path)
    if descriptor is not None:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        return
    path = Path(os.path.realpath(path))
    temporary = path.with_name(f".{path.name[:100]}.{os.urandom(6).hex()}.part")
    try:
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Brings the names in a folder to the disk: that of a new file, or of one that was renamed.

    A folder that may be written to but not read, as some drop folders are, is left to the system.

    Raises:
        OSError: It cannot be done.
    """
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        return
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def is_in_place(path: Path) -> bool:
    """Whether an output is no file that could be replaced: a pipe, a device, or a descriptor of ours."""
    return _descriptor(path) is not None or (path.exists() and not path.is_file() and not path.is_dir())


def _as_it_stands(path: Path) -> int | None:
    """A descriptor for what must not be replaced; None for a file, or where nothing is."""
    number = _descriptor(path)
    if number is not None:
        if number == 1 and sys.stdout is not None:
            sys.stdout.flush()  # so that what was printed before comes before
        return os.dup(number)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    return os.open(path, os.O_WRONLY | os.O_NOCTTY) if is_in_place(path) else None


def _descriptor(path: Path) -> int | None:
    """The descriptor of this process that a path names, such as `/dev/stdout`, itself or by a link.

    If it is redirected to a file, that file is not to be replaced, for others write to it as well.
    """
    own, here = f"/proc/{os.getpid()}/fd", path.absolute()
    for _ in range(40):  # as many links as Linux follows
        if here.name.isdigit() and os.path.realpath(here.parent) == own:
            return int(here.name)
        try:
            here = here.parent / here.readlink()
        except OSError:
            return None
    return None


def refuse_same(output: Path, others: Mapping[str, Path | None], where: str) -> None:
    """Refuses an output that is a file which is read, or kept, by whatever name.

    Args:
        output: The file to be written.
        others: What a file is for, such as "the bundle", to the file; None for none.
        where: The option that names the output.

    Raises:
        UsageError: It is one of them.
    """
    for what, other in others.items():
        if other is not None and _is_same(output, other):
            raise UsageError(f"{output} is {what}", where=where, hint="name another file")


def _is_same(one: Path, other: Path) -> bool:
    if one.exists() and other.exists():  # whatever is no file, such as a terminal, may be both
        return other.is_file() and one.samefile(other)
    return os.path.realpath(one) == os.path.realpath(other)


FULL = (errno.ENOSPC, errno.EDQUOT)


def unwritable(error: OSError, path: Path, what: str = "cannot write it") -> UsageError:
    """What to raise for an output that a person named."""
    hint = "free some disk space" if error.errno in FULL else "name a file in a folder that you can write to"
    return UsageError(f"{what} ({error.strerror or error})", where=str(path), hint=hint)

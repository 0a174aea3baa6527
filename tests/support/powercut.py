"""What a disk may hold after a power cut, made of a trace of the system calls before it.

What was synced is there. Of what was written later, each sector of 512 bytes is there as it was at any moment
since the last sync of its file; so is a file's length, and what is within it and was never written is zero.
Names follow in the order in which they were made, renamed and removed, at least up to the last sync of their
folder. That is what file systems with a journal promise, and no more.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from support.commands import unmeasured

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Disk", "Event", "record"]

SECTOR = 512
CALLS = (
    "openat,open,creat,write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,copy_file_range,"
    "sendfile,fsync,fdatasync,msync,sync,syncfs,sync_file_range,rename,renameat,renameat2,unlink,unlinkat,"
    "link,linkat"
)
TEXT = rb'"((?:\\x[0-9a-f]{2})*)"'
BEGIN = re.compile(rb"^(\d+) +(\w+)\((.*)$", re.DOTALL)
RESUMED = re.compile(rb"^(\d+) +<\.\.\. (\w+) resumed>(.*)$", re.DOTALL)
UNFINISHED = b" <unfinished ...>"
RESULT = re.compile(rb"\) += (-?\d+)")
OF_DESCRIPTOR = re.compile(rb"^\d+<((?:\\x[0-9a-f]{2})*)>(\(deleted\))?")


@dataclass(frozen=True, slots=True)
class Event:
    """A system call that changed or synced something below the folder.

    Attributes:
        call: "write", "truncate", "sync", "create", "rename" or "unlink".
        path: Relative to the folder; empty for the folder itself.
        data: That was written.
        offset: Where to; None for the file's end. The new length of a file that was truncated.
        target: The new name.
        covers: Number of events that had ended when a sync began.
    """

    call: str
    path: str
    data: bytes = b""
    offset: int | None = None
    target: str = ""
    covers: int = 0


def record(strace: Path, folder: Path, words: Sequence[object]) -> list[Event]:
    """Runs a program to its end; what it did below a folder, in the order in which it was done.

    Args:
        strace: The program of that name.
        folder: Where the program runs; nothing else is looked at.
        words: Its command line.
    """
    trace = folder.with_name(f"{folder.name}.trace")
    prefix: list[str | Path] = [
        strace,
        "-f",
        "-y",
        "-xx",
        "-s",
        str(1 << 24),
        "-e",
        f"trace={CALLS}",
        "-o",
        trace,
    ]
    done = subprocess.run(
        [*prefix, *map(str, words)], cwd=folder, env=unmeasured(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    events = _Reader(folder)
    for line in trace.read_bytes().splitlines():
        events.read(line)
    trace.unlink()
    assert any(event.call == "sync" for event in events.found)
    return events.found


class _Reader:
    """Takes lines of a trace; threads go on in the middle of another's calls."""

    def __init__(self, folder: Path) -> None:
        self.found: list[Event] = []
        self._folder = str(folder.resolve())
        self._begun: dict[bytes, tuple[bytes, int]] = {}

    def read(self, line: bytes) -> None:
        if resumed := RESUMED.match(line):
            thread, call, rest = resumed.groups()
            begin, covers = self._begun.pop(thread)
            self._take(call, begin + rest, covers)
        elif begun := BEGIN.match(line):
            thread, call, rest = begun.groups()
            if rest.endswith(UNFINISHED):
                self._begun[thread] = rest.removesuffix(UNFINISHED), len(self.found)
            else:
                self._take(call, rest, len(self.found))

    def _take(self, call: bytes, rest: bytes, covers: int) -> None:
        result = RESULT.findall(rest)
        if not result or int(result[-1]) < 0:
            return
        name = call.decode()
        texts = [_text(each) for each in re.findall(TEXT, rest)]
        if name in ("openat", "open", "creat"):
            if b"O_CREAT" in rest and (path := self._path(texts[0].decode())) is not None:
                self.found.append(Event("create", path))
            assert b"O_TRUNC" not in rest or self._path(texts[0].decode()) is None, rest[:200]
        elif name.startswith("rename"):
            old, new = (self._path(text.decode()) for text in texts[:2])
            if old is not None and new is not None:
                self.found.append(Event("rename", old, target=new))
        elif name in ("unlink", "unlinkat"):
            if (path := self._path(texts[0].decode())) is not None:
                self.found.append(Event("unlink", path))
        elif (of := OF_DESCRIPTOR.match(rest)) and not of[2]:
            path = self._path(_text(of[1]).decode())
            if path is not None:
                self._change(name, path, rest, int(result[-1]), covers)

    def _change(self, name: str, path: str, rest: bytes, result: int, covers: int) -> None:
        if name in ("fsync", "fdatasync"):
            self.found.append(Event("sync", path, covers=covers))
        elif name == "ftruncate":
            size = int(rest.split(b", ")[-1].split(b")")[0])
            self.found.append(Event("truncate", path, offset=size))
        elif name in ("write", "pwrite64"):
            data = _text(re.findall(TEXT, rest)[0])[:result]
            offset = int(rest.rpartition(b")")[0].split(b", ")[-1]) if name == "pwrite64" else None
            self.found.append(Event("write", path, data, offset))
        else:
            raise AssertionError(f"{name} of {path} is not understood")

    def _path(self, text: str) -> str | None:
        """Relative to the folder; None outside."""
        whole = text if text.startswith("/") else f"{self._folder}/{text}"
        if whole == self._folder:
            return ""
        if not whole.startswith(f"{self._folder}/"):
            return None
        return whole.removeprefix(f"{self._folder}/").removeprefix("./")


def _text(escaped: bytes) -> bytes:
    return bytes.fromhex(escaped.replace(b"\\x", b"").decode())


@dataclass
class _File:
    """One inode.

    Attributes:
        born: What tells it from others: its name before all events, or the number of that which made it.
        versions: Its content after the last sync, and after each change since, with the change's number.
    """

    born: str
    versions: list[tuple[int, bytes]] = field(default_factory=lambda: [(-1, b"")])

    def change(self, number: int, event: Event) -> None:
        before = self.versions[-1][1]
        if event.call == "truncate":
            size = event.offset or 0
            after = before[:size].ljust(size, b"\0")
        else:
            start = len(before) if event.offset is None else event.offset
            head = before[:start].ljust(start, b"\0")
            after = head + event.data + before[start + len(event.data) :]
        self.versions.append((number, after))

    def sync(self, covers: int) -> None:
        first = max(i for i, (number, _) in enumerate(self.versions) if number < covers)
        self.versions = self.versions[first:]

    def after_cut(self, chance: random.Random) -> bytes:
        contents = [content for _, content in self.versions]
        kind = chance.randrange(4)
        if kind < 2:
            return contents[0 if kind == 0 else -1]
        size = len(chance.choice(contents))
        parts = []
        for start in range(0, size, SECTOR):
            content = chance.choice(contents) if kind == 2 else chance.choice([contents[0], contents[-1]])
            parts.append(content[start : start + SECTOR].ljust(SECTOR, b"\0"))
        return b"".join(parts)[:size]


class Disk:
    """A folder's files after so many events.

    Args:
        before: Files by name, as they were on the disk before the first event.
        events: As `record` gives them.
    """

    def __init__(self, before: dict[str, bytes], events: Sequence[Event]) -> None:
        self._names = {name: _File(name, [(-1, content)]) for name, content in before.items()}
        # What names there were at the last sync of the folder, and after each change since.
        self._states = [(-1, self._names)]
        for number, event in enumerate(events):
            self._take(number, event)

    def written(self) -> dict[str, tuple[str, bytes]]:
        """Files by name, as programs see them: which inode, and its content."""
        return {name: (file.born, file.versions[-1][1]) for name, file in self._names.items()}

    def after_cut(self, chance: random.Random) -> dict[str, tuple[str, bytes]]:
        """The same, as they may be after a power cut now."""
        names = chance.choice(self._states)[1]
        return {name: (file.born, file.after_cut(chance)) for name, file in names.items()}

    def _take(self, number: int, event: Event) -> None:
        if event.call in ("write", "truncate"):
            self._names[event.path].change(number, event)
        elif event.call == "sync" and event.path:
            if event.path in self._names:  # of a folder below, names may go that were synced
                self._names[event.path].sync(event.covers)
        elif event.call == "sync":
            first = max(i for i, (at, _) in enumerate(self._states) if at < event.covers)
            self._states = self._states[first:]
        elif event.call != "create" or event.path not in self._names:
            names = dict(self._names)
            if event.call == "create":
                names[event.path] = _File(str(number))
            else:
                file = names.pop(event.path)
                if event.call == "rename":
                    names[event.target] = file
            self._names = names
            self._states.append((number, names))

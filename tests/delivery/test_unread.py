"""A disk that does not give a block: the ledger waits for it, and takes nothing for lost."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge_runtime.checkpoint import Checkpoint
from edge_runtime.delivery.ledger import Ledger
from edge_runtime.delivery.pages import LEAF_TABLE, Image
from edge_runtime.delivery.proof import UnreadableError
from edge_runtime.errors import LedgerError, LedgerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

ENTRIES = 40
# In the place of a file, each makes a read of its blocks fail: with EIO, for nothing lies at such an address,
# which SQLite calls damage; and with EBADF, which SQLite calls what it is.
AWAY = {"EIO": ("/proc/self/mem", os.O_RDONLY), "EBADF": (os.devnull, os.O_WRONLY)}


@contextmanager
def away(descriptor: int, how: str) -> Iterator[None]:
    """The disk behind an open file does not answer."""
    name, flags = AWAY[how]
    kept, instead = os.dup(descriptor), os.open(name, flags)
    os.dup2(instead, descriptor)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)
        os.close(instead)


def descriptor_of(path: Path) -> int:
    (found,) = [
        int(one.name) for one in Path("/proc/self/fd").iterdir() if os.path.realpath(one) == str(path)
    ]
    return found


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """All of it in the file, nothing in its log or in memory."""
    ledger = Ledger(tmp_path.resolve() / "l", "csv a", report=said(tmp_path).append)
    for number in range(ENTRIES):
        payloads = [("a", b"%d" % number + bytes(5000), 1)]
        ledger.commit(checkpoint=Checkpoint(f"c{number}"), states=[], payloads=payloads, counters={})
    ledger._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    ledger._db.execute("PRAGMA cache_size = 1")
    ledger._db.execute("PRAGMA shrink_memory")
    yield ledger
    ledger.close()


SAID: dict[Path, list[str]] = {}


def said(folder: Path) -> list[str]:
    return SAID.setdefault(folder.resolve(), [])


def waiting(ledger: Ledger) -> list[int]:
    return [int(one.payload.rstrip(b"\0")) for one in ledger.parcels("a", most=1000)]


def set_aside(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir() if "damaged" in one.name or "mended" in one.name]


@pytest.mark.parametrize("how", AWAY)
def test_a_fault_that_has_passed_is_no_damage(ledger: Ledger, tmp_path: Path, how: str) -> None:
    descriptor = descriptor_of(tmp_path.resolve() / "l")
    tries: list[int] = []

    def question() -> int:
        tries.append(1)
        if len(tries) > 1:
            return len(ledger._outbox.parcels("a", 1000, 1 << 30)[0])
        with away(descriptor, how):
            return len(ledger._outbox.parcels("a", 1000, 1 << 30)[0])

    if how == "EBADF":
        with pytest.raises(LedgerUnavailableError, match="cannot be read now .*; look at the disk"):
            ledger._read(question)
    assert ledger._read(question) == ENTRIES
    assert len(tries) == 2
    assert waiting(ledger) == list(range(ENTRIES))
    assert ledger.sums("a").lost == 0
    assert (said(tmp_path), set_aside(tmp_path)) == ([], [])


@pytest.mark.usefixtures("ledger")
def test_a_block_that_is_not_given_is_no_empty_page(tmp_path: Path) -> None:
    image = Image(tmp_path / "l")
    assert sum(1 for _ in image.records(LEAF_TABLE)) >= ENTRIES
    with (
        away(image._files[False].fileno(), "EIO"),
        pytest.raises(UnreadableError, match="Input/output error"),
    ):
        list(image.records(LEAF_TABLE))
    image.close()


@pytest.mark.parametrize("restart", [False, True])
def test_mending_stops_at_a_block_that_is_not_given_and_goes_on_when_it_is(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, restart: bool
) -> None:
    path = tmp_path / "l"
    data = bytearray(path.read_bytes())
    for at in range(4096, len(data), 4096):
        if data[at] == 0x05:  # what leads to the entries
            data[at : at + 4096] = b"\xff" * 4096
    plain = os.pread

    def failing(descriptor: int, size: int, offset: int) -> bytes:
        if offset == len(data) // 4096 // 2 * 4096:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return plain(descriptor, size, offset)

    if restart:
        ledger.close()
    path.write_bytes(data)
    monkeypatch.setattr(os, "pread", failing)
    for _ in range(2):
        if restart:
            with pytest.raises(LedgerError, match="Input/output error.*; look at the disk it lies on"):
                Ledger(path, "csv a")
        else:
            with pytest.raises(LedgerUnavailableError, match="Input/output error.*; look at the disk"):
                waiting(ledger)
    assert (path.read_bytes(), set_aside(tmp_path)) == (bytes(data), [])
    monkeypatch.undo()
    again = Ledger(path, "csv a", report=said(tmp_path).append) if restart else ledger
    assert waiting(again) == list(range(ENTRIES))
    assert again.sums("a").lost == 0
    assert "no row is lost" in said(tmp_path)[0]
    again.close()

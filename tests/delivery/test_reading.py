"""A ledger is read after whatever its process died of, without touching it."""

from __future__ import annotations

import shutil
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from edge_runtime.checkpoint import Checkpoint
from edge_runtime.delivery import reading as module
from edge_runtime.delivery.ledger import Ledger
from edge_runtime.delivery.reading import reading

if TYPE_CHECKING:
    from pathlib import Path

HEAD_BYTES = 48  # of the memory that processes share, of which there are two copies at its beginning


@pytest.mark.parametrize("torn", [0, 8, 12, HEAD_BYTES - 1, HEAD_BYTES, 2 * HEAD_BYTES - 1])
def test_killed_while_it_wrote_the_shared_memory_it_is_read(tmp_path: Path, torn: int) -> None:
    path = tmp_path / "run" / "l"
    ledger = Ledger(path, "csv a")
    ledger.commit(checkpoint=Checkpoint("here"), states=[], payloads=[("a", b"x", 1)], counters={"read": 1})
    dead = tmp_path / "dead"
    shutil.copytree(path.parent, dead)  # as `kill -9` would leave it
    ledger.close()
    memory = dead / "l-shm"
    data = bytearray(memory.read_bytes())
    assert data[:HEAD_BYTES] == data[HEAD_BYTES : 2 * HEAD_BYTES]
    data[torn] ^= 0xFF
    memory.write_bytes(data)
    before = {file.name: file.read_bytes() for file in dead.iterdir()}
    with reading(dead / "l") as db:
        assert db.execute("SELECT value FROM about WHERE name = 'checkpoint'").fetchone() == ("here",)
    assert {file.name: file.read_bytes() for file in dead.iterdir()} == before


def test_locks_that_change_hands_while_it_is_opened_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(tmp_path / "l", "csv a")
    error = sqlite3.OperationalError("locking protocol")
    error.sqlite_errorcode = sqlite3.SQLITE_PROTOCOL
    opened, failures = module._opened, [error] * 3

    def failing(*given: Any) -> Any:
        if failures:
            raise failures.pop()
        return opened(*given)

    monkeypatch.setattr(module, "_opened", failing)
    with reading(tmp_path / "l") as db:
        assert db.execute("SELECT value FROM about WHERE name = 'source'").fetchone() == ("csv a",)
    failures += [error] * module.TRIES
    with pytest.raises(sqlite3.OperationalError, match="locking protocol"), reading(tmp_path / "l"):
        pass
    ledger.close()

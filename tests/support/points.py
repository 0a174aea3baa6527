"""The moments at which a test ends `run`: before, within and after all that commits, writes, syncs and posts.

They are hooked into Python, SQLite's connection, `http.client` and paho from outside. Nothing of the product
knows of them. Each time one is passed it is written down, so that a test sees what a life came through.
"""

from __future__ import annotations

import http.client
import os
import signal
import sqlite3
import stat
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["SMALL", "Points", "set_numbers"]

# Small blocks, so that a few hundred rows come in several commits and deliveries.
SMALL: Mapping[str, int] = {
    "edge_runtime.text.csvblocks.READ_BYTES": 2048,
    "edge_runtime.sources.stdin.READ_BYTES": 2048,
    "edge_runtime.sources.mqtt_feed.MAX_MESSAGES": 12,
    "edge_runtime.gateway.pipeline.COMMIT_ROWS": 30,
    "edge_runtime.delivery.drain.MAX_PARCELS": 2,
    "edge_runtime.history.opened.PACK_COMMITS": 3,
    "edge_runtime.history.opened.STATE_ROWS": 20,
    "edge_runtime.history.packing.BLOCK_ROWS": 40,
    "edge_runtime.history.packing.SMALL_BLOCKS": 3,
}
SQL = {"COMMIT": "commit", "PRAGMA wal_checkpoint": "checkpoint", "PRAGMA incremental_vacuum": "give back"}


def set_numbers(numbers: Mapping[str, int]) -> None:
    """Sets constants of modules: their dotted names to their values."""
    for name, value in numbers.items():
        module, _, constant = name.rpartition(".")
        assert hasattr(import_module(module), constant), name
        setattr(import_module(module), constant, value)


class Points:
    """Counts points, and ends the process at one of them as `kill -9` does.

    Args:
        kill_at: At which, from 1; None for none.
        trace: File to which each point's name is written as it is passed.
    """

    def __init__(self, kill_at: int | None, trace: str) -> None:
        self._left = kill_at or 0
        self._write = os.write
        self._trace = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def hook(self) -> None:
        """Hooks them in."""
        self._hook_system()
        self._hook_ledger()
        self._hook_posts()

    def passed(self, name: str) -> None:
        """One more."""
        self._write(self._trace, f"{name}\n".encode())
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def _around(self, owner: Any, name: str, named: str, applies: Callable[..., bool]) -> None:
        real = getattr(owner, name)

        def hooked(*arguments: Any, **options: Any) -> Any:
            if not applies(*arguments, **options):
                return real(*arguments, **options)
            self.passed(f"before {named}")
            result = real(*arguments, **options)
            self.passed(f"after {named}")
            return result

        setattr(owner, name, hooked)

    def _hook_system(self) -> None:
        def always(*_: Any, **__: Any) -> bool:
            return True

        for name in ("fsync", "ftruncate", "replace", "rename"):
            self._around(os, name, name, always)
        real = os.write

        def write(descriptor: int, data: Any, /) -> int:
            if len(data) < 2 or not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return real(descriptor, data)
            self.passed("before write")
            done = real(descriptor, memoryview(data)[: len(data) // 2])
            self.passed("within write")
            done += real(descriptor, memoryview(data)[done:])
            self.passed("after write")
            return done

        os.write = write

    def _hook_ledger(self) -> None:
        points, connect = self, sqlite3.connect

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
                name = next((name for start, name in SQL.items() if sql.startswith(start)), None)
                if name is None:
                    return super().execute(sql, *parameters)
                points.passed(f"before {name}")
                result = super().execute(sql, *parameters)
                points.passed(f"after {name}")
                return result

        def hooked(*arguments: Any, **options: Any) -> sqlite3.Connection:
            made: sqlite3.Connection = connect(*arguments, **{"factory": Connection, **options})
            return made

        sqlite3.connect = hooked  # type: ignore[assignment]

    def _hook_posts(self) -> None:
        def is_post(connection: Any, *_: Any, **__: Any) -> bool:
            return bool(connection._method == "POST")

        # The request was sent, and nobody knows what became of it; then its answer is known.
        self._around(http.client.HTTPConnection, "getresponse", "answer", is_post)

    def hook_acknowledgements(self) -> None:
        """Those of paho, which not every source imports."""
        client = import_module("paho.mqtt.client")
        self._around(client.Client, "ack", "acknowledgement", lambda *_, **__: True)

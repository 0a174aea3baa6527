"""Where first starts begin: a process that has imported MLflow, and forks one recorded run after another.

It reads one JSON list of starts a line, lets them run at once, and answers with a list of their exit codes.
A start is {"uri": the store, "at": at which call of a Python function it is ended, null for none, "signal":
by which, "calls": a file that gets the number of calls}. `Starters` starts it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Starters"]

IMPORTED = (
    *("mlflow", "mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store"),
    *("alembic.command", "alembic.script", "trainer.tracking", "trainer.cli.ending"),
)


class Starters:
    """Begins starts, several at once."""

    def __enter__(self) -> Self:
        words = [sys.executable, __file__]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self, *starts: Mapping[str, Any]) -> list[int]:
        """The exit codes of starts that ran at once; minus the signal's number of one that it killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(starts) + "\n")
        self._process.stdin.flush()
        answer: list[int] = json.loads(self._process.stdout.readline())
        return answer


def serve() -> None:
    """Until its standard input ends."""
    from trainer.tracking.client import make_client  # noqa: PLC0415 - only in the process of its own
    from trainer.tracking.names import Store  # noqa: PLC0415

    for name in IMPORTED:
        __import__(name)
    make_client(Store("http://127.0.0.1:9"))  # all that a client imports; it asks nothing yet
    for line in sys.stdin:
        pids = [begin(start) for start in json.loads(line)]
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        sys.stdout.write(json.dumps(codes) + "\n")
        sys.stdout.flush()


def begin(start: dict[str, Any]) -> int:
    """Forks a start."""
    pid = os.fork()
    if pid == 0:
        live(start)
    return pid


def live(start: dict[str, Any]) -> NoReturn:
    """A run with one figure, as `edge-train fit` records it."""
    from edge_runtime.errors import EdgeDetectError  # noqa: PLC0415
    from trainer.cli.ending import ended_by_signals  # noqa: PLC0415
    from trainer.tracking import Tracker  # noqa: PLC0415

    calls, code = 0, 0

    def count(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event == "call"
        if event == "call" and calls == start["at"]:
            os.kill(os.getpid(), start["signal"])

    if start["at"] is not None or start["calls"]:
        sys.setprofile(count)
    try:
        with ended_by_signals(), Tracker(start["uri"], "first", None) as tracker:
            tracker.log_metrics({"figure": 1.0})
    except KeyboardInterrupt:
        code = 130
    except SystemExit as end:
        code = int(end.code or 0)
    except EdgeDetectError as error:
        code = error.exit_code
    except Exception:  # noqa: BLE001 - what a command would show as an internal error
        code = 70
    sys.setprofile(None)
    if start["calls"]:
        with suppress(OSError):
            Path(start["calls"]).write_text(str(calls), encoding="utf-8")
    os._exit(code)


if __name__ == "__main__":
    serve()

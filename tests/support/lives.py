"""Lives of `edge-detect run`: processes that begin within milliseconds and end as a test says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from support.commands import unmeasured

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["KILLED", "Ending", "Life", "Lives"]

KILLED = -signal.SIGKILL
HANGS_S = 240.0
LOOK_S = 0.02
BEGUN = b"edge-detect: version "  # from then on SIGTERM is waited for


@dataclass(frozen=True, slots=True)
class Life:
    """How one ended.

    Attributes:
        code: Its exit code; that of a signal is negative.
        points: The points that it passed.
        peak_mb: Most memory that it had, MB of a million bytes.
        log: What it said.
    """

    code: int
    points: tuple[str, ...]
    peak_mb: float
    log: str


@dataclass(frozen=True, slots=True)
class Ending:
    """When a life ends, if not by itself.

    Attributes:
        at: At the point of this number, from 1, by SIGKILL.
        after_s: So many seconds after its begin, by SIGKILL.
        when: Once that is so, by SIGTERM.
        meanwhile: Called again and again while it lives.
        file_bytes: No file may grow beyond that; None for no bound.
        clock_s: Seconds that its wall clock is ahead of ours.
    """

    at: int | None = None
    after_s: float | None = None
    when: Callable[[], bool] | None = None
    meanwhile: Callable[[], None] | None = None
    file_bytes: int | None = None
    clock_s: int = 0


class Lives:
    """Begins lives within a `with` block; every one of them ends with it.

    Args:
        state: What all of them remember lies below, such as the bundle's trial.

    Attributes:
        peak_mb: Most memory that one of them had, MB of a million bytes.
        living: The process of the one that lives now.
    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self.peak_mb = 0.0
        self.living: int | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("nursery.py")],
            env={**unmeasured(), "XDG_STATE_HOME": str(self._state)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self.living is not None:
            os.kill(self.living, signal.SIGKILL)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def live(
        self,
        folder: Path,
        words: Sequence[object],
        ending: Ending | None = None,
        *,
        stdin: Path = Path(os.devnull),
        numbers: Mapping[str, int] | None = None,
    ) -> Life:
        """One life of `edge-detect`, from its begin to its end.

        Args:
            folder: Where; its log and the points that it passed are written beside it.
            words: The command line.
            ending: When it ends; None for by itself.
            stdin: The file that it gets as its standard input.
            numbers: Constants to be set, by their dotted names.
        """
        ending = ending or Ending()
        order = self._order(folder, words, ending, stdin, numbers)
        trace, log = Path(order["trace"]), Path(order["log"])
        trace.unlink(missing_ok=True)
        said = log.stat().st_size if log.exists() else 0
        self.living = pid = int(self._ask(order)["pid"])
        end = self._watch(pid, ending, lambda: log.exists() and BEGUN in log.read_bytes()[said:])
        self.living = None
        points = trace.read_text().splitlines() if trace.exists() else []
        text = log.read_bytes()[said:].decode() if log.exists() else ""
        life = Life(end["code"], tuple(points), end["peak_kb"] * 1024 / 1e6, text)
        self.peak_mb = max(self.peak_mb, life.peak_mb)
        return life

    def command(
        self, folder: Path, words: Sequence[object], *, numbers: Mapping[str, int] | None = None
    ) -> list[str]:
        """The command line of a single life, for a program that watches it."""
        order = self._order(folder, words, Ending(), Path(os.devnull), numbers)
        return [sys.executable, str(Path(__file__).with_name("nursery.py")), json.dumps(order)]

    def _order(
        self,
        folder: Path,
        words: Sequence[object],
        ending: Ending,
        stdin: Path,
        numbers: Mapping[str, int] | None,
    ) -> dict[str, Any]:
        return {
            "folder": str(folder),
            "environment": {"XDG_STATE_HOME": str(self._state)},
            "stdin": str(stdin),
            "log": str(folder.with_name(f"{folder.name}.log")),
            "trace": str(folder.with_name(f"{folder.name}.points")),
            "words": [str(word) for word in words],
            "numbers": dict(numbers or {}),
            "kill_at": ending.at,
            "file_bytes": ending.file_bytes,
            "clock_s": ending.clock_s,
        }

    def _watch(self, pid: int, ending: Ending, has_begun: Callable[[], bool]) -> dict[str, Any]:
        begun, asked = time.monotonic(), False
        while True:
            lived = time.monotonic() - begun
            seconds = 1.0
            if ending.after_s is not None:
                seconds = max(0.0, ending.after_s - lived)
            if ending.when is not None or ending.meanwhile is not None:
                seconds = min(seconds, LOOK_S)
            end = self._ask({"wait": pid, "seconds": seconds})
            if end["code"] is not None:
                return end
            lived = time.monotonic() - begun
            if lived > HANGS_S or (ending.after_s is not None and lived >= ending.after_s):
                os.kill(pid, signal.SIGKILL)
            elif not asked and ending.when is not None and has_begun() and ending.when():
                os.kill(pid, signal.SIGTERM)
                asked = True
            elif ending.meanwhile is not None:
                ending.meanwhile()

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

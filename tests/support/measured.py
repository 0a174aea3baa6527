"""A program of the project in a process of its own, with the most memory that it took."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from support.commands import unmeasured

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MOST_MB", "Measured", "Peak", "measured"]

# What no feed may take, whatever is in it.
MOST_MB = 150
WAIT_S = 300.0
LOOK_S = 0.005
PEAK = re.compile(r"VmHWM:\s+(\d+) kB")


@dataclass(frozen=True, slots=True)
class Measured:
    """How it ended.

    Attributes:
        code: Exit code; negative for a signal.
        out: What it wrote on standard output.
        said: What it wrote on standard error.
        peak_mb: The most memory that was resident, MB.
    """

    code: int
    out: str
    said: str
    peak_mb: float


def measured(folder: Path, *words: object, stdin: Iterable[bytes] = ()) -> Measured:
    """Runs a command to its end, in this folder and with its state in it.

    Args:
        folder: Where.
        words: The program's name and its arguments.
        stdin: Pieces of its standard input; what it does not take any more is left.
    """
    program, *arguments = map(str, words)
    with (folder / "out").open("wb") as out, (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            [Path(sys.executable).parent / program, *arguments],
            cwd=folder,
            env={**unmeasured(), "XDG_STATE_HOME": str(folder / "state")},
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=said,
        )
    timer = threading.Timer(WAIT_S, process.kill)
    timer.start()
    watch = Peak(process.pid)
    try:
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin:
            for piece in stdin:
                process.stdin.write(piece)
        code = process.wait()
    finally:
        timer.cancel()
    return Measured(
        code,
        (folder / "out").read_text(errors="replace"),
        (folder / "said").read_text(errors="replace"),
        watch.peak_mb(),
    )


class Peak:
    """Looks again and again at the most memory that a process took so far, until it is gone.

    `ru_maxrss` would be that of the process which started it, where that one is the larger.
    """

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._peak_kb = 0
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def peak_mb(self) -> float:
        """The most memory that was resident, MB; the process has ended."""
        self._thread.join()
        assert self._peak_kb, "it was gone before it was looked at"
        return self._peak_kb / 1024

    def _look(self) -> None:
        with suppress(OSError):
            while found := PEAK.search(self._status.read_text()):
                self._peak_kb = max(self._peak_kb, int(found[1]))
                time.sleep(LOOK_S)

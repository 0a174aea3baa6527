"""A program of the project that goes on running while a test looks at what it says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Running", "running"]

WAIT_S = 120.0


class Running:
    """One process.

    Args:
        process: With both its outputs as pipes.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def says(self) -> str:
        """Its next line on standard error, after the one that says what runs."""
        assert self.process.stderr is not None
        line = _line(self.process.stderr)
        return _line(self.process.stderr) if line.startswith("edge-detect: version ") else line

    def prints(self) -> str:
        """Its next line on standard output."""
        assert self.process.stdout is not None
        return _line(self.process.stdout)

    def stop(self) -> int:
        """Its exit code after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_S)


@contextmanager
def running(state: Path, *words: object) -> Iterator[Running]:
    """A command, its state in a folder of its own; killed when the block ends, if it still runs.

    Args:
        state: What it remembers lies below.
        words: The program's name and its arguments.
    """
    program, *arguments = map(str, words)
    with subprocess.Popen(
        [Path(sys.executable).parent / program, *arguments],
        env={**os.environ, "XDG_STATE_HOME": str(state)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield Running(process)
        finally:
            process.kill()


def _line(stream: IO[bytes]) -> str:
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(stream.readline()), daemon=True)
    thread.start()
    thread.join(WAIT_S)
    assert found, "nothing came"
    return found[0].decode()

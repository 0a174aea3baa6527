"""The project's own commands, run as a user would type them, each shown before its output."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CommandError", "background", "run", "say"]

STOP_WITHIN_S = 30.0


class CommandError(Exception):
    """A command of the demo failed; carries the exit code to hand on."""

    def __init__(self, command: list[str], code: int) -> None:
        super().__init__(f"'{shlex.join(command)}' ended with exit code {code}")
        self.code = code


def say(text: str) -> None:
    """A heading of the demo's own."""
    sys.stdout.write(f"\n\033[1m{text}\033[0m\n" if sys.stdout.isatty() else f"\n== {text}\n")
    sys.stdout.flush()


def run(*words: str | Path, output: Path | None = None) -> None:
    """Runs one command to its end, its standard output into `output` when named.

    Raises:
        CommandError: It ended with another code than 0.
    """
    command = _command(words, shown_output=output)
    started = time.monotonic()
    if output is None:
        code = _wait(subprocess.Popen(command))
    else:
        with output.open("wb") as stream:
            code = _wait(subprocess.Popen(command, stdout=stream))
    if code:
        raise CommandError(command, code)
    sys.stdout.write(f"  ({time.monotonic() - started:.0f} s)\n")
    sys.stdout.flush()


@contextmanager
def background(*words: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a command beside the block and stops it with SIGTERM at the block's end.

    Raises:
        CommandError: It failed by itself, or did not end with code 0 when it was asked to.
    """
    command = _command(words)
    process = subprocess.Popen(command)
    try:
        yield process
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        code = process.wait(STOP_WITHIN_S)
        if code:
            raise CommandError(command, code)
    finally:
        _end(process)


def _wait(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait()
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process that is still there because the demo itself was interrupted."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _command(words: tuple[str | Path, ...], *, shown_output: Path | None = None) -> list[str]:
    """The command with its program from beside this interpreter; shows it as a user would type it."""
    program, *arguments = map(str, words)
    redirection = f" > {shlex.quote(str(shown_output))}" if shown_output else ""
    sys.stdout.write(f"$ {shlex.join([program, *arguments])}{redirection}\n")
    sys.stdout.flush()
    return [str(Path(sys.executable).parent / program), *arguments]

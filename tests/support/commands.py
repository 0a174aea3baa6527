"""What a test sees of a command that ended."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import subprocess

__all__ = ["Command", "Here", "assert_one_clear_line", "unmeasured"]


class Command(Protocol):
    """Runs a program of the project to its end."""

    def __call__(
        self, *words: object, stdin: bytes = b"", timeout: float = 120.0
    ) -> subprocess.CompletedProcess[bytes]:
        """The program's name, its arguments, its standard input; bytes come back."""
        ...


class Here(Protocol):
    """Runs one of the project's programs to its end, in this process."""

    def __call__(self, *words: object) -> subprocess.CompletedProcess[bytes]:
        """The program's name and its arguments; bytes come back."""
        ...


def unmeasured() -> dict[str, str]:
    """An environment for a child whose modules, time or files count: coverage adds its own to each."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


def assert_one_clear_line(done: subprocess.CompletedProcess[bytes], code: int, *words: str) -> None:
    """The command failed with this code and one line on standard error with these words; no traceback."""
    text = done.stderr.decode()
    beside = ("0 rows read", "  ", "edge-detect: version ")
    lines = [line for line in text.splitlines() if not line.startswith(beside)]
    assert done.returncode == code, text
    assert len(lines) == 1, text
    assert "Traceback" not in text
    for word in words:
        assert word in lines[0], text

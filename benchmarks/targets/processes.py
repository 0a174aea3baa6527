"""Our commands and the bare script as processes: started, fed, and looked at from outside through /proc."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.workloads import BUILD, ROOT, bundle_path, load

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Child", "bare", "children", "edge_detect", "environment", "memory_mb", "session", "woken"]

WITHIN_S = 60.0
BARE = Path(__file__).with_name("bare.py")


def environment() -> dict[str, str]:
    """Of a child: this tree's packages, whatever is installed, and no colours.

    Their bytecode is kept below build/, as an installed package's is kept: else each start would compile it.
    """
    found = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**found, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "PYTHONPYCACHEPREFIX": str(BUILD / "pyc")}


def edge_detect(*words: object) -> list[str]:
    """The command line `edge-detect WORDS`."""
    script = Path(sys.executable).with_name("edge-detect")
    program = [str(script)] if script.exists() else ["-m", "edge_runtime"]
    return [sys.executable, *program, *map(str, words)]


def bare(name: str) -> list[str]:
    """The bare script on a bundle of `workloads`."""
    return [sys.executable, str(BARE), str(bundle_path(name)), str(load(name).metadata.threshold.value)]


def woken() -> list[str]:
    """ONNX Runtime alone on the default bundle, a call a line."""
    return [sys.executable, "-m", "benchmarks.targets.woken"]


class Child:
    """A process that answers each line on its standard input with one on its standard output."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(),
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.stdin, self.stdout = self._process.stdin.fileno(), self._process.stdout.fileno()
        self.pid = self._process.pid

    def ask(self, lines: bytes) -> None:
        """Writes lines and waits for all the answers.

        Raises:
            RuntimeError: It ended, or did not answer in time.
        """
        wanted, until = lines.count(b"\n"), time.monotonic() + WITHIN_S
        os.write(self.stdin, lines)
        while wanted > 0:
            ready, _, _ = select.select([self.stdout], [], [], max(0.0, until - time.monotonic()))
            data = os.read(self.stdout, 1 << 16) if ready else b""
            if not data:
                raise RuntimeError(f"no answer from {self._process.args!r}")
            wanted -= data.count(b"\n")

    def cpu_ns(self) -> int:
        """Processor time of all its threads that live."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)

    def memory_mb(self, name: str = "VmRSS") -> float:
        """Resident memory, or with "VmHWM" its peak, in MB of a million bytes."""
        return memory_mb(self.pid, name)

    def stop(self) -> None:
        """Ends its input, and waits; kills it when that does not end it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def memory_mb(pid: int, name: str) -> float:
    """A line of a process's status in MB; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024 / 1e6


def session(leader: int) -> list[int]:
    """The processes of a session that one was started with."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(ValueError, ProcessLookupError):
            if os.getsid(int(entry.name)) == leader:
                found.append(int(entry.name))
    return found


@contextmanager
def children(*commands: list[str]) -> Iterator[list[Child]]:
    """Processes that live as long as the block."""
    started: list[Child] = []
    try:
        for command in commands:
            started.append(Child(command))  # noqa: PERF401 - the next may fail
        yield started
    finally:
        for child in started:
            child.stop()

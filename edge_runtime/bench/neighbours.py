"""Busy neighbours: a process on every CPU that does nothing but compute, for as long as it is asked to."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["busy_neighbours"]

# It ends with whoever started it, too, so that a killed measurement leaves nothing behind.
PROGRAM = """
import os, sys
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {int(sys.argv[1])})
parent = os.getppid()
print("busy", flush=True)
while os.getppid() == parent:
    for _ in range(100_000):
        pass
"""


@contextmanager
def busy_neighbours() -> Iterator[int]:
    """Starts one for each CPU that this process may use, all of them at work; kills them in the end.

    Yields:
        Their number.
    """
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    started: list[subprocess.Popen[bytes]] = []
    try:
        for cpu in cpus:
            command = [sys.executable, "-S", "-c", PROGRAM, str(cpu)]
            started.append(subprocess.Popen(command, stdout=subprocess.PIPE))  # noqa: S603 - a program of ours
        for one in started:
            if one.stdout is not None:
                one.stdout.readline()
        yield len(started)
    finally:
        for one in started:
            one.kill()
        for one in started:
            one.communicate()

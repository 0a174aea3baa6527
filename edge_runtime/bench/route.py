"""One way through `edge-detect run`: what it is measured with, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge_runtime.bench.latency import Latency

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Metadata
    from edge_runtime.gateway.settings import Settings

    # Waits so many seconds at most for bytes, of which each line is a verdict.
    Read = Callable[[float], bytes]
    # The sink's options, and what reads from it when the process is there.
    Sink = tuple[list[str], Callable[[subprocess.Popen[bytes]], Read]]

__all__ = ["START_WITHIN_S", "EndToEnd", "Gateway", "Task", "descriptors"]

START_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """What came of a route.

    Attributes:
        rows: Number of rows.
        rate: Rows offered a second; None for as fast as they were taken.
        latency_us: From the moment at which a row was meant to be offered to its verdict line.
        rows_per_s: Without a rate: from the first verdict line to the last.
        left_out: Why it was not measured; None when it was.
    """

    rows: int
    rate: float | None
    latency_us: Latency | None
    rows_per_s: float | None
    left_out: str | None = None

    @staticmethod
    def on_schedule(task: Task, intended: NDArray[np.int64], came: NDArray[np.int64]) -> EndToEnd:
        """Of rows that were meant to be offered and whose verdicts came at these moments, in ns."""
        return EndToEnd(task.rows, task.rate, Latency.of(came - intended), None)

    @staticmethod
    def without(reason: str) -> EndToEnd:
        """A route that was not measured."""
        return EndToEnd(0, None, None, None, reason)


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway's own configuration.

    Attributes:
        config: The file.
        settings: What is in it.
    """

    config: Path
    settings: Settings


@dataclass(frozen=True, slots=True)
class Task:
    """What a route is measured with.

    Attributes:
        bundle: The bundle; None for the default one.
        metadata: What it says of itself.
        rate: Rows a second.
        seconds: How long.
        folder: For files.
        at_end: What is undone when the route was measured.
        gateway: Whose servers a route may use; None for no servers.
    """

    bundle: Path | None
    metadata: Metadata
    rate: float
    seconds: float
    folder: Path
    at_end: ExitStack = field(repr=False)
    gateway: Gateway | None = None

    @property
    def rows(self) -> int:
        """How many to offer."""
        return max(3, round(self.rate * self.seconds))


def descriptors(child: subprocess.Popen[bytes]) -> tuple[int, int]:
    """Its standard input and output."""
    assert child.stdin is not None  # noqa: S101 - both were asked for as pipes
    assert child.stdout is not None  # noqa: S101
    return child.stdin.fileno(), child.stdout.fileno()

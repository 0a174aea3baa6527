"""What a running gateway costs: CPU time at a few rows a second, and the memory that it holds."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.bench.child import cpu_seconds, csv_lines, resident_mb, run_child
from edge_runtime.bench.feeds import arrivals, read_pipe, send_lines, to_pipe
from edge_runtime.bench.route import START_WITHIN_S, descriptors
from edge_runtime.bench.rows import make_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.bundle.metadata import Metadata

__all__ = ["RunningCost", "measure_running_cost"]

WARM_UP_ROWS = 20
WARM_UP_RATE = 100.0
LEFT_OVER_S = 0.1


@dataclass(frozen=True, slots=True)
class RunningCost:
    """What `edge-detect run` costs, from standard input to standard output.

    Attributes:
        cpu_percent: Rows a second to CPU time, in percent of a core.
        rss_mb: Resident memory in the end, in MB of a million bytes; None where the system does not tell.
    """

    cpu_percent: dict[float, float]
    rss_mb: float | None


def measure_running_cost(
    path: Path | None, metadata: Metadata, *, rates: Sequence[float], seconds: float
) -> RunningCost:
    """Offers rows at each rate to one process, after a warm-up.

    Args:
        path: The bundle; None for the default one.
        metadata: What it says of itself.
        rates: Rows a second.
        seconds: For all of them together; a rate gets one row at least.

    Raises:
        EdgeDetectError: The process failed.
    """
    counts = [max(1, round(rate * seconds / len(rates))) for rate in rates]
    header, lines = csv_lines(metadata, make_rows(metadata, WARM_UP_ROWS + sum(counts)))
    found: dict[float, float] = {}
    with (
        tempfile.TemporaryDirectory(prefix="edge-detect-bench-") as folder,
        run_child(["--source", "stdin", "--sink", "stdout"], path, Path(folder)) as child,
    ):
        into, pipe = descriptors(child)
        send, read = to_pipe(into), read_pipe(pipe)
        send_lines(send, [header + lines[0], *lines[1:WARM_UP_ROWS]], WARM_UP_RATE)
        arrivals(read, WARM_UP_ROWS, START_WITHIN_S)
        done = WARM_UP_ROWS
        for rate, count in zip(rates, counts, strict=True):
            time.sleep(LEFT_OVER_S)  # what is done after a verdict was written
            started, before = time.monotonic(), cpu_seconds(child.pid)
            send_lines(send, lines[done : done + count], rate)
            arrivals(read, count, START_WITHIN_S + 2 * count / rate)
            done += count
            # A row's whole share of time: the last one's, too.
            time.sleep(max(0.0, started + count / rate - time.monotonic()))
            used, elapsed = cpu_seconds(child.pid) - before, time.monotonic() - started
            found[rate] = round(100 * used / elapsed, 3)
        memory = resident_mb(child.pid)
    return RunningCost(found, memory)

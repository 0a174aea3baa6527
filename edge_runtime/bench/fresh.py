"""A fresh process: how long from its start to its first score, and how much memory it took.

That process says at which moment its first row was scored, on the clock that all processes share, so that
neither its end nor the pipe is counted.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from edge_runtime.errors import EdgeDetectError

__all__ = ["FreshStart", "measure_fresh_start", "peak_memory_mb"]

TIMEOUT_S = 60.0
# What `edge-detect` imports before it knows its command, then the shortest way to a score.
PROGRAM = "import edge_runtime.cli; from edge_runtime.bench.fresh import score_one; score_one()"


@dataclass(frozen=True, slots=True)
class FreshStart:
    """What a fresh process took.

    Attributes:
        cold_start_ms: From its start to its first score: interpreter, imports, loading, self-test, one row.
        rss_mb: Its peak resident memory, in MB of a million bytes.
    """

    cold_start_ms: float
    rss_mb: float


def measure_fresh_start(bundle: Path | None, *, repeats: int = 3) -> FreshStart:
    """Starts fresh processes one after another; the median of their times and the largest of their peaks.

    Raises:
        EdgeDetectError: A process failed.
    """
    found = [_start_one(bundle) for _ in range(repeats)]
    return FreshStart(
        round(median(one.cold_start_ms for one in found), 1), round(max(one.rss_mb for one in found), 1)
    )


def _start_one(bundle: Path | None) -> FreshStart:
    command = [sys.executable, "-c", PROGRAM, *([str(bundle)] if bundle else [])]
    started = time.monotonic_ns()
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter, a program of ours and a file name
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True
        )
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or [f"exit code {error.returncode}"])[-1]
        raise EdgeDetectError(f"the fresh process failed: {reason}", where="bench") from None
    except subprocess.TimeoutExpired:
        raise EdgeDetectError(
            f"the fresh process took longer than {TIMEOUT_S:.0f} s", where="bench"
        ) from None
    answer = json.loads(done.stdout)
    return FreshStart((answer["scored_at_ns"] - started) / 1e6, answer["rss_mb"])


def score_one() -> None:
    """Loads the bundle that the command line names, or the default one, scores a row, and says when."""
    from edge_runtime.bench.rows import make_rows  # noqa: PLC0415 - the imports are part of what is measured
    from edge_runtime.engine.engine import Engine  # noqa: PLC0415
    from edge_runtime.loading.load import load_bundle  # noqa: PLC0415

    bundle = load_bundle(sys.argv[1] if len(sys.argv) > 1 else None)
    Engine(bundle).feed(make_rows(bundle.metadata, 1))
    answer = {"scored_at_ns": time.monotonic_ns(), "rss_mb": peak_memory_mb()}
    sys.stdout.write(json.dumps(answer))


def peak_memory_mb() -> float:
    """This process's peak resident memory.

    Linux's `VmHWM` and not `ru_maxrss`, in which a process inherits the peak of whoever started it.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6
    except (OSError, StopIteration):
        import resource  # noqa: PLC0415 - not on every platform

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6

"""A child process that is `edge-detect run`, and what it costs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from edge_runtime.errors import EdgeDetectError
from edge_runtime.timeparse import format_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_runtime.bundle.metadata import Metadata
    from edge_runtime.records import Readings

__all__ = ["WHERE", "cpu_seconds", "csv_lines", "resident_mb", "run_child"]

WHERE = "bench: edge-detect run"
END_WITHIN_S = 10.0


@contextmanager
def run_child(options: Sequence[str], bundle: Path | None, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Starts `edge-detect run` with these options, its standard input and output being pipes.

    When the block is done its input is closed, and it has to end.

    Args:
        options: Source, sink and theirs.
        bundle: The bundle; None for the default one.
        folder: For its ledger.

    Raises:
        EdgeDetectError: It failed.
    """
    named = ["--bundle", "default" if bundle is None else str(bundle)]
    state = ["--state", str(folder / "ledger.sqlite")]
    command = [sys.executable, "-m", "edge_runtime", "run", *options, *named, *state]
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(  # noqa: S603 - this program
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, bufsize=0
        )
        try:
            yield child
            _end(child)
        except (OSError, EOFError, subprocess.TimeoutExpired):
            raise EdgeDetectError(f"it failed: {_last_line(errors)}", where=WHERE) from None
        finally:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.stdin is not None:
        child.stdin.close()
    if child.wait(END_WITHIN_S) != 0:
        raise EOFError


def _last_line(errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = errors.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def csv_lines(metadata: Metadata, rows: Readings) -> tuple[bytes, list[bytes]]:
    """A header, and a line for each row."""
    header = ",".join(["time", "machine_id", *metadata.sensor_names]) + "\n"
    lines = [
        ",".join([format_time(moment), machine, *(f"{value:.9g}" for value in values)]) + "\n"
        for moment, machine, values in zip(
            rows.times.tolist(), rows.machines.tolist(), rows.values.tolist(), strict=True
        )
    ]
    return header.encode(), [line.encode() for line in lines]


def cpu_seconds(pid: int) -> float:
    """What a process has computed so far, in it and in the kernel for it.

    On Linux the process's own clock, in nanoseconds: one row costs less than the tick of `/proc/PID/stat`.
    """
    try:
        # How Linux numbers the CPU clocks of processes: clock_getcpuclockid(3).
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float | None:
    """What it holds in memory now, in MB of a million bytes; None where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        return round(
            next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) * 1024 / 1e6, 1
        )
    except (OSError, StopIteration):
        return None

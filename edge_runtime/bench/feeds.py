"""Both ends of a running `edge-detect run`: rows sent to it on a schedule, verdict lines read back."""

from __future__ import annotations

import os
import select
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.bench.child import WHERE
from edge_runtime.errors import EdgeDetectError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["HEAD_START_S", "arrivals", "read_growing", "read_pipe", "send_lines", "to_pipe"]

READ_BYTES = 1 << 16
POLL_S = 0.001
HEAD_START_S = 0.05


def to_pipe(descriptor: int) -> Callable[[bytes], object]:
    """What writes into a pipe."""
    return lambda data: os.write(descriptor, data)


def send_lines(send: Callable[[bytes], object], lines: Sequence[bytes], rate: float) -> NDArray[np.int64]:
    """Sends lines, `rate` a second, from a thread of its own; what is due goes at once.

    Returns:
        [lines] when each is meant to be sent, ns of the monotonic clock, whether or not it could be.
    """
    started = time.monotonic_ns() + int(HEAD_START_S * 1e9)
    intended = started + (np.arange(len(lines)) / rate * 1e9).astype(np.int64)

    def keep_schedule() -> None:
        done = 0
        # The child or its server is gone, which whoever reads finds out.
        with suppress(OSError, EdgeDetectError):
            while done < len(lines):
                time.sleep(max(0, intended[done] - time.monotonic_ns()) / 1e9)
                due = int(np.searchsorted(intended, time.monotonic_ns(), side="right"))
                send(b"".join(lines[done:due]))
                done = due

    threading.Thread(target=keep_schedule, daemon=True).start()
    return intended


def arrivals(read: Callable[[float], bytes], count: int, within_s: float) -> NDArray[np.int64]:
    """When so many lines came.

    Args:
        read: Waits so many seconds at most for bytes.
        count: How many lines.
        within_s: Longest wait for all of them.

    Returns:
        [count] ns of the monotonic clock.

    Raises:
        EdgeDetectError: They did not come in time.
        EOFError: No more can come.
    """
    found: list[int] = []
    until = time.monotonic() + within_s
    while len(found) < count:
        left = until - time.monotonic()
        if left <= 0:
            raise EdgeDetectError(
                f"{len(found):,} of {count:,} verdicts came within {within_s:.0f} s",
                where=WHERE,
                hint="offer fewer rows a second with --rate and --rates",
            )
        lines = read(left).count(b"\n")
        found += [time.monotonic_ns()] * lines
    return np.asarray(found[:count], np.int64)


def read_pipe(descriptor: int) -> Callable[[float], bytes]:
    """Reads what a pipe has; EOFError at its end."""

    def read(seconds: float) -> bytes:
        ready, _, _ = select.select([descriptor], [], [], seconds)
        if not ready:
            return b""
        data = os.read(descriptor, READ_BYTES)
        if not data:
            raise EOFError
        return data

    return read


def read_growing(path: Path) -> Callable[[float], bytes]:
    """Reads what is new in a file, which it looks for once a millisecond."""
    done = 0

    def read(_: float) -> bytes:
        nonlocal done
        if not path.exists() or path.stat().st_size <= done:
            time.sleep(POLL_S)
            return b""
        with path.open("rb") as file:
            file.seek(done)
            data = file.read()
        done += len(data)
        return data

    return read

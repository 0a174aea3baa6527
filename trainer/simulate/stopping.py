"""Stopping cleanly: Ctrl-C and SIGTERM end a loop between two rounds instead of in the middle of one."""

from __future__ import annotations

import os
import select
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["interruptible_wait"]


@contextmanager
def interruptible_wait() -> Iterator[Callable[[float], bool]]:
    """Yields a function that waits so many seconds and returns True, at once, when it is time to stop.

    A pipe carries the signal, not a lock: a handler runs in the very thread that may hold the lock.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def stop(_number: int, _frame: object) -> None:
        os.write(writer, b"!")

    def wait(seconds: float) -> bool:
        return bool(select.select([reader], [], [], max(0.0, seconds))[0])

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield wait
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)

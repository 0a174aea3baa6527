"""Rows and alarms to standard output, as JSON lines."""

from __future__ import annotations

import errno
import os
import sys
from dataclasses import dataclass
from io import UnsupportedOperation
from typing import IO, TYPE_CHECKING

from edge_runtime.config import setting
from edge_runtime.errors import UsageError
from edge_runtime.files import write_all
from edge_runtime.sinks.base import ALARMS, EVERYTHING, ROWS, TAKES, Only, SinkKind, Verdicts
from edge_runtime.sinks.rows import json_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.connector import Given
    from edge_runtime.engine.alarms import Change
    from edge_runtime.records import Results

__all__ = ["STDOUT", "StdoutSettings", "StdoutSink"]


@dataclass(frozen=True, slots=True)
class StdoutSettings:
    """What is printed."""

    takes: tuple[str, ...] = setting((ROWS,), TAKES)
    only: Only = EVERYTHING


class StdoutSink:
    """Writes each block at once.

    Args:
        sensors: The bundle's.
        stream: Where to; standard output without it.
    """

    name = "stdout"

    def __init__(self, sensors: tuple[str, ...], stream: IO[bytes] | None = None) -> None:
        self._sensors = sensors
        self._stream = stream or _standard_output()

    def check(self) -> None:
        """There is nothing to check."""

    def resume(self, position: str | None, waiting: Sequence[bytes] = ()) -> None:
        """What was printed cannot be undone."""

    def position(self) -> str | None:
        """Not known."""
        return None

    def encode(self, results: Results) -> bytes:
        """JSON lines."""
        return json_lines(results, self._sensors)

    def encode_alarm(self, change: Change) -> bytes:
        """A line of JSON."""
        return change.to_line()

    def deliver(self, payloads: Sequence[bytes]) -> None:
        """Writes and flushes.

        Raises:
            BrokenPipeError: The reader went away.
        """
        write_all(self._stream, b"".join(payloads))
        self._stream.flush()

    def close(self) -> None:
        """Standard output is not ours to close."""


def _standard_output() -> IO[bytes]:
    closed = UsageError("standard output is closed", hint="choose another --sink")
    try:
        output = sys.stdout.buffer
        os.write(output.fileno(), b"")
    except AttributeError:  # a service may have been started without one
        raise closed from None
    except UnsupportedOperation:  # no stream of the system
        return output
    except OSError as error:
        if error.errno == errno.EBADF:
            raise closed from None
    return output


def _make(_given: Given, verdicts: Verdicts) -> StdoutSink:
    return StdoutSink(verdicts.sensors)


STDOUT = SinkKind(
    name="stdout",
    summary="Prints rows, and alarms if asked for, as lines of JSON; on a terminal, a live view instead.",
    guarantee="At most once: what is printed is gone, and nobody acknowledges it.",
    tables={"stdout": StdoutSettings},
    make=_make,
    direct=True,
    takes=(ROWS, ALARMS),
    settings=StdoutSettings,
)

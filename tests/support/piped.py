"""What standard input makes of a stream that comes down a pipe."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.records import Readings
from edge_runtime.sources.stdin import StdinSource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge_runtime.mapping.form import Columns

__all__ = ["Fed", "feed"]


@dataclass(frozen=True, slots=True)
class Fed:
    """What came out of a pipe.

    Attributes:
        readings: The rows.
        skipped: How many lines were left out, by reason.
        said: What was said of them.
    """

    readings: Readings
    skipped: dict[str, int]
    said: list[str]

    @property
    def accounted(self) -> int:
        """Rows, and lines that were left out."""
        return len(self.readings) + sum(self.skipped.values())


def feed(stream: bytes | Iterable[bytes], columns: Columns) -> Fed:
    """Writes a stream, whole or in these pieces, into a pipe and reads it to its end."""
    read, write = os.pipe()
    said: list[str] = []
    source = StdinSource(columns, descriptor=read, report=said.append)

    def send() -> None:
        with os.fdopen(write, "wb", buffering=0) as pipe:
            for piece in [stream] if isinstance(stream, bytes) else stream:
                rest = memoryview(piece)
                while rest:
                    rest = rest[pipe.write(rest) :]

    sender = threading.Thread(target=send)
    sender.start()
    blocks = [Readings.empty(len(columns.sensors))]
    skipped: dict[str, int] = {}
    try:
        for batch in source.batches(None):
            readings = batch.readings
            assert readings.values.dtype == np.float32
            assert readings.times.dtype == np.int64
            assert len(readings.machines) == len(readings.times) == len(readings.values)
            blocks.append(readings)
            for reason, number in batch.skipped.items():
                skipped[reason] = skipped.get(reason, 0) + number
    finally:
        os.close(read)
        sender.join()
    return Fed(Readings.joined(blocks), skipped, said)

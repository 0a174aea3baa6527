"""Rows as bare columns of bytes, one after another: quick to write, and far from compact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.history.rows import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["bare", "bare_read", "bare_size"]

# Bytes of a row, and of each of its readings.
ROW_BYTES, READING_BYTES = 16, 5


def bare(rows: Rows) -> bytes:
    """All columns but the numbers of commits."""
    columns = (
        rows.times.astype("<i8"),
        rows.values.astype("<f4"),
        rows.severity.astype("<f4"),
        rows.degraded.astype("<i2"),
        rows.verdicts.astype("i1"),
        rows.reasons.astype("i1"),
        rows.faults.astype("i1"),
    )
    return b"".join(column.tobytes() for column in columns)


def bare_size(rows: int, sensors: int) -> int:
    """How many bytes `bare` gives."""
    return rows * (ROW_BYTES + READING_BYTES * sensors)


def bare_read(data: bytes | memoryview, sensors: int, numbers: NDArray[np.int64]) -> Rows:
    """What `bare` made, with the numbers of the rows' commits; the arrays share the data.

    Raises:
        ValueError: It is too short.
    """
    count, place = len(numbers), 0

    def column(kind: str, width: int = 1) -> NDArray[Any]:
        nonlocal place
        found = np.frombuffer(data, kind, count * width, place)
        place += found.nbytes
        return found

    times, values = column("<i8"), column("<f4", sensors).reshape(count, sensors)
    severity, degraded = column("<f4"), column("<i2")
    verdicts, reasons = column("i1"), column("i1")
    faults = column("i1", sensors).reshape(count, sensors)
    return Rows(times, values, severity, verdicts, reasons, degraded, faults, numbers)

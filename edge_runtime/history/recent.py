"""The rows of one commit, all machines together, as they wait to be packed: bare columns, a checksum."""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edge_runtime.delivery.proof import DamageError
from edge_runtime.history.bare import bare, bare_read
from edge_runtime.history.rows import Rows
from edge_runtime.records import COMPLETE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from edge_runtime.records import Results

__all__ = ["Recent", "by_machine", "recent_of", "recent_read", "recent_written"]

HEADER = struct.Struct("<IBHI")  # checksum of all that follows, format, sensors, rows
FORMAT = 1


class Recent(NamedTuple):
    """Rows of several machines, in the order in which they were judged.

    Attributes:
        machines: [rows] codes of machines.
        rows: The rows.
    """

    machines: NDArray[np.int32]
    rows: Rows


def recent_of(results: Results, codes: NDArray[np.int32], number: int) -> Recent:
    """Judged rows as the history keeps them.

    Args:
        results: The rows.
        codes: [rows] codes of their machines.
        number: Of the commit that stores them.
    """
    values = results.readings.values
    count = len(results)
    return Recent(
        codes,
        Rows(
            times=results.readings.times,
            values=values,
            severity=results.severity,
            verdicts=results.verdicts,
            reasons=results.reasons,
            degraded=np.full(count, COMPLETE, np.int16) if results.degraded is None else results.degraded,
            faults=np.zeros(values.shape, np.int8) if results.faults is None else results.faults,
            numbers=np.full(count, number, np.int64),
        ),
    )


def recent_written(recent: Recent) -> bytes:
    """The rows as bytes; the number of their commit stands beside them."""
    rows = recent.rows
    header = HEADER.pack(0, FORMAT, rows.values.shape[1], len(rows))[4:]
    body = b"".join([header, recent.machines.astype("<i4").tobytes(), bare(rows)])
    return struct.pack("<I", zlib.crc32(body)) + body


def recent_read(data: bytes, number: int) -> Recent:
    """What `recent_written` made.

    Raises:
        DamageError: It is not as it was written.
    """
    if len(data) < HEADER.size:
        raise DamageError("rows of the history are cut short")
    crc, layout, sensors, count = HEADER.unpack_from(data)
    if crc != zlib.crc32(memoryview(data)[4:]) or layout != FORMAT:
        raise DamageError("rows of the history do not fit their checksum")
    machines = np.frombuffer(data, "<i4", count, HEADER.size)
    columns = memoryview(data)[HEADER.size + machines.nbytes :]
    return Recent(machines, bare_read(columns, sensors, np.full(count, number, np.int64)))


def by_machine(blocks: Sequence[Recent]) -> Iterator[tuple[int, Rows]]:
    """The rows of several commits, machine by machine, each machine's in their order.

    Args:
        blocks: At least one, of equally many sensors.
    """
    codes = np.concatenate([one.machines for one in blocks])
    rows = Rows.joined([one.rows for one in blocks])
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    bounds = [0, *(np.flatnonzero(ordered[1:] != ordered[:-1]) + 1).tolist(), len(ordered)]
    for start, stop in pairwise(bounds):
        if stop > start:
            yield int(ordered[start]), rows.take(order[start:stop])

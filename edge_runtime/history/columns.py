"""Rows as a compressed block of bytes, and back: readings exact, the severity in 16 bits.

A block is a header (format, checksum, rows, sensors) and columns as `integers.py` and `readings.py` write
them: the times, the numbers of commits, the severity, the readings of each sensor, and runs of equal codes.
One that is soon to be joined with others is written more quickly, as deflated bare columns.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.history.bare import bare, bare_read, bare_size
from edge_runtime.history.integers import Reader, Writer
from edge_runtime.history.plan import planned
from edge_runtime.history.readings import read_column, write_column
from edge_runtime.history.rows import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SEVERITY_ERROR", "packed", "unpacked"]

# The greatest relative error of a severity of at least 2**-126: it keeps the first 8 of its 24 bits.
SEVERITY_ERROR = 2.0**-8

# Formats of a block.
PACKED, QUICK = 1, 2
HEADER = struct.Struct("<BIIH")
# Format and checksum; the sum is of all that follows.
SUMMED = 5
# What a block may declare.
MOST_ROWS, MOST_SENSORS, MOST_READINGS = 2**20, 2**12, 2**24
# More than its deflated part ever takes: for a block, for each sensor, for each row, for each reading.
BYTES, SENSOR_BYTES, ROW_BYTES, READING_BYTES = 4096, 256, 48, 12
# More than a block has columns of integers: for each row, for each reading.
ROW_NUMBERS, READING_NUMBERS = 8, 3
QUICK_LEVEL = 1
# The greatest finite severity of 16 bits.
LARGEST = 0x7F7F0000


def packed(rows: Rows, *, quickly: bool = False) -> bytes:
    """The rows as bytes.

    Args:
        rows: At most 2**20 rows, 4,096 sensors and 2**24 readings.
        quickly: In a tenth of the time, and up to three times as many bytes.

    Returns:
        What `unpacked` takes. Readings, times, codes and numbers come back exactly, a NaN as the usual NaN;
        a severity within `SEVERITY_ERROR`, with zero, infinity and NaN as they are.

    Raises:
        ValueError: More rows, sensors or readings than that.
    """
    count, sensors = rows.values.shape
    _check(count, sensors)
    body = _deflated(rows) if quickly else _written(rows)
    body = struct.pack("<IH", count, sensors) + body
    return struct.pack("<BI", QUICK if quickly else PACKED, zlib.crc32(body)) + body


def _deflated(rows: Rows) -> bytes:
    return zlib.compress(rows.numbers.astype("<i8").tobytes() + bare(rows), QUICK_LEVEL)


def _written(rows: Rows) -> bytes:
    writer = Writer()
    writer.integers(planned(rows.times))
    writer.integers(planned(rows.numbers))
    for column in (_shortened(rows.severity), *rows.values.T):
        write_column(writer, np.ascontiguousarray(column))
    codes = np.concatenate([rows.degraded, rows.verdicts, rows.reasons, rows.faults.T.ravel()])
    starts = np.flatnonzero(np.diff(codes, prepend=~codes[:1]))
    writer.number(len(starts))
    writer.data(codes[starts].astype("<i2").tobytes())
    writer.integers(planned(np.diff(starts, append=len(codes))))
    return writer.finished()


def unpacked(data: bytes) -> Rows:
    """The rows of a block.

    Raises:
        ValueError: The data is damaged, cut off or of a later version. No memory is taken before its checksum
            and sizes were checked.
    """
    if len(data) < HEADER.size:
        raise ValueError(f"a block of {len(data)} bytes is cut off")
    form, checksum, count, sensors = HEADER.unpack_from(data)
    if form not in {PACKED, QUICK}:
        raise ValueError(f"a block of format {form}; this edge-detect reads {PACKED} and {QUICK}")
    if zlib.crc32(memoryview(data)[SUMMED:]) != checksum:
        raise ValueError("a block is damaged: its checksum is another")
    _check(count, sensors)
    body = memoryview(data)[HEADER.size :]
    return (_inflated if form == QUICK else _read)(body, count, sensors)


def _inflated(body: memoryview, count: int, sensors: int) -> Rows:
    size = bare_size(count, sensors) + 8 * count
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(body, size + 1)
    except zlib.error as error:
        raise ValueError(f"the deflated columns are damaged: {error}") from None
    if len(plain) != size or not inflater.eof or inflater.unused_data:
        raise ValueError("the sizes of the columns do not fit")
    # A copy may be written to, like what is read of the other format.
    data = memoryview(bytearray(plain))
    return bare_read(data[8 * count :], sensors, np.frombuffer(data, "<i8", count))


def _read(body: memoryview, count: int, sensors: int) -> Rows:
    reader = Reader(
        body,
        BYTES + SENSOR_BYTES * sensors + count * (ROW_BYTES + READING_BYTES * sensors),
        count * (ROW_NUMBERS + READING_NUMBERS * sensors),
    )
    times, numbers = reader.integers(count), reader.integers(count)
    severity = read_column(reader, count)
    values = np.empty((count, sensors), np.float32)
    for sensor in range(sensors):
        values[:, sensor] = read_column(reader, count)
    total = count * (sensors + 3)
    runs = reader.count(total)
    of_run = reader.data(2 * runs).view("<i2")
    lengths = reader.integers(runs)
    if (runs and not 1 <= lengths.min() <= lengths.max() <= total) or int(lengths.sum()) != total:
        raise ValueError("the runs of codes do not fit")
    reader.finish()
    codes = np.repeat(of_run, lengths)
    degraded, verdicts, reasons = codes[: 3 * count].reshape(3, count)
    faults = codes[3 * count :].astype(np.int8).reshape(sensors, count).T
    return Rows(
        times,
        values,
        severity,
        verdicts.astype(np.int8),
        reasons.astype(np.int8),
        degraded.astype(np.int16),
        np.ascontiguousarray(faults),
        numbers,
    )


def _check(rows: int, sensors: int) -> None:
    if rows > MOST_ROWS or sensors > MOST_SENSORS or rows * sensors > MOST_READINGS:
        raise ValueError(
            f"a block of {rows:,} rows and {sensors:,} sensors; at most {MOST_ROWS:,} rows, {MOST_SENSORS:,}"
            f" sensors and {MOST_READINGS:,} readings"
        )


def _shortened(severity: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rounded to its first 16 bits; what is finite stays so."""
    bits = severity.view(np.uint32)
    size, sign = bits & 0x7FFFFFFF, bits & 0x80000000
    rounded = np.minimum((size + 0x7FFF + (size >> 16 & 1)) & 0xFFFF0000, LARGEST)
    kept: NDArray[np.uint32] = np.where(np.isfinite(severity), rounded, size) | sign
    return kept.view(np.float32)

"""Rows and the CSV that they are written to: time, machine_id, sensors, and with labels anomaly and kind."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from edge_runtime.files import is_in_place, unwritable, write_all, writing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["LabelledRows", "RowWriter", "growing", "iso_times", "quoted", "replacing"]


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """A block of rows with their labels.

    Attributes:
        times: [rows] int64 nanoseconds since the epoch, UTC.
        machines: [rows] machine ids, a numpy unicode array.
        values: [rows, sensors] float32 or float64, as they came, in raw units; NaN where there is none.
        anomaly: [rows] bool, False in ignored rows.
        kinds: [rows] what kind of anomaly, a numpy unicode array; empty where unknown or none.
        ignored: [rows] bool, whether the row is neither normal nor anomalous; None where none is.
    """

    times: NDArray[np.int64]
    machines: NDArray[np.str_]
    values: NDArray[np.floating[Any]]
    anomaly: NDArray[np.bool_]
    kinds: NDArray[np.str_]
    ignored: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.times)

    def take(self, index: NDArray[np.intp] | NDArray[np.bool_] | slice) -> LabelledRows:
        """The rows that a numpy index, mask or slice selects."""
        return LabelledRows(
            self.times[index],
            self.machines[index],
            self.values[index],
            self.anomaly[index],
            self.kinds[index],
            None if self.ignored is None else self.ignored[index],
        )


class RowWriter:
    """Writes blocks of rows as CSV; empty cells for NaN, and the shortest decimals that read back the same.

    An ignored row's anomaly is an empty cell.

    Args:
        stream: Binary, open for writing; the caller closes it.
        sensors: The sensors' column names.
        labelled: Whether there are columns anomaly and kind.

    Attributes:
        digest: SHA-256 over everything written.
        rows: Number of rows written.
    """

    def __init__(self, stream: IO[bytes], sensors: Sequence[str], *, labelled: bool = True) -> None:
        self._stream = stream
        self._sensors = tuple(sensors)
        self._labelled = labelled
        self.digest = hashlib.sha256()
        self.rows = 0
        labels = ("anomaly", "kind") if labelled else ()
        self._put((",".join(("time", "machine_id", *map(quoted, self._sensors), *labels)) + "\n").encode())

    def write(self, rows: LabelledRows) -> None:
        """Appends a block."""
        if not len(rows):
            return
        import pyarrow as pa  # noqa: PLC0415
        from pyarrow import csv  # noqa: PLC0415

        columns: list[Any] = [pa.array(iso_times(rows.times)), pa.array(rows.machines)]
        columns += [pa.array(rows.values[:, i], from_pandas=True) for i in range(len(self._sensors))]
        if self._labelled:
            columns += [pa.array(rows.anomaly.astype(np.int8), mask=rows.ignored), pa.array(rows.kinds)]
        table = pa.table(columns, names=[str(i) for i in range(len(columns))])
        texts = {*np.unique(rows.machines).tolist(), *np.unique(rows.kinds).tolist()}
        plain = all(quoted(text) == text for text in texts)
        sink = pa.BufferOutputStream()
        csv.write_csv(
            table, sink, csv.WriteOptions(include_header=False, quoting_style="none" if plain else "needed")
        )
        self._put(sink.getvalue().to_pybytes())
        self.rows += len(rows)

    def _put(self, data: bytes) -> None:
        write_all(self._stream, data)
        self.digest.update(data)


def iso_times(times: NDArray[np.int64]) -> NDArray[np.str_]:
    """Nanoseconds as ISO 8601 UTC, with as many decimals as this block needs."""
    unit = next((u for u, ns in (("s", 10**9), ("ms", 10**6), ("us", 10**3)) if not (times % ns).any()), "ns")
    moments = times.astype("datetime64[ns]")
    text: NDArray[np.str_] = np.datetime_as_string(moments, unit=unit, timezone="UTC")  # type: ignore[call-overload]
    return text


def quoted(text: str) -> str:
    """A cell of a CSV, in quotes where it needs them."""
    special = any(character in text for character in ',"\r\n')
    return '"' + text.replace('"', '""') + '"' if special else text


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its name only when the block ends well; on an error nothing is left.

    A pipe, a device or `/dev/stdout` is written to as it stands.

    Raises:
        UsageError: It cannot be written, as where its folder is not there, or the disk is full.
    """
    try:
        with writing(path) as stream:
            yield stream
    except OSError as error:
        raise unwritable(error, path, "cannot write here") from None


@contextmanager
def growing(path: Path) -> Iterator[IO[bytes]]:
    """A file that others read while it is written, or what `replacing` leaves in its place.

    Raises:
        UsageError: As `replacing`.
    """
    if is_in_place(path):
        with replacing(path) as stream:
            yield stream
        return
    try:
        with path.open("wb") as stream:
            yield stream
    except OSError as error:
        raise unwritable(error, path, "cannot write here") from None

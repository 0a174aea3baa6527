"""Parquet and Arrow in and out; only here is pyarrow imported, which is an extra."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from edge_runtime.engine.status import texts_of_rows
from edge_runtime.errors import InputError, MissingExtraError, SensorMismatchError, UsageError
from edge_runtime.files import write_all
from edge_runtime.mapping.cells import Place
from edge_runtime.mapping.header import machine_place, time_places
from edge_runtime.mapping.times import Times
from edge_runtime.records import COMPLETE, Readings, Reason, Results, Verdict
from edge_runtime.scorefile.blocks import Block

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from edge_runtime.mapping.form import Columns

__all__ = ["ArrowReader", "ArrowWriter"]

# So large that each of a dozen machines has thousands of rows in a block: the model is called for each.
BLOCK_ROWS = 1 << 18
NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}


def _pyarrow(threads: int) -> Any:
    try:
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError:
        raise MissingExtraError("pyarrow", "parquet") from None
    pa.set_cpu_count(threads)
    pa.set_io_thread_count(1)
    return pa


class ArrowReader:
    """Reads a Parquet file, an Arrow IPC file or an Arrow stream.

    Args:
        path: The file.
        kind: "parquet" or "arrow".
        columns: Which columns to read.
        threads: How many threads may decode.

    Raises:
        MissingExtraError: pyarrow is not installed.
        UsageError, InputError, SensorMismatchError: The file cannot be used.
    """

    def __init__(self, path: Path, kind: str, columns: Columns, threads: int) -> None:
        self._pa = _pyarrow(threads)
        self._where = str(path)
        self._columns = columns
        self._parquet: Any = None
        self._batches: Any = None
        try:
            if kind == "parquet":
                names = self._pa.parquet.read_schema(path).names
                machine = machine_place(names, columns, self._where)
                texts = [] if machine is None else [names[machine]]
                self._parquet = self._pa.parquet.ParquetFile(
                    path, read_dictionary=texts, memory_map=False, pre_buffer=False
                )
                schema = self._parquet.schema_arrow
                self.rows: int | None = self._parquet.metadata.num_rows
            else:
                source = self._pa.memory_map(str(path))
                try:
                    file = self._pa.ipc.open_file(source)
                    self._batches = (file.get_batch(i) for i in range(file.num_record_batches))
                except self._pa.ArrowInvalid:
                    file = self._batches = self._pa.ipc.open_stream(source)
                schema, self.rows = file.schema, None
        except FileNotFoundError:
            raise UsageError("cannot read it (No such file or directory)", where=self._where) from None
        except (OSError, self._pa.ArrowException) as error:
            raise self._broken(error) from None
        machine = machine_place(schema.names, columns, self._where)
        self._machine = None if machine is None else schema.names[machine]
        self._time = [schema.names[place] for place in time_places(schema.names, columns, self._where)]
        self._times = Times(columns.form.time)
        self._check(schema)

    def _broken(self, error: Exception) -> InputError:
        reason = str(error).partition("\n")[0][:200]
        return InputError(f"not a whole Parquet or Arrow file ({reason})", where=self._where)

    def _check(self, schema: Any) -> None:
        types, columns = self._pa.types, self._columns
        found = f"its columns are: {', '.join(schema.names)}"
        for sensor in columns.sensors:
            if schema.names.count(sensor) != 1:
                what = "two columns" if sensor in schema.names else "no column"
                raise SensorMismatchError(
                    f"{what} '{sensor}', a sensor of the bundle", where=self._where, hint=found
                )
            kind = schema.field(sensor).type
            if not (types.is_floating(kind) or types.is_integer(kind) or types.is_decimal(kind)):
                raise InputError(f"column '{sensor}' is {kind}, not a number", where=self._where)

    def blocks(self, skip: int) -> Iterator[Block]:
        """The rows after the first `skip`.

        Raises:
            InputError: The file is cut off or damaged, or a time cannot be read.
        """
        columns = self._columns
        wanted = [*self._time, *([self._machine] if self._machine else []), *columns.sensors]
        batches = self._batches
        if self._parquet is not None:
            batches = self._parquet.iter_batches(
                BLOCK_ROWS, columns=list(dict.fromkeys(wanted)), use_threads=False
            )
        done = 0
        try:
            for batch in batches:
                for start in range(0, batch.num_rows, BLOCK_ROWS):
                    part = batch.slice(start, BLOCK_ROWS)
                    if done + part.num_rows > skip:
                        part = part.slice(max(0, skip - done))
                        yield self._block(part, max(done, skip))
                    done += min(BLOCK_ROWS, batch.num_rows - start)
        except (OSError, self._pa.ArrowException) as error:
            raise self._broken(error) from None

    def _block(self, batch: Any, first_row: int) -> Block:
        columns = self._columns
        values = np.empty((batch.num_rows, len(columns.sensors)), np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            for place, sensor in enumerate(columns.sensors):
                column = batch.column(sensor)
                if self._pa.types.is_decimal(column.type):
                    column = column.cast(self._pa.float64())
                values[:, place] = column.to_numpy(zero_copy_only=False)
        times = batch.column(self._time[0])
        if len(self._time) > 1:
            from pyarrow import compute  # noqa: PLC0415 - a tenth of a second, and for few files

            texts = (batch.column(name).cast(self._pa.string()) for name in self._time)
            times = compute.binary_join_element_wise(*texts, " ")
        names: tuple[str, ...] = (columns.default_machine,)
        codes = None
        if self._machine:
            names, codes = self._machines(batch.column(self._machine))
        readings = Readings.coded(names, codes, self._nanoseconds(times, first_row, names, codes), values)
        return Block(readings, times)

    def _machines(self, column: Any) -> tuple[tuple[str, ...], NDArray[Any]]:
        if not self._pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        default = self._columns.default_machine
        places: dict[str, int] = {}
        written = [*column.dictionary.to_pylist(), None]
        to_place = np.array(
            [
                places.setdefault(str(name if name is not None else "").strip() or default, len(places))
                for name in written
            ]
        )
        # A null is the last of what is written.
        codes = column.indices.fill_null(len(written) - 1).to_numpy(zero_copy_only=False)
        return tuple(places), to_place.take(codes)

    def _nanoseconds(
        self, column: Any, first_row: int, names: tuple[str, ...], codes: NDArray[Any] | None
    ) -> NDArray[np.int64]:
        types, kind = self._pa.types, column.type
        place = Place(self._where, first_row + 1)
        if column.null_count:
            row = column.is_null().to_numpy(zero_copy_only=False).argmax()
            raise InputError("there is no time", where=place.row(int(row)))
        if types.is_timestamp(kind):
            whole: NDArray[np.int64] = column.cast(self._pa.int64()).to_numpy(zero_copy_only=False)
            moments = whole if kind.unit == "ns" else whole * NS[kind.unit]
            if kind.tz is None and self._times.zone is not None:
                return self._times.zone.to_utc(moments, names, codes, place)
            return moments
        if types.is_date(kind) or types.is_integer(kind) or types.is_floating(kind) or _is_text(types, kind):
            return self._times.read([str(cell).encode() for cell in column.to_pylist()], place, names, codes)
        raise InputError(f"column '{self._time[0]}' is {kind}, not a time", where=self._where)


def _is_text(types: Any, kind: Any) -> bool:
    text = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_string(text) or types.is_large_string(text))


class ArrowWriter:
    """Writes the columns of `CsvWriter` with types of their own.

    Args:
        kind: "parquet" or "arrow".
        columns: The names.
        with_expected: Whether to write what the model expected, too.
        threads: How many threads may encode.
        with_degraded: Whether to write without which sensor a row was judged, too.
        with_status: Whether to write which sensors are not good, too.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """

    def __init__(
        self,
        kind: str,
        columns: Columns,
        *,
        with_expected: bool,
        threads: int,
        with_degraded: bool = False,
        with_status: bool = False,
    ) -> None:
        self._pa = _pyarrow(threads)
        self._kind = kind
        self._columns = columns
        self._with_expected = with_expected
        self._with_degraded, self._with_status = with_degraded, with_status
        self._texts = [columns.machine, "verdict", "reason", *["degraded"] * with_degraded]
        self._texts += ["sensor_status"] * with_status
        self._place: Path | _Counted | None = None
        self._writer: Any = None
        self._verdicts = self._pa.array([verdict.label for verdict in Verdict])
        self._reasons = self._pa.array([reason.label for reason in Reason if reason])
        self._sensors = self._pa.array(columns.sensors, self._pa.string())

    def open(self, place: Path | IO[bytes], *, first: bool) -> None:  # noqa: ARG002 - each is a whole file
        """Begins a part; its schema is the first block's."""
        self._place = place if isinstance(place, Path) else _Counted(place)
        self._writer = None

    def write(self, block: Block, results: Results) -> None:
        """Appends rows."""
        table = self._table(block, results)
        if self._writer is None:
            self._writer = self._open(self._place, table.schema)
        self._writer.write(table)

    def _open(self, place: Path | _Counted | None, schema: Any) -> Any:
        if self._kind == "arrow":
            return self._pa.ipc.new_file(str(place) if isinstance(place, Path) else place, schema)
        # Scores hardly shrink: LZ4 costs next to nothing, and takes what there is to take.
        return self._pa.parquet.ParquetWriter(
            place,
            schema,
            compression="lz4",
            use_dictionary=self._texts,
            write_statistics=[self._columns.time],
        )

    def _table(self, block: Block, results: Results) -> Any:
        pa, columns, scores = self._pa, self._columns, results.scores
        names, codes = results.readings.dictionary
        times = block.times
        if isinstance(times, tuple):
            times = pa.array(results.readings.times, pa.timestamp("ns", "UTC"))
        reasons = results.reasons
        machines = self._dictionary(pa.array(names, pa.string()), codes.astype(np.int32))
        if self._kind == "arrow":  # whose files hold one dictionary for all blocks, and this one grows
            machines = machines.dictionary_decode()
        made = {
            columns.time: times,
            columns.machine: machines,
            "score": _number(pa, scores.score),
            "severity": _number(pa, results.severity),
            "verdict": self._dictionary(self._verdicts, results.verdicts),
            "reason": self._dictionary(self._reasons, reasons - np.int8(1), reasons == Reason.NONE),
        }
        if self._with_degraded:
            places = results.degraded
            places = np.full(len(results), COMPLETE, np.int16) if places is None else places
            made["degraded"] = self._dictionary(self._sensors, places, places == COMPLETE)
        if self._with_status:
            made["sensor_status"] = self._status(results)
        parts = [("error", scores.errors)] + [("expected", scores.expected)] * self._with_expected
        for kind, values in parts:
            for place, sensor in enumerate(columns.sensors):
                made[f"{kind}_{sensor}"] = _number(pa, np.ascontiguousarray(values[:, place]))
        return pa.table(made)

    def _status(self, results: Results) -> Any:
        texts, codes = texts_of_rows(results.faults, len(results), self._columns.sensors)
        nothing = np.asarray([not text for text in texts])[codes]
        found = self._dictionary(self._pa.array(texts, self._pa.string()), codes.astype(np.int32), nothing)
        return found.dictionary_decode() if self._kind == "arrow" else found  # as with the machines

    def _dictionary(self, texts: Any, codes: NDArray[Any], nothing: NDArray[np.bool_] | None = None) -> Any:
        return self._pa.DictionaryArray.from_arrays(self._pa.array(codes, mask=nothing), texts)

    def close(self) -> None:
        """Ends the part."""
        if self._writer is None:
            raise InputError("it has no rows", where="the input")
        self._writer.close()
        if isinstance(self._place, Path):
            with self._place.open("rb") as file:
                os.fsync(file.fileno())

    def join(self, parts: list[Path], path: Path) -> None:
        """One file out of several, block by block."""
        writer = None
        for part in parts:
            if self._kind == "parquet":
                file = self._pa.parquet.ParquetFile(part, read_dictionary=self._texts)
                batches = file.iter_batches(BLOCK_ROWS)
                schema = file.schema_arrow
            else:
                file = self._pa.ipc.open_file(str(part))
                batches = (file.get_batch(i) for i in range(file.num_record_batches))
                schema = file.schema
            writer = writer or self._open(path, schema)
            for batch in batches:
                writer.write_batch(batch) if self._kind == "parquet" else writer.write(batch)
        if writer is not None:
            writer.close()


class _Counted:
    """Knows how much was written to a stream, as a pipe does not; closing it leaves the stream open."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._count = 0
        self.closed = False

    def write(self, data: Any) -> int:
        """Writes all of it."""
        size = memoryview(data).nbytes
        write_all(self._stream, bytes(data))
        self._count += size
        return size

    def tell(self) -> int:
        """Bytes so far."""
        return self._count

    def flush(self) -> None:
        """Hands them to the system."""
        self._stream.flush()

    def readable(self) -> bool:
        """No."""
        return False

    def writable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """No."""
        return False

    def close(self) -> None:
        """The stream is whoever's who opened it."""
        self._stream.flush()
        self.closed = True


def _number(pa: Any, values: NDArray[np.float32]) -> Any:
    """A column; null where there is no number."""
    nothing = np.isnan(values)
    return pa.array(values, mask=nothing) if nothing.any() else pa.array(values)

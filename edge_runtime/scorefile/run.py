"""A whole file: read, scored, written, in bounded memory; the output is there whole or not at all."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from edge_runtime.engine.accounts import Accounts
from edge_runtime.engine.stage import STATE_MB, StageState
from edge_runtime.errors import InterruptedRunError, UsageError, counted
from edge_runtime.files import is_in_place, unwritable, writing
from edge_runtime.scorefile.csvfile import STANDARD, CsvReader, CsvWriter
from edge_runtime.scorefile.lanes import Lanes
from edge_runtime.scorefile.parts import Parts
from edge_runtime.scorefile.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge_runtime.loading.load import Bundle
    from edge_runtime.mapping.form import Columns
    from edge_runtime.scorefile.blocks import Block, Reader, Writer

__all__ = ["FORMATS", "Task", "score_file"]

FORMATS = ("csv", "parquet", "arrow")
SUFFIXES = {".parquet": "parquet", ".pq": "parquet", ".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow"}
MAGIC = {b"PAR1": "parquet", b"ARRO": "arrow", b"\xff\xff\xff\xff": "arrow"}
# A run that is killed loses at most so much work.
PART_S = 30.0


@dataclass(frozen=True, slots=True)
class Task:
    """What to do.

    Attributes:
        source: A CSV, plain or gzip, a Parquet file, an Arrow file or stream; "-" for CSV on standard input.
        output: Where to; "-" for CSV on standard output. A file appears when it is complete.
        columns: Which columns to read.
        kind: One of `FORMATS` for the output; None to go by its name.
        with_expected: Whether to write what the model expected, too.
        workers: Threads that score.
        resume: Whether to go on with a run that was cut off.
        state_mb: Memory for the machines' states, in MB of 10^6 bytes.
        report: Called with lines for a person: how the input is understood, where it does not say so.
    """

    source: Path
    output: Path
    columns: Columns
    kind: str | None = None
    with_expected: bool = False
    workers: int = 1
    resume: bool = False
    state_mb: float = STATE_MB
    report: Callable[[str], None] = lambda _: None


def score_file(task: Task, bundle: Bundle) -> Accounts:
    """Scores a file.

    Raises:
        UsageError: A file cannot be opened or written, or there is no run to go on with.
        InputError, SensorMismatchError: The input cannot be used; the row is named.
        BundleError: There are more machines than there is memory for.
        InterruptedRunError: SIGINT or SIGTERM ended it; `resume` goes on from there.
    """
    if task.output.is_dir():
        raise UsageError("this is a folder", where=str(task.output), hint="name a file in it")
    reader, writer = _reader(task), _writer(task, bundle)
    lanes = Lanes(bundle, task.workers, with_expected=task.with_expected, state_mb=task.state_mb)
    accounts = Accounts(bundle.metadata.sensor_names)
    try:
        if STANDARD in (task.source, task.output) or is_in_place(task.output) or is_in_place(task.source):
            if task.resume:
                raise UsageError("a run from or to a pipe cannot be resumed", hint="name files")
            _stream(task, reader, writer, lanes, accounts)
        else:
            parts = Parts(task.output, writer, _identity(task, bundle))
            _in_parts(reader, writer, lanes, accounts, parts, resume=task.resume)
    except OSError as error:
        if task.output == STANDARD:
            raise
        raise unwritable(error, task.output) from None
    finally:
        lanes.close()
    return accounts


def _stream(task: Task, reader: Reader, writer: Writer, lanes: Lanes, accounts: Accounts) -> None:
    """From or to a pipe: nothing can be gone on with, and an interrupt ends it at once."""
    progress = Progress(reader.rows)
    standard = task.output == STANDARD
    with _signals(_interrupt):
        try:
            with nullcontext(sys.stdout.buffer) if standard else writing(task.output) as stream:
                writer.open(stream, first=True)
                for block, results in lanes.score(reader.blocks(0)):
                    writer.write(block, results)
                    accounts.add(results, {})
                    progress.add(len(results))
                writer.close()
        finally:
            progress.end()


def _in_parts(
    reader: Reader, writer: Writer, lanes: Lanes, accounts: Accounts, parts: Parts, *, resume: bool
) -> None:
    """From file to file."""
    rows = 0
    if resume:
        rows = _resume(parts.resume(), lanes, accounts)
    elif parts.unfinished:
        sys.stderr.write(
            "edge-detect: an unfinished run was found and is started over; --resume would have continued it\n"
        )
    progress, stop = Progress(reader.rows, rows), _Stop()

    def note() -> dict[str, Any]:
        return {"rows": rows, "counters": dict(accounts.counters), "states": lanes.states()}

    with _signals(stop):
        try:
            blocks = reader.blocks(rows)
            while True:
                first = next(blocks, None)
                if first is None and parts.some:
                    parts.finish(begun=False)
                    return
                parts.begin()
                some = chain([first], blocks) if first else blocks
                for block, results in lanes.score(stop.before(some, time.monotonic() + PART_S)):
                    writer.write(block, results)
                    accounts.add(results, {})
                    rows += len(results)
                    progress.add(len(results))
                if stop.ended:
                    parts.finish()
                    return
                parts.end(note())
                if stop.asked:
                    break
        except BaseException:
            parts.discard()
            raise
        finally:
            progress.end()
    raise InterruptedRunError(
        f"interrupted after {counted(rows, 'row')}", hint="continue with the same command and --resume"
    )


def _resume(state: dict[str, Any], lanes: Lanes, accounts: Accounts) -> int:
    """Goes on from what an earlier run noted; the number of rows that it scored."""
    try:
        lanes.restore(StageState(*each) for each in state["states"])
        accounts.counters.update(state["counters"])
        return int(state["rows"])
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"the unfinished run cannot be resumed ({error})", hint="leave --resume out"
        ) from None


class _Stop:
    """Ends a part: when it is time, when a signal came, or when the input ends."""

    def __init__(self) -> None:
        self.asked = False
        self.ended = False

    def __call__(self, _number: int, _frame: Any) -> None:
        self.asked = True

    def before(self, blocks: Iterator[Block], until: float) -> Iterator[Block]:
        """Blocks up to then."""
        for block in blocks:
            yield block
            if self.asked or time.monotonic() > until:
                return
        self.ended = True


def _reader(task: Task) -> Reader:
    kind = "csv" if task.source == STANDARD or is_in_place(task.source) else _sniffed(task.source)
    if kind == "csv":
        return CsvReader(task.source, task.columns, task.report)
    from edge_runtime.scorefile.arrowfile import ArrowReader  # noqa: PLC0415 - an extra

    return ArrowReader(task.source, kind, task.columns, task.workers)


def _sniffed(path: Path) -> str:
    """What a file is, by what it begins with; a CSV when it cannot be read, whose error says so."""
    try:
        with path.open("rb") as file:
            return MAGIC.get(file.read(4), "csv")
    except OSError:
        return "csv"


def _writer(task: Task, bundle: Bundle) -> Writer:
    metadata = bundle.metadata
    options = {
        "with_expected": task.with_expected,
        "with_degraded": metadata.degraded is not None,
        "with_status": metadata.sensor_status is not None,
    }
    kind = task.kind or SUFFIXES.get(task.output.suffix.lower(), "csv")
    if kind == "csv":
        return CsvWriter(task.columns, **options)
    if task.output == STANDARD:
        raise UsageError(f"{kind} cannot go to standard output", hint="name a file with --output")
    from edge_runtime.scorefile.arrowfile import ArrowWriter  # noqa: PLC0415 - an extra

    return ArrowWriter(kind, task.columns, **options, threads=task.workers)


def _identity(task: Task, bundle: Bundle) -> dict[str, Any]:
    try:
        found = task.source.stat()
    except OSError as error:
        raise UsageError(f"cannot read it ({error.strerror})", where=str(task.source)) from None
    columns = task.columns
    return {
        "input": [str(task.source.absolute()), found.st_size, found.st_mtime_ns],
        "bundle": bundle.digest,
        "options": [task.kind, task.with_expected, columns.time, columns.machine, repr(columns.form)],
    }


@contextmanager
def _signals(handler: Any) -> Iterator[None]:
    """SIGINT and SIGTERM go there meanwhile."""
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _interrupt(_number: int, _frame: Any) -> None:
    raise KeyboardInterrupt

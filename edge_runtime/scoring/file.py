"""A CSV scored into a CSV, in bounded memory; the output is there whole or not at all."""

from __future__ import annotations

import csv
import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from edge_runtime.accounts import Accounts
from edge_runtime.csvrows import open_rows, read_blocks
from edge_runtime.errors import UsageError
from edge_runtime.quality import QualityCheck
from edge_runtime.records import Reason, Verdict
from edge_runtime.scoring.scorer import Scorer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.bundle.load import Bundle
    from edge_runtime.csvrows import Columns, CsvBlock
    from edge_runtime.records import Results

__all__ = ["score_csv"]

STANDARD = Path("-")
PROGRESS_BLOCKS = 25


def score_csv(
    source: Path, output: Path, bundle: Bundle, columns: Columns, *, with_expected: bool
) -> Accounts:
    """Scores a file.

    Args:
        source: The CSV; "-" for standard input.
        output: Where to; "-" for standard output. A file appears when it is complete.
        bundle: What scores.
        columns: Which columns to read.
        with_expected: Whether to write what the model expected, too.

    Raises:
        UsageError: A file cannot be opened.
        InputError, SensorMismatchError: The CSV cannot be used; the line is named.
    """
    scorer, quality, accounts = Scorer(bundle), QualityCheck(bundle.metadata), Accounts()
    where = "standard input" if source == STANDARD else str(source)
    with _input(source) as rows, _output(output) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(_header(columns, with_expected=with_expected))
        for number, block in enumerate(read_blocks(rows, columns, where)):
            results = scorer.score(block.readings, reasons=quality.check(block.readings))
            accounts.add(results, {})
            writer.writerows(_rows(block, results, with_expected=with_expected))
            if sys.stderr.isatty() and number % PROGRESS_BLOCKS == 0:
                sys.stderr.write(f"\r{accounts.counters['read']:,} rows\r")
    return accounts


def _header(columns: Columns, *, with_expected: bool) -> list[str]:
    header = [columns.time, columns.machine, "score", "severity", "verdict", "reason"]
    header += [f"error_{sensor}" for sensor in columns.sensors]
    return header + [f"expected_{sensor}" for sensor in columns.sensors] * with_expected


def _rows(block: CsvBlock, results: Results, *, with_expected: bool) -> Iterator[tuple[str, ...]]:
    verdicts = [Verdict(code).label for code in results.verdicts.tolist()]
    reasons = [Reason(code).label for code in results.reasons.tolist()]
    scores = results.scores
    numbers = [scores.errors, *([scores.expected] if with_expected else [])]
    columns = [_text(column) for part in numbers for column in part.T]
    machines = block.readings.machines.tolist()
    times = [cell.decode() for cell in block.times]
    first = (times, machines, _text(scores.score), _text(results.severity), verdicts, reasons)
    return zip(*first, *columns, strict=True)


def _text(column: Any) -> list[str]:
    """Decimals that give the very float32 back; empty where there is no number."""
    return ["" if number != number else f"{number:.9g}" for number in np.asarray(column).tolist()]  # noqa: PLR0124


@contextmanager
def _input(path: Path) -> Iterator[IO[bytes]]:
    if path == STANDARD:
        yield sys.stdin.buffer
        return
    with open_rows(path) as stream:
        yield stream


@contextmanager
def _output(path: Path) -> Iterator[IO[str]]:
    """A stream to a temporary file beside the output, renamed when the block is done."""
    if path == STANDARD:
        yield sys.stdout
        sys.stdout.flush()
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    # A SIGTERM would leave the temporary file behind.
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with temporary.open("w", encoding="utf-8", newline="") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write it ({error.strerror})", where=str(path)) from None
    finally:
        temporary.unlink(missing_ok=True)
        signal.signal(signal.SIGTERM, before)


def _interrupt(_number: int, _frame: Any) -> None:
    raise KeyboardInterrupt

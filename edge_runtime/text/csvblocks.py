"""A whole CSV, plain or gzip, block by block and in bounded memory, whatever is in it."""

from __future__ import annotations

import csv
import time
import zlib
from dataclasses import replace
from itertools import chain
from typing import IO, TYPE_CHECKING

from edge_runtime.errors import InputError, UsageError, counted
from edge_runtime.mapping.times import DAY_NS
from edge_runtime.text.csvrows import CsvRows, read_layout
from edge_runtime.text.cutter import MAX_LINE_BYTES, TOO_LONG, LineCutter
from edge_runtime.text.head import Head
from edge_runtime.text.recoder import Recoder, refused_encoding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from edge_runtime.mapping.form import Columns, Form
    from edge_runtime.text.csvlayout import Layout
    from edge_runtime.text.csvrows import CsvBlock

__all__ = ["open_rows", "read_blocks", "read_header"]

READ_BYTES = 1 << 18
QUOTED_ROWS = 4096
GZIP_MAGIC = b"\x1f\x8b"


def open_rows(path: Path) -> IO[bytes]:
    """A file, or a pipe, for reading line by line, out of gzip when it is in it.

    Raises:
        UsageError: There is no such file, or it cannot be read.
    """
    try:
        file = path.open("rb")
        if file.peek(2)[:2] != GZIP_MAGIC:  # a pipe gives its content once
            return file
        import gzip  # noqa: PLC0415 - 2 ms

        return gzip.open(file, "rb")  # type: ignore[return-value]
    except OSError as error:
        raise UsageError(
            f"cannot read it ({error.strerror})", where=str(path), hint="name a CSV file"
        ) from None


def read_blocks(
    stream: IO[bytes],
    columns: Columns,
    where: str,
    report: Callable[[str], None] = lambda _: None,
    texts: Callable[[Layout], Sequence[int]] = lambda _: (),
) -> Iterator[CsvBlock]:
    """A whole CSV, a few thousand rows at a time.

    Args:
        stream: Its bytes, in any encoding.
        columns: Which columns to read, and how they are written.
        where: What it is, for errors.
        report: Called with a line for a person: what was left out, and what was understood how.
        texts: Given the layout, tells which columns to give as they are written.

    Raises:
        InputError: It is empty, ragged, not text, or a cell cannot be read; the line is named.
        SensorMismatchError: A sensor's column is missing.
    """
    try:
        head, parts = read_header(stream, columns.form, where)
        if head.lines and not head.header:
            raise InputError(
                "its header has a quote that is not closed"
                if head.is_open
                else "no header among its "
                + counted(
                    head.lines,
                    "line, which is empty or begins with #",
                    "lines, which are empty or begin with #",
                ),
                where=where,
                hint="give a CSV with a header line",
            )
        layout = read_layout(head.header, columns, where, head.delimiter)
        layout = replace(layout, texts=tuple(texts(layout)))
        rows = CsvRows(layout, report, time.time_ns() + DAY_NS)
        line = head.lines + 1
        for text in parts:
            if b'"' in text:
                # A cell in quotes may hold delimiters and line ends: from here on, cell by cell.
                yield from _read_quoted(chain([text], parts), rows, line)
                return
            block = rows.parse(text, line) if text else None
            if block is not None:
                yield block
            line += text.count(b"\n")
            if text and text[-1:] != b"\n" and block is not None:
                report(f"{where}, line {line}: the last line has no line end, so it may have been cut off")
    except UnicodeDecodeError as error:
        raise refused_encoding(error, where) from None
    except (zlib.error, OSError, EOFError, csv.Error) as error:
        raise InputError(f"not a CSV ({error})", where=where) from None


def read_header(stream: IO[bytes], form: Form, where: str) -> tuple[Head, Iterator[bytes]]:
    """The header of a CSV, and what comes after it in UTF-8, in parts of whole lines.

    Raises:
        InputError: There is none among the first lines.
        UnicodeDecodeError: It is not UTF-8.
    """
    head, parts = Head(form, where), _texts(stream, form.encoding, where)
    for text in parts:
        rest = text
        while rest:
            line, _, rest = rest.partition(b"\n")
            if head.take(line.removesuffix(b"\r").decode()):
                return head, chain([rest], parts)
    return head, iter(())


def _texts(stream: IO[bytes], encoding: str, where: str) -> Iterator[bytes]:
    """The text in UTF-8, in parts of whole lines."""
    cutter, recoder, line = LineCutter(), Recoder(encoding, where), 1
    more = True
    while more:
        data = stream.read(READ_BYTES)
        more = bool(data)
        text = cutter.feed(recoder.feed(data, final=not more))
        if cutter.left_out:
            # Such as a hole of NULs, which a power cut leaves in a file.
            number = line + text.count(b"\n") if text[-1:] == b"\n" else line
            raise InputError(f"it is {TOO_LONG}", where=f"{where}, line {number}")
        if text:
            yield text
            line += text.count(b"\n")
    if rest := cutter.end():
        yield rest


def _read_quoted(texts: Iterable[bytes], reader: CsvRows, first_line: int) -> Iterator[CsvBlock]:
    lines = _CountedLines(texts, reader.layout.where, first_line)
    rows: list[list[bytes]] = []
    first = first_line
    for row in csv.reader(lines, delimiter=reader.layout.delimiter):
        rows.append([cell.encode() for cell in row])
        lines.row_bytes = 0
        if len(rows) == QUOTED_ROWS or lines.block_bytes >= READ_BYTES:
            block = reader.parse_cells(rows, first)
            if block is not None:
                yield block
            rows, first, lines.block_bytes = [], lines.next_line, 0
    block = reader.parse_cells(rows, first)
    if block is not None:
        yield block


class _CountedLines:
    """Lines for a reader of quoted cells: a row may go over several, but is no longer than a line may be."""

    def __init__(self, texts: Iterable[bytes], where: str, first_line: int) -> None:
        self._texts = texts
        self._where = where
        self.next_line = first_line
        self.row_bytes = self.block_bytes = 0

    def __iter__(self) -> Iterator[str]:
        for text in self._texts:
            for line in text.removesuffix(b"\n").split(b"\n"):
                self.row_bytes += len(line)
                self.block_bytes += len(line)
                if self.row_bytes > MAX_LINE_BYTES:
                    raise InputError(f"a row is {TOO_LONG}", where=f"{self._where}, line {self.next_line}")
                self.next_line += 1
                yield line.decode() + "\n"

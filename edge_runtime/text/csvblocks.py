"""A whole CSV, plain or gzip, block by block and in bounded memory, whatever is in it."""

from __future__ import annotations

import codecs
import csv
import zlib
from itertools import chain
from typing import IO, TYPE_CHECKING

from edge_runtime.errors import InputError, UsageError
from edge_runtime.text.csvrows import parse_cells, parse_lines, read_layout
from edge_runtime.text.cutter import MAX_LINE_BYTES, TOO_LONG, LineCutter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from edge_runtime.text.csvrows import Columns, CsvBlock, Layout

__all__ = ["open_rows", "read_blocks"]

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


def read_blocks(stream: IO[bytes], columns: Columns, where: str) -> Iterator[CsvBlock]:
    """A whole CSV, a few thousand rows at a time.

    Raises:
        InputError: It is empty, ragged, not text, or a cell cannot be read; the line is named.
        SensorMismatchError: A sensor's column is missing.
    """
    try:
        first = stream.readline(MAX_LINE_BYTES + 1)
        if len(first) > MAX_LINE_BYTES:
            raise InputError(f"it is {TOO_LONG}", where=f"{where}, line 1", hint="give a CSV with a header")
        layout = read_layout(first.removeprefix(codecs.BOM_UTF8).decode(), columns, where)
        line = 2
        texts = _texts(stream, where)
        for text in texts:
            if b'"' in text:
                # A cell in quotes may hold delimiters and line ends: from here on, cell by cell.
                yield from _read_quoted(chain([text], texts), layout, line)
                return
            block = parse_lines(text, layout, line)
            if block is not None:
                yield block
            line += text.count(b"\n")
    except (UnicodeDecodeError, zlib.error, OSError, EOFError, csv.Error) as error:
        raise InputError(f"not a CSV in UTF-8 ({error})", where=where) from None


def _texts(stream: IO[bytes], where: str) -> Iterator[bytes]:
    """What comes after the header, in parts of whole lines."""
    cutter, line = LineCutter(), 2
    while data := stream.read(READ_BYTES):
        text = cutter.feed(data)
        if cutter.left_out:
            # Such as a hole of NULs, which a power cut leaves in a file.
            number = line + text.count(b"\n") if text[-1:] == b"\n" else line
            raise InputError(f"it is {TOO_LONG}", where=f"{where}, line {number}")
        if text:
            yield text
            line += text.count(b"\n")
    if rest := cutter.end():
        yield rest


def _read_quoted(texts: Iterable[bytes], layout: Layout, first_line: int) -> Iterator[CsvBlock]:
    lines = _CountedLines(texts, layout.where, first_line)
    rows: list[list[bytes]] = []
    first = first_line
    for row in csv.reader(lines, delimiter=layout.delimiter):
        rows.append([cell.encode() for cell in row])
        lines.row_bytes = 0
        if len(rows) == QUOTED_ROWS or lines.block_bytes >= READ_BYTES:
            block = parse_cells(rows, layout, first)
            if block is not None:
                yield block
            rows, first, lines.block_bytes = [], lines.next_line, 0
    block = parse_cells(rows, layout, first)
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

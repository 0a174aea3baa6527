"""Tables from files: CSV (comma, semicolon or tab; plain or gzip) and Parquet; errors name the line.

A CSV is read as text first and typed column by column afterwards, over the whole column: a column that looks
whole for a million rows and has a fraction in the next is one of numbers, and what is no number has a line.
"""

from __future__ import annotations

import gzip
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pandas as pd

from edge_runtime.errors import InputError, MissingExtraError
from trainer.columns import EMPTY_WORDS, is_parquet, numeric_columns, time_column, times_ns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = [
    "SUFFIXES",
    "column_names",
    "find_table",
    "first_line",
    "numeric_columns",
    "read_pages",
    "read_table",
    "time_column",
    "times_ns",
]

SUFFIXES = (".csv", ".csv.gz", ".parquet")
GZIP_MAGIC = b"\x1f\x8b"
PAGE_ROWS = 65_536
BLOCK_BYTES = 4 << 20


def find_table(folder: Path, name: str) -> Path:
    """The table of this name in a folder, with whichever of `SUFFIXES` it has.

    Raises:
        InputError: There is none, or no such folder.
    """
    for suffix in SUFFIXES:
        if (path := folder / f"{name}{suffix}").is_file():
            return path
    if not folder.is_dir():
        raise InputError("no such folder", where=str(folder), hint="create it with 'edge-train prepare -o'")
    wanted = " or ".join(name + suffix for suffix in SUFFIXES)
    raise InputError(f"no {wanted} in it", where=str(folder), hint="create it with 'edge-train prepare -o'")


def read_table(path: Path, *, may_be_empty: bool = False) -> pd.DataFrame:
    """A whole table: columns of numbers as int64 or float64, all others as text; empty cells as NaN.

    Numbers with leading zeros are names, such as a machine's "007", and stay text.

    Args:
        path: The file.
        may_be_empty: Whether a header alone is a table, too.

    Raises:
        InputError: The file is missing, empty, ragged, not decodable or without rows.
    """
    if is_parquet(path):
        with _readable(path):
            table = _pyarrow("parquet").read_table(path)
    else:
        with _readable(path):
            batches = list(_text_batches(path, None))
        table = _typed(_pyarrow(None).Table.from_batches(batches), ()) if batches else None
    if table is None or not table.num_rows:
        if may_be_empty:
            return pd.DataFrame(columns=column_names(path))
        raise InputError("the table has no rows", where=str(path))
    frame: pd.DataFrame = table.to_pandas()
    return frame


def read_pages(
    path: Path, *, columns: Sequence[str] | None = None, text: Sequence[str] = ()
) -> Iterator[pd.DataFrame]:
    """The same table page by page, in bounded memory; a column is typed anew on each page.

    Args:
        path: The file.
        columns: Read these alone; None for all.
        text: Columns that stay text, whatever they look like.

    Raises:
        InputError: As `read_table`, at the page where it shows.
    """
    rows = 0
    with _readable(path):
        if is_parquet(path):
            batches = _pyarrow("parquet").ParquetFile(path).iter_batches(PAGE_ROWS, columns=columns)
        else:
            batches = _text_batches(path, columns)
        for batch in batches:
            table = _pyarrow(None).Table.from_batches([batch])
            page: pd.DataFrame = (table if is_parquet(path) else _typed(table, text)).to_pandas()
            # Rows are counted through the file, so that an error names its line.
            page.index = pd.RangeIndex(rows, rows + len(page))
            rows += len(page)
            if len(page):
                yield page
    if not rows:
        raise InputError("the table has no rows", where=str(path))


def column_names(path: Path) -> list[str]:
    """The header, without reading the rows.

    Raises:
        InputError: As `read_table`, as far as it shows in the header.
    """
    with _readable(path):
        if is_parquet(path):
            return list(_pyarrow("parquet").read_schema(path).names)
        return _header(path)[0]


def first_line(path: Path) -> str:
    """A CSV's header line, out of gzip when it is in it.

    Raises:
        InputError: The file is missing, empty or not decodable.
    """
    with _readable(path):
        with path.open("rb") as probe:
            zipped = probe.read(2) == GZIP_MAGIC
        with gzip.open(path, "rb") if zipped else path.open("rb") as stream:
            line = stream.readline(1 << 20).decode("utf-8-sig").strip("\r\n")
    if not line.strip():
        raise InputError("the file is empty", where=str(path))
    return line


def _header(path: Path) -> tuple[list[str], str]:
    """A CSV's column names and its delimiter."""
    line = first_line(path)
    delimiter = max(",;\t", key=line.count)
    names = [name.strip().strip('"').strip() for name in line.split(delimiter)]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two columns are named '{name}'", where=str(path))
    return names, delimiter


def _text_batches(path: Path, columns: Sequence[str] | None) -> Iterator[Any]:
    """A CSV in pages, every cell as text."""
    pa, csv = _pyarrow(None), _pyarrow("csv")
    names, delimiter = _header(path)
    with path.open("rb") as probe:
        zipped = probe.read(2) == GZIP_MAGIC
    with pa.input_stream(str(path), compression="gzip" if zipped else None) as stream:
        reader = csv.open_csv(
            stream,
            # One thread: only then does a ragged row's error carry its number.
            csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, column_names=names, skip_rows=1),
            csv.ParseOptions(delimiter=delimiter, ignore_empty_lines=True),
            csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), include_columns=columns),
        )
        yield from reader


def _typed(table: Any, keep: Sequence[str]) -> Any:
    """Columns of text to whole numbers or floats, where every cell that is not empty is one."""
    pa, compute = _pyarrow(None), _pyarrow("compute")
    words = pa.array(EMPTY_WORDS)
    for i, name in enumerate(table.column_names):
        if name in keep:
            continue
        text = compute.utf8_trim_whitespace(table[name])
        empty = compute.is_in(compute.utf8_lower(text), value_set=words)
        cells = compute.if_else(empty, pa.scalar(None, pa.string()), text)
        # A column without a cell says nothing; leading zeros say that it holds names.
        if (
            cells.null_count == len(cells)
            or compute.any(compute.match_substring_regex(cells, r"^[+-]?0\d")).as_py()
        ):
            continue
        for kind in (pa.int64(), pa.float64()):
            try:
                table = table.set_column(i, name, compute.cast(cells, kind))
            except pa.ArrowInvalid:
                continue
            break
    return table


def _pyarrow(module: str | None) -> Any:
    try:
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.compute  # noqa: PLC0415
        import pyarrow.csv  # noqa: PLC0415
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError:
        raise MissingExtraError("reading tables", "workstation") from None
    return getattr(pa, module) if module else pa


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turns what can go wrong with a file into one line that says so."""
    try:
        yield
    except FileNotFoundError:
        raise InputError("no such file", where=str(path)) from None
    except IsADirectoryError:
        raise InputError("a folder, not a file", where=str(path)) from None
    except UnicodeDecodeError:
        raise InputError("the file is not UTF-8 text", where=str(path), hint="save it as UTF-8") from None
    except (OSError, EOFError) as error:
        raise InputError(f"cannot be read ({error})", where=str(path)) from None
    except ValueError as error:  # pyarrow's ArrowInvalid is one
        raise InputError(_said(str(error)), where=str(path)) from None


def _said(message: str) -> str:
    """What the reader said, in the terms of the file."""
    if "Empty CSV" in message:
        return "the file is empty"
    if "UTF8" in message or "UTF-8" in message:
        return "the file is not UTF-8 text"
    ragged = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", message)
    if ragged:
        return f"line {ragged[1]} has {ragged[3]} cells where the header has {ragged[2]}"
    return message.splitlines()[0] if message else "cannot be read"

"""Tables from files: CSV in any form that the gateway reads, and Parquet; errors name the line.

The cells of a CSV are read as the gateway reads them. A column is one of numbers where all its cells are,
over the whole table; else it is text.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from edge_runtime.errors import InputError, MissingExtraError
from edge_runtime.mapping.form import MACHINE_NAMES, PLAIN, TIME_NAMES, Columns
from edge_runtime.text.csvblocks import open_rows, read_blocks, read_header
from edge_runtime.text.csvlayout import header_names
from edge_runtime.text.recoder import refused_encoding
from trainer.data.columns import DECIMAL, is_parquet, numeric_columns, text_of, time_columns, times_ns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge_runtime.mapping.form import Form
    from edge_runtime.text.csvlayout import Layout
    from edge_runtime.text.csvrows import CsvBlock

__all__ = [
    "SUFFIXES",
    "column_names",
    "find_table",
    "is_parquet",
    "numeric_columns",
    "read_pages",
    "read_table",
    "readable",
    "text_column",
    "text_of",
    "time_columns",
    "times_ns",
]

SUFFIXES = (".csv", ".csv.gz", ".parquet")
PAGE_ROWS = 65_536
# Never numbers, whatever their cells look like, unless they are asked for as such.
TEXT_NAMES = frozenset((*TIME_NAMES, *MACHINE_NAMES, "kind"))
PADDED = re.compile(rb"^ *[+-]?0\d+ *$", re.MULTILINE)
MAX_WHOLE = 2.0**53


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


def read_table(
    path: Path, *, form: Form = PLAIN, text: Sequence[str] = (), may_be_empty: bool = False
) -> pd.DataFrame:
    """A whole table: columns of numbers as int64 or float64, all others as text; empty cells as NaN.

    Numbers with leading zeros are names, such as a machine's "007", and stay text.

    Args:
        path: The file.
        form: How a CSV is written.
        text: Columns that stay text, whatever they look like, beside times and machine ids.
        may_be_empty: Whether a header alone is a table, too.

    Raises:
        InputError: The file is missing, empty, ragged, not decodable or without rows.
    """
    if is_parquet(path):
        with readable(path):
            frame: pd.DataFrame = _frame(_pyarrow("parquet").read_table(path), text)
    else:
        frame = next(_csv_pages(path, form, None, text, 0), pd.DataFrame())
    if not len(frame):
        if may_be_empty:
            return pd.DataFrame(columns=column_names(path, form))
        raise InputError("the table has no rows", where=str(path))
    return frame


def read_pages(
    path: Path, *, columns: Sequence[str] | None = None, text: Sequence[str] = (), form: Form = PLAIN
) -> Iterator[pd.DataFrame]:
    """The same table page by page, in bounded memory; a column is typed anew on each page.

    Args:
        path: The file.
        columns: Read these alone; None for all.
        text: As for `read_table`.
        form: As for `read_table`.

    Raises:
        InputError: As `read_table`, at the page where it shows.
    """
    rows = 0
    pages = (
        _parquet_pages(path, columns, text)
        if is_parquet(path)
        else _csv_pages(path, form, columns, text, PAGE_ROWS)
    )
    for page in pages:
        rows += len(page)
        if len(page):
            yield page
    if not rows:
        raise InputError("the table has no rows", where=str(path))


def column_names(path: Path, form: Form = PLAIN) -> list[str]:
    """The header, without reading the rows.

    Raises:
        InputError: As `read_table`, as far as it shows in the header.
    """
    with readable(path):
        if is_parquet(path):
            return list(_pyarrow("parquet").read_schema(path).names)
        with open_rows(path) as stream:
            head, _ = read_header(stream, form, str(path))
        if not head.header:
            raise InputError("the file is empty", where=str(path))
        return _named(header_names(head.header, head.delimiter, str(path)), path)


def _named(names: Sequence[str], path: Path) -> list[str]:
    """A header whose names are all different; one that is empty becomes as pandas names it."""
    for name in names:
        if name and names.count(name) > 1:
            raise InputError(f"two columns are named '{name}'", where=str(path))
    return [name or f"Unnamed: {place}" for place, name in enumerate(names)]


def _frame(rows: Any, text: Sequence[str]) -> pd.DataFrame:
    """Rows of Arrow for pandas, which would round long whole numbers beside empty cells: text stays exact."""
    for name in dict.fromkeys(text):
        place = rows.schema.get_field_index(name) if name else -1
        if place >= 0 and "int" in str(rows.schema.field(place).type) and rows.column(place).null_count:
            rows = rows.set_column(place, name, rows.column(place).cast("string"))
    found: pd.DataFrame = rows.to_pandas(ignore_metadata=True)
    return found


def _parquet_pages(path: Path, columns: Sequence[str] | None, text: Sequence[str]) -> Iterator[pd.DataFrame]:
    rows = 0
    with readable(path):
        for batch in _pyarrow("parquet").ParquetFile(path).iter_batches(PAGE_ROWS, columns=columns):
            page = _frame(batch, text)
            # Rows are counted through the file, so that an error names its line.
            page.index = pd.RangeIndex(rows, rows + len(page))
            rows += len(page)
            yield page


def _csv_pages(
    path: Path, form: Form, columns: Sequence[str] | None, text: Sequence[str], page_rows: int
) -> Iterator[pd.DataFrame]:
    """A CSV in pages of about so many rows; as one page with 0."""
    names = column_names(path, form)
    wanted = [names.index(name) for name in (names if columns is None else columns)]
    # Each place once, in the order of the file.
    wanted = sorted(set(wanted))

    def places(_: Layout) -> Sequence[int]:
        return wanted

    keep = {names.index(name) for name in text if name in names}
    keep |= {place for place, name in enumerate(names) if name.lower() in TEXT_NAMES}
    held: list[CsvBlock] = []
    rows = 0
    with readable(path), open_rows(path) as stream:
        for block in read_blocks(stream, Columns((), time="", form=form), str(path), texts=places):
            held.append(block)
            rows += len(block.texts[0])
            if page_rows and rows >= page_rows:
                yield _page(held, names, wanted, keep)
                held, rows = [], 0
        if held:
            yield _page(held, names, wanted, keep)


def _page(blocks: list[CsvBlock], names: list[str], wanted: list[int], keep: set[int]) -> pd.DataFrame:
    """Blocks of cells as one frame, whose index has each row's line, less the header's."""
    columns: dict[str, Any] = {}
    for at, place in enumerate(wanted):
        numbers = None if place in keep else _numbers(blocks, at, names[place])
        if numbers is None:
            column = text_column([cell for block in blocks for cell in block.texts[at]])
            columns[names[place]] = column.astype(object).to_numpy()
        else:
            columns[names[place]] = numbers
    lines = np.concatenate([block.place.lines(len(block.texts[0])) for block in blocks])
    page = pd.DataFrame(columns, index=pd.Index(lines - 2))
    page.attrs[DECIMAL] = {name: blocks[-1].reader.decimal_of(name) for name in page.columns}
    return page


def _numbers(blocks: list[CsvBlock], at: int, name: str) -> NDArray[Any] | None:
    """A column's numbers; None where a cell is none, where there is none, or where they are names."""
    parts = []
    for block in blocks:
        cells = block.texts[at]
        numbers, words = block.reader.sort_out(cells, name, block.place)
        if words or PADDED.search(b"\n".join(cells)):
            return None
        parts.append(numbers)
    joined = np.concatenate(parts)
    # A column without a number says nothing.
    if np.isnan(joined).all():
        return None
    whole = (
        np.isfinite(joined).all() and (joined == np.floor(joined)).all() and np.abs(joined).max() < MAX_WHOLE
    )
    return joined.astype(np.int64) if whole else joined


def text_column(cells: Sequence[bytes]) -> pd.Series[Any]:
    """Cells as a column of categories: few distinct texts in very many rows."""
    place = {cell: number for number, cell in enumerate(dict.fromkeys(cells))}
    codes = np.fromiter(map(place.__getitem__, cells), np.intp, len(cells))
    texts = pd.Index([cell.decode() for cell in place], dtype=object)
    return pd.Series(pd.Categorical.from_codes(codes, texts))


def _pyarrow(module: str | None) -> Any:
    try:
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError:
        raise MissingExtraError("reading tables", "workstation") from None
    return getattr(pa, module) if module else pa


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns what can go wrong with a file into one line that says so."""
    if path.is_dir():
        raise InputError("a folder, not a file", where=str(path))
    if not path.exists():
        raise InputError("no such file", where=str(path))
    try:
        yield
    except (OSError, EOFError) as error:
        raise InputError(f"cannot be read ({error})", where=str(path)) from None
    except UnicodeDecodeError as error:
        raise refused_encoding(error, str(path)) from None
    except ValueError as error:  # pyarrow's ArrowInvalid is one
        raise InputError(str(error).partition("\n")[0] or "cannot be read", where=str(path)) from None

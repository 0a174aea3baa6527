"""Annotated CSV, the answer to a Flux query: tables one after the other, each with its columns' types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import SourceError
from edge_runtime.influxdb.refusals import QueryTooLargeError, is_too_large, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

__all__ = ["WHERE", "Table", "tables"]

WHERE = "the Flux query's answer"
NUMBERS = {"double": float, "long": int, "unsignedLong": int}
ERROR_HEADER = ["error", "reference"]


@dataclass(frozen=True, slots=True)
class Table:
    """Some rows of one table.

    Attributes:
        kinds: Column to its type, such as "double", "string" or "dateTime:RFC3339".
        columns: Column to its values as they stand in the answer; empty where there is none.
    """

    kinds: dict[str, str]
    columns: dict[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def texts(self, name: str) -> tuple[str, ...]:
        """A column's values; empty ones where there is no such column."""
        return self.columns.get(name, ("",) * len(self))

    def values(self, name: str) -> list[float | int | str | None]:
        """A column's values: numbers where its type is one, None where there is none.

        Raises:
            SourceError: One is not of the type that the answer says.
        """
        number = NUMBERS.get(self.kinds.get(name, ""), str)
        try:
            return [number(value) if value else None for value in self.texts(name)]
        except ValueError:
            raise _stranger() from None

    def times(self, name: str) -> NDArray[np.int64]:
        """A column's times, nanoseconds; exact, where a datetime would keep microseconds alone.

        Raises:
            SourceError: There is no such column, or it holds something else.
        """
        try:
            times = np.asarray([text.removesuffix("Z") for text in self.columns[name]], "datetime64[ns]")
        except (KeyError, ValueError):
            times = np.asarray(["NaT"], "datetime64[ns]")
        if np.isnat(times).any():  # an empty cell is one too
            raise SourceError(f"no column '{name}' with times", where=WHERE, hint="keep it in the query")
        return times.astype(np.int64)


def tables(rows: Iterable[list[str]], *, most: int) -> Iterator[Table]:
    """The tables in lines of annotated CSV, at most `most` rows at a time.

    Raises:
        SourceError: The query failed; half-way the server says so in a table of its own. Or it is no answer
            of an InfluxDB.
    """
    kinds: list[str] = []
    defaults: list[str] = []
    header: list[str] = []
    values: list[list[str]] = []
    for line in rows:
        mark, cells = line[0], line[1:]
        if mark and not mark.startswith("#"):
            raise _stranger()
        if header and not mark and cells[:2] != ERROR_HEADER:
            values.append(_filled(cells, defaults or [""] * len(header)))
        if values and (len(values) == most or mark):
            yield _table(header, kinds, values)
            values = []
        if mark == "#datatype":
            kinds, defaults, header = cells, [], []
        elif mark == "#default":
            defaults = cells
        elif not mark and (not header or cells[:2] == ERROR_HEADER):
            header = cells
    if values:
        yield _table(header, kinds, values)


def _filled(cells: list[str], defaults: list[str]) -> list[str]:
    try:
        return [cell or default for cell, default in zip(cells, defaults, strict=True)]
    except ValueError:
        raise _stranger() from None


def _table(header: list[str], kinds: list[str], values: list[list[str]]) -> Table:
    if header[:2] == ERROR_HEADER:
        said = one_line(values[0][0])
        if is_too_large(said):
            raise QueryTooLargeError(f"InfluxDB refuses to read this much at once ({said})", where=WHERE)
        raise SourceError(f"InfluxDB refuses the query ({said})")
    try:
        columns = dict(zip(header, zip(*values, strict=True), strict=True))
        return Table(dict(zip(header, kinds, strict=True)), columns)
    except ValueError:
        raise _stranger() from None


def _stranger() -> SourceError:
    return SourceError("the answer is not annotated CSV", where=WHERE, hint="check the address")

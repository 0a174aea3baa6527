"""What readers give, and what writers take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge_runtime.records import Readings, Results

__all__ = ["Block", "Reader", "Writer"]


@dataclass(slots=True, eq=False)
class Block:
    """Some rows of a file.

    Attributes:
        readings: The rows.
        times: [rows] times as they stand in the file, bytes of a CSV or an Arrow array; a writer of the same
            kind writes them as they are.
    """

    readings: Readings
    times: Any


class Reader(Protocol):
    """A file's rows, block by block."""

    rows: int | None  # how many there are, where the file says so

    def blocks(self, skip: int) -> Iterator[Block]:
        """The rows after the first `skip`.

        Raises:
            EdgeDetectError: The file cannot be used.
        """
        ...


class Writer(Protocol):
    """A part of the output; parts of one kind can be put together."""

    def open(self, place: Path | IO[bytes], *, first: bool) -> None:
        """Begins a part, a file or an open stream; the first one has what a file begins with."""
        ...

    def write(self, block: Block, results: Results) -> None:
        """Appends rows."""
        ...

    def close(self) -> None:
        """Ends the part: a file is then on the disk, and a stream is left open."""
        ...

    def join(self, parts: list[Path], path: Path) -> None:
        """One file out of several parts."""
        ...

"""Where each kind of source finds its rows: a bench for each, under the contract that all of them keep."""

from __future__ import annotations

import time
import uuid
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from edge_runtime.connector import Given
from edge_runtime.sources.base import Feed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    import pytest

    from edge_runtime.checkpoint import Checkpoint
    from edge_runtime.errors import EdgeDetectError
    from edge_runtime.sources.base import Batch, Source, SourceKind

__all__ = ["LIMIT_S", "MACHINES", "SENSORS", "T0", "Bench", "Broken", "Document", "Row", "by_machine", "rows"]

Document = dict[str, dict[str, Any]]
Broken = dict[str, "tuple[type[EdgeDetectError], Callable[[], Source]]"]
SECOND = 1_000_000_000
T0 = 1_767_225_600 * SECOND
# Neither in the order in which the rows are written nor in that of the alphabet.
SENSORS = ("vibration", "power")
MACHINES = ("Press-1", "säge 2", "a,b=c")
LIMIT_S = 240.0


@dataclass(frozen=True, slots=True)
class Row:
    """A row as a source finds it; both values are numbers that 32 bits hold exactly."""

    machine: str
    time: int
    power: float
    vibration: float


def rows(number: int, start: int = 0) -> list[Row]:
    """So many rows of three machines, one each second."""
    return [Row(MACHINES[i % 3], T0 + i // 3 * SECOND, i / 2, i + 0.25) for i in range(start, start + number)]


def by_machine(found: Iterable[Batch | Row]) -> dict[str, list[tuple[int, float, float]]]:
    """Machine to time, vibration and power of each of its rows, in the order in which they came."""
    grouped: dict[str, list[tuple[int, float, float]]] = {}
    for one in found:
        if isinstance(one, Row):
            grouped.setdefault(one.machine, []).append((one.time, one.vibration, one.power))
            continue
        block = one.readings
        for machine, moment, (vibration, power) in zip(
            block.machines.tolist(), block.times.tolist(), block.values.tolist(), strict=True
        ):
            grouped.setdefault(machine, []).append((moment, vibration, power))
    return grouped


class Bench(ABC):
    """A kind of source with what it reads.

    The attributes declare what a kind can do; the contract checks each of them in both directions.

    Args:
        kind: The kind of source.
        folder: For its files.
        patch: Undoes at the test's end what the bench changes.
        request: For the fixtures with servers.

    Attributes:
        ends: Whether it ends by itself when it has read everything.
        waits: Whether it can wait for more rows.
        makes_rows: Whether it makes its rows itself, without an end.
        goes_back: Whether its batches carry a checkpoint, after which a new source goes on.
        acknowledges: Whether what was not acknowledged comes again, and what was does not.
        live: Whether rows come as they are measured.
        least_batches: In how many batches the rows of the contract come at least.
    """

    ends = True
    waits = True
    makes_rows = False
    goes_back = True
    acknowledges = False
    live = False
    least_batches = 3

    def __init__(
        self, kind: SourceKind, folder: Path, patch: pytest.MonkeyPatch, request: pytest.FixtureRequest
    ) -> None:
        self.kind, self.folder, self.patch, self.request = kind, folder, patch, request
        self.said: list[str] = []
        self.owner = uuid.uuid4().hex
        self.files: list[IO[bytes]] = []

    @abstractmethod
    def put(self, rows: Sequence[Row]) -> None:
        """Lays these rows, after those that are there, where the source finds them."""

    @abstractmethod
    def document(self) -> Document:
        """The tables that read what was put."""

    def waiting(self) -> Document:
        """The tables of a source that waits for more, where it can."""
        return self.document()

    @abstractmethod
    def same_feed(self) -> list[Document]:
        """Other spellings of what `document` reads, and other things to be taken of it."""

    @abstractmethod
    def other_feeds(self) -> list[Document]:
        """What lies elsewhere; nothing where there is only one such feed."""

    @abstractmethod
    def broken(self) -> Broken:
        """Name to the error and the maker of a source that cannot work."""

    def expected(
        self,
        put: Sequence[Row],
        found: Sequence[Batch],  # noqa: ARG002 - for a source that makes its rows
    ) -> dict[str, list[tuple[int, float, float]]]:
        """What must have been found, as `by_machine`."""
        return by_machine(put)

    def given(self, document: Document | None = None) -> Given:
        """Settings as the configuration would give them."""
        return Given.of(self.kind, self.document() if document is None else document, "bench.toml")

    def feed(self, **changed: Any) -> Feed:
        """What a source is made for."""
        values: dict[str, Any] = {"sensors": SENSORS, "report": self.said.append, "now_ns": time.time_ns}
        return Feed(**{**values, "future_s": 60.0, "owner": self.owner, **changed})

    def open(self, document: Document | None = None) -> Source:
        """A newly made source."""
        return self.kind.make(self.given(document), self.feed())

    def with_tables(self, document: Document) -> Callable[[], Source]:
        """Makes a source of other settings."""
        return lambda: self.open(document)

    def read(self, source: Source, checkpoint: Checkpoint | None, number: int) -> list[Batch]:
        """Every batch until the end, or until so many rows came or were left out, and then nothing more."""
        found, seen, until = list[Any](), 0, time.monotonic() + LIMIT_S
        batches = source.batches(checkpoint)
        for batch in batches:
            found.append(batch)
            seen += len(batch.readings) + sum(batch.skipped.values())
            assert time.monotonic() < until, f"{seen} of {number} rows came"
            if not self.ends and seen >= number and (self.makes_rows or not len(batch.readings)):
                break
        self.end(source, batches)
        return found

    def end(self, source: Source, batches: Iterator[Batch]) -> None:
        """Closes the source; nothing may come after that."""
        source.close()
        assert sum(len(batch.readings) for batch in batches) == 0

    def finish(self) -> None:
        """Frees what the bench holds."""
        for file in self.files:
            with suppress(OSError):
                file.close()

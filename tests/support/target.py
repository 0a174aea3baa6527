"""Where a sink delivers to, as the contracts see it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from edge_runtime.connector import Given
from edge_runtime.sinks.base import Verdicts
from edge_runtime.timeparse import parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pytest
    from support.feeds import Document

    from edge_runtime.engine.alarms import Change
    from edge_runtime.errors import EdgeDetectError
    from edge_runtime.sinks.base import Sink, SinkKind

__all__ = ["DIGEST", "SENSORS", "AlarmTarget", "Broken", "Target", "flat_row"]

Broken = dict[str, "tuple[type[EdgeDetectError], Callable[[], Sink]]"]
SENSORS = ("temperature", "vibration", "pressure", "power")
DIGEST = "sha256:" + "ab" * 32


class Target(ABC):
    """A kind of sink with what lies where it delivers to.

    The attributes declare what a kind can do; the contract checks each of them in both directions.

    Args:
        kind: The kind of sink.
        folder: For its files.
        patch: Undoes at the test's end what the target changes.
        request: For the fixtures with servers.

    Attributes:
        direct: Whether it takes rows at once, with no ledger before it.
        undoes: Whether it has a position, and undoes what came after it. A direct sink has none, and any
            other sink without one must replace what comes again.
        readings: Whether it delivers the readings, too.
    """

    direct = False
    undoes = True
    readings = True

    def __init__(
        self, kind: SinkKind, folder: Path, patch: pytest.MonkeyPatch, request: pytest.FixtureRequest
    ) -> None:
        self.kind, self.folder, self.patch, self.request = kind, folder, patch, request
        self.said: list[str] = []

    @abstractmethod
    def document(self) -> Document:
        """The tables of a sink that delivers to this target."""

    @abstractmethod
    def rows(self) -> list[dict[str, Any]]:
        """What lies there, with reading_, expected_ and error_ before a sensor's name, and nanoseconds."""

    @abstractmethod
    def broken(self) -> Broken:
        """Name to the error and the maker of a sink that cannot work."""

    def away(self) -> Document | None:
        """The tables of a sink whose place does not take rows now; None for a direct one."""
        return None

    def open(self, document: Document | None = None) -> Sink:
        """A newly made sink."""
        given = Given.of(self.kind, self.document() if document is None else document, "target.toml")
        return self.kind.make(given, Verdicts(sensors=SENSORS, digest=DIGEST, report=self.said.append))

    def with_tables(self, document: Document) -> Callable[[], Sink]:
        """Makes a sink of other settings."""
        return lambda: self.open(document)


class AlarmTarget(Target):
    """A kind of sink that takes alarms, with what lies where it delivers to.

    Attributes:
        undoes: Whether it has a position, and undoes what came after it; any other replaces a change that
            comes again, by its id and revision.
        whole: Whether a change lies there with all of its fields, as it is.
    """

    whole = True

    @abstractmethod
    def changes(self) -> list[Any]:
        """What lies there, of each change in the order in which they arrived."""

    def wanted(self, changes: Sequence[Change]) -> list[Any]:
        """What must lie there after these changes."""
        return [change.to_dict() for change in changes]

    def rows(self) -> list[dict[str, Any]]:
        """The same: there is nothing else."""
        return self.changes()


def flat_row(row: dict[str, Any]) -> dict[str, Any]:
    """A row of JSON with its sensors beside the rest."""
    names = {"readings": "reading", "expected": "expected", "errors": "error"}
    flat = {key: value for key, value in row.items() if key not in names}
    for group, name in names.items():
        flat |= {f"{name}_{sensor}": value for sensor, value in row.get(group, {}).items()}
    if isinstance(flat["time"], str):
        flat["time"] = parse_time(flat["time"], 0)
    return flat

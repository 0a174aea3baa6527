"""What a connector is, and how it is found: the built-in ones by name, others by their entry points.

A connector is one file with its settings, a sentence about it, what it guarantees, and what makes it. The
file's constant is a `SourceKind` or a `SinkKind`; `base.py` in `sources/` and `sinks/` has them. A package of
somebody else's names its constant in its metadata:

    [project.entry-points."edge_detect.sources"]
    plc = "my_package.plc:PLC"
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from edge_runtime.config import fill, nearest
from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Connector", "Fact", "Given", "Registry"]

T = TypeVar("T")
K = TypeVar("K", bound="Connector")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """A kind of source or of sink.

    Attributes:
        name: By which it is chosen.
        summary: What it is, a sentence.
        guarantee: What it promises about delivery, a sentence or two.
        tables: Name of a table of the configuration to the dataclass that holds this connector's settings
            in it. Connectors may share a table.
    """

    name: str
    summary: str
    guarantee: str
    tables: Mapping[str, type]


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that `edge-detect check` found.

    Attributes:
        name: What it is about, a word or two.
        text: What was found.
        wrong: Whether the gateway would not do what it should because of it.
    """

    name: str
    text: str
    wrong: bool = False


class Given:
    """A connector's settings, by their dataclass."""

    def __init__(self, filled: Mapping[type, Any]) -> None:
        self._filled = dict(filled)

    def __getitem__(self, table: type[T]) -> T:
        return cast("T", self._filled[table])

    @classmethod
    def of(cls, kind: Connector, document: Mapping[str, Mapping[str, Any]], where: str) -> Given:
        """The settings that a configuration has for this connector.

        Raises:
            UsageError: A value is not what its setting wants.
        """
        return cls(
            {table: fill(table, document.get(name, {}), name, where) for name, table in kind.tables.items()}
        )


class Registry(Generic[K]):
    """The connectors of one direction.

    Args:
        what: "source" or "sink".
        kind: The class that each is an instance of.
        built_in: Name to the place of its constant, "module:NAME"; imported when it is asked for.
        group: The entry point group of those of other packages.

    Attributes:
        what: As above.
        kind: As above.
        built_in: As above.
        group: As above.
    """

    def __init__(self, what: str, kind: type[K], built_in: Mapping[str, str], group: str) -> None:
        self.what = what
        self.kind = kind
        self.built_in = built_in
        self.group = group
        self._found: dict[str, K] = {}

    def get(self, name: str) -> K:
        """The connector of this name.

        Raises:
            UsageError: There is none, or it cannot be used.
        """
        if name not in self._found:
            self._found[name] = self._load(name)
        return self._found[name]

    def names(self) -> list[str]:
        """All there are: the built-in ones first."""
        from edge_runtime.foreign import foreign_names  # noqa: PLC0415 - slow, and not for what is built in

        return [*self.built_in, *foreign_names(self.group, self.built_in)]

    def loaded(self) -> list[K]:
        """Those that were asked for so far."""
        return list(self._found.values())

    def usable(self) -> list[K]:
        """All that can be used."""
        found = []
        for name in self.names():
            with suppress(UsageError):
                found.append(self.get(name))
        return found

    def _load(self, name: str) -> K:
        if name in self.built_in:
            module, _, constant = self.built_in[name].partition(":")
            return cast("K", getattr(import_module(module), constant))
        from edge_runtime.foreign import foreign_names, load_foreign  # noqa: PLC0415

        if name not in foreign_names(self.group, self.built_in):
            raise UsageError(f"there is no {self.what} '{name}'", hint=nearest(name, self.names()))
        return load_foreign(self.what, self.group, name, self.kind)

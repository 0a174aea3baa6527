"""What a connector is, and how it is found: the built-in ones by name, others by their entry points.

A connector is one file with its settings, a sentence about it, what it guarantees, and what makes it. The
file's constant is a `SourceKind` or a `SinkKind`; `base.py` in `sources/` and `sinks/` has them. A package of
somebody else's names its constant in its metadata:

    [project.entry-points."edge_detect.sources"]
    plc = "my_package.plc:PLC"
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from edge_runtime.config import fill, nearest, settings_of
from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.metadata import EntryPoint

__all__ = ["Connector", "Given", "Registry", "same_server"]

T = TypeVar("T")
K = TypeVar("K", bound="Connector")
PORTS = {"http": 80, "https": 443, "mqtt": 1883, "mqtts": 8883}
THIS_MACHINE = ("localhost", "::1", "0.0.0.0")  # noqa: S104 - nothing is bound to it


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
        built_in: As above.
    """

    def __init__(self, what: str, kind: type[K], built_in: Mapping[str, str], group: str) -> None:
        self.what = what
        self._kind = kind
        self.built_in = built_in
        self._group = group
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
        return [*self.built_in, *(name for name in self._others() if name not in self.built_in)]

    def loaded(self) -> list[K]:
        """Those that were asked for so far."""
        return list(self._found.values())

    def usable(self) -> list[K]:
        """All that can be used."""
        found = []
        for name in self.names():
            try:
                found.append(self.get(name))
            except UsageError:
                continue
        return found

    def origin(self, name: str) -> str:
        """Where it comes from: "built in", or the distribution that brings it."""
        if name in self.built_in:
            return "built in"
        brings = self._others()[name].dist
        return f"{brings.name} {brings.version}" if brings else "another package"

    def _others(self) -> dict[str, EntryPoint]:
        from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and not for what is built in

        return {point.name: point for point in entry_points(group=self._group)}

    def _load(self, name: str) -> K:
        if name in self.built_in:
            module, _, constant = self.built_in[name].partition(":")
            return cast("K", getattr(import_module(module), constant))
        point = self._others().get(name)
        if point is None:
            raise UsageError(f"there is no {self.what} '{name}'", hint=nearest(name, self.names()))
        where = f"{self.what} {name} ({point.value})"
        try:
            found = point.load()
        except Exception as error:  # noqa: BLE001 - whatever somebody else's module raises
            raise UsageError(
                f"it cannot be imported ({type(error).__name__}: {error})",
                where=where,
                hint=f"repair or uninstall {self.origin(name)}",
            ) from None
        if not isinstance(found, self._kind) or found.name != name:
            raise UsageError(f"it is no {self._kind.__name__} of the name '{name}'", where=where)
        for table in found.tables.values():
            settings_of(table)
        return found


def same_server(url: str) -> str:
    """An address as it is compared: what names this machine is one name, and the port is written out."""
    from urllib.parse import urlsplit  # noqa: PLC0415 - not for files and pipes

    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port or PORTS.get(parts.scheme)
    except ValueError:
        return url
    if host in THIS_MACHINE or host.startswith("127."):
        host = "127.0.0.1"
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path.rstrip('/')}"

"""Connectors of other packages: found by their entry points, and looked at before they are used."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, TypeVar

from edge_runtime.config import KINDS, settings_of
from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from edge_runtime.config import Setting

__all__ = ["OWN_FLAGS", "OWN_TABLES", "foreign_names", "ignored_entry_points", "load_foreign", "origin"]

K = TypeVar("K")
# What `edge-detect run` and `check` have themselves, and no connector may take.
OWN_TABLES = ("run", "trust", "history", "alarms")
OWN_FLAGS = (
    "--bundle",
    "--config",
    "--help",
    "--json",
    "--rows",
    "--seconds",
    "--set",
    "--sink",
    "--source",
    "--state",
    "--target",
    "--trusted-key",
)


def foreign_names(group: str, taken: Collection[str]) -> list[str]:
    """The names of entry points that are not taken."""
    return [name for name in _points(group) if name not in taken]


def ignored_entry_points(what: str, group: str, taken: Collection[str]) -> Iterator[str]:
    """Entry points that are not used, for their names are taken: a sentence each."""
    used = set(taken)
    for point in entry_points(group=group):
        if point.name in used:
            yield f"The {what} {point.name} of {point.value} is not used: its name is taken."
        used.add(point.name)


def origin(group: str, name: str) -> str:
    """The distribution that brings a connector, with its version."""
    brings = _points(group)[name].dist
    return f"{brings.name} {brings.version}" if brings else "another package"


def load_foreign(what: str, group: str, name: str, kind: type[K]) -> K:
    """A connector of another package.

    Args:
        what: "source" or "sink".
        group: The entry point group.
        name: Of the entry point, and of the connector.
        kind: The class that it has to be of.

    Raises:
        UsageError: It cannot be used.
    """
    point = _points(group)[name]
    try:
        found: Any = point.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever somebody else's module raises
        fault: str | None = f"it cannot be imported ({type(error).__name__}: {error})"
    else:
        if isinstance(found, kind) and getattr(found, "name", None) == name:
            fault = _fault_of_tables(getattr(found, "tables", None))
        else:
            fault = f"this entry point must be a {kind.__name__} whose name is '{name}'"
    if fault is not None:
        raise UsageError(
            fault, where=f"{what} {name} ({point.value})", hint=f"repair or uninstall {origin(group, name)}"
        )
    return found  # type: ignore[no-any-return]


def _points(group: str) -> dict[str, EntryPoint]:
    """Name to entry point; of two of one name the first."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        found.setdefault(point.name, point)
    return found


def _fault_of_tables(tables: Any) -> str | None:
    if not isinstance(tables, Mapping):
        return "its tables are no mapping of a table's name to its dataclass"
    return next(filter(None, (_fault(table, settings) for table, settings in tables.items())), None)


def _fault(table: str, settings: Any) -> str | None:
    """What is wrong with a table of a connector's."""
    if table in OWN_TABLES:
        return f"[{table}] is a table of edge-detect itself"
    parameters = getattr(settings, "__dataclass_params__", None)
    if parameters is None or not parameters.frozen:
        return f"the settings of [{table}] are no frozen dataclass"
    try:
        found = settings_of(settings)
    except (NameError, TypeError) as error:
        return f"the types in [{table}] cannot be read ({error})"
    faults = ((one.name, _fault_of_setting(one)) for one in found)
    return next((f"'{name}' in [{table}] {fault}" for name, fault in faults if fault), None)


def _fault_of_setting(one: Setting) -> str | None:
    if one.default is dataclasses.MISSING:
        return "has no default"
    if one.kind not in KINDS:
        return "is none of str, int, float, bool and Path, nor a tuple of one of them"
    if one.flag and (not one.flag.startswith("--") or one.flag in OWN_FLAGS):
        return f"cannot have the option {one.flag!r}"
    return None

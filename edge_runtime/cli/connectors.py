"""`edge-detect connectors`: which sources and sinks there are, and what each one's settings are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.config import Setting
    from edge_runtime.connector import Connector, Registry

__all__ = ["connectors", "described"]

WIDTH = 100


def connectors(
    name: Annotated[
        str | None,
        typer.Argument(help="A source or a sink, of which everything is shown.", show_default=False),
    ] = None,
) -> None:
    """List the sources and sinks; with a NAME, print what it guarantees and its settings as TOML."""
    if name is None:
        typer.echo("\n".join(_overview()))
    else:
        typer.echo(described(name))


def described(name: str) -> str:
    """Everything about the sources and sinks of this name: comments, and the tables with their defaults.

    Raises:
        UsageError: There is none.
    """
    from edge_runtime.config import nearest
    from edge_runtime.errors import UsageError

    found = [(registry, registry.get(name)) for registry in _registries() if name in registry.names()]
    if not found:
        known = dict.fromkeys(known for registry in _registries() for known in registry.names())
        raise UsageError(f"there is no source or sink '{name}'", hint=nearest(name, known))
    shown = set[str]()
    return "\n\n".join("\n".join(_page(registry, kind, shown)) for registry, kind in found)


def _registries() -> tuple[Registry[Any], ...]:
    from edge_runtime.sinks.registry import SINKS
    from edge_runtime.sources.registry import SOURCES

    return SOURCES, SINKS


def _overview() -> Iterator[str]:
    from edge_runtime.errors import UsageError
    from edge_runtime.foreign import ignored_entry_points

    for registry in _registries():
        yield f"{registry.what}s:"
        width = max(len(name) for name in registry.names())
        for name in registry.names():
            where = _origin(registry, name)
            try:
                kind = registry.get(name)
            except UsageError as error:
                yield f"  {name:{width}}  cannot be used: {error} ({where})"
                continue
            yield from _wrapped(kind.summary, f"  {name:{width}}  ")
            yield from _wrapped(kind.guarantee, f"  {'':{width}}  ")
            if name not in registry.built_in:
                yield f"  {'':{width}}  From {where}."
        ignored = ignored_entry_points(registry.what, registry.group, registry.built_in)
        yield from (f"  {sentence}" for sentence in ignored)
        yield ""
    yield "`edge-detect connectors NAME` prints the settings of one, `edge-detect run --help` their options."


def _origin(registry: Registry[Any], name: str) -> str:
    from edge_runtime.foreign import origin

    return "built in" if name in registry.built_in else origin(registry.group, name)


def _page(registry: Registry[Any], kind: Connector, shown: set[str]) -> Iterator[str]:
    """Comments and tables; a table that source and sink share is shown once."""
    from edge_runtime.config import settings_of

    yield f"# {registry.what} {kind.name}: {_origin(registry, kind.name)}."
    yield from _wrapped(kind.summary, "# ")
    yield from _wrapped(kind.guarantee, "# Delivery: ", "# ")
    for table, settings in kind.tables.items():
        if table in shown:
            yield f"# This sink also uses the settings in [{table}]."
            continue
        shown.add(table)
        yield f"\n[{table}]"
        for one in settings_of(settings):
            more = ", ".join(part for part in (f"in {one.unit}" if one.unit else "", one.flag) if part)
            yield from _wrapped(f"{one.help} ({more})" if more else one.help, "# ")
            yield _line(one)


def _line(one: Setting) -> str:
    """Its default as TOML; commented out where there is none."""
    import json
    from pathlib import Path

    if one.default is None:
        examples: dict[type, str] = {int: "0", float: "0.0", bool: "false"}
        return f"#{one.name} = {'[]' if one.many else examples.get(one.kind, json.dumps(''))}"
    value = [*one.default] if one.many else one.default
    return f"{one.name} = {json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)}"


def _wrapped(text: str, first: str, rest: str | None = None) -> list[str]:
    import textwrap

    later = (rest if rest is not None else " " * len(first)) if not first.startswith("# ") else "# "
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=later, break_on_hyphens=False)

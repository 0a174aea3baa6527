"""Options of `edge-detect run` and `check` that are made from the settings of what was chosen.

The chosen source and sinks are found before the options are parsed, so that only their files are imported;
`--help` shows those of all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

from edge_runtime.config import Setting, assignment, nearest, settings_of
from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from edge_runtime.connector import Connector

__all__ = ["Assignments", "Config", "Group", "SettingsCommand", "given_options", "options_of"]

Config = Annotated[
    Path | None, typer.Option(help="TOML file with the settings; the options below override it.")
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="TABLE.KEY=VALUE",
        help="Any setting, also one without an option; repeat it for several. `edge-detect connectors` lists "
        "them.",
    ),
]


KEY = "edge_detect.options"


@dataclass(frozen=True, slots=True)
class Group:
    """The settings of one table, and who takes them."""

    table: str
    takers: tuple[str, ...]
    settings: tuple[Setting, ...]

    @property
    def title(self) -> str:
        """What stands above them in `--help`."""
        return f"[{self.table}]{f' of the {listed_kinds(self.takers)}' if self.takers else ''}"


class SettingsCommand(TyperCommand):
    """A command with an option for each setting that has a flag."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Adds the options of what was chosen, then parses."""
        words = list(_words(args))
        if any(flag == "--help" for flag, _ in words):
            return super().parse_args(ctx, ["--help"])
        options = _unique(_groups(_chosen(words)))
        self._refuse_unknown(words, options)
        self.params = [*self.params, *options]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The options of every connector, table by table, and what has no option of its own."""
        super().format_options(ctx, formatter)
        for group in _groups(_all()):
            rows = [option.get_help_record(ctx) or ("", "") for option in options_of(group)]
            others = [one.name for one in group.settings if not one.flag]
            if others:
                rows.append(
                    ("--set", f"Also settable: {', '.join(f'{group.table}.{name}' for name in others)}.")
                )
            with formatter.section(group.title):
                formatter.write_dl(rows)

    def flags(self) -> set[str]:
        """Every option there is, whatever is chosen."""
        from edge_runtime.gateway.settings import OWN_TABLES

        own = {flag for option in self.params for flag in (*option.opts, *option.secondary_opts)}
        return own.union(*map(_table_flags, OWN_TABLES.values()), *map(_flags, _all()))

    def _refuse_unknown(self, words: list[tuple[str, str | None]], options: list[TyperOption]) -> None:
        """An option of a connector that was not chosen would be without any effect."""
        mine = [*self.params, *options]
        known = {flag for option in mine for flag in (*option.opts, *option.secondary_opts)}
        for unknown in (flag for flag, _ in words if flag not in known):
            takers = [_name(kind) for kind in _all() if unknown in _flags(kind)]
            if takers:
                raise UsageError(
                    f"{unknown} is an option of the {listed_kinds(takers)}",
                    hint=f"add {' or '.join(f'--{taker}' for taker in takers)}, or leave it out",
                )
            raise UsageError(f"there is no option {unknown}", hint=nearest(unknown, sorted(self.flags())))


def _words(args: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Each option, and the value after it; None where what follows is another option, or nothing."""
    for place, word in enumerate(args):
        if word.startswith("--"):
            flag, equals, value = word.partition("=")
            after = args[place + 1] if place + 1 < len(args) else "--"
            yield flag, value if equals else None if after.startswith("--") else after


def _chosen(words: list[tuple[str, str | None]]) -> list[Connector]:
    """The source and the sinks that options, assignments and the configuration name."""
    from edge_runtime.gateway.settings import choose

    run: dict[str, Any] = {
        "sinks": [value for flag, value in words if flag == "--sink" and value is not None]
    }
    config = None
    for flag, value in words:
        if flag == "--source" and value is not None:
            run["source"] = value
        elif flag == "--config" and value is not None:
            config = Path(value)
    assigned = [value for flag, value in words if flag == "--set" and value is not None]
    choosing = [text for text in assigned if assignment(text)[:2] in (("run", "source"), ("run", "sinks"))]
    _, source, sinks = choose(config, {"run": run}, choosing)
    return [source, *sinks]


def _all() -> list[Connector]:
    from edge_runtime.sinks.registry import SINKS
    from edge_runtime.sources.registry import SOURCES

    return [*SOURCES.usable(), *SINKS.usable()]


def _name(kind: Connector) -> str:
    from edge_runtime.sinks.base import SinkKind

    return f"{'sink' if isinstance(kind, SinkKind) else 'source'} {kind.name}"


def _flags(kind: Connector) -> set[str]:
    return set[str]().union(*map(_table_flags, kind.tables.values()))


def _table_flags(table: type) -> set[str]:
    return {one.flag for one in settings_of(table) if one.flag}


def _unique(groups: Sequence[Group]) -> list[TyperOption]:
    """Their options.

    Raises:
        UsageError: Two of them have the same name: one would be given for the other.
    """
    found: dict[str, TyperOption] = {}
    for option in (option for group in groups for option in options_of(group)):
        other = found.setdefault(option.opts[0], option)
        if other is not option:
            settings = " and ".join(str(one.name).strip("_").replace("__", ".") for one in (other, option))
            raise UsageError(
                f"{option.opts[0]} would be {settings} at once", hint="use only one of these connectors"
            )
    return list(found.values())


def _groups(connectors: Sequence[Connector]) -> list[Group]:
    """The tables of these connectors, those of `run` first; settings of a shared table once."""
    from edge_runtime.gateway.settings import OWN_TABLES

    takers: dict[str, list[str]] = {name: [] for name in OWN_TABLES}
    settings: dict[str, dict[str, Setting]] = {
        name: {one.name: one for one in settings_of(table)} for name, table in OWN_TABLES.items()
    }
    for kind in connectors:
        for name, table in kind.tables.items():
            takers.setdefault(name, []).append(_name(kind))
            settings.setdefault(name, {}).update({one.name: one for one in settings_of(table)})
    return [Group(name, tuple(takers[name]), tuple(settings[name].values())) for name in settings]


def given_options(ctx: Any) -> dict[str, dict[str, Any]]:
    """Table to key to value of the options that were given."""
    found: dict[str, dict[str, Any]] = ctx.meta.get(KEY, {})
    return found


def options_of(group: Group) -> Iterator[TyperOption]:
    """An option for each setting that has a flag; `given_options` has what was given."""
    for one in group.settings:
        if one.flag:
            switch = one.kind is bool and not one.many
            yield TyperOption(
                param_decls=[
                    f"{one.flag}/--no-{one.flag.removeprefix('--')}" if switch else one.flag,
                    re.sub(r"\W", "_", f"_{group.table}__{one.name}"),
                ],
                type=one.kind if one.kind in (int, float, bool) else str,
                multiple=one.many,
                required=False,
                default=None,
                expose_value=False,
                callback=_keep(group.table, one.name),
                help=_help(one),
                metavar=None if switch else _metavar(one),
            )


def _keep(table: str, key: str) -> Any:
    def keep(ctx: Any, _param: Any, value: Any) -> None:
        if value is not None and value != ():
            ctx.meta.setdefault(KEY, {}).setdefault(table, {})[key] = value

    return keep


def _metavar(one: Setting) -> str:
    names: Mapping[type, str] = {int: "INTEGER", float: "NUMBER", Path: "PATH"}
    return names.get(one.kind, "TEXT")


def _help(one: Setting) -> str:
    default = f"default: {one.default}{f' {one.unit}' if one.unit else ''}"
    if one.default in (None, (), ""):
        default = f"in {one.unit}" if one.unit else ""
    elif one.many:
        default = f"default: {', '.join(map(str, one.default))}"
    more = [part for part in ("repeat it for several" if one.many else "", default) if part]
    return f"{one.help} [{'; '.join(more)}]" if more else one.help


def listed_kinds(names: Sequence[str]) -> str:
    """Such as: sources csv, stdin; or: source influx and sink influx."""
    by_kind: dict[str, list[str]] = {}
    for name in names:
        what, _, rest = name.partition(" ")
        by_kind.setdefault(what, []).append(rest)
    return " and ".join(f"{what}{'s' * (len(some) > 1)} {', '.join(some)}" for what, some in by_kind.items())

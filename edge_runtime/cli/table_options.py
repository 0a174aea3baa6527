"""Command-line options that are made from the settings of tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperOption

from edge_runtime.config import Setting, fill, settings_of
from edge_runtime.mapping.form import Form

__all__ = [
    "FormCommand",
    "Group",
    "form_of",
    "form_words",
    "given_options",
    "listed_kinds",
    "options_of",
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


class FormCommand(TyperCommand):
    """A command with an option for each setting of `[map]`: how a text is written."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *options_of(Group("map", (), settings_of(Form)))]


def form_of(ctx: Any) -> Form:
    """How a text is written, by the options of a `FormCommand`.

    Raises:
        UsageError: An option's value is none.
    """
    return fill(Form, given_options(ctx).get("map", {}), "map", "options")


def form_words(form: Form) -> list[str]:
    """The options of a `FormCommand` that give this form."""
    words: list[str] = []
    for one in settings_of(Form):
        value: Any = form
        for name in one.name.split("."):
            value = getattr(value, f"{name}_" if name == "from" else name)
        if value != one.default:
            words += [word for each in (value if one.many else [value]) for word in (one.flag, str(each))]
    return words


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
    if one.default is None or one.default == ():
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

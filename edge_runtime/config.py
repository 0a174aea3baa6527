"""Settings: frozen dataclasses whose fields say what they are, filled from TOML, flags and `--set`.

    @dataclass(frozen=True, slots=True)
    class CsvSettings:
        input: Path | None = setting(None, "File to read, plain or gzip.", flag="--input")

Each such class is a table of the configuration. Help, documentation and messages are made from it, so that a
setting is written down once. Secrets are never settings: they come from the environment or private files.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "KINDS",
    "Setting",
    "Text",
    "assignment",
    "fill",
    "flat",
    "nearest",
    "read_toml",
    "setting",
    "settings_of",
    "value_of",
]

T = TypeVar("T")
KINDS = {str: "a string", int: "a whole number", float: "a number", bool: "true or false", Path: "a path"}
MAX_TOML_BYTES = 1 << 20
TRUTH = {"true": True, "false": False}


class Text(str):
    """A value as a person typed it after `--set`; it becomes what its setting wants."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """One field of a table.

    Attributes:
        name: Its key.
        kind: `str`, `int`, `float`, `bool` or `Path`.
        many: Whether it is a list of those.
        default: What holds when it is not given.
        help: What it is, a sentence.
        unit: Of the value; empty where it has none.
        flag: Its command-line option, such as "--poll"; empty where it has none.
    """

    name: str
    kind: type
    many: bool
    default: Any
    help: str
    unit: str
    flag: str


def setting(default: Any, help: str, *, unit: str = "", flag: str = "") -> Any:  # noqa: A002 - as it is shown
    """A dataclass field of a table: its default, what it is, its unit and its command-line option."""
    return dataclasses.field(default=default, metadata={"help": help, "unit": unit, "flag": flag})


def settings_of(table: type) -> tuple[Setting, ...]:
    """The settings of a table, in the order in which they are declared.

    Those of a table in the table have its name before their own, as in "time.zone". An underscore at the end
    of a field's name, which keeps it from being a word of Python, is none of the setting's.
    """
    hints = typing.get_type_hints(table)
    found: list[Setting] = []
    for field in dataclasses.fields(table):
        name, hint = field.name.rstrip("_"), hints[field.name]
        if dataclasses.is_dataclass(hint):
            found += [
                dataclasses.replace(one, name=f"{name}.{one.name}")
                for one in settings_of(typing.cast("type", hint))
            ]
            continue
        if typing.get_origin(hint) in (types.UnionType, typing.Union):
            hint = next(part for part in typing.get_args(hint) if part is not types.NoneType)
        many = typing.get_origin(hint) is tuple
        kind = typing.get_args(hint)[0] if many else hint
        about = {name: field.metadata.get(name, "") for name in ("help", "unit", "flag")}
        found.append(Setting(name, kind, many, field.default, **about))
    return tuple(found)


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a table with those of tables in it beside its own, under names such as "time.zone"."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        inner = (
            {f"{key}.{name}": one for name, one in flat(value).items()} if isinstance(value, dict) else None
        )
        found.update({key: value} if inner is None else inner)
    return found


def value_of(table: Any, name: str) -> Any:
    """The value of a setting, by a name such as "time.zone"."""
    for part in name.split("."):
        table = getattr(table, part if hasattr(table, part) else f"{part}_")
    return table


def fill(table: type[T], values: Mapping[str, Any], name: str, where: str) -> T:
    """A table with these values, and the defaults for what is not among them.

    Args:
        table: Its dataclass.
        values: Key to value; what is no key of this table is left out.
        name: What the table is called.
        where: The file, for messages.

    Raises:
        UsageError: A value is not what its setting wants.
    """
    given = {}
    for one in settings_of(table):
        if one.name in values:
            value = values[one.name]
            origin = "--set" if isinstance(value, Text) else where
            given[one.name] = _value(one, value, f"{origin}: [{name}] {one.name}")
    try:
        return _built(table, given)
    except UsageError as error:
        tables = {field.name for field in dataclasses.fields(typing.cast("Any", table))}
        if error.where is None or error.where.partition(".")[0] not in tables:
            raise
        # A table in a table does not know what the one around it is called.
        raise UsageError(error.what, where=f"[{name}] {error.where}", hint=error.hint) from None


def read_toml(path: Path, many: Sequence[str] = ()) -> dict[str, Any]:
    """The tables of a TOML file.

    Args:
        path: The file.
        many: Names of which there are several tables, as [[name]] begins them; each is a list.

    Raises:
        UsageError: It cannot be read, is no TOML, or has something outside a table.
    """
    import tomllib  # noqa: PLC0415 - only where there is a file

    from edge_runtime.reading import read_bounded  # noqa: PLC0415 - the same

    try:
        data, _ = read_bounded(path, MAX_TOML_BYTES)
    except OSError as error:
        raise UsageError(f"cannot read the configuration ({error.strerror})", where=str(path)) from None
    try:
        document = tomllib.loads(data.decode())
    except ValueError as error:  # of TOML, of UTF-8, or of a number with thousands of digits
        raise UsageError(f"not TOML ({error})", where=str(path)) from None
    except RecursionError:
        raise UsageError("not TOML that can be read (nested too deeply)", where=str(path)) from None
    for name, written in document.items():
        if name in many:
            if not isinstance(written, list) or not all(isinstance(one, dict) for one in written):
                raise UsageError(f"'{name}' is not several tables", where=str(path), hint=f"write [[{name}]]")
        elif not isinstance(written, dict):
            near = next((one for one in many if isinstance(written, list) and one in name), None)
            hint = f"write [{name}]" if near is None else f"write [[{near}]]"
            raise UsageError(f"'{name}' is not a table", where=str(path), hint=hint)
    return document


def assignment(text: str) -> tuple[str, str, Text]:
    """Table, key and value of a "TABLE.KEY=VALUE".

    Raises:
        UsageError: It is not of that form.
    """
    place, equals, value = text.partition("=")
    table, dot, key = place.strip().partition(".")
    if not (equals and dot and table and key):
        raise UsageError(f"'{text}' is not TABLE.KEY=VALUE", where="--set", hint="such as influx.poll=2")
    return table, key, Text(value.strip())


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint: the known names that this one is near to, or else all of them."""
    import difflib  # noqa: PLC0415 - for mistakes alone

    names = list(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"there are: {', '.join(names)}" if names else "there is none"


def _built(table: type[T], given: Mapping[str, Any]) -> T:
    hints, arguments = typing.get_type_hints(table), dict[str, Any]()
    for field in dataclasses.fields(typing.cast("Any", table)):
        name = field.name.rstrip("_")
        if name in given:
            arguments[field.name] = given[name]
        elif inner := {
            key[len(name) + 1 :]: value for key, value in given.items() if key.startswith(f"{name}.")
        }:
            arguments[field.name] = _built(hints[field.name], inner)
    return table(**arguments)


def _value(one: Setting, value: Any, where: str) -> Any:
    if not one.many:
        return _single(one, value, where)
    if isinstance(value, Text):
        value = _quoted(value) if value.startswith("[") else [Text(part.strip()) for part in value.split(",")]
        if isinstance(value, str):
            raise UsageError(
                f"{value} is not a list", where=where, hint='write ["a", "b"] in single quotes, or a,b'
            )
        value = [item for item in value if item != ""]
    if one.kind is str and type(value) is str and one.name.endswith(".from"):
        value = [value]
    if not isinstance(value, list | tuple):
        raise UsageError(f"{value!r} is not a list", where=where, hint=f'write ["{value}"]')
    return tuple(_single(one, item, where) for item in value)


def _single(one: Setting, value: Any, where: str) -> Any:
    if isinstance(value, Text):
        value = _quoted(value) if value.startswith('"') else _read(one.kind, value)
    if one.kind is Path and isinstance(value, str | Path):
        if not str(value):
            raise UsageError("a path that is empty", where=where)
        if "\0" in str(value):
            raise UsageError("no path has a NUL in it", where=where)
        return Path(value)
    if one.kind is str and isinstance(value, date):  # TOML has times of its own
        return value.isoformat()
    if one.kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise UsageError("a number too large for any setting", where=where) from None
    if one.kind is str and isinstance(value, str):
        return str(value)
    if type(value) is not one.kind:
        shown = f"'{value}'" if isinstance(value, str) else repr(value)
        raise UsageError(f"{shown} is not {KINDS.get(one.kind, one.kind.__name__)}", where=where)
    return value


def _read(kind: type, text: Text) -> Any:
    """What a person typed, as the kind that is wanted; the text itself where it is none."""
    try:
        if kind in (int, float):
            return kind(text)
    except ValueError:
        return str(text)
    return TRUTH.get(text.lower(), str(text)) if kind is bool else str(text)


def _quoted(text: Text) -> Any:
    """What is written as TOML writes it, with quotation marks; the text itself where it is not TOML."""
    import tomllib  # noqa: PLC0415 - for values that are written so

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text

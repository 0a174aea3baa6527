"""JSON documents read strictly, into dataclasses: what their type hints say, all of it and nothing else.

Written for documents that may be hostile: nothing here takes longer than the document is long, and what an
error shows of it is short and printable.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from edge_runtime.errors import BundleFormatError

__all__ = ["MAY_BE_ABSENT", "is_visible", "parse", "read_as", "shown"]

# Of a whole number, either way; and of a value that an error shows, in characters.
MOST = 2**63 - 1
MAX_SHOWN = 40

# Characters that Unicode calls printable, and that leave no trace: fillers, joiners, selectors of variants.
UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0").union(
    *(
        map(chr, range(first, last + 1))
        for first, last in ((0x180B, 0x180F), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF))
    )
)

# In a field's metadata: a document may leave it out, which says the same as the field's default.
MAY_BE_ABSENT = "may be absent"

T = TypeVar("T")


def parse(text: str | bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        BundleFormatError: It is not UTF-8, not JSON, no object, or an object in it has a field twice.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        document = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise BundleFormatError(f"the metadata is not JSON ({error})", where="metadata") from None
    if not isinstance(document, dict):
        raise BundleFormatError("the metadata is not a JSON object", where="metadata")
    return document


def read_as(kind: type[T], document: dict[str, Any]) -> T:
    """A dataclass from a JSON object; lists become tuples.

    Raises:
        BundleFormatError: A field is missing, unknown or of a wrong type; named by its path, such as
            `sensors[2].unit`.
    """
    try:
        found: T = _reader(typing.cast("typing.Hashable", kind))(document)
    except _MisreadError as error:
        raise BundleFormatError(error.what, where=f"metadata: {error.path}") from None
    return found


def shown(value: Any) -> str:
    """A value in an error; a list or an object only by its size, for it may be deep."""
    if isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value):,}"
    shown = json.dumps(value)
    return shown if len(shown) <= MAX_SHOWN else shown[:MAX_SHOWN] + "…"


def is_visible(text: str) -> bool:
    """Whether every character shows: neither controls do, nor what turns the direction of writing."""
    return text.isprintable() and (text.isascii() or UNSEEN.isdisjoint(text))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; a field twice would let two readers of one file see different ones."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise BundleFormatError("a field appears twice", where=f"metadata: {_name(twice)}")
    return fields


Reader = Callable[[Any], Any]


class _MisreadError(Exception):
    """A value that is not what the schema says, and the path to it, which grows on the way out."""

    def __init__(self, what: str, path: str = "") -> None:
        super().__init__(what, path)
        self.what = what
        self.path = path

    def within(self, step: str) -> _MisreadError:
        """The same error, seen from one level further out."""
        dot = "." if self.path and not self.path.startswith("[") else ""
        return _MisreadError(self.what, f"{step}{dot}{self.path}")


@cache
def _reader(hint: Any) -> Reader:
    """What turns a JSON value into a type hint of the schema above, or raises `_MisreadError`.

    Made once for each hint: looking at hints takes longer than reading a document.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        read = _reader(arguments[0])
        return lambda value: None if value is None else read(value)
    if dataclasses.is_dataclass(hint):
        return _object_reader(hint)
    if origin is tuple:
        return _list_reader(_reader(arguments[0]), None if arguments[-1] is Ellipsis else len(arguments))
    if origin is dict:
        return _dictionary_reader(_reader(arguments[1]))
    return {float: _float, int: _int, str: _str, bool: _bool}[hint]


def _object_reader(kind: Any) -> Reader:
    hints, fields = typing.get_type_hints(kind), dataclasses.fields(kind)
    readers = {f.name: _reader(hints[f.name]) for f in sorted(fields, key=lambda f: f.name)}
    may_be_absent = {f.name for f in fields if MAY_BE_ABSENT in f.metadata}

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise _wrong("an object", value)
        if value.keys() != readers.keys():
            for name in sorted(readers.keys() - value.keys() - may_be_absent):
                raise _MisreadError("a field is missing", name)
            if unknown := value.keys() - readers.keys():
                raise _MisreadError("an unknown field", _name(min(unknown)))
        read: dict[str, Any] = {}
        for name, reader in readers.items():
            if name not in value:
                continue
            try:
                read[name] = reader(value[name])
            except _MisreadError as error:
                raise error.within(name) from None
        return kind(**read)

    return read


def _list_reader(reader: Reader, length: int | None) -> Reader:
    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise _wrong("a list", value)
        if length is not None and len(value) != length:
            raise _wrong(f"{length} values", value)
        items: list[Any] = []
        try:
            for item in value:
                items.append(reader(item))  # noqa: PERF401 - its length says which one could not be read
        except _MisreadError as error:
            raise error.within(f"[{len(items)}]") from None
        return tuple(items)

    return read


def _dictionary_reader(reader: Reader) -> Reader:
    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _wrong("an object", value)
        for key, item in value.items():
            try:
                value[_str(key)] = reader(item)
            except _MisreadError as error:
                raise error.within(_name(key)) from None
        return value

    return read


def _float(value: Any) -> float:
    if type(value) is int:
        try:
            value = float(value)
        except OverflowError:  # a whole number beyond any float
            value = math.inf
    if type(value) is not float or not math.isfinite(value):
        raise _wrong("a finite number", value)
    return value


def _int(value: Any) -> int:
    if type(value) is not int or abs(value) > MOST:
        raise _wrong("a whole number of at most 64 bits", value)
    return value


def _str(value: Any) -> str:
    if type(value) is not str or not is_visible(value):
        raise _wrong("printable text", value)
    return value


def _bool(value: Any) -> bool:
    if type(value) is not bool:
        raise _wrong("true or false", value)
    return value


def _wrong(wanted: str, value: Any) -> _MisreadError:
    return _MisreadError(f"expected {wanted}, found {shown(value)}")


def _name(key: str) -> str:
    """A field's name in an error: short, and nothing that could move a terminal's cursor."""
    return (key if key.isprintable() else json.dumps(key))[:MAX_SHOWN]

"""Protocol buffers, just enough to look at every byte of an ONNX file, and strict about all of them.

What a message may hold is given as a table; anything that is not in it is refused. Offsets into the one
buffer are handed around, never copies, so that a small file cannot make a large heap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from edge_runtime.bundle.caps import MAX_TEXT_BYTES
from edge_runtime.errors import BundleError, BundleFormatError, GateError

__all__ = [
    "BYTES",
    "FIXED32",
    "REFUSED",
    "VARINT",
    "Field",
    "Message",
    "Schema",
    "Span",
    "malformed",
    "read_message",
]


# How a field's value is written; groups and 64-bit values have no use in a bundle.
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
# A field that is known, and never let through.
REFUSED = -1
_ONE_BYTE = 0x80
MAX_VARINT_BYTES = 10


# A stretch of the file: `data[span]`.
Span = slice


class Field(NamedTuple):
    """A field that a message may hold.

    Attributes:
        name: As in onnx.proto.
        wire: How it is written.
        repeated: Whether it may be there more than once.
        text: Whether it is a text, which must be UTF-8, short and printable.
    """

    name: str
    wire: int
    repeated: bool = False
    text: bool = False


# By the number that a field has in onnx.proto.
Schema = dict[int, Field]


@dataclass(slots=True)
class Message:
    """A message's fields by name: numbers, texts or spans of the file, each list in file order."""

    fields: dict[str, list[Any]]

    def number(self, name: str, default: int = 0) -> int:
        """A singular number, as protobuf reads it: unsigned."""
        found: list[int] = self.fields.get(name, [default])
        return found[0]

    def numbers(self, name: str) -> list[int]:
        """A repeated number."""
        return self.fields.get(name, [])

    def text(self, name: str) -> str:
        """A singular text; empty when it is not there."""
        found: list[str] = self.fields.get(name, [""])
        return found[0]

    def texts(self, name: str) -> list[str]:
        """A repeated text."""
        return self.fields.get(name, [])

    def spans(self, name: str) -> list[Span]:
        """Where a field's messages or bytes lie."""
        return self.fields.get(name, [])


def malformed(why: str) -> BundleFormatError:
    """The error for bytes that are no protocol buffer."""
    return BundleFormatError(
        f"not an ONNX file, or a damaged one ({why})",
        hint="copy it again, or name a bundle that edge-export wrote",
    )


def read_message(data: bytes, span: Span, schema: Schema, where: str) -> Message:
    """Reads one message.

    Args:
        data: The whole file.
        span: Where the message lies.
        schema: What it may hold.
        where: What to call it in an error.

    Raises:
        BundleFormatError: The bytes are no protocol buffer, or end within a field.
        GateError: A field is not in the schema, is there twice but may be there once, or is a text
            that is long or not printable.
    """
    fields: dict[str, list[Any]] = {}
    position: int = span.start
    stop: int = span.stop
    while position < stop:
        tag = data[position]
        if tag < _ONE_BYTE:
            position += 1
        else:
            tag, position = _varint(data, position, stop)
        field = schema.get(tag >> 3)
        if field is None or field[1] != tag & 7:
            raise _unknown(data, tag, (position, stop), field, where)
        name, wire, repeated, text = field
        value: Any
        if wire == VARINT:
            value, position = _varint(data, position, stop)
        else:
            if wire == BYTES and position < stop and data[position] < _ONE_BYTE:
                start = position + 1
                position = start + data[position]
            else:
                start, position = _bounds(data, wire, position, stop)
            if position > stop:
                raise malformed("it ends in the middle of a field")
            value = _text(data[start:position], name, where) if text else Span(start, position)
        if name not in fields:
            fields[name] = [value]
        elif repeated:
            fields[name].append(value)
        else:
            raise GateError(f"holds '{name}' twice", where=where)
    return Message(fields)


def _text(value: bytes, name: str, where: str) -> str:
    """A text that may stand in an error, or in a table on a terminal."""
    if len(value) > MAX_TEXT_BYTES:
        raise GateError(
            f"holds a '{name}' of {len(value):,} bytes, more than the {MAX_TEXT_BYTES} that are allowed",
            where=where,
        )
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        raise malformed(f"{where}: '{name}' is not UTF-8") from None
    if not text.isprintable():
        raise GateError(f"holds a '{name}' with non-printable characters", where=where)
    return text


def _bounds(data: bytes, wire: int, position: int, stop: int) -> tuple[int, int]:
    """Where a value that is no plain number begins and ends."""
    if wire == BYTES:
        size, position = _varint(data, position, stop)
        return position, position + size
    return position, position + (4 if wire == FIXED32 else 8)


def _unknown(data: bytes, tag: int, rest: tuple[int, int], known: Field | None, where: str) -> BundleError:
    """The error for a field that may not be there: of a file that is no ONNX, or of one that holds more."""
    number, wire = tag >> 3, tag & 7
    position, stop = rest
    if number == 0 or wire not in {VARINT, FIXED64, BYTES, FIXED32}:
        return malformed("a field has an invalid tag")
    _, end = _varint(data, position, stop) if wire == VARINT else _bounds(data, wire, position, stop)
    if end > stop:
        return malformed("it ends in the middle of a field")
    name = f"field {number}" if known is None else f"'{known.name}'"
    return GateError(f"holds {name}, which has no place in a bundle", where=where)


def _varint(data: bytes, position: int, stop: int) -> tuple[int, int]:
    """A number and the position after it.

    Longer spellings of the same number are refused: one file, one reading.
    """
    if position < stop and (value := data[position]) < _ONE_BYTE:
        return value, position + 1
    value = 0
    for i in range(MAX_VARINT_BYTES):
        if position + i >= stop:
            raise malformed("it ends in the middle of a field")
        byte = data[position + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < _ONE_BYTE:
            if (byte == 0 and i) or value >= 1 << 64:
                break
            return value, position + i + 1
    raise malformed("a number is invalid")

"""Protocol buffers, just enough to look at every byte of an ONNX file, and strict about all of them.

What a message may hold is given as a table; anything that is not in it is refused. Offsets into the one
buffer are handed around, never copies, so that a small file cannot make a large heap.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from edge_runtime.errors import BundleFormatError, GateError

__all__ = ["Field", "Message", "Schema", "Span", "Wire", "malformed", "read_message"]

MAX_VARINT_BYTES = 10


class Wire(IntEnum):
    """How a field's value is written; groups and 64-bit values have no use in a bundle."""

    VARINT = 0
    BYTES = 2
    FIXED32 = 5


class Span(NamedTuple):
    """A stretch of the file."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Field:
    """A field that a message may hold."""

    name: str
    wire: Wire
    repeated: bool = False


Schema = dict[int, Field]


@dataclass(frozen=True, slots=True)
class Message:
    """A message's fields, as numbers or as spans of the file, each list in file order."""

    data: bytes
    where: str
    numbers: dict[str, list[int]]
    spans: dict[str, list[Span]]

    def number(self, name: str, default: int = 0) -> int:
        """A singular number, as protobuf reads it: unsigned."""
        return self.numbers.get(name, [default])[0]

    def text(self, name: str) -> str:
        """A singular text; empty when it is not there."""
        spans = self.spans.get(name)
        return self.decode(spans[0]) if spans else ""

    def texts(self, name: str) -> list[str]:
        """A repeated text."""
        return [self.decode(span) for span in self.spans.get(name, [])]

    def decode(self, span: Span) -> str:
        """A span as text."""
        try:
            return self.data[span.start : span.stop].decode("utf-8")
        except UnicodeDecodeError:
            raise malformed("a text is not UTF-8") from None


def malformed(why: str) -> BundleFormatError:
    """The error for bytes that are no protocol buffer."""
    return BundleFormatError(
        f"not an ONNX file, or a damaged one ({why})",
        mend="copy it again, or name a bundle that edge-export wrote",
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
        GateError: A field is not in the schema, or is there twice but may be there once.
    """
    message = Message(data, where, {}, {})
    position = span.start
    while position < span.stop:
        tag, position = _varint(data, position, span.stop)
        number, wire = tag >> 3, tag & 7
        if number == 0 or wire not in {0, 1, 2, 5}:
            raise malformed("a field's tag is impossible")
        if wire == Wire.VARINT:
            value, end = _varint(data, position, span.stop)
        elif wire == Wire.BYTES:
            value, position = _varint(data, position, span.stop)
            end = position + value
        else:
            value, end = 0, position + (4 if wire == Wire.FIXED32 else 8)
        if end > span.stop:
            raise malformed("it ends in the middle of a field")
        field = schema.get(number)
        if field is None or field.wire != wire:
            raise GateError(f"holds field {number}, for which a bundle has no use", where=where)
        if not field.repeated and (field.name in message.numbers or field.name in message.spans):
            raise GateError(f"holds '{field.name}' twice", where=where)
        if wire == Wire.VARINT:
            message.numbers.setdefault(field.name, []).append(value)
        else:
            message.spans.setdefault(field.name, []).append(Span(position, end))
        position = end
    return message


def _varint(data: bytes, position: int, stop: int) -> tuple[int, int]:
    """A number and the position after it.

    Longer spellings of the same number are refused: one file, one reading.
    """
    value = 0
    for i in range(MAX_VARINT_BYTES):
        if position + i >= stop:
            raise malformed("it ends in the middle of a field")
        byte = data[position + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:  # noqa: PLR2004
            if (byte == 0 and i) or value >= 1 << 64:
                break
            return value, position + i + 1
    raise malformed("a number is impossible")

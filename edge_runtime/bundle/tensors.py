"""What the gate asks of a graph's constants, inputs and outputs: their types, their shapes, their values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.bundle import caps, schema
from edge_runtime.bundle.protobuf import Message, Span, read_message
from edge_runtime.errors import GateError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Tensor", "check_shape", "is_finite", "is_positive", "read_constant", "read_values"]

FLOAT32, INT64 = schema.ElementType.FLOAT32, schema.ElementType.INT64
# By its number: an element type that is let through, and how many bytes an element has.
KINDS: dict[int, tuple[schema.ElementType, int]] = {int(FLOAT32): (FLOAT32, 4), int(INT64): (INT64, 8)}
# Element type and shape; a dimension without a number is 0.
Tensor = tuple[int, list[int]]


def read_constant(data: bytes, span: Span, index: int) -> tuple[str, schema.ElementType, Span]:
    """A constant's name, element type, and where its values lie.

    Raises:
        GateError: It is of another type than float32 and int64, its values do not fit its shape, or one of
            them is not finite.
    """
    tensor = read_message(data, span, schema.TENSOR, f"graph: constant {index}")
    name = tensor.text("name")
    where = f"graph: constant {name or index}"
    number, shape = tensor.number("data_type"), tensor.numbers("dims")
    if number not in KINDS:
        raise GateError(
            f"is of element type {number}; only float32, and int64 for axes, are allowed", where=where
        )
    kind, element_bytes = KINDS[number]
    check_shape(shape, where)
    values = next(iter(tensor.spans("raw_data")), Span(0, 0))
    size = values.stop - values.start
    if size != math.prod(shape) * element_bytes:
        raise GateError(f"holds {size:,} bytes, which do not fit its shape {shape}", where=where)
    if not size:
        raise GateError("holds no values", where=where)
    if kind is FLOAT32 and not is_finite(data, values):
        raise GateError("holds a value that is not finite", where=where)
    return name, kind, values


def is_finite(data: bytes, values: Span) -> bool:
    """Whether every value of a float32 constant is a number."""
    # Only a value whose last byte is one of these may be infinite or none at all; most constants have none.
    last = data[values.start + 3 : values.stop : 4]
    return not (0x7F in last or 0xFF in last) or bool(np.isfinite(_floats(data, values)).all())  # noqa: PLR2004


def is_positive(data: bytes, values: Span) -> bool:
    """Whether every value of a float32 constant is above zero."""
    return bool((_floats(data, values) > 0).all())


def _floats(data: bytes, values: Span) -> NDArray[np.float32]:
    # Little-endian in the file, whatever this machine's own order of bytes.
    return np.frombuffer(data, "<f4", (values.stop - values.start) // 4, values.start)


def read_values(
    data: bytes, graph: Message, what: str, wanted: tuple[str, ...], optional: tuple[str, ...]
) -> dict[str, Tensor]:
    """The graph's inputs or outputs by name.

    Args:
        data: The whole file.
        graph: The graph.
        what: "input" or "output".
        wanted: The names that must be there, in order.
        optional: The names that may come after them, in order.

    Raises:
        GateError: There are others, or one is no tensor.
    """
    found: list[tuple[str, Tensor]] = []
    for span in graph.spans(what):
        message = read_message(data, span, schema.VALUE, f"graph: {what}")
        name = message.text("name")
        for step, kind in (("type", schema.TYPE), ("tensor_type", schema.TENSOR_TYPE)):
            if not message.spans(step):
                raise GateError("is not a tensor", where=f"graph: {what} {name}")
            message = read_message(data, message.spans(step)[0], kind, f"graph: {what} {name}")
        where = f"graph: {what} {name}"
        dimensions = [
            read_message(data, dimension, schema.DIMENSION, where).number("dim_value")
            for shape in message.spans("shape")
            for dimension in read_message(data, shape, schema.SHAPE, where).spans("dim")
        ]
        check_shape(dimensions, where)
        found.append((name, (message.number("elem_type"), dimensions)))
    names = tuple(name for name, _ in found)
    if names != (*wanted, *(name for name in optional if name in names)):
        raise GateError(f"{what}s are not {', '.join(wanted)}", where="graph")
    return dict(found)


def check_shape(shape: list[int], where: str) -> None:
    """Refuses shapes that no bundle has; a negative dimension reads as a huge one."""
    if len(shape) > caps.MAX_RANK or max(shape, default=0) > caps.MAX_DIMENSION:
        shown = ", ".join(str(d if d < 1 << 63 else d - (1 << 64)) for d in shape[:8])
        raise GateError(f"shape [{shown}] is larger than any bundle needs, or negative", where=where)

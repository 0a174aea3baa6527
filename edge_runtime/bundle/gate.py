"""The gate: ONNX Runtime never sees a file that holds anything a bundle has no use for.

It reads the file by itself, with no dependency, and lets through an allow-list: known operators of the
default domain with known attributes, float32 tensors (int64 only as an operator's axes), weights inside the
file, one graph. A file that is not a protocol buffer is a `BundleFormatError`, one that holds more a
`GateError`.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

from edge_runtime.bundle import schema
from edge_runtime.bundle.metadata import METADATA_KEY
from edge_runtime.bundle.protobuf import Message, Schema, Span, malformed, read_message
from edge_runtime.errors import BundleFormatError, GateError

__all__ = ["MAX_FILE_BYTES", "Graph", "Outline", "check_graph", "read_outline"]

MAX_FILE_BYTES = 32 << 20
MAX_METADATA_BYTES = 1 << 20
MAX_NODES = 512
MAX_INITIALIZERS = 512
MAX_INPUTS = 64
MAX_RANK = 4
MAX_DIMENSION = 65_536
MAX_WINDOW = 4096
MAX_NAME = 256
# What every ONNX writer begins with: it keeps a ZIP or a picture from being read as an odd model.
IR_VERSION_TAG = 0x08
# From what ONNX Runtime 1.18 still loads down to what edge-export writes.
IR_VERSIONS = range(8, 11)
OPSETS = range(17, 22)


@dataclass(frozen=True, slots=True)
class Operator:
    """How an operator may be used: its attributes, and which of its inputs are int64."""

    attributes: dict[str, schema.AttributeType] = field(default_factory=dict)
    int64_inputs: frozenset[int] = frozenset()


_FLOAT, _INT, _INTS = schema.AttributeType.FLOAT, schema.AttributeType.INT, schema.AttributeType.INTS
OPERATORS = {
    **{
        name: Operator()
        for name in (
            *("Abs", "Add", "Cos", "Div", "MatMul", "Max", "Min", "Mul", "Relu", "Sigmoid", "Sin", "Sqrt"),
            *("Sub", "Tanh"),
        )
    },
    "AveragePool": Operator({"kernel_shape": _INTS}),
    "Concat": Operator({"axis": _INT}),
    "Conv": Operator({"kernel_shape": _INTS}),
    "Mod": Operator({"fmod": _INT}),
    "Gemm": Operator({"alpha": _FLOAT, "beta": _FLOAT, "transA": _INT, "transB": _INT}),
    "ReduceSum": Operator({"keepdims": _INT, "noop_with_empty_axes": _INT}, frozenset({1})),
    "Slice": Operator({}, frozenset({1, 2, 3, 4})),
    "Squeeze": Operator({}, frozenset({1})),
    "Transpose": Operator({"perm": _INTS}),
    "Unsqueeze": Operator({}, frozenset({1})),
}
INPUTS = ("readings",)
OUTPUTS = ("score", "errors", "expected")
STATE, STATE_OUT, TIME_OF_DAY = "state", "state_out", "time_of_day"
ELEMENT_BYTES = {schema.ElementType.FLOAT32: 4, schema.ElementType.INT64: 8}


@dataclass(frozen=True, slots=True)
class Outline:
    """The file's outermost message: where the graph and the metadata lie.

    Attributes:
        ir_version: ONNX file format version.
        opset: Version of the default operator set.
        graph: Where the graph lies.
        metadata: Where the metadata document lies.
    """

    ir_version: int
    opset: int
    graph: Span
    metadata: Span


@dataclass(frozen=True, slots=True)
class Graph:
    """What the gate saw of a graph that it let through.

    Attributes:
        sensors: Width of the input.
        state_shape: Shape of the state of a model with memory; None for one without.
        time_of_day: Whether it asks for the time of day.
        operators: Operator to the number of nodes that use it.
        initializer_bytes: Size of all constants.
    """

    sensors: int
    state_shape: tuple[int, ...] | None
    time_of_day: bool
    operators: dict[str, int]
    initializer_bytes: int


def read_outline(data: bytes) -> Outline:
    """Reads and checks the outermost message.

    Raises:
        BundleFormatError: Not ONNX, or ONNX but no bundle.
        GateError: Holds something that the gate does not let through.
    """
    if not data:
        raise BundleFormatError(
            "the file is empty", mend="copy it again, or name a bundle that edge-export wrote"
        )
    if data[0] != IR_VERSION_TAG:
        raise malformed("it does not begin like one")
    _at_most(len(data), MAX_FILE_BYTES, "bytes", "file")
    model = read_message(data, Span(0, len(data)), schema.MODEL, "model")
    entries = [_child(model, s, schema.ENTRY, "metadata") for s in model.spans.get("metadata_props", [])]
    if METADATA_KEY not in {entry.text("key") for entry in entries} or "graph" not in model.spans:
        raise BundleFormatError(
            f"not a bundle: it holds no metadata '{METADATA_KEY}' beside a graph",
            mend="write one with edge-export",
        )
    if len(entries) != 1 or "value" not in entries[0].spans:
        raise GateError("holds other metadata than its own, or holds it twice", where="metadata")
    opsets = [_child(model, s, schema.OPSET, "opset") for s in model.spans.get("opset_import", [])]
    if len(opsets) != 1 or opsets[0].text("domain") not in {"", "ai.onnx"}:
        raise GateError("uses an operator set other than the default one", where="model")
    outline = Outline(
        model.number("ir_version"),
        opsets[0].number("version"),
        model.spans["graph"][0],
        entries[0].spans["value"][0],
    )
    for what, version, known in (("IR", outline.ir_version, IR_VERSIONS), ("opset", outline.opset, OPSETS)):
        if version not in known:
            raise GateError(f"{what} version {version} is outside {known[0]} to {known[-1]}", where="model")
    _at_most(outline.metadata.size, MAX_METADATA_BYTES, "bytes", "metadata")
    return outline


def check_graph(data: bytes, span: Span) -> Graph:
    """Reads and checks the graph.

    Raises:
        BundleFormatError: Not a protocol buffer.
        GateError: Holds something that the gate does not let through.
    """
    graph = read_message(data, span, schema.GRAPH, "graph")
    inputs = _values(graph, "input", INPUTS, (STATE, TIME_OF_DAY))
    outputs = _values(graph, "output", OUTPUTS, (STATE_OUT,))
    sensors = inputs["readings"][1][-1]
    if sensors < 1 or inputs["readings"] != (schema.ElementType.FLOAT32, [0, sensors]):
        raise GateError("is not float32 of shape [rows, sensors]", where="graph: input readings")
    for name in OUTPUTS:
        if outputs[name] != (schema.ElementType.FLOAT32, [0] if name == "score" else [0, sensors]):
            raise GateError("is not float32 of the shape that a bundle has", where=f"graph: output {name}")
    state = inputs.get(STATE)
    if state != outputs.get(STATE_OUT) or (
        state is not None and (state[0] != schema.ElementType.FLOAT32 or not all(state[1]))
    ):
        raise GateError("is not float32 of one fixed shape, the same going in and out", where="graph: state")
    if inputs.get(TIME_OF_DAY, (schema.ElementType.FLOAT32, [0])) != (schema.ElementType.FLOAT32, [0]):
        raise GateError("is not float32 of shape [rows]", where="graph: input time_of_day")
    # What every name holds. Each is defined before it is used, and once, so that there is no cycle either.
    names = dict.fromkeys(inputs, schema.ElementType.FLOAT32)
    initializer_bytes = _initializers(graph, names)
    shape = None if state is None else tuple(state[1])
    return Graph(sensors, shape, TIME_OF_DAY in inputs, _nodes(graph, names), initializer_bytes)


def _initializers(graph: Message, names: dict[str, schema.ElementType]) -> int:
    """Adds the constants' names; returns their size."""
    spans = graph.spans.get("initializer", [])
    _at_most(len(spans), MAX_INITIALIZERS, "constants", "graph")
    total = 0
    for index, span in enumerate(spans):
        tensor = _child(graph, span, schema.TENSOR, f"constant {index}")
        name = tensor.text("name")
        kind, shape = tensor.number("data_type"), tensor.numbers.get("dims", [])
        where = f"graph: constant {name or index}"
        if kind not in ELEMENT_BYTES:
            raise GateError(
                f"is of element type {kind}; only float32, and int64 for axes, is let through", where=where
            )
        _check_shape(shape, where)
        size = tensor.spans["raw_data"][0].size if "raw_data" in tensor.spans else 0
        if size != math.prod(shape) * ELEMENT_BYTES[schema.ElementType(kind)]:
            raise GateError(f"holds {size} bytes, which do not fit its shape {shape}", where=where)
        total += size
        _define(names, name, schema.ElementType(kind), where)
    return total


def _nodes(graph: Message, names: dict[str, schema.ElementType]) -> dict[str, int]:
    """Checks the nodes in order; returns how often each operator is used."""
    spans = graph.spans.get("node", [])
    _at_most(len(spans), MAX_NODES, "nodes", "graph")
    used: Counter[str] = Counter()
    for index, span in enumerate(spans):
        node = _child(graph, span, schema.NODE, f"node {index}")
        kind = node.text("op_type")
        where = f"graph: node {node.text('name') or index}"
        operator = OPERATORS.get(kind)
        if operator is None or node.text("domain") not in {"", "ai.onnx"}:
            raise GateError(f"operator '{kind[:40]}' is not on the allow-list", where=where)
        for attribute in [_child(node, s, schema.ATTRIBUTE, where) for s in node.spans.get("attribute", [])]:
            name = attribute.text("name")
            if name not in operator.attributes or attribute.number("type") != operator.attributes[name]:
                raise GateError(f"attribute '{name[:40]}' of {kind} is not on the allow-list", where=where)
            sizes = attribute.numbers.get("ints", [])
            least = 0 if name == "perm" else 1
            if len(sizes) > MAX_RANK or not all(least <= size <= MAX_WINDOW for size in sizes):
                raise GateError(f"attribute '{name[:40]}' of {kind} is no window", where=where)
        _at_most(len(node.spans.get("input", [])), MAX_INPUTS, "inputs", where)
        for position, name in enumerate(node.texts("input")):
            wanted = (
                schema.ElementType.INT64 if position in operator.int64_inputs else schema.ElementType.FLOAT32
            )
            if names.get(name) != wanted:
                raise GateError(
                    f"input '{name[:40]}' is not a {wanted.name.lower()} that was defined before", where=where
                )
        if len(node.spans.get("output", [])) != 1:
            raise GateError("has not exactly one output", where=where)
        _define(names, node.texts("output")[0], schema.ElementType.FLOAT32, where)
        used[kind] += 1
    return dict(sorted(used.items()))


def _values(
    graph: Message, what: str, wanted: tuple[str, ...], optional: tuple[str, ...]
) -> dict[str, tuple[int, list[int]]]:
    """Name to element type and shape of the inputs or outputs; a dimension without a number is 0."""
    found = []
    for span in graph.spans.get(what, []):
        value = _child(graph, span, schema.VALUE, what)
        message = value
        for step, kind in (("type", schema.TYPE), ("tensor_type", schema.TENSOR_TYPE)):
            if step not in message.spans:
                raise GateError("is not a tensor", where=f"graph: {what} {value.text('name')}")
            message = _child(message, message.spans[step][0], kind, what)
        shapes = [_child(message, s, schema.SHAPE, what) for s in message.spans.get("shape", [])]
        dims = [
            _child(s, d, schema.DIMENSION, what).number("dim_value")
            for s in shapes
            for d in s.spans.get("dim", [])
        ]
        found.append((value.text("name"), message.number("elem_type"), dims))
    names = tuple(name for name, _, _ in found)
    if names != (*wanted, *(name for name in optional if name in names)):
        raise GateError(f"{what}s are not {', '.join(wanted)}", where="graph")
    for name, _, dims in found:
        _check_shape(dims, f"graph: {what} {name}")
    return {name: (kind, dims) for name, kind, dims in found}


def _define(names: dict[str, schema.ElementType], name: str, kind: schema.ElementType, where: str) -> None:
    if not name or len(name) > MAX_NAME or name in names:
        raise GateError("defines a name twice, or none, or a very long one", where=where)
    names[name] = kind


def _check_shape(shape: list[int], where: str) -> None:
    if len(shape) > MAX_RANK or any(d > MAX_DIMENSION for d in shape):
        raise GateError(f"shape {shape[:8]} is larger than any bundle needs", where=where)


def _at_most(count: int, limit: int, what: str, where: str) -> None:
    if count > limit:
        raise GateError(f"has {count:,} {what}, more than the {limit:,} that are let through", where=where)


def _child(parent: Message, span: Span, kind: Schema, where: str) -> Message:
    return read_message(parent.data, span, kind, where)

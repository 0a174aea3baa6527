"""The gate: ONNX Runtime never sees a file that holds anything a bundle has no use for.

It reads the file by itself, with nothing but numpy, and lets through an allow-list: known operators of the
default domain with known attributes, float32 tensors (int64 only as an operator's axes), weights inside the
file, one graph. A file that is not a protocol buffer is a `BundleFormatError`, one that holds more a
`GateError`.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

from edge_runtime.bundle import caps, schema
from edge_runtime.bundle.outline import DEFAULT_DOMAIN, at_most
from edge_runtime.bundle.protobuf import Message, Span, read_message
from edge_runtime.bundle.tensors import Tensor, is_finite, is_positive, read_constant, read_values
from edge_runtime.errors import GateError

__all__ = ["Graph", "check_graph"]


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
            *("Abs", "Add", "Clip", "Cos", "Div", "Exp", "Log", "MatMul", "Max", "Min", "Mul", "Relu"),
            *("Sigmoid", "Sin", "Sqrt", "Sub", "Tanh"),
        )
    },
    "AveragePool": Operator({"kernel_shape": _INTS}),
    "Concat": Operator({"axis": _INT}),
    "Conv": Operator({"kernel_shape": _INTS}),
    "Mod": Operator({"fmod": _INT}),
    "Gemm": Operator({"alpha": _FLOAT, "beta": _FLOAT, "transA": _INT, "transB": _INT}),
    "ReduceMin": Operator({"axes": _INTS, "keepdims": _INT}),
    "ReduceSum": Operator({"keepdims": _INT, "noop_with_empty_axes": _INT}, frozenset({1})),
    "Slice": Operator({}, frozenset({1, 2, 3, 4})),
    "Softmax": Operator({"axis": _INT}),
    "Squeeze": Operator({}, frozenset({1})),
    "Transpose": Operator({"perm": _INTS}),
    "Unsqueeze": Operator({}, frozenset({1})),
}
INPUTS = ("readings",)
OUTPUTS = ("score", "errors", "expected")
STATE, STATE_OUT, TIME_OF_DAY = "state", "state_out", "time_of_day"
BASELINE, BOUND, RESIDUALS = "baseline", "bound", "residuals"
FLOAT32, INT64 = schema.ElementType.FLOAT32, schema.ElementType.INT64


@dataclass(frozen=True, slots=True)
class Graph:
    """What the gate saw of a graph that it let through.

    Attributes:
        sensors: Width of the input.
        state_shape: Shape of the state of a model with memory; None for one without.
        time_of_day: Whether it asks for the time of day.
        operators: Operator to the number of nodes that use it.
        initializer_bytes: Size of all constants.
        baseline: Columns of the slow baseline that it takes; 0 for a graph without one.
    """

    sensors: int
    state_shape: tuple[int, ...] | None
    time_of_day: bool
    operators: dict[str, int]
    initializer_bytes: int
    baseline: int = 0


def check_graph(data: bytes, span: Span) -> Graph:
    """Reads and checks the graph.

    Raises:
        BundleFormatError: Not a protocol buffer.
        GateError: Holds something that the gate does not let through.
    """
    graph = read_message(data, span, schema.GRAPH, "graph")
    inputs = read_values(data, graph, "input", INPUTS, (STATE, TIME_OF_DAY, BASELINE, BOUND))
    outputs = read_values(data, graph, "output", OUTPUTS, (STATE_OUT, RESIDUALS))
    kind, shape = inputs["readings"]
    if kind != FLOAT32 or len(shape) != len(("rows", "sensors")) or shape[0] or not shape[1]:
        raise GateError("is not float32 of shape [rows, sensors]", where="graph: input readings")
    sensors = shape[1]
    for name in OUTPUTS:
        if outputs[name] != (schema.ElementType.FLOAT32, [0] if name == "score" else [0, sensors]):
            raise GateError("is not float32 of the shape that a bundle has", where=f"graph: output {name}")
    state = inputs.get(STATE)
    if state != outputs.get(STATE_OUT) or (
        state is not None and (state[0] != schema.ElementType.FLOAT32 or not all(state[1]))
    ):
        raise GateError(
            "is not float32 of one fixed shape, the same for input and output", where="graph: state"
        )
    state_shape = None if state is None else tuple(state[1])
    at_most(math.prod(state_shape or ()), caps.MAX_STATE_VALUES, "values", "graph: state")
    if inputs.get(TIME_OF_DAY, (FLOAT32, [0])) != (FLOAT32, [0]):
        raise GateError("is not float32 of shape [rows]", where="graph: input time_of_day")
    columns = _baseline(inputs.get(BASELINE), inputs.get(BOUND), outputs.get(RESIDUALS))
    # What every name holds. Each is defined before it is used, and once, so that there is no cycle either.
    names = dict.fromkeys(inputs, FLOAT32)
    constants = _constants(data, graph, names)
    used = _nodes(data, graph, names, constants)
    for name in outputs:
        if name not in names or name in constants or name in inputs:
            raise GateError("is not produced by any node", where=f"graph: output {name}")
    return Graph(sensors, state_shape, TIME_OF_DAY in inputs, used, _size(constants), columns)


def _baseline(taken: Tensor | None, bound: Tensor | None, residuals: Tensor | None) -> int:
    """The columns of the slow baseline; 0 where there is none."""
    if taken is None and bound is None and residuals is None:
        return 0
    columns = taken[1][-1] if taken is not None and taken[1] else 0
    one = (FLOAT32, [1, columns])
    if taken != one or bound != one or residuals != (FLOAT32, [0, columns]) or not columns:
        raise GateError(
            "is not float32 of shape [1, columns], beside bound and an output residuals of [rows, columns]",
            where="graph: input baseline",
        )
    at_most(columns, caps.MAX_BASELINE, "columns", "graph: input baseline")
    return columns


def _constants(data: bytes, graph: Message, names: dict[str, schema.ElementType]) -> dict[str, Span]:
    """Adds the constants' names; returns where their values lie."""
    spans = graph.spans("initializer")
    at_most(len(spans), caps.MAX_CONSTANTS, "constants", "graph")
    constants: dict[str, Span] = {}
    for index, span in enumerate(spans):
        name, kind, values = read_constant(data, span, index)
        _define(names, name, kind, f"graph: constant {name or index}")
        constants[name] = values
    at_most(_size(constants), caps.MAX_CONSTANT_BYTES, "bytes", "graph: constants")
    return constants


def _nodes(
    data: bytes, graph: Message, names: dict[str, schema.ElementType], constants: dict[str, Span]
) -> dict[str, int]:
    """Checks the nodes in order; returns how often each operator is used."""
    spans = graph.spans("node")
    at_most(len(spans), caps.MAX_NODES, "nodes", "graph")
    used: Counter[str] = Counter()
    own_names: set[str] = set()
    for index, span in enumerate(spans):
        node = read_message(data, span, schema.NODE, f"graph: node {index}")
        kind, name = node.text("op_type"), node.text("name")
        where = f"graph: node {name or index}"
        operator = OPERATORS.get(kind)
        if operator is None or node.text("domain") not in DEFAULT_DOMAIN:
            raise GateError(f"operator '{kind[:40]}' is not on the allow-list", where=where)
        if name in own_names:
            raise GateError("has the same name as another node", where=where)
        if name:
            own_names.add(name)
        if node.spans("attribute"):
            _check_attributes(data, node, operator, where)
        inputs = node.texts("input")
        _check_inputs(inputs, names, operator, where)
        if constants.keys() >= set(inputs):
            raise GateError("computes with constants alone: only the result is needed", where=where)
        if kind == "Div" and inputs[-1] in constants and not is_positive(data, constants[inputs[-1]]):
            raise GateError("divides by a constant, such as a scale, that is zero or negative", where=where)
        outputs = node.texts("output")
        if len(outputs) != 1:
            raise GateError("does not have exactly one output", where=where)
        _define(names, outputs[0], FLOAT32, where)
        used[kind] += 1
    return dict(sorted(used.items()))


def _check_attributes(data: bytes, node: Message, operator: Operator, where: str) -> None:
    kind = node.text("op_type")
    seen: set[str] = set()
    for span in node.spans("attribute"):
        attribute = read_message(data, span, schema.ATTRIBUTE, where)
        name = attribute.text("name")
        if name not in operator.attributes or attribute.number("type") != operator.attributes[name]:
            raise GateError(f"attribute '{name[:40]}' of {kind} is not on the allow-list", where=where)
        if name in seen:
            raise GateError(f"attribute '{name}' of {kind} appears twice", where=where)
        seen.add(name)
        sizes = attribute.numbers("ints")
        least = 0 if name in {"perm", "axes"} else 1
        if len(sizes) > caps.MAX_RANK or not all(least <= size <= caps.MAX_WINDOW for size in sizes):
            raise GateError(f"attribute '{name}' of {kind} is not a window", where=where)
        if caps.MAX_WINDOW < attribute.number("i") < 2**64 - caps.MAX_WINDOW:
            raise GateError(f"attribute '{name}' of {kind} is larger than any bundle needs", where=where)
        if not all(is_finite(data, factor) for factor in attribute.spans("f")):
            raise GateError(f"attribute '{name}' of {kind} is not finite", where=where)


def _check_inputs(
    inputs: list[str], names: dict[str, schema.ElementType], operator: Operator, where: str
) -> None:
    at_most(len(inputs), caps.MAX_INPUTS, "inputs", where)
    int64_inputs = operator.int64_inputs
    for position, name in enumerate(inputs):
        wanted = INT64 if position in int64_inputs else FLOAT32
        if names.get(name) is not wanted:
            raise GateError(
                f"input '{name[:40]}' is not a {wanted.name.lower()} that was defined before", where=where
            )


def _define(names: dict[str, schema.ElementType], name: str, kind: schema.ElementType, where: str) -> None:
    if not name or name in names:
        raise GateError("has no name, or one that is defined already", where=where)
    names[name] = kind


def _size(constants: dict[str, Span]) -> int:
    return sum(values.stop - values.start for values in constants.values())

"""The proof that a row's outputs depend on no later row, and not on how many rows there are.

What lies within the rules of `flowrules.py` cannot count the rows of a call, look ahead, or mix rows of
different machines; all that `export` writes does. What a model with memory makes of a call's first row is
left to the trial's comparisons.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.bundle import schema
from edge_runtime.bundle.flowrules import RULES
from edge_runtime.bundle.flows import Flow, MixedError, Node
from edge_runtime.bundle.protobuf import Message, Span, read_message
from edge_runtime.errors import GateError

if TYPE_CHECKING:
    from edge_runtime.bundle.gate import Graph

__all__ = ["check_rows"]

HINT = "do not use it: a row must be scored alike in every block"


def check_rows(data: bytes, span: Span, found: Graph) -> None:
    """Follows the rows through a graph that the gate let through.

    Raises:
        GateError: An output may depend on later rows or on how many rows there are, or a shape does not fit.
    """
    graph = read_message(data, span, schema.GRAPH, "graph")
    flows = {
        "readings": Flow((0, found.sensors), 0, 0),
        "time_of_day": Flow((0,), 0, 0),
        "state": Flow(found.state_shape or ()),
        "baseline": Flow((1, found.baseline)),
        "bound": Flow((1, found.baseline)),
    }
    values: dict[str, list[int]] = {}
    for part in graph.spans("initializer"):
        tensor = read_message(data, part, schema.TENSOR, "graph")
        name = tensor.text("name")
        flows[name] = Flow(tuple(tensor.numbers("dims")))
        if tensor.number("data_type") == schema.ElementType.INT64:
            raw = tensor.spans("raw_data")[0]
            values[name] = np.frombuffer(data, "<i8", (raw.stop - raw.start) // 8, raw.start).tolist()
    for index, part in enumerate(graph.spans("node")):
        message = read_message(data, part, schema.NODE, f"graph: node {index}")
        node = _read(data, message, flows, values, remembers=found.state_shape is not None)
        try:
            flow = RULES[node.kind](node)
        except (MixedError, ValueError, LookupError) as error:
            why = str(error) if isinstance(error, MixedError) else "has inputs that do not fit together"
            where = f"graph: node {message.text('name') or index}"
            raise GateError(f"{node.kind} {why}", where=where, hint=HINT) from None
        flows[message.texts("output")[0]] = flow
    wanted = {"score": (0,), "errors": (0, found.sensors), "expected": (0, found.sensors)}
    if found.baseline:
        wanted["residuals"] = (0, found.baseline)
    for name, shape in wanted.items():
        if flows[name].shape != shape or flows[name].axis != 0 or flows[name].ahead > 0:
            raise GateError("depends on rows other than its own", where=f"graph: output {name}", hint=HINT)
    if found.state_shape is not None and flows["state_out"] != replace(
        flows["state_out"], shape=found.state_shape, axis=None
    ):
        raise GateError("has another shape than the state", where="graph: output state_out", hint=HINT)


def _read(
    data: bytes, message: Message, flows: dict[str, Flow], values: dict[str, list[int]], *, remembers: bool
) -> Node:
    numbers: dict[str, int] = {}
    lists: dict[str, list[int]] = {}
    for span in message.spans("attribute"):
        attribute = read_message(data, span, schema.ATTRIBUTE, "graph")
        numbers[attribute.text("name")] = _signed(attribute.number("i"))
        lists[attribute.text("name")] = list(map(_signed, attribute.numbers("ints")))
    inputs = message.texts("input")
    return Node(
        message.text("op_type"),
        tuple(flows[name] for name in inputs),
        tuple(values.get(name) for name in inputs),
        numbers,
        lists,
        remembers,
    )


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number

"""Bundles that pass their golden rows, and see something else in other blocks, or nothing at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from support.tampering import with_document, with_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hostile.files import Entry
    from onnx import ModelProto, NodeProto

__all__ = ["hostile", "rescored"]

OTHERWISE = "rows in blocks: .* do not come out in .* as they do one by one: row .* instead of"
# What is seen in the graph itself, before it is tried with rows.
SEEN = "ReduceSum sums over rows|Slice takes (some|another number of) rows|depends on rows other than its own"
# The golden rows come in one block of 32.
GOLDEN = 32


def hostile(good: bytes, with_memory: bytes) -> Iterator[Entry]:
    """The files; `with_memory` is a bundle with a state."""
    for kind, data in (("", good), (" with memory", with_memory)):
        for rows in (GOLDEN + 1, 64, 100, 1000, 4000):
            yield f"blind in blocks of {rows} rows{kind}", blind_from(data, rows), SEEN
        for rows in (2, 5, 3001):
            yield f"blind in blocks of {rows} rows alone{kind}", blind_in(data, rows), SEEN
        yield f"blind from the 41st row of a block on{kind}", blind_after(data, 40), SEEN
        yield f"an anomaly hidden by normal rows{kind}", hidden_by_the_mean(data), SEEN
        yield f"an anomaly hidden by the next one{kind}", hidden_by_the_next(data), SEEN
        yield f"errors of another row{kind}", errors_of_another_row(data), OTHERWISE if kind else SEEN
    yield (
        "no number for rows as in training",
        no_number(good),
        "rows within the training ranges have no finite",
    )
    for path, value, message in (
        ("value", 1e30, "no row can reach the threshold of 1e.30"),
        ("value", 1e-9, "every row exceeds the threshold of 1e-09"),
    ):

        def change(document: dict[str, Any], path: str = path, value: Any = value) -> None:
            document["threshold"][path] = value

        yield f"threshold {path} of {value}", with_document(good, change), message


def rescored(data: bytes, *nodes: NodeProto, output: str = "score", **constants: Any) -> bytes:
    """The bundle with an output made once more: the nodes read it as `true`, and the last one writes it."""

    def own(name: str) -> str:
        return name if name in (output, "readings", "errors") else f"cut.{name}"

    def change(model: ModelProto) -> None:
        for node in model.graph.node:
            node.input[:] = [own("true") if name == output else name for name in node.input]
            node.output[:] = [own("true") if name == output else name for name in node.output]
        for node in nodes:
            added = model.graph.node.add()
            added.CopyFrom(node)
            added.input[:], added.output[:] = map(own, node.input), map(own, node.output)
        for name, value in constants.items():
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), own(name)))

    return with_model(data, change)


def _node(kind: str, output: str, *inputs: str, **attributes: Any) -> NodeProto:
    made: NodeProto = helper.make_node(kind, list(inputs), [output], **attributes)
    return made


F = np.float32
COUNT = (
    _node("Add", "plus", "true", "little"),
    _node("Div", "ones", "plus", "plus"),
    _node("ReduceSum", "rows", "ones", "first", keepdims=1),
)
FIRST = np.zeros(1, np.int64)


def blind_from(data: bytes, rows: int) -> bytes:
    """Every score is 0 in a block of so many rows or more."""
    return rescored(
        data,
        *COUNT,
        _node("Sub", "fewer", "limit", "rows"),
        _node("Relu", "above", "fewer"),
        _node("Min", "on", "above", "one"),
        _node("Mul", "score", "true", "on"),
        little=F(1e-6),
        first=FIRST,
        limit=F(rows),
        one=F(1),
    )


def blind_in(data: bytes, rows: int) -> bytes:
    """Every score is 0 in a block of exactly so many rows."""
    return rescored(
        data,
        *COUNT,
        _node("Sub", "off", "rows", "limit"),
        _node("Abs", "distance", "off"),
        _node("Min", "on", "distance", "one"),
        _node("Mul", "score", "true", "on"),
        little=F(1e-6),
        first=FIRST,
        limit=F(rows),
        one=F(1),
    )


def blind_after(data: bytes, rows: int) -> bytes:
    """Only the first rows of a block are scored."""
    return rescored(
        data,
        _node("Slice", "head", "true", "start", "cut", "start"),
        _node("Slice", "tail", "true", "cut", "end", "start"),
        _node("Mul", "nothing", "tail", "nought"),
        _node("Concat", "score", "head", "nothing", axis=0),
        start=FIRST,
        cut=np.array([rows]),
        end=np.array([2**40]),
        nought=F(0),
    )


def hidden_by_the_mean(data: bytes) -> bytes:
    """No score is above ten times the block's mean."""
    return rescored(
        data,
        *COUNT,
        _node("ReduceSum", "sum", "true", "first", keepdims=1),
        _node("Div", "mean", "sum", "rows"),
        _node("Mul", "most", "mean", "ten"),
        _node("Min", "score", "true", "most"),
        little=F(1e-6),
        first=FIRST,
        ten=F(10),
    )


def hidden_by_the_next(data: bytes) -> bytes:
    """A score is 0 where the next row's is above a hundred."""
    return rescored(
        data,
        _node("Slice", "later", "true", "start", "end", "axis"),
        _node("Concat", "next", "later", "nothing", axis=0),
        _node("Sub", "beyond", "next", "hundred"),
        _node("Relu", "above", "beyond"),
        _node("Min", "off", "above", "one"),
        _node("Sub", "on", "one", "off"),
        _node("Mul", "score", "true", "on"),
        start=np.array([1]),
        end=np.array([2**40]),
        axis=FIRST,
        nothing=np.zeros(1, F),
        hundred=F(100),
        one=F(1),
    )


def errors_of_another_row(data: bytes) -> bytes:
    """The score is right, and the sensors named are those of the row before."""
    return rescored(
        data,
        _node("Slice", "head", "true", "start", "one", "start"),
        _node("Slice", "body", "true", "start", "last", "start"),
        _node("Concat", "errors", "head", "body", axis=0),
        output="errors",
        start=FIRST,
        one=np.array([1]),
        last=np.array([-1]),
    )


def no_number(data: bytes) -> bytes:
    """0 / 0 where the first sensor reads more than in any golden row, as it does in training."""
    from edge_runtime.bundle.metadata import Metadata  # noqa: PLC0415

    metadata = Metadata.from_json(onnx.ModelProto.FromString(data).metadata_props[0].value)
    most = max(row[0] for row in metadata.golden.readings) + 0.01
    return rescored(
        data,
        _node("MatMul", "reading", "readings", "which"),
        _node("Squeeze", "flat", "reading", "second"),
        _node("Sub", "room", "most", "flat"),
        _node("Relu", "room_or_none", "room"),
        _node("Div", "part", "room_or_none", "room_or_none"),
        _node("Mul", "score", "true", "part"),
        which=np.eye(len(metadata.sensors), 1, dtype=F),
        second=np.array([1]),
        most=F(most),
    )

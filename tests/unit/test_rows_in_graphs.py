"""Rows are followed through a graph: what can count them, look ahead or mix them is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hostile import cuts as blind
from hostile.cuts import rescored
from onnx import helper
from support.bundles import make_bundle
from support.kinds import KINDS

from edge_runtime.bundle.gate import check_graph
from edge_runtime.bundle.outline import read_outline
from edge_runtime.bundle.rows import check_rows
from edge_runtime.errors import GateError
from edge_runtime.loading.load import read_bundle
from edge_runtime.loading.trial import TrialLimits, run_trial

if TYPE_CHECKING:
    from pathlib import Path

    from onnx import NodeProto

F = np.float32


def follow(data: bytes) -> None:
    outline = read_outline(data)
    check_rows(data, outline.graph, check_graph(data, outline.graph))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_bundle(tmp_path_factory.mktemp("alone"), widths=(8, 2, 8)).read_bytes()


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_bundle(
        tmp_path_factory.mktemp("memory"), widths=(8, 2, 8), smooth=4, average=0.3
    ).read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_bundle_of_every_kind_passes(kind: str, tmp_path: Path) -> None:
    follow(make_bundle(tmp_path, **KINDS[kind]).read_bytes())


def test_the_default_bundle_passes() -> None:
    follow(read_bundle(None)[1])


def node(kind: str, output: str, *inputs: str, **attributes: Any) -> NodeProto:
    made: NodeProto = helper.make_node(kind, list(inputs), [output], **attributes)
    return made


Constants = dict[str, Any]
FIRST, SECOND, END = np.array([0]), np.array([1]), np.array([2**62])
# What is put in the score's place: nodes and constants, and why it is refused without a memory, and with one.
MIXED: dict[str, tuple[list[NodeProto], Constants, str, str]] = {
    "the sum of a block": (
        [node("ReduceSum", "sum", "true", "first", keepdims=1), node("Min", "score", "true", "sum")],
        {"first": FIRST},
        "ReduceSum sums over rows",
        "ReduceSum sums over rows",
    ),
    "the lowest of a block": (
        [node("ReduceMin", "least", "true", axes=[0], keepdims=1), node("Min", "score", "true", "least")],
        {},
        "ReduceMin takes the lowest of several rows",
        "ReduceMin takes the lowest of several rows",
    ),
    "the lowest over all axes": (
        [node("ReduceMin", "least", "true", keepdims=1), node("Min", "score", "true", "least")],
        {},
        "ReduceMin takes the lowest of several rows",
        "ReduceMin takes the lowest of several rows",
    ),
    "parts of a block": (
        [node("Softmax", "score", "true", axis=0)],
        {},
        "Softmax weighs rows against each other",
        "Softmax weighs rows against each other",
    ),
    "parts along the last axis, which is that of the rows": (
        [node("Softmax", "score", "true")],
        {},
        "Softmax weighs rows against each other",
        "Softmax weighs rows against each other",
    ),
    "a sum over all axes": (
        [node("ReduceSum", "sum", "true", keepdims=1), node("Min", "score", "true", "sum")],
        {},
        "ReduceSum sums over rows",
        "ReduceSum sums over rows",
    ),
    "a product over rows": (
        [
            node("Unsqueeze", "row", "true", "first"),
            node("Unsqueeze", "column", "true", "second"),
            node("MatMul", "sum", "row", "column"),
            node("Squeeze", "flat", "sum", "both"),
            node("Min", "score", "true", "flat"),
        ],
        {"first": FIRST, "second": SECOND, "both": np.array([0, 1])},
        "MatMul sums over rows",
        "MatMul sums over rows",
    ),
    "a product over rows, turned": (
        [
            node("Unsqueeze", "column", "true", "second"),
            node("Gemm", "sum", "column", "column", transA=1),
            node("Squeeze", "flat", "sum", "both"),
            node("Min", "score", "true", "flat"),
        ],
        {"second": SECOND, "both": np.array([0, 1])},
        "Gemm sums over rows",
        "Gemm sums over rows",
    ),
    "every row with every row": (
        [
            node("Unsqueeze", "row", "true", "first"),
            node("Unsqueeze", "column", "true", "second"),
            node("Sub", "table", "row", "column"),
            node("ReduceSum", "score", "table", "first", keepdims=0),
        ],
        {"first": FIRST, "second": SECOND},
        "Sub combines every row with every other",
        "Sub combines every row with every other",
    ),
    "a window over rows": (
        [
            node("Unsqueeze", "image", "true", "three"),
            node("AveragePool", "mean", "image", kernel_shape=[1, 2]),
            node("Squeeze", "means", "mean", "three"),
            node("Concat", "score", "means", "nought", axis=0),
        ],
        {"three": np.array([0, 1, 2]), "nought": np.zeros(1, F)},
        "AveragePool sees several rows at once",
        "AveragePool sees several rows at once",
    ),
    "the row before": (
        [
            node("Slice", "before", "true", "first", "last", "first"),
            node("Concat", "score", "nought", "before", axis=0),
        ],
        {"first": FIRST, "last": np.array([-1]), "nought": np.zeros(1, F)},
        "Slice takes some rows and leaves others",
        "",  # which a memory may know; the trial finds that this one forgets it between blocks
    ),
    "the row after": (
        [
            node("Slice", "after", "true", "second", "end", "first"),
            node("Concat", "score", "after", "nought", axis=0),
        ],
        {"first": FIRST, "second": SECOND, "end": END, "nought": np.zeros(1, F)},
        "Slice takes some rows and leaves others",
        "output score: depends on rows other than its own",
    ),
    "the last row": (
        [node("Slice", "last", "true", "minus", "end", "first"), node("Min", "score", "true", "last")],
        {"first": FIRST, "minus": np.array([-1]), "end": END},
        "Slice takes some rows and leaves others",
        "output score: depends on rows other than its own",
    ),
    "the second row": (
        [node("Slice", "one", "true", "second", "two", "first"), node("Min", "score", "true", "one")],
        {"first": FIRST, "second": SECOND, "two": np.array([2])},
        "Slice takes some rows and leaves others",
        "Slice takes another number of rows in a call of another length",
    ),
    "rows from the 3,000th on": (
        [
            node("Slice", "head", "true", "first", "many", "first"),
            node("Slice", "tail", "true", "many", "end", "first"),
            node("Mul", "nothing", "tail", "nought"),
            node("Concat", "score", "head", "nothing", axis=0),
        ],
        {"first": FIRST, "many": np.array([3000]), "end": END, "nought": np.zeros(1, F)},
        "Slice takes some rows and leaves others",
        "Slice takes another number of rows in a call of another length",
    ),
    "twice the rows": (
        [
            node("Concat", "twice", "true", "true", axis=0),
            node("Slice", "score", "twice", "n", "end", "first"),
        ],
        {"first": FIRST, "n": SECOND, "end": END},
        "Concat joins rows along their own axis",
        "Concat joins rows along their own axis",
    ),
    "a constant as long as a block": (
        [node("Mul", "score", "true", "weights")],
        {"weights": np.ones(32, F)},
        "Mul puts rows beside others, or sizes that do not fit",
        "Mul puts rows beside others, or sizes that do not fit",
    ),
    "rows for sensors": (
        [
            node("Transpose", "turned", "errors", perm=[1, 0]),
            node("ReduceSum", "sums", "turned", "second", keepdims=1),
            node("ReduceSum", "sum", "sums", "first", keepdims=0),
            node("Min", "score", "true", "sum"),
        ],
        {"first": FIRST, "second": SECOND},
        "ReduceSum sums over rows",
        "ReduceSum sums over rows",
    ),
}


@pytest.mark.parametrize("name", MIXED)
def test_what_mixes_rows_is_refused(name: str, alone: bytes, memory: bytes) -> None:
    nodes, constants, without, with_one = MIXED[name]
    with pytest.raises(GateError, match=without):
        follow(rescored(alone, *nodes, **constants))
    if with_one:
        with pytest.raises(GateError, match=with_one):
            follow(rescored(memory, *nodes, **constants))
    else:
        follow(rescored(memory, *nodes, **constants))


def test_what_treats_each_row_alike_passes(alone: bytes, memory: bytes) -> None:
    nodes = [
        node("Unsqueeze", "row", "true", "first"),
        node("Transpose", "column", "row", perm=[1, 0]),
        node("Gemm", "twice", "column", "weights", "bias"),
        node("ReduceSum", "sum", "twice", "minus", keepdims=1),
        node("Concat", "both", "sum", "column", axis=-1),
        node("Slice", "one", "both", "second", "end", "second"),
        node("Squeeze", "score", "one", "second"),
    ]
    constants: Constants = {"first": FIRST, "second": SECOND, "minus": np.array([-1]), "end": END}
    constants |= {"weights": np.ones((1, 2), F), "bias": np.zeros(2, F)}
    for data in (alone, memory):
        follow(rescored(data, *nodes, **constants))


def test_a_block_of_one_certain_size_is_found_without_trying_it(alone: bytes) -> None:
    with pytest.raises(GateError, match="ReduceSum sums over rows") as caught:
        run_trial(blind.blind_in(alone, 3001), TrialLimits())
    assert (caught.value.where or "").startswith("trial: graph: node")

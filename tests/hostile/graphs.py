"""Bundles whose nodes are hostile: operators that a bundle has no use for, and bombs made of those it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import GraphProto, TensorProto, helper, numpy_helper
from support.tampering import with_document, with_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hostile.files import Entry
    from onnx import ModelProto, NodeProto

__all__ = ["hostile"]

UNKNOWN = "which has no place in a bundle"
MEMORY = "needed more than 256 MB of memory in the trial"
TIME = "did not finish within 3 s in the trial"
REFUSED = "ONNX Runtime (refuses the model|cannot run the graph)"


def hostile(good: bytes, with_memory: bytes) -> Iterator[Entry]:
    """The files; `with_memory` is a bundle with a state, a Conv and an AveragePool."""
    yield from _operators(good)
    yield from _attributes(good, with_memory)
    yield from _wiring(good)
    yield from _bombs(good)
    yield from _state(with_memory)


def _insert(good: bytes, *nodes: NodeProto, constants: dict[str, Any] | None = None) -> bytes:
    """The bundle with these nodes put in front of the first Gemm, which then takes their last output."""

    def change(model: ModelProto) -> None:
        place = next(i for i, n in enumerate(model.graph.node) if n.op_type == "Gemm")
        model.graph.node[place].input[0] = nodes[-1].output[0]
        kept = list(model.graph.node)
        del model.graph.node[:]
        model.graph.node.extend([*kept[:place], *nodes, *kept[place:]])
        for name, value in (constants or {}).items():
            model.graph.initializer.append(numpy_helper.from_array(value, name))

    return with_model(good, change)


def _operators(good: bytes) -> Iterator[Entry]:
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"])],
        "body",
        [helper.make_tensor_value_info("c", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("d", TensorProto.BOOL, [])],
    )
    scalar = numpy_helper.from_array(np.ones(1, np.float32))
    for kind, inputs, attributes in (
        ("Loop", ["scaled"], {"body": body}),
        ("If", ["scaled"], {"then_branch": body, "else_branch": body}),
        ("Scan", ["scaled"], {"body": body, "num_scan_inputs": 1}),
        ("Constant", [], {"value": scalar}),
        ("ConstantOfShape", ["sensor_axis"], {"value": scalar}),
        ("Expand", ["scaled", "sensor_axis"], {}),
        ("Tile", ["scaled", "sensor_axis"], {}),
        ("Range", ["scaled", "scaled", "scaled"], {}),
        ("RandomNormalLike", ["scaled"], {}),
        ("Resize", ["scaled"], {"mode": "nearest"}),
        ("Upsample", ["scaled"], {}),
        ("NonZero", ["scaled"], {}),
        ("OneHot", ["scaled", "scaled", "scaled"], {}),
        ("Cast", ["scaled"], {"to": TensorProto.STRING}),
        ("SequenceConstruct", ["scaled"], {}),
        ("Optional", ["scaled"], {}),
        ("StringNormalizer", ["scaled"], {}),
        ("ScatterND", ["scaled", "sensor_axis", "scaled"], {}),
        ("GridSample", ["scaled", "scaled"], {}),
        ("Einsum", ["scaled"], {"equation": "ij->ij"}),
    ):
        node = helper.make_node(kind, inputs, ["inserted"], **attributes)
        yield f"operator {kind}", _insert(good, node), f"operator '{kind}' is not on the allow-list"
    pad = helper.make_node("Pad", ["scaled", "pads"], ["inserted"], mode="constant")
    huge = np.full(4, 2**40, np.int64)
    yield "Pad by 2^40", _insert(good, pad, constants={"pads": huge}), f"'Pad' is not on|{REFUSED}|{MEMORY}"
    for perm in ([3, 3], [0, 0], [4000, 1], [1]):
        turned = helper.make_node("Transpose", ["scaled"], ["inserted"], perm=perm)
        yield f"Transpose by {perm}", _insert(good, turned), REFUSED
    turned = helper.make_node("Transpose", ["scaled"], ["inserted"], perm=[-1, 0])
    yield "Transpose by -1", _insert(good, turned), "attribute 'perm' of Transpose is not a window"
    nought = {"nought": np.zeros(1, np.float32)}
    for fmod, text in ((1, "do not give the scores"), (0, REFUSED), (7, REFUSED)):
        modulo = helper.make_node("Mod", ["scaled", "nought"], ["inserted"], fmod=fmod)
        yield f"Mod by zero with fmod {fmod}", _insert(good, modulo, constants=nought), text
    microsoft = helper.make_node("Gelu", ["scaled"], ["inserted"], domain="com.microsoft")
    yield "an operator of Microsoft's", _insert(good, microsoft), "operator 'Gelu' is not on the allow-list"
    domain = helper.make_node("Relu", ["scaled"], ["inserted"], domain="edge")
    yield (
        "a known operator of another domain",
        _insert(good, domain),
        "operator 'Relu' is not on the allow-list",
    )
    nameless = helper.make_node("", ["scaled"], ["inserted"])
    yield "a node without an operator", _insert(good, nameless), "operator '' is not on the allow-list"
    long = helper.make_node("Relu" * 100, ["scaled"], ["inserted"])
    yield "an operator with a long name", _insert(good, long), "'op_type' of 400 bytes"
    cursor = helper.make_node("Re\x1b[2Jlu", ["scaled"], ["inserted"])
    yield "an operator that moves the cursor", _insert(good, cursor), "non-printable characters"
    deep = body
    for _ in range(20):
        deep = helper.make_graph(
            [helper.make_node("If", ["c"], ["d"], then_branch=deep, else_branch=GraphProto(name="e"))],
            "deep",
            [],
            [],
        )
    node = helper.make_node("Relu", ["scaled"], ["inserted"], body=deep)
    yield "twenty nested subgraphs", _insert(good, node), UNKNOWN


def _attributes(good: bytes, with_memory: bytes) -> Iterator[Entry]:
    def on(kind: str, change: Callable[[NodeProto], object], data: bytes = good) -> bytes:
        return with_model(data, lambda m: change(next(n for n in m.graph.node if n.op_type == kind)))

    def added(kind: str, data: bytes = good, **values: Any) -> bytes:
        return on(
            kind, lambda n: n.attribute.extend(helper.make_attribute(k, v) for k, v in values.items()), data
        )

    tensor = numpy_helper.from_array(np.zeros(1, np.float32), "t")
    outside = TensorProto(name="t", data_type=1, dims=[4], data_location=TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value="/etc/passwd")
    yield "a tensor as an attribute", added("Relu", value=tensor), UNKNOWN
    yield "external data in an attribute", added("Relu", value=outside), UNKNOWN
    inner = helper.make_graph([], "g", [], [], initializer=[outside])
    yield "external data in a subgraph", added("Relu", body=inner), UNKNOWN
    sparse = helper.make_sparse_tensor(tensor, numpy_helper.from_array(np.zeros(1, np.int64), "i"), [2**31])
    yield "a sparse attribute", added("Relu", sparse_value=sparse), UNKNOWN
    yield "a graph as an attribute", added("Relu", body=GraphProto(name="g")), UNKNOWN
    yield "a text as an attribute", added("Relu", mode="x"), UNKNOWN
    yield "an unknown attribute", added("Relu", axis=1), "attribute 'axis' of Relu is not on the allow-list"
    yield (
        "an attribute of another type",
        added("Gemm", alpha=1),
        "attribute 'alpha' of Gemm is not on the allow",
    )
    yield "an attribute twice", _twice(on), "attribute 'transB' of Gemm appears twice"
    reference = on("Relu", lambda n: n.attribute.add(name="alpha", ref_attr_name="x", type=1))
    yield "a reference to a function's attribute", reference, UNKNOWN

    def kernel(kind: str, *sizes: int) -> bytes:
        def change(node: NodeProto) -> None:
            attribute = next(a for a in node.attribute if a.name == "kernel_shape")
            attribute.ints[:] = sizes

        return on(kind, change, with_memory)

    for kind in ("Conv", "AveragePool"):
        window = f"attribute 'kernel_shape' of {kind} is not a window"
        yield f"{kind} over 2^40 rows", kernel(kind, 2**40, 1), window
        yield f"{kind} over -1 rows", kernel(kind, -1, 1), window
        yield f"{kind} over no rows", kernel(kind, 0, 1), window
        yield f"{kind} in eight dimensions", kernel(kind, *[1] * 8), window
        yield f"{kind} over 4096 by 4096", kernel(kind, 4096, 4096), f"{REFUSED}|do not give the scores"
        yield f"{kind} without a window", kernel(kind), f"{REFUSED}|do not give the scores|not a window"
        for name, value in (
            ("pads", [2**30] * 4),
            ("dilations", [2**40] * 2),
            ("strides", [0, 0]),
            ("group", 0),
        ):
            text = f"attribute '{name}' of {kind} is (not on the allow-list|no window)|{REFUSED}|{MEMORY}"
            yield f"{kind} with {name} of {value}", added(kind, with_memory, **{name: value}), text
    axis = "attribute 'axis' of Concat is larger than any bundle needs"
    concat = on("Concat", lambda n: setattr(n.attribute[0], "i", 2**62), with_memory)
    yield "Concat along axis 2^62", concat, axis


def _twice(on: Callable[..., bytes]) -> bytes:
    attributes = [helper.make_attribute("transB", 0), helper.make_attribute("transB", 1)]
    return on("Gemm", lambda n: n.attribute.extend(attributes))


def _wiring(good: bytes) -> Iterator[Entry]:
    def changed(change: Callable[[ModelProto], object]) -> bytes:
        return with_model(good, change)

    before = "that was defined before"
    yield "an input from nowhere", changed(lambda m: m.graph.node[2].input.__setitem__(0, "nowhere")), before
    yield (
        "a node that feeds itself",
        changed(lambda m: m.graph.node[2].input.__setitem__(0, m.graph.node[2].output[0])),
        before,
    )
    yield (
        "two nodes that feed each other",
        changed(lambda m: m.graph.node[1].input.__setitem__(0, m.graph.node[2].output[0])),
        before,
    )
    yield "nodes in the wrong order", changed(lambda m: m.graph.node.reverse()), before
    yield "an optional input left out", changed(lambda m: m.graph.node[2].input.__setitem__(2, "")), before
    yield (
        "an int64 where a float32 belongs",
        changed(lambda m: m.graph.node[0].input.__setitem__(1, "sensor_axis")),
        "is not a float32 that was",
    )
    twice = "has no name, or one that is defined already"
    yield (
        "an output that is there twice",
        changed(lambda m: m.graph.node[3].output.__setitem__(0, "scaled")),
        twice,
    )
    yield (
        "an output that is a constant",
        changed(lambda m: m.graph.node[3].output.__setitem__(0, "scaler.scale")),
        twice,
    )
    yield (
        "an output that is the input",
        changed(lambda m: m.graph.node[3].output.__setitem__(0, "readings")),
        twice,
    )
    yield (
        "a node with two outputs",
        changed(lambda m: m.graph.node[3].output.append("more")),
        "does not have exactly one output",
    )
    yield (
        "a node without an output",
        changed(lambda m: m.graph.node[3].ClearField("output")),
        "does not have exactly one output",
    )
    yield (
        "a node with seventy inputs",
        changed(lambda m: m.graph.node[0].input.extend(["readings"] * 68)),
        "has 70 inputs, more than the 64",
    )
    yield (
        "a node without inputs",
        changed(lambda m: m.graph.node[3].ClearField("input")),
        "computes with constants alone",
    )
    yield "a node with an input too few", changed(lambda m: m.graph.node[0].input.pop()), REFUSED
    same = changed(lambda m: setattr(m.graph.node[1], "name", m.graph.node[0].name))
    yield "two nodes of one name", same, "has the same name as another node"
    yield (
        "no nodes",
        changed(lambda m: m.graph.ClearField("node")),
        "output score: is not produced by any node",
    )
    last = changed(lambda m: m.graph.node.pop())
    yield "an output that no node computes", last, "output expected: is not produced by any node"
    mixed = changed(lambda m: m.graph.node[2].input.__setitem__(1, "layer2.weight"))
    yield "weights of another layer", mixed, REFUSED

    def many(model: ModelProto) -> None:
        for number in range(600):
            model.graph.node.append(helper.make_node("Relu", ["scaled"], [f"more{number}"]))

    yield "six hundred nodes", changed(many), "nodes, more than the 512 that are allowed"


def _bombs(good: bytes) -> Iterator[Entry]:
    alone = "computes with constants alone"
    long, wide = np.ones((60_000, 1), np.float32), np.ones((1, 60_000), np.float32)
    fold = [
        helper.make_node("Mul", ["long", "wide"], ["large"]),
        helper.make_node("Add", ["scaled", "large"], ["inserted"]),
    ]
    yield "constant folding to 14 GB", _insert(good, *fold, constants={"long": long, "wide": wide}), alone
    square = np.ones((1000, 1000), np.float32)
    power = [
        helper.make_node("MatMul", ["square" if not i else f"p{i}", "square"], [f"p{i + 1}"])
        for i in range(300)
    ]
    yield "constant folding for minutes", _insert(good, *power, constants={"square": square}), alone
    double = [
        helper.make_node("Concat", [f"d{i}" if i else "scaled"] * 2, [f"d{i + 1}"], axis=0) for i in range(40)
    ]
    yield "rows doubled forty times", _insert(good, *double), f"{MEMORY}|{REFUSED}"
    # These change no score: zeros go in, and what comes out is added to what would have been without them.
    axes = {"first": np.zeros(1, np.int64), "second": np.ones(1, np.int64)}
    outer = [
        helper.make_node("Unsqueeze", ["zeros", "first"], ["a"]),
        helper.make_node("Unsqueeze", ["zeros", "second"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("ReduceSum", ["c", "first"], ["out"], keepdims=0),
    ]
    yield (
        "every row with every row",
        _beside(good, *outer, constants=axes),
        "combines every row with every other",
    )
    broad = [
        helper.make_node("MatMul", ["zeros", "open"], ["o"]),
        helper.make_node("MatMul", ["o", "close"], ["out"]),
    ]
    ends = {"open": np.zeros((4, 60_000), np.float32), "close": np.zeros((60_000, 4), np.float32)}
    yield "60,000 columns for each row", _beside(good, *broad, constants=ends), MEMORY
    slow = [
        helper.make_node("MatMul", ["zeros", "open"], ["s0"]),
        *(helper.make_node("MatMul", [f"s{i}", "weights"], [f"s{i + 1}"]) for i in range(450)),
        helper.make_node("MatMul", ["s450", "close"], ["out"]),
    ]
    many = {
        "weights": np.zeros((2000, 2000), np.float32),
        "open": np.zeros((4, 2000), np.float32),
        "close": np.zeros((2000, 4), np.float32),
    }
    yield "matrix products for minutes", _beside(good, *slow, constants=many), TIME


def _beside(good: bytes, *nodes: NodeProto, constants: dict[str, Any]) -> bytes:
    """The bundle with a branch that gets `zeros`, and whose `out` is added in."""
    return _insert(
        good,
        helper.make_node("Mul", ["scaled", "nought"], ["zeros"]),
        *nodes,
        helper.make_node("Add", ["scaled", "out"], ["inserted"]),
        constants={"nought": np.zeros(1, np.float32), **constants},
    )


def _state(with_memory: bytes) -> Iterator[Entry]:
    def shaped(*shape: int | str) -> bytes:
        def change(model: ModelProto) -> None:
            for value in (model.graph.input[1], model.graph.output[3]):
                value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.FLOAT, shape))

        def stated(document: dict[str, Any]) -> None:
            document["model"]["state_shape"] = [d for d in shape if isinstance(d, int)]

        return with_document(with_model(with_memory, change), stated)

    fixed = "state: is not float32 of one fixed shape"
    yield "a state of no fixed size", shaped("rows", 4), fixed
    yield "a state of 10^19 values", shaped(60_000, 60_000, 60_000, 60_000), "values, more than the 1,048,576"
    yield "a state of another shape", shaped(3, 3), REFUSED
    one_way = with_model(with_memory, lambda m: m.graph.output.pop())
    yield "a state that never comes out", one_way, fixed

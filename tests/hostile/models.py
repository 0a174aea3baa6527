"""Bundles whose outermost message, constants or declared shapes hold what a bundle has no use for."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import onnx
from hostile.files import field
from onnx import TensorProto, helper, numpy_helper
from support.tampering import restamped, with_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hostile.files import Entry
    from onnx import ModelProto

__all__ = ["hostile"]

ELEMENT_TYPE = "only float32, and int64 for axes, are allowed"
UNKNOWN = "which has no place in a bundle"
OTHER_METADATA = "contains metadata other than its own, or contains it twice"


def hostile(good: bytes, canary: str) -> Iterator[Entry]:
    """The files; `canary` is the path of a file that nothing may open."""

    def changed(change: Callable[[ModelProto], object]) -> bytes:
        return with_model(good, change)

    yield from _outermost(good, changed)
    yield from _constants(changed)
    yield from _values(changed)
    yield from _external(changed, canary)
    yield from _elements(changed)
    yield from _declared(changed)


def _outermost(good: bytes, changed: Callable[..., bytes]) -> Iterator[Entry]:
    graph = onnx.ModelProto.FromString(good).graph.SerializeToString()
    yield "a second graph", restamped(good + field(7, graph)), "holds 'graph' twice"
    yield "a second empty graph", restamped(good + field(7, b"")), "holds 'graph' twice"
    yield "a second IR version", restamped(good + field(1, 8)), "holds 'ir_version' twice"
    yield "functions", changed(lambda m: m.functions.add(name="f", domain="edge")), UNKNOWN
    shadow = helper.make_function(
        "", "Relu", ["x"], ["y"], [helper.make_node("Exp", ["x"], ["y"])], [helper.make_opsetid("", 17)]
    )
    yield "a function that shadows Relu", changed(lambda m: m.functions.append(shadow)), UNKNOWN
    yield "training", changed(lambda m: m.training_info.add()), UNKNOWN
    yield "device configurations", restamped(good + field(26, b"")), UNKNOWN
    yield "IR version 99", changed(lambda m: setattr(m, "ir_version", 99)), "IR version 99 is outside 8 to"
    yield "IR version 3", changed(lambda m: setattr(m, "ir_version", 3)), "IR version 3 is outside 8 to"
    yield "IR version -1", changed(lambda m: setattr(m, "ir_version", -1)), r"IR version \d+ is outside 8 to"
    yield "no IR version", changed(lambda m: m.ClearField("ir_version")), "does not begin like one"
    opset = "must use the default operator set, once, and no other"
    yield (
        "opset 99",
        changed(lambda m: setattr(m.opset_import[0], "version", 99)),
        "opset version 99 is outside",
    )
    yield "opset 1", changed(lambda m: setattr(m.opset_import[0], "version", 1)), "opset version 1 is outside"
    yield "no opset", changed(lambda m: m.ClearField("opset_import")), opset
    yield "the opset twice", changed(lambda m: m.opset_import.append(helper.make_opsetid("", 17))), opset
    yield (
        "a second domain",
        changed(lambda m: m.opset_import.append(helper.make_opsetid("com.microsoft", 1))),
        opset,
    )
    yield "another domain", changed(lambda m: setattr(m.opset_import[0], "domain", "ai.onnx.ml")), opset
    yield "ort_config", changed(lambda m: m.metadata_props.add(key="ort_config", value="{}")), OTHER_METADATA
    yield "metadata twice", changed(lambda m: m.metadata_props.append(m.metadata_props[0])), OTHER_METADATA
    yield "metadata without a key", changed(lambda m: m.metadata_props.add(value="{}")), OTHER_METADATA
    yield "no metadata", changed(lambda m: m.ClearField("metadata_props")), "not a bundle"
    yield (
        "metadata without a value",
        changed(lambda m: m.metadata_props[0].ClearField("value")),
        OTHER_METADATA,
    )
    key_twice = field(14, field(1, b"edge_detect") + field(1, b"edge_detect") + field(2, b"{}"))
    yield "a metadata key twice", _with_metadata(good, key_twice), "holds 'key' twice"
    yield "10 MB of metadata", changed(_large_metadata), "bytes, more than the 1,048,576 that are allowed"
    yield (
        "10 MB of documentation",
        changed(lambda m: setattr(m, "doc_string", "x" * 10_000_000)),
        "doc_string",
    )
    yield (
        "a producer that is not UTF-8",
        restamped(good.replace(b"\x12\x0bedge-detect", b"\x12\x0bedge\xffdetect", 1)),
        "'producer_name' is not UTF-8",
    )
    yield (
        "a producer that moves the cursor",
        changed(lambda m: setattr(m, "producer_name", "\x1b[2J")),
        "non-printable characters",
    )


def _with_metadata(good: bytes, entry: bytes) -> bytes:
    model = onnx.ModelProto.FromString(good)
    model.ClearField("metadata_props")
    data: bytes = model.SerializeToString() + entry
    return data


def _large_metadata(model: ModelProto) -> None:
    entry = model.metadata_props[0]
    entry.value = entry.value[:-1] + " " * 10_000_000 + "}"


def _weight(model: ModelProto) -> TensorProto:
    found: TensorProto = next(t for t in model.graph.initializer if t.name == "layer0.weight")
    return found


def _constants(changed: Callable[..., bytes]) -> Iterator[Entry]:
    def dims(*sizes: int) -> bytes:
        return changed(lambda m: _weight(m).dims.__setitem__(slice(None), sizes))

    larger = "is larger than any bundle needs, or negative"
    yield "a dimension of 2^62", dims(2**62), larger
    yield "dimensions whose product overflows to the right size", dims(2**62, 4, 16, 2), larger
    yield "a negative dimension", dims(-1, 8), larger
    yield "two negative dimensions", dims(-4, -8), larger
    yield "many dimensions", dims(1, 1, 1, 1, 4, 8), larger
    yield "dimensions without values", dims(60_000, 60_000), "which do not fit its shape"
    yield "a dimension of zero", dims(0, 8), "which do not fit its shape"
    yield "no dimensions", dims(), "which do not fit its shape"

    def raw(change: Callable[[bytes], bytes]) -> bytes:
        return changed(lambda m: setattr(_weight(m), "raw_data", change(_weight(m).raw_data)))

    yield "values one byte short", raw(lambda b: b[:-1]), "which do not fit its shape"
    yield "values too many", raw(lambda b: b + b), "which do not fit its shape"
    yield "no values", raw(lambda _: b""), "which do not fit its shape"
    no_values = changed(
        lambda m: m.graph.initializer.append(numpy_helper.from_array(np.zeros((0, 4), np.float32), "none"))
    )
    yield "a constant without values", no_values, "holds no values"


def _values(changed: Callable[..., bytes]) -> Iterator[Entry]:
    def values(change: Callable[[np.ndarray], object], name: str = "layer0.weight") -> bytes:
        def apply(model: ModelProto) -> None:
            tensor = next(t for t in model.graph.initializer if t.name == name)
            array = numpy_helper.to_array(tensor).copy()
            change(array)
            tensor.raw_data = array.tobytes()

        return changed(apply)

    finite = "constant layer0.weight: holds a value that is not finite"
    for name, number in (("NaN", np.nan), ("infinite", np.inf), ("negative infinite", -np.inf)):
        yield f"one {name} weight", values(partial(_put, number)), finite
    yield "NaN weights", values(lambda a: a.fill(np.nan)), finite
    scale = "divides by a constant, such as a scale, that is zero or negative"
    yield "a scale of zero", values(lambda a: a.__setitem__(2, 0), "scaler.scale"), scale
    yield "a scale of minus zero", values(lambda a: a.fill(-0.0), "scaler.scale"), scale
    yield "a negative scale", values(lambda a: a.__setitem__(0, -1), "scaler.scale"), scale
    yield (
        "an infinite scale",
        values(lambda a: a.fill(np.inf), "scaler.scale"),
        "scaler.scale: holds a value that is not",
    )
    yield (
        "big-endian weights",
        values(lambda a: a.byteswap(inplace=True)),
        "golden rows do not give the scores|not finite",
    )
    yield "weights of zero", values(lambda a: a.fill(0)), "golden rows do not give the scores"
    yield "huge weights", values(lambda a: a.fill(3e38)), "golden rows do not give the scores"


def _put(number: float, array: np.ndarray) -> None:
    array[1, 1] = number


def _external(changed: Callable[..., bytes], canary: str) -> Iterator[Entry]:
    def external(change: Callable[[TensorProto], object]) -> bytes:
        return changed(lambda m: change(_weight(m)))

    def outside(path: str, *, marked: bool = True, keep: bool = False) -> bytes:
        def change(tensor: TensorProto) -> None:
            if marked:
                tensor.data_location = TensorProto.EXTERNAL
            if not keep:
                tensor.ClearField("raw_data")
            tensor.external_data.add(key="location", value=path)
            tensor.external_data.add(key="offset", value="0")
            tensor.external_data.add(key="length", value="128")

        return external(change)

    refused = "holds '(external_data|data_location)', which has no place in a bundle"
    for name, path in (
        ("/etc/passwd", "/etc/passwd"),
        ("/etc/passwd from below", "../../../../../../etc/passwd"),
        ("a file beside it", "canary"),
        ("a file by its whole path", canary),
        ("the environment", "/proc/self/environ"),
        ("memory", "*/_ORT_MEM_ADDR_/*"),
    ):
        yield f"external data in {name}", outside(path), refused
    yield "external data beside its own", outside("/etc/passwd", keep=True), UNKNOWN
    yield "external data that is not marked", outside("/etc/passwd", marked=False), UNKNOWN
    marked = external(lambda t: setattr(t, "data_location", TensorProto.EXTERNAL))
    yield "external data without a place", marked, UNKNOWN
    default = external(lambda t: setattr(t, "data_location", TensorProto.DEFAULT))
    yield "a data location that says default", default, UNKNOWN


def _elements(changed: Callable[..., bytes]) -> Iterator[Entry]:
    for name in ("DOUBLE", "FLOAT16", "INT8", "UINT8", "INT32", "BOOL", "COMPLEX64", "UNDEFINED"):
        kind = getattr(TensorProto, name)
        yield (
            f"weights of type {name}",
            changed(lambda m, k=kind: setattr(_weight(m), "data_type", k)),
            ELEMENT_TYPE,
        )
    yield "weights of type BFLOAT16", changed(lambda m: setattr(_weight(m), "data_type", 16)), ELEMENT_TYPE
    yield (
        "weights of an unknown type",
        changed(lambda m: setattr(_weight(m), "data_type", 9999)),
        ELEMENT_TYPE,
    )
    texts = TensorProto(name="texts", data_type=TensorProto.STRING, dims=[2], string_data=[b"a", b"b"])
    yield "texts", changed(lambda m: m.graph.initializer.append(texts)), UNKNOWN
    yield "both kinds of values", changed(lambda m: _weight(m).float_data.append(1.0)), UNKNOWN

    def typed(model: ModelProto) -> None:
        tensor = _weight(model)
        values = numpy_helper.to_array(tensor).ravel().tolist()
        tensor.ClearField("raw_data")
        tensor.float_data.extend(values)

    yield "typed values", changed(typed), UNKNOWN
    segment = changed(lambda m: _weight(m).segment.__setattr__("begin", 1))
    yield "a segment of a tensor", segment, UNKNOWN
    int64 = numpy_helper.from_array(np.zeros((4, 8), np.int64), "layer0.weight")
    yield (
        "int64 weights",
        changed(lambda m: _weight(m).CopyFrom(int64)),
        "is not a float32 that was defined before",
    )
    yield (
        "a constant twice",
        changed(lambda m: m.graph.initializer.append(_weight(m))),
        "has no name, or one that is defined already",
    )
    yield (
        "a constant without a name",
        changed(lambda m: setattr(_weight(m), "name", "")),
        "has no name, or one that is defined already",
    )
    long = changed(lambda m: setattr(_weight(m), "name", "x" * 300))
    yield "a constant with a long name", long, "'name' of 300 bytes, more than the 256"
    one = numpy_helper.from_array(np.ones(1, np.float32))

    def many(model: ModelProto) -> None:
        for number in range(600):
            model.graph.initializer.add().CopyFrom(one)
            model.graph.initializer[-1].name = f"one{number}"

    yield "many constants", changed(many), "constants, more than the 512 that are allowed"
    large = numpy_helper.from_array(np.ones((52, 65_536), np.float32))

    def much(model: ModelProto) -> None:
        for number in range(2):
            model.graph.initializer.add().CopyFrom(large)
            model.graph.initializer[-1].name = f"large{number}"

    yield (
        "large constants",
        changed(much),
        "bytes, more than the 25,165,824 that are allowed",
    )
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(np.ones(1, np.float32), "huge"),
        numpy_helper.from_array(np.zeros((1, 2), np.int64), "at"),
        [32_768, 32_768],
    )
    yield "a sparse constant of 4 GB", changed(lambda m: m.graph.sparse_initializer.append(sparse)), UNKNOWN
    yield "an empty sparse constant", changed(lambda m: m.graph.sparse_initializer.add()), UNKNOWN
    annotated = changed(lambda m: m.graph.quantization_annotation.add(tensor_name="scaled"))
    yield "a quantisation annotation", annotated, UNKNOWN


def _declared(changed: Callable[..., bytes]) -> Iterator[Entry]:
    def shaped(which: str, index: int, *shape: int | str, kind: int = TensorProto.FLOAT) -> bytes:
        def change(model: ModelProto) -> None:
            values = getattr(model.graph, which)
            values[index].CopyFrom(helper.make_tensor_value_info(values[index].name, kind, shape))

        return changed(change)

    def named(which: str, *names: str) -> bytes:
        def change(model: ModelProto) -> None:
            values = getattr(model.graph, which)
            del values[:]
            values.extend(
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 4]) for name in names
            )

        return changed(change)

    reading = "input readings: is not float32 of shape"
    yield "five sensors in", shaped("input", 0, "rows", 5), "is not float32 of the shape that a bundle has"
    yield "a fixed number of rows", shaped("input", 0, 1, 4), reading
    yield "sensors without a number", shaped("input", 0, "rows", "sensors"), reading
    yield "three dimensions in", shaped("input", 0, "rows", 4, 1), reading
    yield "float64 in", shaped("input", 0, "rows", 4, kind=TensorProto.DOUBLE), reading
    yield "huge input", shaped("input", 0, "rows", 2**40), "is larger than any bundle needs"
    yield "no input", named("input"), "inputs are not readings"
    yield "a second input", named("input", "readings", "more"), "inputs are not readings"
    yield (
        "times of day of two dimensions",
        named("input", "readings", "time_of_day"),
        "time_of_day: is not float32",
    )
    yield "no outputs", named("output"), "outputs are not score, errors, expected"
    yield "one output", named("output", "score"), "outputs are not score, errors, expected"
    yield "an output too many", named("output", "score", "errors", "expected", "x"), "outputs are not score"
    yield "an output twice", named("output", "score", "score", "errors", "expected"), "outputs are not score"
    yield (
        "a score for each sensor",
        shaped("output", 0, "rows", 4),
        "output score: is not float32 of the shape",
    )
    yield (
        "errors of another width",
        shaped("output", 1, "rows", 3),
        "output errors: is not float32 of the shape",
    )

    def no_tensor(model: ModelProto) -> None:
        kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, [1]))
        model.graph.input[0].type.CopyFrom(kind)

    yield "a sequence in", changed(no_tensor), UNKNOWN
    yield "an input without a type", changed(lambda m: m.graph.input[0].ClearField("type")), "is not a tensor"
    extra = helper.make_tensor_value_info("scaled", TensorProto.DOUBLE, ["rows", 4])
    yield "types of values in between", changed(lambda m: m.graph.value_info.append(extra)), UNKNOWN
    long = changed(lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[0], "dim_param", "r" * 5000))
    yield "a long name of a dimension", long, "'dim_param' of 5,000 bytes"

"""The parts of ONNX that a bundle may use, message by message; the numbers are those of onnx.proto."""

from __future__ import annotations

from enum import IntEnum

from edge_runtime.bundle.protobuf import BYTES, FIXED32, REFUSED, VARINT, Field, Schema

__all__ = [
    "ATTRIBUTE",
    "DIMENSION",
    "ENTRY",
    "GRAPH",
    "MODEL",
    "NODE",
    "OPSET",
    "SHAPE",
    "TENSOR",
    "TENSOR_TYPE",
    "TYPE",
    "VALUE",
    "AttributeType",
    "ElementType",
]


class ElementType(IntEnum):
    """The element types that a bundle's tensors may have."""

    FLOAT32 = 1
    INT64 = 7


class AttributeType(IntEnum):
    """The types that an operator's attributes may have."""

    FLOAT = 1
    INT = 2
    INTS = 7


def _number(name: str, *, repeated: bool = False) -> Field:
    return Field(name, VARINT, repeated)


def _text(name: str, *, repeated: bool = False) -> Field:
    return Field(name, BYTES, repeated, text=True)


def _bytes(name: str, *, repeated: bool = False) -> Field:
    return Field(name, BYTES, repeated)


def _refused(name: str) -> Field:
    """What a bundle has no use for: named for a clear error, and refused as all that is not here."""
    return Field(name, REFUSED)


MODEL: Schema = {
    1: _number("ir_version"),
    2: _text("producer_name"),
    3: _text("producer_version"),
    4: _text("domain"),
    5: _number("model_version"),
    6: _text("doc_string"),
    7: _bytes("graph"),
    8: _bytes("opset_import", repeated=True),
    14: _bytes("metadata_props", repeated=True),
    20: _refused("training_info"),
    25: _refused("functions"),
    26: _refused("configuration"),
}
OPSET: Schema = {1: _text("domain"), 2: _number("version")}
ENTRY: Schema = {1: _text("key"), 2: _bytes("value")}
GRAPH: Schema = {
    1: _bytes("node", repeated=True),
    2: _text("name"),
    5: _bytes("initializer", repeated=True),
    10: _text("doc_string"),
    11: _bytes("input", repeated=True),
    12: _bytes("output", repeated=True),
    13: _refused("value_info"),
    14: _refused("quantization_annotation"),
    15: _refused("sparse_initializer"),
    16: _refused("metadata_props"),
}
NODE: Schema = {
    1: _text("input", repeated=True),
    2: _text("output", repeated=True),
    3: _text("name"),
    4: _text("op_type"),
    5: _bytes("attribute", repeated=True),
    6: _text("doc_string"),
    7: _text("domain"),
    8: _refused("overload"),
    9: _refused("metadata_props"),
    10: _refused("device_configurations"),
}
ATTRIBUTE: Schema = {
    1: _text("name"),
    2: Field("f", FIXED32),
    3: _number("i"),
    8: _number("ints", repeated=True),
    13: _text("doc_string"),
    20: _number("type"),
    4: _refused("s, a text"),
    5: _refused("t, a tensor"),
    6: _refused("g, a subgraph"),
    7: _refused("floats"),
    9: _refused("strings"),
    10: _refused("tensors"),
    11: _refused("graphs"),
    14: _refused("tp, a type"),
    15: _refused("type_protos"),
    21: _refused("ref_attr_name"),
    22: _refused("sparse_tensor"),
    23: _refused("sparse_tensors"),
}
# Of the ways to write values only raw_data.
TENSOR: Schema = {
    1: _number("dims", repeated=True),
    2: _number("data_type"),
    8: _text("name"),
    9: _bytes("raw_data"),
    12: _text("doc_string"),
    3: _refused("segment"),
    4: _refused("float_data"),
    5: _refused("int32_data"),
    6: _refused("string_data"),
    7: _refused("int64_data"),
    10: _refused("double_data"),
    11: _refused("uint64_data"),
    13: _refused("external_data"),
    14: _refused("data_location"),
    16: _refused("metadata_props"),
}
VALUE: Schema = {1: _text("name"), 2: _bytes("type"), 3: _text("doc_string")}
TYPE: Schema = {
    1: _bytes("tensor_type"),
    4: _refused("sequence_type"),
    5: _refused("map_type"),
    6: _refused("denotation"),
    8: _refused("sparse_tensor_type"),
    9: _refused("optional_type"),
}
TENSOR_TYPE: Schema = {1: _number("elem_type"), 2: _bytes("shape")}
SHAPE: Schema = {1: _bytes("dim", repeated=True)}
DIMENSION: Schema = {1: _number("dim_value"), 2: _text("dim_param")}

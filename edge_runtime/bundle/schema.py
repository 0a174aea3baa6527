"""The parts of ONNX that a bundle may use, message by message; the numbers are those of onnx.proto."""

from __future__ import annotations

from enum import IntEnum

from edge_runtime.bundle.protobuf import BYTES, FIXED32, VARINT, Field, make_schema

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


# Not here, so refused: training_info, functions, device configurations.
MODEL = make_schema(
    {
        1: _number("ir_version"),
        2: _text("producer_name"),
        3: _text("producer_version"),
        4: _text("domain"),
        5: _number("model_version"),
        6: _text("doc_string"),
        7: _bytes("graph"),
        8: _bytes("opset_import", repeated=True),
        14: _bytes("metadata_props", repeated=True),
    }
)
OPSET = make_schema({1: _text("domain"), 2: _number("version")})
ENTRY = make_schema({1: _text("key"), 2: _bytes("value")})
# Not here: sparse initialisers, quantisation annotations, types of values in between.
GRAPH = make_schema(
    {
        1: _bytes("node", repeated=True),
        2: _text("name"),
        5: _bytes("initializer", repeated=True),
        10: _text("doc_string"),
        11: _bytes("input", repeated=True),
        12: _bytes("output", repeated=True),
    }
)
NODE = make_schema(
    {
        1: _text("input", repeated=True),
        2: _text("output", repeated=True),
        3: _text("name"),
        4: _text("op_type"),
        5: _bytes("attribute", repeated=True),
        6: _text("doc_string"),
        7: _text("domain"),
    }
)
# Not here: tensors, graphs (subgraphs) and references to a function's attributes.
ATTRIBUTE = make_schema(
    {
        1: _text("name"),
        2: Field("f", FIXED32),
        3: _number("i"),
        8: _number("ints", repeated=True),
        13: _text("doc_string"),
        20: _number("type"),
    }
)
# Not here: the typed data fields (raw_data says the same in one way), segments, external data.
TENSOR = make_schema(
    {
        1: _number("dims", repeated=True),
        2: _number("data_type"),
        8: _text("name"),
        9: _bytes("raw_data"),
        12: _text("doc_string"),
    }
)
VALUE = make_schema({1: _text("name"), 2: _bytes("type"), 3: _text("doc_string")})
TYPE = make_schema({1: _bytes("tensor_type")})
TENSOR_TYPE = make_schema({1: _number("elem_type"), 2: _bytes("shape")})
SHAPE = make_schema({1: _bytes("dim", repeated=True)})
DIMENSION = make_schema({1: _number("dim_value"), 2: _text("dim_param")})

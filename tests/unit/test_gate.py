from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.bundles import make_bundle
from support.tampering import restamped, with_model

from edge_runtime.bundle import caps
from edge_runtime.errors import BundleError, GateError
from edge_runtime.loading.load import load_bytes

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_bundle(tmp_path_factory.mktemp("bundle"), widths=(8, 2, 8)).read_bytes()


def _unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[3].op_type = "Loop"


def _foreign_domain(model: onnx.ModelProto) -> None:
    model.graph.node[3].domain = "com.microsoft"


def _second_opset(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def _later_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 99


def _later_ir(model: onnx.ModelProto) -> None:
    model.ir_version = 99


def _float64(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))


def _float64_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def _int64_where_float32_belongs(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[1] = "sensor_axis"


def _float32_where_int64_belongs(model: onnx.ModelProto) -> None:
    reduce = next(n for n in model.graph.node if n.op_type == "ReduceSum")
    reduce.input[1] = "share"


def _external_data(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def _typed_data(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    values = numpy_helper.to_array(tensor)
    tensor.ClearField("raw_data")
    tensor.float_data.extend(values.tolist())


def _sparse(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add()


def _function(model: onnx.ModelProto) -> None:
    model.functions.add(name="f", domain="edge")


def _training(model: onnx.ModelProto) -> None:
    model.training_info.add()


def _subgraph(model: onnx.ModelProto) -> None:
    model.graph.node[3].attribute.append(helper.make_attribute("body", onnx.GraphProto(name="g")))


def _tensor_attribute(model: onnx.ModelProto) -> None:
    model.graph.node[3].attribute.append(helper.make_attribute("value", numpy_helper.from_array(np.zeros(1))))


def _unknown_attribute(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("axis", 1))


def _attribute_of_another_type(model: onnx.ModelProto) -> None:
    gemm = next(n for n in model.graph.node if n.op_type == "Gemm")
    gemm.attribute.append(helper.make_attribute("alpha", 1))


def _other_metadata(model: onnx.ModelProto) -> None:
    model.metadata_props.add(key="note", value="hello")


def _metadata_twice(model: onnx.ModelProto) -> None:
    model.metadata_props.append(model.metadata_props[0])


def _second_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["rows", 4]))


def _renamed_output(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = "result"


def _fixed_rows(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def _sequence_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.CopyFrom(helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, [1])))


def _used_before_defined(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "reproduced"


def _defined_twice(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(model.graph.initializer[0])


def _two_outputs(model: onnx.ModelProto) -> None:
    model.graph.node[0].output.append("extra")


def _shape_without_data(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [60_000, 60_000]


def _negative_dimension(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [-1]


def _many_dimensions(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [1, 1, 1, 1, 1, 4]


def _value_types(model: onnx.ModelProto) -> None:
    model.graph.value_info.append(helper.make_tensor_value_info("scaled", TensorProto.DOUBLE, ["rows", 4]))


CHANGES = [
    value
    for name, value in list(globals().items())
    if name.startswith("_") and callable(value) and value.__module__ == __name__
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__.strip("_"))
def test_the_gate_refuses(data: bytes, change: Callable[[onnx.ModelProto], None]) -> None:
    with pytest.raises(GateError):
        load_bytes(with_model(data, change), "b.onnx")


def test_an_unchanged_bundle_passes_when_stamped_again(data: bytes) -> None:
    assert load_bytes(with_model(data, lambda _: None), "b.onnx").graph.sensors == 4


def test_the_error_names_the_node_and_the_operator(data: bytes) -> None:
    with pytest.raises(
        GateError, match=r"b\.onnx: graph: node layer1: operator 'Loop' is not on the allow-list"
    ):
        load_bytes(with_model(data, _unknown_operator), "b.onnx")


@pytest.mark.parametrize(("limit", "message"), [("MAX_NODES", "nodes"), ("MAX_CONSTANTS", "constants")])
def test_there_is_a_cap_on(data: bytes, limit: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caps, limit, 3)
    with pytest.raises(GateError, match=f"{message}, more than the 3"):
        load_bytes(data, "b.onnx")


def test_there_is_a_cap_on_metadata(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caps, "MAX_METADATA_BYTES", 100)
    with pytest.raises(GateError, match="more than the 100"):
        load_bytes(data, "b.onnx")


def test_a_singular_field_twice_is_refused(data: bytes) -> None:
    # Protobuf lets the last one win; two readers may disagree about which that is.
    with pytest.raises(GateError, match="holds 'ir_version' twice"):
        load_bytes(b"\x08\x08" + data, "b.onnx")


def test_a_number_written_longer_than_needed_is_refused(data: bytes) -> None:
    assert data.startswith(b"\x08\x08")
    with pytest.raises(BundleError, match="a number is invalid"):
        load_bytes(b"\x08\x88\x00" + data[2:], "b.onnx")


def test_a_text_that_is_not_utf8_is_refused(data: bytes) -> None:
    with pytest.raises(BundleError, match="not UTF-8"):
        load_bytes(restamped(data.replace(b"layer0.weight", b"layer0\xffweight")), "b.onnx")

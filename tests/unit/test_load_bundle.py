from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from support.bundles import make_bundle
from support.tampering import with_document, with_model

from edge_runtime.errors import BundleError, BundleFormatError, GateError, SelfTestError, UsageError
from edge_runtime.loading import load
from edge_runtime.loading.load import STEPS, Step, load_bundle, load_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_bundle(tmp_path_factory.mktemp("bundle")).read_bytes()


def test_an_exported_bundle_passes_every_step_in_order(tmp_path: Path) -> None:
    path = make_bundle(tmp_path)
    steps: list[Step] = []
    bundle = load_bundle(path, on_step=steps.append)
    assert tuple(step.name for step in steps) == STEPS
    assert (bundle.name, bundle.size) == ("bundle.onnx", path.stat().st_size)
    assert bundle.digest.startswith("sha256:")
    assert bundle.metadata.sensor_names == ("temperature", "vibration", "pressure", "power")
    assert (bundle.outline.opset, bundle.outline.ir_version) == (17, 8)
    assert bundle.graph.operators == {
        "Add": 1,
        "Div": 1,
        "Gemm": 6,
        "MatMul": 1,
        "Mul": 3,
        "ReduceSum": 1,
        "Relu": 5,
        "Sub": 3,
    }
    assert bundle.graph.initializer_bytes == 4 * (5064 + 4 + 4 + 4 + 16 + 1) + 8
    assert bundle.self_test.rows == 32
    assert bundle.self_test.largest_difference < 1e-6


def test_the_default_bundle_comes_with_the_package() -> None:
    bundle = load_bundle()
    assert bundle.name == "default.onnx"
    assert bundle.metadata.sensor_names == ("temperature", "vibration", "pressure", "power")


def test_the_session_has_one_thread_the_cpu_and_no_fallback(data: bytes) -> None:
    session = load_bytes(data, "b").session
    options = session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert session.get_providers() == ["CPUExecutionProvider"]
    assert session._enable_fallback is False


def test_a_missing_file_and_a_folder_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load_bundle(tmp_path / "none.onnx")
    with pytest.raises(UsageError, match="directory"):
        load_bundle(tmp_path)


def test_a_file_larger_than_any_bundle_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "MAX_FILE_BYTES", 100)
    (tmp_path / "large.onnx").write_bytes(b"\x08\x08" * 51)
    with pytest.raises(GateError, match="larger than any bundle"):
        load_bundle(tmp_path / "large.onnx")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"time,temperature\n2026-01-01,20\n", "not an ONNX file"),
        (b"\x00" * 64, "not an ONNX file"),
        (b"PK\x03\x04" + b"\x00" * 64, "not an ONNX file"),
        (b"\x08\x08", "not a bundle"),
        (b"\xff" * 32, "not an ONNX file"),
    ],
)
def test_what_is_not_a_bundle_is_named_so(content: bytes, message: str) -> None:
    with pytest.raises(BundleFormatError, match=message) as caught:
        load_bytes(content, "file.onnx")
    assert caught.value.where is not None
    assert caught.value.where.startswith("file.onnx")
    assert caught.value.hint


def test_a_foreign_onnx_model_is_named_so() -> None:
    value = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value], [value])
    with pytest.raises(BundleFormatError, match="not a bundle: it has no metadata 'edge_detect'"):
        load_bytes(helper.make_model(graph).SerializeToString(), "foreign.onnx")


def test_every_truncation_is_refused(data: bytes) -> None:
    random = np.random.default_rng(1)
    for length in {*random.integers(0, len(data), 300).tolist(), len(data) - 1}:
        with pytest.raises(BundleError):
            load_bytes(data[:length], "cut")


def test_every_flipped_bit_is_refused(data: bytes) -> None:
    random = np.random.default_rng(2)
    for position, bit in zip(random.integers(0, len(data), 1000), random.integers(0, 8, 1000), strict=True):
        damaged = bytearray(data)
        damaged[position] ^= 1 << int(bit)
        with pytest.raises(BundleError):
            load_bytes(bytes(damaged), "flipped")


def test_every_bit_of_the_digest_itself_is_covered(data: bytes) -> None:
    start = data.index(b'"content_digest":"sha256:') + len(b'"content_digest":"sha256:')
    for position in range(start, start + 64):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            with pytest.raises(BundleError):
                load_bytes(bytes(damaged), "flipped")


def test_bytes_after_the_end_are_refused(data: bytes) -> None:
    for tail in (b"\x00", b"\x08\x08", b"{}", data):
        with pytest.raises(BundleError):
            load_bytes(data + tail, "longer")


def _metadata(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        place: Any = document
        *folders, last = path.split(".")
        for name in folders:
            place = place[int(name)] if name.isdigit() else place[name]
        if value is None:
            del place[last]
        else:
            place[last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("format_version", 3, "bundle format version 3, but this edge-detect reads versions 1 and 2"),
        ("format_version", 2, "is not a list of names"),
        ("threshold.value", None, "threshold.value: a field is missing"),
        ("golden", None, "golden: a field is missing"),
        ("provenance.colour", "red", "provenance.colour: an unknown field"),
        ("cadence_seconds", "1", "cadence_seconds: expected a finite number"),
        ("threshold.value", -1.0, "finite and positive"),
        ("sensors.1.name", "temperature", "contains a sensor without a name, or the same sensor twice"),
        ("sensors.1.physical_range", [3.0, 2.0], "the lower end of a range is above its upper end"),
        ("sensors", [], "names 0 sensors, but the graph takes 4"),
        ("model.state_shape", [1, 8], "the graph's is None"),
        ("model.time_of_day", True, "needs the time of day"),
        ("golden.scores", [1.0], "do not fit the graph"),
        ("golden.readings", [[1.0]], "do not fit the graph"),
        ("golden.relative_tolerance", 0.5, "proves nothing"),
        ("content_digest", "sha256:12", "is not 'sha256:'"),
    ],
)
def test_metadata_that_is_wrong_is_named_by_its_path(
    data: bytes, path: str, value: Any, message: str
) -> None:
    with pytest.raises(BundleFormatError, match=message) as caught:
        load_bytes(with_document(data, _metadata(path, value)), "b.onnx")
    assert str(caught.value).startswith("b.onnx: metadata")


def test_a_later_version_is_said_even_when_its_graph_holds_new_operators(data: bytes) -> None:
    later = with_document(data, _metadata("format_version", 3))
    later = with_model(later, lambda model: setattr(model.graph.node[0], "op_type", "Attention"))
    with pytest.raises(BundleFormatError, match="install a newer edge-detect"):
        load_bytes(later, "later.onnx")


def test_a_golden_score_that_does_not_come_out_is_refused(data: bytes) -> None:
    def change(document: dict[str, Any]) -> None:
        document["golden"]["scores"][3] *= 1.001

    with pytest.raises(SelfTestError, match=r"1 of 32 golden rows .* row 3 scores"):
        load_bytes(with_document(data, change), "b.onnx")


def test_a_golden_reading_that_no_float32_holds_is_refused(data: bytes) -> None:
    def change(document: dict[str, Any]) -> None:
        document["golden"]["readings"][0][0] = 1e300

    with pytest.raises(SelfTestError):
        load_bytes(with_document(data, change), "b.onnx")


def test_a_changed_weight_is_refused_even_when_stamped_again(data: bytes) -> None:
    def change(model: onnx.ModelProto) -> None:
        tensor = next(t for t in model.graph.initializer if t.name == "layer10.bias")
        values = numpy_helper.to_array(tensor) + np.float32(0.01)
        tensor.raw_data = values.tobytes()

    with pytest.raises(SelfTestError):
        load_bytes(with_model(data, change), "b.onnx")


def test_weights_that_do_not_fit_together_are_refused(data: bytes) -> None:
    def change(model: onnx.ModelProto) -> None:
        tensor = next(t for t in model.graph.initializer if t.name == "layer0.weight")
        tensor.dims[:] = [8, 32]

    with pytest.raises(BundleError, match="ONNX Runtime"):
        load_bytes(with_model(data, change), "b.onnx")


def test_two_files_with_one_content_have_one_digest(tmp_path: Path, data: bytes) -> None:
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).write_bytes(data)
    assert load_bundle(tmp_path / "a.onnx").digest == load_bundle(str(tmp_path / "b.onnx")).digest

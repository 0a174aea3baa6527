"""Bundles of format version 2: what they need is named, there, in range, and proved by the golden rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from support.bundles import make_bundle
from support.tampering import with_document, with_model

from edge_runtime.bundle import caps
from edge_runtime.bundle.metadata import Metadata
from edge_runtime.bundle.outline import read_outline
from edge_runtime.bundle.rows import check_rows
from edge_runtime.errors import BundleError, BundleFormatError, GateError, SelfTestError
from edge_runtime.loading.load import load_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.bundle.gate import Graph


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_bundle(
        tmp_path_factory.mktemp("second"), channels=True, horizon=1024.0, smooth=11
    ).read_bytes()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_bundle(tmp_path_factory.mktemp("first")).read_bytes()


def changed(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Puts a value, or what a function makes of the one that is there, in this place of a document."""

    def change(document: dict[str, Any]) -> None:
        place: Any = document
        *folders, last = path.split(".")
        for name in folders:
            place = place[name]
        place[last] = value(place.get(last)) if callable(value) else value

    return change


def test_the_document_reads_back_as_it_was_written(data: bytes, first: bytes) -> None:
    metadata = load_bytes(data, "b.onnx").metadata
    assert metadata.format_version == 2
    assert metadata.needs == ("baseline",)
    assert metadata.baseline is not None
    assert len(metadata.baseline.spread) == 8
    assert Metadata.from_json(metadata.to_json()) == metadata
    noted = json.loads(metadata.to_json()) | {"notes": {"colour": "red"}}
    assert json.loads(Metadata.from_json(json.dumps(noted)).to_json()) == noted
    old = load_bytes(first, "b.onnx").metadata
    assert old.format_version == 1
    assert not {"needs", "baseline", "notes"} & json.loads(old.to_json()).keys()
    assert "baseline_after" not in json.loads(old.to_json())["golden"]
    only_noted = json.loads(old.to_json()) | {"format_version": 2, "needs": [], "notes": {"a": "b"}}
    assert json.loads(Metadata.from_json(json.dumps(only_noted)).to_json()) == only_noted


def test_every_flipped_bit_is_refused(data: bytes) -> None:
    random = np.random.default_rng(6)
    start = data.index(b'"baseline":')
    places = [*random.integers(0, len(data), 200), *random.integers(start, len(data), 300)]
    for position, bit in zip(places, random.integers(0, 8, 500), strict=True):
        damaged = bytearray(data)
        damaged[position] ^= 1 << int(bit)
        with pytest.raises(BundleError):
            load_bytes(bytes(damaged), "flipped")


def test_notes_change_nothing(first: bytes) -> None:
    def change(document: dict[str, Any]) -> None:
        document.update(format_version=2, needs=[], notes={"trained by": "night shift"})

    bundle = load_bytes(with_document(first, change), "b.onnx")
    assert bundle.metadata.notes == {"trained by": "night shift"}


@pytest.mark.parametrize("name", ["needs", "baseline", "notes"])
def test_version_1_has_no_room_for_them(data: bytes, first: bytes, name: str) -> None:
    found = json.loads(load_bytes(data, "b.onnx").metadata.to_json()) | {"notes": {}}
    with pytest.raises(BundleFormatError, match="an unknown field") as caught:
        load_bytes(with_document(first, changed(name, found[name])), "b.onnx")
    assert caught.value.where == f"b.onnx: metadata: {name}"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("needs", ["telepathy"], 'the bundle needs "telepathy", which this edge-detect does not know'),
        ("needs", ["baseline", "telepathy"], 'the bundle needs "telepathy"'),
        ("needs", ["x" * 5000], 'the bundle needs "x{39}…, which'),
        ("needs", [], 'names "", but the bundle has "baseline"'),
        ("needs", ["baseline", "baseline"], 'names "baseline, baseline", but the bundle has "baseline"'),
        ("needs", "baseline", "is not a list of names"),
        ("needs", [1], "is not a list of names"),
        ("needs", None, "is not a list of names"),
        ("baseline", None, "expected an object, found null"),
        ("notes", [], "notes: expected an object"),
        ("notes", {"a": 1}, "notes.a: expected printable text"),
        ("baseline.colour", "red", "baseline.colour: an unknown field"),
        ("baseline.rows", 64.0, "baseline.rows: expected a whole number"),
        ("baseline.rows", 0, "baseline.rows: is out of range"),
        ("baseline.rows", caps.LONGEST_BASELINE_STEP + 1, "baseline.rows: is out of range"),
        ("baseline.rows", 20, "baseline.golden.rows: is 52, which is not 0 to 19"),
        ("baseline.horizon", 255.0, "baseline.horizon: is out of range"),
        ("baseline.horizon", 1e39, "baseline.horizon: is out of range"),
        ("baseline.horizon", float("inf"), "baseline.horizon: expected a finite number"),
        ("baseline.gain", 0, "baseline.gain: is out of range"),
        ("baseline.gain", -1, "baseline.gain: is out of range"),
        ("baseline.gain", 17.0, "baseline.horizon: is out of range"),
        ("baseline.near", 0, "baseline.near: is out of range"),
        ("baseline.near", 1e5, "baseline.near: is out of range"),
        ("baseline.far", 2.0, "baseline.near: is out of range"),
        ("baseline.far", 1e42, "baseline.far: is out of range"),
        ("baseline.persistent", 1.1, "baseline.persistent: is out of range"),
        ("baseline.persistent", -0.1, "baseline.persistent: is out of range"),
        ("baseline.doubtful", 1.1, "baseline.doubtful: is out of range"),
        ("baseline.doubtful", -0.1, "baseline.doubtful: is out of range"),
        ("baseline.bound", 0, "baseline.bound: is out of range"),
        ("baseline.bound", 1e42, "baseline.bound: is out of range"),
        ("baseline.spread", [1.0] * 7, "baseline.spread: has 7 numbers, but .* has 8 columns"),
        ("baseline.spread", [], "baseline.spread: has 0 numbers"),
        ("baseline.spread", [1.0] * 7 + [0.0], "baseline.spread: is out of range"),
        ("baseline.spread", [1.0] * 7 + [-1.0], "baseline.spread: is out of range"),
        ("baseline.spread", [1.0] * 7 + [1e39], "baseline.spread: is out of range"),
        ("baseline.golden.rows", 64, "baseline.golden.rows: is 64, which is not 0 to 63"),
        ("baseline.golden.rows", -1, "baseline.golden.rows: is -1"),
        *(
            (f"{place}.{name}", numbers, f"{place}.{name}: {message}")
            for place in ("baseline.golden", "golden.baseline_after")
            for name, numbers, message in (
                ("values", [0.0] * 9, "has 9 numbers, but the baseline has 8 columns"),
                ("persistence", [], "has 0 numbers"),
                ("near", [0.0] * 7, "has 7 numbers"),
                ("far", [0.0] * 7, "has 7 numbers"),
                ("beyond", [0.0] * 7, "has 7 numbers"),
                ("values", [1e39] * 8, "is out of range"),
                ("persistence", [-1.1] * 8, "is out of range"),
                ("near", [1e4] * 8, "is out of range"),
                ("far", [-1e7] * 8, "is out of range"),
                ("beyond", [65.0] * 8, "is out of range"),
            )
        ),
        ("golden.baseline_after", None, "golden.baseline_after: is there without a baseline, or missing"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(data: bytes, path: str, value: Any, message: str) -> None:
    with pytest.raises(BundleFormatError, match=message) as caught:
        load_bytes(with_document(data, changed(path, value)), "b.onnx")
    assert str(caught.value).startswith("b.onnx: metadata: ")
    if "telepathy" in message:
        assert caught.value.hint is not None
        assert "install a newer edge-detect" in caught.value.hint


def test_document_and_graph_agree_on_whether_there_is_a_baseline(data: bytes, first: bytes) -> None:
    document = json.loads(load_bytes(data, "b.onnx").metadata.to_json())

    def without(found: dict[str, Any]) -> None:
        found.update(format_version=1)
        del found["needs"], found["baseline"], found["golden"]["baseline_after"]

    def beside(found: dict[str, Any]) -> None:
        found.update(format_version=2, needs=["baseline"], baseline=document["baseline"])
        found["golden"]["baseline_after"] = document["golden"]["baseline_after"]

    for changed_data in (with_document(data, without), with_document(first, beside)):
        with pytest.raises(BundleFormatError, match="baseline: disagrees with the graph"):
            load_bytes(changed_data, "b.onnx")
    after = document["golden"]["baseline_after"]
    with pytest.raises(BundleFormatError, match="golden.baseline_after: is there without a baseline"):
        load_bytes(with_document(first, changed("golden.baseline_after", after)), "b.onnx")


def more(numbers: list[float]) -> list[float]:
    return [1.1 * number for number in numbers]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("baseline.rows", 60),
        ("baseline.rows", 72),
        ("baseline.rows", 256),
        ("baseline.horizon", 1100.0),
        ("baseline.horizon", 900.0),
        ("baseline.near", 5.5),
        ("baseline.gain", 4.4),
        ("baseline.gain", 3.6),
        ("baseline.persistent", 0.9),
        ("baseline.spread", more),
        *(
            (f"{place}.{name}", more)
            for place in ("baseline.golden", "golden.baseline_after")
            for name in ("values", "near", "far")
        ),
        ("baseline.golden.persistence", lambda numbers: [0.9 * number for number in numbers]),
        ("golden.baseline_after.persistence", lambda numbers: [0.9 * number for number in numbers]),
        ("baseline.golden.beyond", lambda numbers: [0.5 * number for number in numbers]),
        ("golden.baseline_after.beyond", lambda numbers: [0.5 * number for number in numbers]),
        ("baseline.golden.rows", 51),
        ("golden.baseline_after.rows", 21),
    ],
)
def test_golden_rows_prove_each_number_of_a_step(data: bytes, path: str, value: Any) -> None:
    with pytest.raises((SelfTestError, BundleFormatError), match="golden"):
        load_bytes(with_document(data, changed(path, value)), "b.onnx")


def value_of(model: onnx.ModelProto, name: str) -> onnx.ValueInfoProto:
    values = (*model.graph.input, *model.graph.output)
    found: onnx.ValueInfoProto = next(value for value in values if value.name == name)
    return found


def _without(name: str) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        for values in (model.graph.input, model.graph.output):
            if any(value.name == name for value in values):
                values.remove(value_of(model, name))

    return change


def _shaped(name: str, *shape: int | str) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        value = helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, list(shape))
        value_of(model, name).CopyFrom(value)

    return change


def _float64(model: onnx.ModelProto) -> None:
    value_of(model, "bound").type.tensor_type.elem_type = onnx.TensorProto.DOUBLE


def _all(*changes: Callable[[onnx.ModelProto], None]) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        for each in changes:
            each(model)

    return change


def _columns(count: int) -> Callable[[onnx.ModelProto], None]:
    return _all(
        _shaped("baseline", 1, count), _shaped("bound", 1, count), _shaped("residuals", "rows", count)
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("bound"), "input baseline: is not float32"),
        (_without("baseline"), "input baseline: is not float32"),
        (_without("residuals"), "input baseline: is not float32"),
        (_all(_without("baseline"), _without("bound")), "input baseline: is not float32"),
        (_shaped("baseline", 8), "input baseline: is not float32"),
        (_shaped("baseline", 2, 8), "input baseline: is not float32"),
        (_shaped("baseline", 1, 4), "input baseline: is not float32"),
        (_shaped("baseline", "rows", 8), "input baseline: is not float32"),
        (_shaped("baseline", 1, "columns"), "input baseline: is not float32"),
        (_shaped("bound", 1, 4), "input baseline: is not float32"),
        (_shaped("residuals", "rows", 4), "input baseline: is not float32"),
        (_shaped("residuals", 1, 8), "input baseline: is not float32"),
        (_float64, "."),
        (_columns(caps.MAX_BASELINE + 1), "columns, more than the 512 that are allowed"),
    ],
)
def test_the_gate_refuses(data: bytes, change: Callable[[onnx.ModelProto], None], message: str) -> None:
    with pytest.raises(GateError, match=message):
        load_bytes(with_model(data, change), "b.onnx")


def test_columns_that_the_graph_does_not_have_are_refused(data: bytes) -> None:
    with pytest.raises(BundleError):
        load_bytes(with_model(data, _columns(4)), "b.onnx")


def _later_rows(model: onnx.ModelProto) -> None:
    """Residuals that are moved up by a row: the last one stands twice."""
    node = next(node for node in model.graph.node if node.output[0] == "residuals")
    node.output[0] = "own"
    for other in model.graph.node:
        other.input[:] = ["own" if name == "residuals" else name for name in other.input]
    ends = {"from_next": [1], "from_last": [-1], "to_end": [2**31 - 1], "of_rows": [0]}
    for name, value in ends.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value, np.int64), name))
    for name in ("next", "last"):
        words = ["own", f"from_{name}", "to_end", "of_rows"]
        model.graph.node.append(helper.make_node("Slice", words, [f"own_{name}"], name=f"own_{name}"))
    joined = helper.make_node("Concat", ["own_next", "own_last"], ["residuals"], name="r", axis=0)
    model.graph.node.append(joined)


def test_residuals_of_later_rows_are_refused(data: bytes) -> None:
    def followed(data: bytes) -> None:
        outline = read_outline(data)
        check_rows(data, outline.graph, _graph(data))

    followed(data)
    with pytest.raises(GateError, match="rows"):
        followed(with_model(data, _later_rows))


def _graph(data: bytes) -> Graph:
    from edge_runtime.bundle.gate import check_graph  # noqa: PLC0415

    return check_graph(data, read_outline(data).graph)

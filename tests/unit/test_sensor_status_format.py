"""Bundles that say when a sensor stands still or jumps: checked in full, and refused where they are wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import onnx
import pytest
from support.bundles import SENSORS, make_bundle
from support.tampering import with_document

from edge_runtime.bundle.metadata import Metadata, SensorLimit, SensorStatus
from edge_runtime.errors import BundleFormatError
from edge_runtime.loading.load import load_bytes
from edge_runtime.loading.trial import TrialLimits, run_trial

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LIMITS = (
    SensorLimit(10, 0.05, 2.5),
    SensorLimit(None, 0.0, None),
    SensorLimit(3, 0.125, None),
    SensorLimit(None, 1.0, 400.0),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_bundle(tmp_path_factory.mktemp("status"), limits=LIMITS).read_bytes()


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("full")
    return make_bundle(folder, channels=True, horizon=1024.0, degraded=True, limits=LIMITS).read_bytes()


def changed(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Puts a value, or what a function makes of the one there, in this place below `sensor_status`."""

    def change(document: dict[str, Any]) -> None:
        place: Any = document["sensor_status"]
        *folders, last = (int(name) if name.isdecimal() else name for name in path.split("."))
        for name in folders:
            place = place[name]
        place[last] = value(place[last]) if callable(value) else value

    return change


def test_the_document_reads_back_as_it_was_written(data: bytes, full: bytes) -> None:
    for file, needs in ((data, ("sensor_status",)), (full, ("baseline", "degraded", "sensor_status"))):
        text = onnx.ModelProto.FromString(file).metadata_props[0].value
        metadata = Metadata.from_json(text)
        assert metadata.needs == needs
        assert metadata.format_version == 2
        assert metadata.sensor_status == SensorStatus(LIMITS, 2000)
        assert metadata.to_json() == text
        assert load_bytes(file, "b.onnx").metadata == metadata
    assert "s in a process of its own" in run_trial(full, TrialLimits(seconds=120))


def test_a_bundle_without_it_is_what_it_was(tmp_path: Path) -> None:
    document = json.loads(load_bytes(make_bundle(tmp_path).read_bytes(), "b.onnx").metadata.to_json())
    assert document["format_version"] == 1
    assert "sensor_status" not in document
    assert "needs" not in document


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("limits.0.flat_rows", 2, r"limits\[0\].flat_rows: is out of range"),
        ("limits.2.flat_rows", 0, r"limits\[2\].flat_rows: is out of range"),
        ("limits.1.flat_rows", -5, r"limits\[1\].flat_rows: is out of range"),
        ("limits.0.flat_rows", 10.5, r"limits\[0\].flat_rows: expected a whole number"),
        ("limits.0.flat_rows", True, r"limits\[0\].flat_rows: expected a whole number"),
        ("limits.3.within", -1e-9, r"limits\[3\].within: is out of range"),
        ("limits.3.within", 1e39, r"limits\[3\].within: is out of range"),
        ("limits.3.within", float("nan"), r"limits\[3\].within: expected a finite number"),
        ("limits.3.within", None, r"limits\[3\].within: expected a finite number"),
        ("limits.0.max_rate", 0, r"limits\[0\].max_rate: is out of range"),
        ("limits.0.max_rate", -2.5, r"limits\[0\].max_rate: is out of range"),
        ("limits.0.max_rate", 1e-60, r"limits\[0\].max_rate: is out of range"),
        ("limits.0.max_rate", 1e39, r"limits\[0\].max_rate: is out of range"),
        ("limits.0.max_rate", "2.5", r"limits\[0\].max_rate: expected a finite number"),
        ("limits.0.max_rate", float("inf"), r"limits\[0\].max_rate: expected a finite number"),
        ("limits", lambda found: found[:3], r"limits: has 3 entries, but there are 4 sensors"),
        ("limits", lambda found: found + found[:1], r"limits: has 5 entries, but there are 4 sensors"),
        ("limits", [], r"limits: has 0 entries"),
        ("limits", None, r"limits: expected a list"),
        ("limits.1", None, r"limits\[1\]: expected an object"),
        ("limits.1.colour", "red", r"limits\[1\].colour: an unknown field"),
        ("rows", -1, r"rows: must not be negative"),
        ("rows", 1.5, r"rows: expected a whole number"),
        ("rows", "2000", r"rows: expected a whole number"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(data: bytes, path: str, value: Any, message: str) -> None:
    with pytest.raises(BundleFormatError, match=message) as caught:
        load_bytes(with_document(data, changed(path, value)), "b.onnx")
    assert str(caught.value).startswith("b.onnx: metadata: sensor_status.")


@pytest.mark.parametrize("field", ["flat_rows", "within", "max_rate"])
def test_no_field_may_be_missing(data: bytes, field: str) -> None:
    def leave_out(document: dict[str, Any]) -> None:
        del document["sensor_status"]["limits"][2][field]

    with pytest.raises(BundleFormatError, match=rf"limits\[2\].{field}"):
        load_bytes(with_document(data, leave_out), "b.onnx")


def test_a_sensor_of_that_name_is_refused_in_such_a_bundle_alone(data: bytes, tmp_path: Path) -> None:
    def rename(document: dict[str, Any]) -> None:
        document["sensors"][2]["name"] = "sensor_status"

    with pytest.raises(BundleFormatError, match="'sensor_status' is the name of a column") as caught:
        load_bytes(with_document(data, rename), "b.onnx")
    assert caught.value.hint == "rename it, or export without sensor_status"
    named = (*SENSORS[:2], ("sensor_status", *SENSORS[2][1:]), SENSORS[3])
    plain = load_bytes(make_bundle(tmp_path, sensors=named).read_bytes(), "b.onnx")
    assert plain.metadata.sensor_names[2] == "sensor_status"


def test_the_field_and_its_name_in_needs_go_together(data: bytes) -> None:
    for change in (
        lambda document: document.pop("sensor_status"),
        lambda document: document.update(needs=[]),
        lambda document: document.update(needs=["degraded", "sensor_status"]),
    ):
        with pytest.raises(BundleFormatError, match="metadata: needs: names"):
            load_bytes(with_document(data, change), "b.onnx")

    with pytest.raises(BundleFormatError, match="metadata: sensor_status: expected an object, found null"):
        load_bytes(with_document(data, lambda document: document.update(sensor_status=None)), "b.onnx")

    def first(document: dict[str, Any]) -> None:
        document.update(format_version=1)
        del document["needs"]

    with pytest.raises(BundleFormatError, match="metadata: sensor_status: an unknown field"):
        load_bytes(with_document(data, first), "b.onnx")

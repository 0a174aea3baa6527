"""Bundles that say how rows are judged that lack one sensor: checked in full, and proved by golden rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import onnx
import pytest
from support.bundles import SENSORS, make_bundle
from support.tampering import with_document

from edge_runtime.bundle.metadata import Metadata
from edge_runtime.errors import BundleFormatError, SelfTestError
from edge_runtime.loading.load import load_bytes
from edge_runtime.loading.trial import TrialLimits, run_trial

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LIMITS = TrialLimits(seconds=120)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("degraded")
    return make_bundle(folder, channels=True, horizon=1024.0, smooth=11, degraded=True).read_bytes()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_bundle(tmp_path_factory.mktemp("plain"), degraded=True).read_bytes()


def changed(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Puts a value, or what a function makes of the one that is there, in this place below `degraded`."""

    def change(document: dict[str, Any]) -> None:
        place: Any = document["degraded"]
        *folders, last = (int(name) if name.isdecimal() else name for name in path.split("."))
        for name in folders:
            place = place[name]
        place[last] = value(place[last]) if callable(value) else value

    return change


def test_the_document_reads_back_as_it_was_written(data: bytes, plain: bytes) -> None:
    for file, needs in ((data, ("baseline", "degraded")), (plain, ("degraded",))):
        text = onnx.ModelProto.FromString(file).metadata_props[0].value
        metadata = Metadata.from_json(text)
        assert metadata.needs == needs
        assert metadata.format_version == 2
        assert metadata.to_json() == text


def test_a_bundle_without_it_is_what_it_was(tmp_path: Path) -> None:
    document = json.loads(load_bytes(make_bundle(tmp_path).read_bytes(), "b.onnx").metadata.to_json())
    assert document["format_version"] == 1
    assert "degraded" not in document


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("absent", lambda found: found[:3], r"degraded.absent: has 3 entries, but there are 4 sensors"),
        ("absent", [], r"degraded.absent: has 0 entries"),
        ("absent", None, r"degraded.absent: expected a list"),
        ("absent.1.coefficients", [0.0] * 3, r"absent\[1\].coefficients: has 3 numbers"),
        ("absent.1.coefficients.1", 0.1, r"absent\[1\].coefficients\[1\]: is the sensor's own, and not 0"),
        ("absent.1.coefficients.0", 1e39, r"absent\[1\]: has a coefficient or an intercept that is out"),
        ("absent.1.coefficients.0", float("nan"), r"coefficients\[0\]: expected a finite number"),
        ("absent.3.intercept", -1e39, r"absent\[3\]: has a coefficient or an intercept that is out of range"),
        ("absent.3.intercept", "1", r"absent\[3\].intercept: expected a finite number"),
        ("absent.0.threshold", 0, r"absent\[0\].threshold: 0 is no score that float32 holds"),
        ("absent.0.threshold", -1.0, r"absent\[0\].threshold: -1 is no score"),
        ("absent.0.threshold", 1e39, r"absent\[0\].threshold: 1e\+39 is no score"),
        ("absent.2.auc_loss", 1.5, r"absent\[2\].auc_loss: must be -1 to 1, not 1.5"),
        ("absent.2.auc_loss", None, r"absent\[2\].auc_loss: is there without measured_on, or missing"),
        ("auc", None, r"degraded.auc: is there without measured_on, or missing beside it"),
        ("auc", -0.1, r"degraded.auc: must be 0 to 1, not -0.1"),
        ("measured_on", None, r"auc_loss: is there without measured_on"),
        ("measured_on", "guesses", r"degraded.measured_on: is neither labels nor injected"),
        ("rows", -1, r"degraded.rows: must not be negative, and is -1"),
        ("rows", 1.5, r"degraded.rows: expected a whole number"),
        ("golden", lambda found: found[:-1], r"degraded.golden: has 31 scores, and needs 32"),
        ("absolute_tolerance", -1e-9, r"degraded.absolute_tolerance: is negative, or so large"),
        ("absolute_tolerance", 100.0, r"degraded.absolute_tolerance: is negative, or so large"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(data: bytes, path: str, value: Any, message: str) -> None:
    with pytest.raises(BundleFormatError, match=message) as caught:
        load_bytes(with_document(data, changed(path, value)), "b.onnx")
    assert str(caught.value).startswith("b.onnx: metadata: degraded.")


def test_a_sensor_of_that_name_is_refused(plain: bytes) -> None:
    def rename(document: dict[str, Any]) -> None:
        document["sensors"][2]["name"] = "degraded"

    with pytest.raises(BundleFormatError, match="'degraded' is the name of a column"):
        load_bytes(with_document(plain, rename), "b.onnx")


def test_the_field_and_its_name_in_needs_go_together(plain: bytes) -> None:
    for change in (
        lambda document: document.pop("degraded"),
        lambda document: document.update(needs=[]),
        lambda document: document.update(needs=["baseline", "degraded"]),
    ):
        with pytest.raises(BundleFormatError, match="metadata: needs: names"):
            load_bytes(with_document(plain, change), "b.onnx")

    def first(document: dict[str, Any]) -> None:
        document.update(format_version=1)
        del document["needs"]

    with pytest.raises(BundleFormatError, match="metadata: degraded: an unknown field"):
        load_bytes(with_document(plain, first), "b.onnx")


def test_a_single_sensor_has_no_such_feature(tmp_path: Path, plain: bytes) -> None:
    other = json.loads(load_bytes(plain, "b.onnx").metadata.to_json())["degraded"]
    one = make_bundle(tmp_path, sensors=SENSORS[:1]).read_bytes()

    def add(document: dict[str, Any]) -> None:
        absent = [{**other["absent"][0], "coefficients": [0.0]}]
        document.update(format_version=2, needs=["degraded"], degraded={**other, "absent": absent})

    with pytest.raises(BundleFormatError, match="degraded: needs two sensors or more"):
        load_bytes(with_document(one, add), "b.onnx")


def more(number: float) -> float:
    return 1.1 * number


@pytest.mark.parametrize("kind", ["data", "plain"])
@pytest.mark.parametrize(
    "path",
    [
        *(f"absent.{place}.intercept" for place in range(4)),
        *(f"absent.{place}.coefficients.{(place + 1) % 4}" for place in range(4)),
        "golden.0",
        "golden.31",
    ],
)
def test_golden_rows_prove_each_regression(request: pytest.FixtureRequest, kind: str, path: str) -> None:
    tampered = with_document(request.getfixturevalue(kind), changed(path, more))
    with pytest.raises(SelfTestError, match="golden rows with a sensor missing do not give the scores"):
        load_bytes(tampered, "b.onnx")
    with pytest.raises(SelfTestError, match="golden rows with a sensor missing do not give the scores"):
        run_trial(tampered, LIMITS)


def test_every_sensor_has_its_turn_where_there_are_more_than_golden_rows(tmp_path: Path) -> None:
    many = tuple((f"s{i}", "", 10.0 * i, 1.0 + i, None) for i in range(40))
    data = make_bundle(tmp_path, sensors=many, degraded=True).read_bytes()
    metadata = load_bytes(data, "b.onnx").metadata
    assert metadata.degraded is not None
    assert len(metadata.degraded.golden) == 40
    assert "s in a process of its own" in run_trial(data, LIMITS)
    with pytest.raises(SelfTestError, match="1 of 40 golden rows with a sensor missing"):
        load_bytes(with_document(data, changed("absent.39.intercept", more)), "b.onnx")


def test_the_trial_passes_what_was_exported_and_refuses_thresholds_that_mean_nothing(
    data: bytes, plain: bytes
) -> None:
    for file in (data, plain):
        assert "s in a process of its own" in run_trial(file, LIMITS)
        with pytest.raises(SelfTestError, match=r"no row can reach the threshold of 1e\+38") as caught:
            run_trial(with_document(file, changed("absent.1.threshold", 1e38)), LIMITS)
        assert "degraded.absent[1].threshold" in str(caught.value)
        with pytest.raises(SelfTestError, match="every row exceeds the threshold of 1e-30") as caught:
            run_trial(with_document(file, changed("absent.3.threshold", 1e-30)), LIMITS)
        assert "degraded.absent[3].threshold" in str(caught.value)

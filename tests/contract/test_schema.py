"""The JSON Schema in the wheel says of a bundle's metadata what the code says."""

from __future__ import annotations

import copy
import json
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from support.bundles import make_bundle

from edge_runtime import load_bundle
from edge_runtime.bundle.metadata import Alarms, Debounce, Metadata, SensorLimit
from edge_runtime.bundle.needs import check_alarms, check_sensor_status
from edge_runtime.errors import BundleFormatError
from export.schema import SCHEMA_FILE, metadata_schema

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


LIMITS = (SensorLimit(30, 0.05, 2.0), *(SensorLimit(None, 0.0, None) for _ in range(3)))
ALARMS = Alarms(3.0, 60.0, 4.5, 2000)


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    text = resources.files("edge_runtime").joinpath("data", SCHEMA_FILE.name).read_text(encoding="utf-8")
    return Draft202012Validator(json.loads(text))


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = make_bundle(tmp_path_factory.mktemp("schema"), per_machine={"press-2": 0.25}, smooth=5)
    found: dict[str, Any] = json.loads(load_bundle(path).metadata.to_json())
    return found


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("second")
    options: dict[str, Any] = {
        "channels": True,
        "horizon": 1024.0,
        "smooth": 5,
        "degraded": True,
        "limits": LIMITS,
    }
    path = make_bundle(folder, **options, alarms=ALARMS)
    found: dict[str, Any] = json.loads(load_bundle(path).metadata.to_json()) | {"notes": {"by": "hand"}}
    return found


def test_the_file_is_what_the_code_says_today() -> None:
    assert json.loads(SCHEMA_FILE.read_text(encoding="utf-8")) == metadata_schema()
    Draft202012Validator.check_schema(metadata_schema())


def test_every_field_is_described() -> None:
    def walk(schema: dict[str, Any], path: str) -> None:
        for name, part in schema.get("properties", {}).items():
            inner = part.get("properties") or part.get("items", {}).get("properties")
            assert inner or "description" in part or path.endswith(("hold", "limits", "metrics", "scaler")), (
                f"{path}.{name}"
            )
            walk(part if "properties" in part else part.get("items", {}), f"{path}.{name}")

    walk(metadata_schema(), "")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"smooth": 5},
        {"shown": {"period": 60.0}},
        {"model": "pca"},
        {"debounce": Debounce(2, 3)},
        {"channels": True, "horizon": 1024.0, "smooth": 5},
        {"degraded": True},
        {"limits": LIMITS},
        {"limits": LIMITS, "degraded": True},
        {"alarms": ALARMS},
        {"alarms": Alarms(0.0, 0.0, None, 0), "limits": LIMITS},
    ],
)
def test_bundles_fit_it(tmp_path: Path, validator: Draft202012Validator, options: dict[str, Any]) -> None:
    metadata = load_bundle(make_bundle(tmp_path, **options)).metadata
    validator.validate(json.loads(metadata.to_json()))


def test_the_default_bundle_fits_it(validator: Draft202012Validator) -> None:
    validator.validate(json.loads(load_bundle().metadata.to_json()))


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "missing": lambda d: d.pop("threshold"),
    "missing inside": lambda d: d["model"].pop("kind"),
    "unknown": lambda d: d.update(more=1),
    "unknown inside": lambda d: d["sensors"][0].update(colour="red"),
    "text for a number": lambda d: d.update(cadence_seconds="1"),
    "number for text": lambda d: d["sensors"][1].update(unit=3),
    "true for a whole number": lambda d: d.update(warm_up_rows=True),
    "half for a whole number": lambda d: d.update(warm_up_rows=0.5),
    "null": lambda d: d.update(golden=None),
    "a range of three": lambda d: d["sensors"][0].update(physical_range=[1, 2, 3]),
    "threshold of 0": lambda d: d["threshold"].update(value=0),
    "own threshold below 0": lambda d: d["threshold"]["per_machine"].update(x=-1),
    "hold that never rises": lambda d: d["threshold"]["hold"].update(rise=0),
    "debounce of no row": lambda d: d["threshold"].update(debounce={"k": 0, "n": 3}),
    "debounce without a length": lambda d: d["threshold"].update(debounce={"k": 1}),
    "another version": lambda d: d.update(format_version=3),
    "a later version without needs": lambda d: d.update(format_version=2),
    "needs in version 1": lambda d: d.update(needs=[]),
    "notes in version 1": lambda d: d.update(notes={}),
    "an unknown need": lambda d: d.update(format_version=2, needs=["telepathy"]),
    "a need twice": lambda d: d.update(format_version=2, needs=["baseline", "baseline"]),
    "a note that is no text": lambda d: d.update(format_version=2, needs=[], notes={"rows": 3}),
    "list for an object": lambda d: d.update(metrics=[]),
    "text in a list of numbers": lambda d: d["golden"].update(scores=["1"]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_schema_and_code_refuse_the_same(
    document: dict[str, Any], validator: Draft202012Validator, change: str
) -> None:
    validator.validate(document)
    assert Metadata.from_json(json.dumps(document))
    changed = copy.deepcopy(document)
    CHANGES[change](changed)
    assert not validator.is_valid(changed)
    with pytest.raises(BundleFormatError):
        Metadata.from_json(json.dumps(changed))


OF_VERSION_2: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no needs": lambda d: d.pop("needs"),
    "a need that is not there": lambda d: d.pop("baseline"),
    "a need that is null": lambda d: d.update(baseline=None),
    "a null that is not needed": lambda d: d.update(needs=[], baseline=None),
    "what is not named": lambda d: d.update(needs=[]),
    "an unknown need": lambda d: d["needs"].append("telepathy"),
    "version 1": lambda d: d.update(format_version=1),
    "notes in a list": lambda d: d.update(notes=["x"]),
    "unknown inside": lambda d: d["baseline"].update(colour="red"),
    "missing inside": lambda d: d["baseline"].pop("gain"),
    "missing further inside": lambda d: d["baseline"]["golden"].pop("values"),
    "the other need that is not there": lambda d: d.pop("degraded"),
    "unknown inside a list": lambda d: d["degraded"]["absent"][0].update(colour="red"),
    "missing inside a list": lambda d: d["degraded"]["absent"][3].pop("intercept"),
    "a coefficient that is text": lambda d: d["degraded"]["absent"][1]["coefficients"].append("1"),
    "a figure that is text": lambda d: d["degraded"].update(auc="high"),
    "limits that are not there": lambda d: d.pop("sensor_status"),
    "limits that are not needed": lambda d: d["needs"].remove("sensor_status"),
    "no limit": lambda d: d["sensor_status"].pop("limits"),
    "a limit of an unknown kind": lambda d: d["sensor_status"]["limits"][1].update(colour="red"),
    "half a limit": lambda d: d["sensor_status"]["limits"][1].pop("within"),
    "flat after half a row": lambda d: d["sensor_status"]["limits"][0].update(flat_rows=30.5),
    "flat after some rows": lambda d: d["sensor_status"]["limits"][0].update(flat_rows="some"),
    "a distance that is null": lambda d: d["sensor_status"]["limits"][0].update(within=None),
    "a rate that is text": lambda d: d["sensor_status"]["limits"][0].update(max_rate="2"),
    "alarms that are not there": lambda d: d.pop("alarms"),
    "alarms that are not needed": lambda d: d["needs"].remove("alarms"),
    "alarms of an unknown kind": lambda d: d["alarms"].update(latch=True),
    "no off-delay": lambda d: d["alarms"].pop("off_delay_s"),
    "an on-delay that is null": lambda d: d["alarms"].update(on_delay_s=None),
    "a high severity that is text": lambda d: d["alarms"].update(high_severity="5"),
    "half a row of alarms": lambda d: d["alarms"].update(rows=0.5),
    "half a row": lambda d: d["baseline"].update(rows=64.5),
    "text in a list": lambda d: d["baseline"].update(spread=["1"]),
    "a state that is a list": lambda d: d["golden"].update(baseline_after=[]),
}


@pytest.mark.parametrize("change", OF_VERSION_2)
def test_schema_and_code_refuse_the_same_of_version_2(
    second: dict[str, Any], validator: Draft202012Validator, change: str
) -> None:
    validator.validate(second)
    assert Metadata.from_json(json.dumps(second))
    changed = copy.deepcopy(second)
    OF_VERSION_2[change](changed)
    assert not validator.is_valid(changed)
    with pytest.raises(BundleFormatError):
        Metadata.from_json(json.dumps(changed))


def test_schema_and_code_take_notes_alone(document: dict[str, Any], validator: Draft202012Validator) -> None:
    noted = copy.deepcopy(document) | {"format_version": 2, "needs": [], "notes": {"by": "hand"}}
    validator.validate(noted)
    assert Metadata.from_json(json.dumps(noted)).notes == {"by": "hand"}


OUT_OF_RANGE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "flat after two rows": lambda d: d["limits"][0].update(flat_rows=2),
    "flat at once": lambda d: d["limits"][1].update(flat_rows=0),
    "a distance below 0": lambda d: d["limits"][2].update(within=-0.5),
    "a rate of 0": lambda d: d["limits"][3].update(max_rate=0),
    "no sensor": lambda d: d["limits"].clear(),
    "fewer rows than none": lambda d: d.update(rows=-1),
}


@pytest.mark.parametrize("change", OUT_OF_RANGE)
def test_schema_and_code_refuse_the_same_limits(
    second: dict[str, Any], validator: Draft202012Validator, change: str
) -> None:
    changed = copy.deepcopy(second)
    metadata = Metadata.from_json(json.dumps(changed))
    assert metadata.sensor_status is not None
    check_sensor_status(metadata.sensor_status, metadata)
    OUT_OF_RANGE[change](changed["sensor_status"])
    assert not validator.is_valid(changed)
    metadata = Metadata.from_json(json.dumps(changed))
    assert metadata.sensor_status is not None
    with pytest.raises(BundleFormatError, match="sensor_status"):
        check_sensor_status(metadata.sensor_status, metadata)


ALARMS_OUT_OF_RANGE: dict[str, dict[str, float]] = {
    "an on-delay below 0": {"on_delay_s": -1.0},
    "an on-delay of more than a day": {"on_delay_s": 86_401.0},
    "an off-delay below 0": {"off_delay_s": -0.001},
    "an off-delay of more than a day": {"off_delay_s": 1e9},
    "a high severity that every alarm has": {"high_severity": 1.0},
    "fewer rows than none": {"rows": -1},
}


@pytest.mark.parametrize("change", ALARMS_OUT_OF_RANGE)
def test_schema_and_code_refuse_the_same_delays(
    second: dict[str, Any], validator: Draft202012Validator, change: str
) -> None:
    changed = copy.deepcopy(second)
    alarms = Metadata.from_json(json.dumps(changed)).alarms
    assert alarms == ALARMS
    check_alarms(alarms)
    changed["alarms"].update(ALARMS_OUT_OF_RANGE[change])
    assert not validator.is_valid(changed)
    alarms = Metadata.from_json(json.dumps(changed)).alarms
    assert alarms is not None
    with pytest.raises(BundleFormatError, match="is out of range"):
        check_alarms(alarms)

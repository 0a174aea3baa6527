"""What sensors may be called: the gateway, `edge-train` and `edge-export` ask the same rules."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.bundles import SENSORS, make_bundle, make_checkpoint, normal_rows
from support.commands import assert_one_clear_line
from support.tampering import with_document

from edge_runtime import Engine, Readings
from edge_runtime.bundle.caps import OF_A_SENSOR, RESERVED
from edge_runtime.bundle.names import wrong_sensors, wrong_text
from edge_runtime.bundle.needs import STATUS_COLUMN
from edge_runtime.errors import BundleFormatError, ExportError, InputError
from edge_runtime.loading.load import load_bytes
from edge_runtime.mapping.form import Columns
from edge_runtime.scorefile.csvfile import CsvWriter
from edge_runtime.sinks.influx import BUNDLE_TAG, InfluxSinkSettings
from export.write import export_checkpoint
from trainer.data.choice import Columns as TrainingColumns
from trainer.data.training_data import read_training_data

if TYPE_CHECKING:
    from pathlib import Path

    from support.commands import Command

# Names as plants have them.
GOOD = [
    *("temperature", "T1", "PLC1.DB4:word-2", "Druck Öl (bar)", "température", "Küche_2", "speed [1/min]"),
    *("Δp", "ΔT_in", "\u03c1_oil", "η", "θ1", "Ω2", "m³/h", "µ-slip", "CO₂"),
    *(
        "Температура",
        "Линия 2 A",
        "давление-1",
        "θερμοκρασία",
        "温度",
        "温度A",
        "センサー1",
        "온도",
        "온도 2",
    ),
    *(
        "อุณหภูมิPT100",
        "น้ำมัน",
        "तापमानA",
        "\u062d\u0631\u0627\u0631\u0629A",
        "온도C",
        "温度Т",
        "Nº1",
        "1ª",
        "\u041d\u0430\u0441\u043e\u0441 №1",
        "mⁿ",
        "温Δ",
        "\u03b11",
    ),
    *("حرارة", "טמפרטורה", "อุณหภูมิ", "तापमान", "ŷ", "Score", "Time", "error_rate", "expected_life"),
]
CYRILLIC_E, CYRILLIC_A = "\u0435", "\u0430"
BAD = {
    "": "has no name",
    "x" * 129: "129 characters, and a name has at most 128",
    " a": "begins or ends with a space",
    "a ": "begins or ends with a space",
    "a\nb": "cannot be seen",
    "a\x1b[2J": "cannot be seen",
    "a\u202eb": "cannot be seen",  # turns the direction of writing
    "a\u2066b": "cannot be seen",
    "a\u200bb": "cannot be seen",  # no width
    "a\u2060b": "cannot be seen",
    "a\ufeffb": "cannot be seen",
    "a\u00adb": "cannot be seen",
    "a\u115fb": "cannot be seen",  # a filler, which Unicode calls a letter
    "a\ufe0fb": "cannot be seen",
    f"t{CYRILLIC_E}mp": "mixes letters that look alike, Cyrillic and Latin, in one word",
    "\u03bfil": "mixes letters that look alike, Greek and Latin",
    f"T{CYRILLIC_A}\u0301": "mixes letters that look alike, Cyrillic and Latin",
    "\u0430\u03b1": "mixes letters that look alike, Cyrillic and Greek",
    "pre\u0575": "mixes letters that look alike, Armenian and Latin",
    "\u13a0bc": "mixes letters that look alike, Cherokee and Latin",
    "\u2c9fil": "mixes letters that look alike, Coptic and Latin",
    f"อ{CYRILLIC_A}b": "mixes letters that look alike, Cyrillic and Latin",
    "\uff54emp": "stand for others",  # a wide t
    "\ufb01ne": "stand for others",  # a ligature
    "A\u0301": "stand for others",  # A and an accent
    "\u212b": "stand for others",  # the sign of the unit Ångström
    "time": "the results have themselves",
    "machine_id": "the results have themselves",
    "score": "the results have themselves",
    "expected": "the results have themselves",
}


@pytest.mark.parametrize("name", GOOD)
def test_a_name_as_plants_have_them(name: str) -> None:
    assert wrong_sensors(["other", name]) is None
    assert wrong_text(name) is None


@pytest.mark.parametrize("name", BAD)
def test_a_name_that_would_be_misread(name: str) -> None:
    found = wrong_sensors(["other", name])
    assert found is not None
    assert found[0] == name
    assert BAD[name] in found[1]


def test_names_are_judged_together() -> None:
    assert wrong_sensors(["a", "A"]) is None
    assert wrong_sensors([f"s{i}" for i in range(128)]) is None
    many = wrong_sensors([f"s{i}" for i in range(129)])
    assert many is not None
    assert many[1] == "there are 129 sensors, and a bundle has at most 128"
    alike = wrong_sensors(["cop", "\u0441\u043e\u0440"])
    assert alike is not None
    assert alike[1] == "looks like the sensor 'cop', but is written otherwise"
    for pair in (("a", "\u03b1"), ("y", "\u03b3"), ("r", "τ"), ("k", "κ"), ("µ", "u")):
        assert wrong_sensors(pair) is None
    for pair in (("v", "\u03bd"), ("o", "\u03bf"), ("P", "\u03a1")):
        assert wrong_sensors(pair) is not None
    for prefix in OF_A_SENSOR:
        own = wrong_sensors(["x", f"{prefix}x"])
        assert own is not None
        assert own[1] == "is also the column that the results have for the sensor 'x'"


def test_the_reserved_names_are_those_that_results_have(tmp_path: Path) -> None:
    from edge_runtime.loading.load import load_bundle  # noqa: PLC0415

    loaded = load_bundle(make_bundle(tmp_path))
    rows = normal_rows(2)
    rows[0] *= 2
    rows[1] = np.nan
    times = np.arange(2, dtype=np.int64)
    keys = {key for row in Engine(loaded).feed(Readings(np.full(2, "m"), times, rows)).rows() for key in row}
    columns = set(CsvWriter(Columns(("x",)), with_expected=True)._header)
    made = {f"{prefix}x" for prefix in OF_A_SENSOR}
    assert made <= columns
    found = keys | columns - made | {BUNDLE_TAG, InfluxSinkSettings().machine_tag}
    # Not reserved, since existing bundles of version 1 may have a sensor of this name.
    assert found - {STATUS_COLUMN} == RESERVED
    assert STATUS_COLUMN in keys - columns


@pytest.mark.parametrize("name", [name for name in BAD if name])
def test_a_bundle_with_such_a_sensor_is_refused(name: str, data: bytes) -> None:
    changed = with_document(data, lambda document: document["sensors"][0].update(name=name))
    with pytest.raises(BundleFormatError) as caught:
        load_bytes(changed, "b.onnx")
    assert (caught.value.where or "").startswith("b.onnx: metadata: sensors")
    assert BAD[name] in caught.value.what or "expected printable text" in caught.value.what


@pytest.mark.parametrize("name", GOOD)
def test_a_bundle_with_a_good_name_is_loaded(name: str, data: bytes) -> None:
    changed = with_document(data, lambda document: document["sensors"][0].update(name=name))
    assert load_bytes(changed, "b.onnx").metadata.sensor_names[0] == name


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (("sensors", 1, "unit"), r"sensors: unit of vibration"),
        (("provenance", "machines", 0), r"provenance.machines\[0\]"),
        (("threshold", "per_machine"), r"threshold.per_machine: name 0"),
    ],
)
def test_units_and_machines_must_not_be_misread_either(
    path: tuple[Any, ...], message: str, data: bytes
) -> None:
    def changed(text: str) -> bytes:
        def change(document: dict[str, Any]) -> None:
            *folders, last = path
            place: Any = document
            for step in folders:
                place = place[step]
            place[last] = {text: 1.0} if last == "per_machine" else text

        return with_document(data, change)

    with pytest.raises(BundleFormatError, match=f"{message}.*|mixes letters") as caught:
        load_bytes(changed(f"pr{CYRILLIC_E}ss-1"), "b.onnx")
    assert "mixes letters that look alike, Cyrillic and Latin, in one word" in caught.value.what
    with pytest.raises(BundleFormatError, match="expected printable text"):
        load_bytes(changed("press\u200b-1"), "b.onnx")
    for good in (
        "Presse 1/Süd",
        "Линия 2",
        "кВт",
        "µm",
        "°C",
        "kΩ",
        "k\u2126",
        "mⁿ",
        "°เซลเซียสC",
        "プレス1",
        "",
    ):
        if good or path[-1] != "per_machine":
            load_bytes(changed(good), "b.onnx")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_bundle(tmp_path_factory.mktemp("bundle"), widths=(8, 2, 8)).read_bytes()


def test_the_exporter_says_the_same(tmp_path: Path) -> None:
    sensors = (*SENSORS[:3], ("score", "W", 1.0, 0.5, None))
    checkpoint = make_checkpoint(tmp_path / "c", sensors=sensors)
    with pytest.raises(
        ExportError, match="would refuse this bundle: 'score' is the name of a column"
    ) as caught:
        export_checkpoint(checkpoint, tmp_path / "b.onnx")
    assert caught.value.hint == "rename it, such as 'score_1'"
    assert not (tmp_path / "b.onnx").exists()


def tables(folder: Path, sensor: str, machine: str = "m") -> Path:
    """Three tables of one sensor and one machine."""
    for name in ("train", "val", "test"):
        lines = [f"2026-01-01T00:00:{i:02}Z,{machine},{i % 7}" for i in range(60)]
        (folder / f"{name}.csv").write_text("\n".join([f"time,machine_id,{sensor}", *lines]) + "\n")
    return folder


def test_the_trainer_says_so_before_it_trains(tmp_path: Path, command: Command) -> None:
    tables(tmp_path, "score")
    words = ("edge-train", "fit", "--data", tmp_path, "-o", tmp_path / "out", "--no-mlflow")
    assert_one_clear_line(command(*words), 1, "the sensor 'score' is the name of a column", "--sensor")
    assert not (tmp_path / "out").exists()
    for machine, message in (
        ("pr\u200bess", "the machine 'pr\\\\u200bess' contains a character that cannot be seen"),
        (f"pr{CYRILLIC_E}ss", "the machine 'pr\u0435ss' mixes letters that look alike"),
    ):
        tables(tmp_path, "heat", machine)
        with pytest.raises(InputError, match=message):
            read_training_data(tmp_path, TrainingColumns())


def test_a_range_in_which_no_row_is_judged_is_refused_before_training(
    tmp_path: Path, command: Command
) -> None:
    tables(tmp_path, "heat")
    (tmp_path / "metadata.json").write_text(
        json.dumps({"sensors": [{"name": "heat", "unit": "°C", "physical_range": [50, 60]}]})
    )
    words = ("edge-train", "fit", "--data", tmp_path, "-o", tmp_path / "out", "--no-mlflow")
    assert_one_clear_line(
        command(*words), 2, "heat: its physical range is empty, or holds none of its training"
    )
    assert not (tmp_path / "out").exists()


def test_prepare_says_so_too(tmp_path: Path, command: Command) -> None:
    (tmp_path / "history.csv").write_text(
        "time,machine_id,severity\n2026-01-01T00:00:00Z,m,1\n2026-01-01T00:00:01Z,m,2.5\n"
    )
    done = command("edge-train", "prepare", "--csv", "history.csv", "-o", tmp_path / "out")
    assert_one_clear_line(done, 1, "the sensor 'severity' is the name of a column")

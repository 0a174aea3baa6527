"""Bundles that say when alarms are raised and return: checked in full, and refused where they are wrong."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from support.bundles import make_bundle, normal_rows
from support.tampering import with_document
from typer.testing import CliRunner

from edge_runtime import Engine
from edge_runtime.bundle.metadata import LONGEST_ALARM_DELAY_S, Alarms, Metadata, SensorLimit
from edge_runtime.bundle.needs import check_alarms
from edge_runtime.cli import app
from edge_runtime.engine.differences import compare_bundles
from edge_runtime.errors import BundleFormatError
from edge_runtime.loading.load import load_bytes
from edge_runtime.loading.trial import TrialLimits, run_trial
from edge_runtime.records import Readings, Verdict
from trainer.experiment.checkpoint import Checkpoint

if TYPE_CHECKING:
    from pathlib import Path

ALARMS = Alarms(on_delay_s=3.0, off_delay_s=90.0, high_severity=4.5, rows=7200)
LIMITS = tuple(SensorLimit(None, 0.0, None) for _ in range(4))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alarms")
    make_bundle(folder, "with.onnx", alarms=ALARMS)
    make_bundle(folder, "other.onnx", alarms=replace(ALARMS, on_delay_s=0.0, high_severity=None))
    make_bundle(folder, "without.onnx")
    return folder


@pytest.fixture(scope="module")
def data(folder: Path) -> bytes:
    return (folder / "with.onnx").read_bytes()


def test_the_document_reads_back_as_it_was_written(data: bytes, tmp_path: Path) -> None:
    options: dict[str, Any] = {"channels": True, "horizon": 1024.0, "degraded": True, "limits": LIMITS}
    full = make_bundle(tmp_path, alarms=ALARMS, **options).read_bytes()
    for file, needs in ((data, ()), (full, ("baseline", "degraded", "sensor_status"))):
        text = onnx.ModelProto.FromString(file).metadata_props[0].value
        metadata = Metadata.from_json(text)
        assert metadata.needs == ("alarms", *needs)
        assert metadata.format_version == 2
        assert metadata.alarms == ALARMS
        assert metadata.to_json() == text
        assert load_bytes(file, "b.onnx").metadata == metadata
    assert "s in a process of its own" in run_trial(data, TrialLimits(seconds=120))


def test_the_checkpoint_keeps_them_and_forgets_them(folder: Path) -> None:
    checkpoint = Checkpoint.load(folder / "with.onnx.checkpoint")
    assert checkpoint.alarms == ALARMS
    again = folder / "again"
    checkpoint.save(again)
    assert Checkpoint.load(again).alarms == ALARMS
    replace(checkpoint, alarms=None).save(again)
    assert Checkpoint.load(again).alarms is None
    assert not (again / "alarms.json").exists()


def test_a_bundle_without_them_is_what_it_was(folder: Path) -> None:
    document = json.loads(load_bytes((folder / "without.onnx").read_bytes(), "b.onnx").metadata.to_json())
    assert document["format_version"] == 1
    assert "alarms" not in document
    assert "needs" not in document


def test_verdicts_are_those_of_the_bundle_without_them(folder: Path) -> None:
    rows = normal_rows(400, seed=5)
    rows[200:240] *= 1.5
    with_them, without = (
        Engine(load_bytes((folder / name).read_bytes(), name)) for name in ("with.onnx", "without.onnx")
    )
    readings = Readings(np.full(len(rows), "m"), np.arange(len(rows)) * 10**9, rows)
    ours, theirs = (engine.feed(readings) for engine in (with_them, without))
    assert ours.results.verdicts.tolist() == theirs.results.verdicts.tolist()
    assert ours.score.tolist() == theirs.score.tolist()
    assert (ours.results.verdicts == Verdict.ANOMALY).any()


def test_only_a_bundle_that_has_them_loads_what_checks_them(folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from edge_runtime.loading.load import load_bytes; "
        "load_bytes(Path(sys.argv[1]).read_bytes(), 'b'); print('edge_runtime.bundle.needs' in sys.modules)"
    )
    for name, wanted in (("with.onnx", "True"), ("without.onnx", "False")):
        words = [sys.executable, "-c", program, str(folder / name)]
        assert subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip() == wanted


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("on_delay_s", -1, "is out of range"),
        ("on_delay_s", LONGEST_ALARM_DELAY_S + 1, "is out of range"),
        ("on_delay_s", None, "expected a finite number"),
        ("on_delay_s", "3", "expected a finite number"),
        ("on_delay_s", math.nan, "expected a finite number"),
        ("off_delay_s", -1e-9, "is out of range"),
        ("off_delay_s", 1e9, "is out of range"),
        ("off_delay_s", math.inf, "expected a finite number"),
        ("off_delay_s", True, "expected a finite number"),
        ("high_severity", 1, "is out of range"),
        ("high_severity", 0.5, "is out of range"),
        ("high_severity", math.inf, "expected a finite number"),
        ("high_severity", "high", "expected a finite number"),
        ("rows", -1, "is out of range"),
        ("rows", 1.5, "expected a whole number"),
        ("latch", True, "an unknown field"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(data: bytes, field: str, value: Any, message: str) -> None:
    def change(document: dict[str, Any]) -> None:
        document["alarms"][field] = value

    with pytest.raises(BundleFormatError, match=rf"b.onnx: metadata: alarms.{field}: {message}"):
        load_bytes(with_document(data, change), "b.onnx")


@pytest.mark.parametrize("field", ["on_delay_s", "off_delay_s", "high_severity", "rows"])
def test_no_field_may_be_missing(data: bytes, field: str) -> None:
    with pytest.raises(BundleFormatError, match=rf"alarms.{field}"):
        load_bytes(with_document(data, lambda document: document["alarms"].pop(field)), "b.onnx")


def test_the_least_and_the_most_are_taken() -> None:
    check_alarms(Alarms(0.0, 0.0, None, 0))
    check_alarms(Alarms(LONGEST_ALARM_DELAY_S, LONGEST_ALARM_DELAY_S, math.nextafter(1, 2), 1))
    for wrong in (math.nan, math.inf, -math.inf):
        for field, alarms in {
            "on_delay_s": replace(ALARMS, on_delay_s=wrong),
            "off_delay_s": replace(ALARMS, off_delay_s=wrong),
            "high_severity": replace(ALARMS, high_severity=wrong),
        }.items():
            with pytest.raises(BundleFormatError, match=f"alarms.{field}: is out of range"):
                check_alarms(alarms)


def test_the_field_and_its_name_in_needs_go_together(data: bytes) -> None:
    for change in (
        lambda document: document.pop("alarms"),
        lambda document: document.update(needs=[]),
        lambda document: document.update(needs=["alarms", "baseline"]),
    ):
        with pytest.raises(BundleFormatError, match="metadata: needs: names"):
            load_bytes(with_document(data, change), "b.onnx")

    with pytest.raises(BundleFormatError, match="metadata: alarms: expected an object, found null"):
        load_bytes(with_document(data, lambda document: document.update(alarms=None)), "b.onnx")

    def first(document: dict[str, Any]) -> None:
        document.update(format_version=1)
        del document["needs"]

    with pytest.raises(BundleFormatError, match="metadata: alarms: an unknown field"):
        load_bytes(with_document(data, first), "b.onnx")


def test_inspect_shows_them_where_they_are(folder: Path) -> None:
    def shown(name: str, *options: str) -> str:
        return CliRunner().invoke(app, ["inspect", *options, str(folder / name)]).output

    lines = [" ".join(line.split()) for line in shown("with.onnx").splitlines()]
    start = lines.index("alarms")
    assert lines[start + 1 : start + 5] == [
        "on-delay 3 s",
        "off-delay 90 s",
        "high priority from severity 4.5 on",
        "chosen on 7,200 rows",
    ]
    assert "high priority never" in " ".join(shown("other.onnx").split())
    assert "off-delay" not in shown("without.onnx")
    document = json.loads(shown("with.onnx", "--json"))["metadata"]
    assert document["alarms"] == {
        "on_delay_s": 3.0,
        "off_delay_s": 90.0,
        "high_severity": 4.5,
        "rows": 7200,
    }
    assert document["needs"] == ["alarms"]
    assert "alarms" not in json.loads(shown("without.onnx", "--json"))["metadata"]


def test_diff_names_the_delay_that_differs(folder: Path) -> None:
    ours, other, without = (
        load_bytes((folder / f"{name}.onnx").read_bytes(), name) for name in ("with", "other", "without")
    )
    fields = compare_bundles(ours, other).fields
    assert {name: values for name, values in fields.items() if name.startswith("alarms")} == {
        "alarms.on_delay_s": (3.0, 0.0),
        "alarms.high_severity": (4.5, None),
    }
    fields = compare_bundles(without, ours).fields
    assert fields["alarms.off_delay_s"] == ("-", 90.0)
    assert "alarms" not in fields

"""Every output says what is wrong with which sensor; what is good is not mentioned."""

from __future__ import annotations

import csv
import json
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pyarrow import ipc, parquet
from support.bundles import SENSORS, make_bundle, normal_rows
from typer.testing import CliRunner

from edge_runtime import Engine, Readings, load_bundle
from edge_runtime.bundle.metadata import SensorLimit
from edge_runtime.cli import app
from edge_runtime.engine.differences import compare_bundles
from edge_runtime.engine.status import texts_of_rows
from edge_runtime.gateway.viewing.lines import MachineLines
from edge_runtime.gateway.viewing.state import ViewState
from edge_runtime.influxdb.settings import influx_settings
from edge_runtime.mapping.form import Columns
from edge_runtime.records import Results
from edge_runtime.scorefile.run import Task, score_file
from edge_runtime.sinks.influx import InfluxSink
from edge_runtime.sinks.rows import json_lines

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.engine.judged import Judged
    from edge_runtime.loading.load import Bundle

NAMES = tuple(sensor[0] for sensor in SENSORS)
ROWS = 40
SECOND = 10**9
LIMITS = (
    SensorLimit(None, 0.0, 20.0),
    SensorLimit(4, 0.001, None),
    SensorLimit(None, 0.0, None),
    SensorLimit(None, 0.0, None),
)
FLAT = {"vibration": "failure: flat"}
STATUS = {
    3: {"temperature": "out of specification: out of range"},
    4: {"pressure": "failure: missing"},
    5: {"power": "failure: not finite"},
    6: {"temperature": "out of specification: too steep"},
    16: FLAT,
    18: {**FLAT, "pressure": "failure: missing"},
    20: FLAT,
    25: {"temperature": "out of specification: out of range", "power": "failure: missing"},
}
TEXTS = {
    3: "temperature out of specification: out of range",
    4: "pressure failure: missing",
    5: "power failure: not finite",
    6: "temperature out of specification: too steep",
    16: "vibration failure: flat",
    18: "vibration failure: flat; pressure failure: missing",
    20: "vibration failure: flat",
    25: "temperature out of specification: out of range; power failure: missing",
}
# Of two sensors' faults, the one that a single reading shows is the row's reason.
REASONS = {
    3: "out of range",
    4: "missing",
    5: "not finite",
    6: "too steep",
    16: "flat",
    18: "missing",
    20: "flat",
    25: "missing",
}
TWO = {18, 25}
KINDS = ("with", "without")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outputs")
    make_bundle(folder, "with.onnx", degraded=True, limits=LIMITS)
    make_bundle(folder, "without.onnx", limits=LIMITS)
    make_bundle(folder, "other.onnx", limits=(*LIMITS[:2], SensorLimit(12, 0.5, None), LIMITS[3]))
    readings = rows()
    with (folder / "in.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["time", "machine_id", *NAMES])
        for time, machine, values in zip(
            readings.times.tolist(), readings.machines, readings.values.tolist(), strict=True
        ):
            cells = ["" if np.isnan(value) else value for value in values]
            writer.writerow([f"1970-01-01T00:00:{time // SECOND:02d}Z", machine, *cells])
    return folder


@pytest.fixture(scope="module")
def bundles(folder: Path) -> dict[str, Bundle]:
    return {kind: load_bundle(folder / f"{kind}.onnx") for kind in KINDS}


@pytest.fixture(scope="module")
def judged(bundles: dict[str, Bundle]) -> dict[str, Judged]:
    return {kind: Engine(bundle).feed(rows()) for kind, bundle in bundles.items()}


def rows() -> Readings:
    """Each fault once at least, of one sensor and of two; machine a has the even rows."""
    values = normal_rows(ROWS, seed=3)
    values[3, 0], values[4, 2], values[5, 3], values[6, 0] = 900.0, np.nan, np.inf, 145.0
    values[10:21:2, 1], values[18, 2] = 1.2, np.nan
    values[25, 0], values[25, 3] = 900.0, np.nan
    return Readings(np.array(["a", "b"] * (ROWS // 2)), np.arange(ROWS) * SECOND, values)


def without(kind: str, row: int) -> str:
    """The sensor without which a row is judged."""
    return next(iter(STATUS[row])) if kind == "with" and row in STATUS and row not in TWO else ""


def reason(kind: str, row: int) -> str:
    return REASONS.get(row, "") if kind == "without" or row in TWO else ""


@pytest.mark.parametrize("kind", KINDS)
def test_python_says_it_row_by_row(judged: dict[str, Judged], kind: str) -> None:
    found = judged[kind]
    assert found.sensor_status == [STATUS.get(row, {}) for row in range(ROWS)]
    assert found.degraded == [without(kind, row) for row in range(ROWS)]
    assert found.reasons == [reason(kind, row) for row in range(ROWS)]
    assert [row.get("sensor_status", {}) for row in found.rows()] == found.sensor_status
    assert all("sensor_status" not in row for i, row in enumerate(found.rows()) if i not in STATUS)


@pytest.mark.parametrize("kind", KINDS)
def test_json_lines_say_the_same_however_many_there_are(judged: dict[str, Judged], kind: str) -> None:
    results = judged[kind].results
    text = json_lines(results, NAMES)
    assert [json.loads(line) for line in text.splitlines()] == judged[kind].rows()
    ones = b"".join(json_lines(results.take(slice(i, i + 1)), NAMES) for i in range(ROWS))
    tens = b"".join(json_lines(results.take(slice(i, i + 10)), NAMES) for i in range(0, ROWS, 10))
    assert ones == tens == text
    assert text.splitlines()[18].startswith(
        b'{"time":"1970-01-01T00:00:18Z","machine_id":"a","verdict":"unknown","reason":"missing",'
        b'"sensor_status":{"vibration":"failure: flat","pressure":"failure: missing"},"score":null,'
    )
    first = list(json.loads(text.splitlines()[16]))[:5]
    said = ["degraded", "sensor_status"] if kind == "with" else ["reason", "sensor_status"]
    assert first == ["time", "machine_id", "verdict", *said]


def test_few_rows_of_many_kinds_and_names_that_json_has_to_quote(judged: dict[str, Judged]) -> None:
    names = ('say "when"', "überdruck", "a,b\\c", "power")
    results = judged["without"].results
    text = json_lines(results, names)
    found = [json.loads(line).get("sensor_status", {}) for line in text.splitlines()]
    spoken = dict(zip(NAMES, names, strict=True))
    assert found == [{spoken[k]: v for k, v in STATUS.get(row, {}).items()} for row in range(ROWS)]
    assert b"".join(json_lines(results.take(slice(i, i + 1)), names) for i in range(ROWS)) == text


def test_no_rows_and_rows_without_a_fault_say_nothing(judged: dict[str, Judged]) -> None:
    results = judged["without"].results
    empty, good = results.take(slice(0, 0)), results.take(slice(26, 40))
    assert json_lines(empty, NAMES) == b""
    assert b"sensor_status" not in json_lines(good, NAMES)
    assert texts_of_rows(None, 3, NAMES)[0] == [""]
    assert texts_of_rows(empty.faults, 0, NAMES)[1].tolist() == []


def test_blocks_with_and_without_faults_are_joined(bundles: dict[str, Bundle]) -> None:
    engine, readings = Engine(bundles["without"]), rows()
    parts = [engine.feed(readings.take(slice(i, i + 4))).results for i in range(0, ROWS, 4)]
    assert {part.faults is None for part in parts} == {True, False}
    joined = Results.joined(parts)
    texts, codes = texts_of_rows(joined.faults, ROWS, NAMES)
    assert [texts[code] for code in codes] == [TEXTS.get(row, "") for row in range(ROWS)]


def scored(folder: Path, bundle: Bundle, name: str, workers: int = 1) -> list[dict[str, Any]]:
    output = folder / name
    task = Task(folder / "in.csv", output, Columns(sensors=NAMES), workers=workers)
    assert score_file(task, bundle).balanced
    if output.suffix == ".parquet":
        return list(parquet.read_table(output).to_pylist())
    if output.suffix == ".arrow":
        with ipc.open_file(output) as file:
            return list(file.read_all().to_pylist())
    with output.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", ["csv", "parquet", "arrow"])
def test_score_has_a_column_for_it_in_every_format(
    folder: Path, bundles: dict[str, Bundle], kind: str, suffix: str
) -> None:
    nothing = "" if suffix == "csv" else None
    for workers in (1, 2):
        found = scored(folder, bundles[kind], f"{kind}-{workers}.{suffix}", workers)
        assert [row["sensor_status"] for row in found] == [TEXTS.get(row, nothing) for row in range(ROWS)]
        assert [row["reason"] or "" for row in found] == [reason(kind, row) for row in range(ROWS)]
        before = ["time", "machine_id", "score", "severity", "verdict", "reason"]
        before += ["degraded"] * (kind == "with")
        assert list(found[0])[: len(before) + 2] == [*before, "sensor_status", "error_temperature"]


@pytest.mark.parametrize("suffix", ["csv", "parquet", "arrow"])
def test_score_has_the_column_where_all_sensors_are_good(
    folder: Path, tmp_path: Path, bundles: dict[str, Bundle], suffix: str
) -> None:
    lines = (folder / "in.csv").read_text().splitlines()
    (tmp_path / "in.csv").write_text("\n".join(lines[:4]) + "\n")
    found = scored(tmp_path, bundles["without"], f"out.{suffix}")
    assert [row["sensor_status"] for row in found] == ["" if suffix == "csv" else None] * 3


def test_a_bundle_without_it_has_no_column_and_says_what_a_reading_shows(folder: Path, bundle: Path) -> None:
    plain = load_bundle(bundle)
    for suffix in ("csv", "parquet", "arrow"):
        assert "sensor_status" not in scored(folder, plain, f"plain.{suffix}")[0]
    found = Engine(plain).feed(rows())
    seen = {3, 4, 5, 18, 25}
    assert [bool(status) for status in found.sensor_status] == [row in seen for row in range(ROWS)]
    assert found.sensor_status[18] == {"pressure": "failure: missing"}
    shown = CliRunner().invoke(app, ["inspect", str(bundle)]).output
    assert "sensor status" not in shown
    document = CliRunner().invoke(app, ["inspect", "--json", str(bundle)]).output
    assert "sensor_status" not in json.loads(document)["metadata"]


@pytest.mark.parametrize("kind", KINDS)
def test_influxdb_gets_a_field_only_where_a_sensor_is_not_good(judged: dict[str, Judged], kind: str) -> None:
    settings = influx_settings(url="http://localhost:8086", database="plant")
    sink = InfluxSink(settings, NAMES, f"sha256:{'0' * 64}")
    results = judged[kind].results
    lines = zlib.decompress(sink.encode(results)).decode().splitlines()
    assert len(lines) == ROWS
    for row, line in enumerate(lines):
        text = TEXTS.get(row)
        assert (f',sensor_status="{text}"' in line) if text else ("sensor_status" not in line)
    ones = [
        zlib.decompress(sink.encode(results.take(slice(i, i + 1)))).decode().rstrip() for i in range(ROWS)
    ]
    assert ones == lines


def seen(bundle: Bundle, judged: Judged, last: int) -> dict[str, str]:
    """Machine to its line once this row and the one before it came."""
    state = ViewState(bundle.metadata, 0.0)
    state.take(judged.results.take(slice(last - 1, last + 1)), 1.0)
    machines = state.snapshot(1.0, 10).machines
    layout = MachineLines(machines, bundle.metadata.sensors, 120)
    return {machine.name: "".join(text for text, _ in layout.line(machine)) for machine in machines}


def test_the_live_view_names_the_sensors_of_an_unknown_row(
    bundles: dict[str, Bundle], judged: dict[str, Judged]
) -> None:
    lines = {row: seen(bundles["without"], judged["without"], row) for row in (4, 6, 17, 18, 25)}
    assert "unknown: out of range (temperature)" in lines[4]["b"]
    assert "unknown: missing (pressure)" in lines[4]["a"]
    assert "unknown: too steep (temperature)" in lines[6]["a"]
    assert "unknown: not finite (power)" in lines[6]["b"]
    assert "unknown: flat (vibration)" in lines[17]["a"]
    assert "(" not in lines[17]["b"].partition("unknown")[2]
    assert "unknown: missing (vibration, pressure)" in lines[18]["a"]
    assert "unknown: missing (temperature, power)" in lines[25]["b"]


def test_the_live_view_says_why_a_row_is_judged_without_a_sensor(
    bundles: dict[str, Bundle], judged: dict[str, Judged]
) -> None:
    lines = {row: seen(bundles["with"], judged["with"], row) for row in (4, 6, 16, 18)}
    assert "without temperature (out of range)" in lines[4]["b"]
    assert "without pressure (missing)" in lines[4]["a"]
    assert "without temperature (too steep)" in lines[6]["a"]
    assert "without power (not finite)" in lines[6]["b"]
    assert "without vibration (flat)" in lines[16]["a"]
    assert "without" not in lines[16]["b"]
    assert "unknown: missing (vibration, pressure)" in lines[18]["a"]


def test_the_live_view_blames_no_sensor_for_a_time_in_the_future(bundles: dict[str, Bundle]) -> None:
    bundle = bundles["without"]
    engine, values = Engine(bundle), normal_rows(2, seed=3)
    values[1, 2] = np.nan
    times = np.array([0, 10_000 * SECOND])
    found = engine.feed(Readings(np.array(["a", "a"]), times, values), now=0)
    assert found.reasons[1] == "time in the future"
    assert found.sensor_status[1] == {"pressure": "failure: missing"}
    line = seen(bundle, found, 1)["a"]
    assert "unknown: time in the future" in line
    assert "future (pressure)" not in line


def test_check_shows_the_sensors_of_unknown_rows(folder: Path) -> None:
    shown, documents = {}, {}
    for kind in KINDS:
        words = ["check", "--source", "csv", "--input", str(folder / "in.csv"), "--sink", "stdout"]
        words += ["--bundle", str(folder / f"{kind}.onnx"), "--seconds", "120"]
        text = CliRunner().invoke(app, words).output
        lines = [line.split() for line in text.partition("first verdicts")[2].splitlines()[1:11]]
        shown[kind] = {int(line[0][17:19]): " ".join(line[1:]) for line in lines}
        document = json.loads(CliRunner().invoke(app, [*words, "--json"]).output)
        documents[kind] = [one.get("sensor_status", {}) for one in document["first"]]
    assert documents == {kind: [STATUS.get(row, {}) for row in range(10)] for kind in KINDS}
    assert shown["without"][4] == "a unknown: missing - pressure - -"
    assert shown["without"][6] == "a unknown: too steep - temperature - -"
    assert shown["without"][5] == "b unknown: not finite - power - -"
    assert all("unknown" not in line for line in shown["with"].values())
    assert all((" without " in shown["with"][row]) == (row in STATUS) for row in range(10))
    assert " without pressure " in shown["with"][4]


def test_check_names_each_of_several_sensors(tmp_path: Path, folder: Path) -> None:
    lines = (folder / "in.csv").read_text().splitlines()
    (tmp_path / "in.csv").write_text("\n".join([lines[0], *lines[20:30]]) + "\n")
    words = ["check", "--source", "csv", "--input", str(tmp_path / "in.csv"), "--sink", "stdout"]
    text = CliRunner().invoke(app, [*words, "--bundle", str(folder / "with.onnx"), "--seconds", "120"]).output
    found = [line.split() for line in text.splitlines() if "unknown: missing" in line and "T00" in line]
    assert [" ".join(line[1:]) for line in found] == ["b unknown: missing - temperature, power - -"]


def test_inspect_says_when_each_sensor_is_flat_or_too_steep(folder: Path, bundles: dict[str, Bundle]) -> None:
    shown = CliRunner().invoke(app, ["inspect", str(folder / "other.onnx")]).output.splitlines()
    start = next(i for i, line in enumerate(shown) if line.startswith("sensor status"))
    found = [" ".join(line.split()) for line in shown[start : start + 5]]
    wanted = (
        "temperature may stand still, at most 20 °C a second",
        "vibration flat at 4 rows within 0.001 mm/s",
        "pressure flat at 12 rows within 0.5 PSI",
        "power may stand still",
    )
    assert [line for line in wanted if any(each.endswith(line) for each in found)] == list(wanted)
    document = json.loads(CliRunner().invoke(app, ["inspect", "--json", str(folder / "with.onnx")]).output)
    assert document["metadata"]["sensor_status"] == {
        "limits": [
            {"flat_rows": limit.flat_rows, "max_rate": limit.max_rate, "within": limit.within}
            for limit in LIMITS
        ],
        "rows": 2000,
    }
    assert document["metadata"]["needs"] == list(bundles["with"].metadata.needs)


def test_diff_names_the_limit_that_differs(folder: Path, bundles: dict[str, Bundle], bundle: Path) -> None:
    ours, theirs = bundles["without"], load_bundle(folder / "other.onnx")
    fields = compare_bundles(ours, theirs).fields
    assert {name: values for name, values in fields.items() if "." in name} == {
        "sensor_status.limits.pressure.flat_rows": (None, 12),
        "sensor_status.limits.pressure.within": (0.0, 0.5),
    }
    assert compare_bundles(ours, ours).fields == {}
    fields = compare_bundles(ours, load_bundle(bundle)).fields
    assert fields["sensor_status.limits.vibration.flat_rows"] == (4, "-")
    assert fields["sensor_status.rows"] == (2000, "-")
    words = ["inspect", str(folder / "without.onnx"), "--diff", str(folder / "other.onnx")]
    text = CliRunner().invoke(app, words).output
    assert "sensor_status.limits.pressure.flat_rows" in text
    assert "sensor_status.limits.vibration" not in text

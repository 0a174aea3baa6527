"""A row that was judged without a sensor says so in every output; other bundles' outputs stay as they are."""

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
from edge_runtime.cli import app
from edge_runtime.engine.accounts import Accounts
from edge_runtime.engine.differences import compare_bundles
from edge_runtime.gateway.feedwatch import FeedWatch
from edge_runtime.gateway.journal import Journal
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
WITHOUT = {3: "temperature", 20: "power", 21: "power", 22: "power"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outputs")
    make_bundle(folder, "degraded.onnx", degraded=True)
    make_bundle(folder, "plain.onnx")
    write_rows(folder / "in.csv")
    return folder


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Bundle:
    return load_bundle(folder / "degraded.onnx")


@pytest.fixture(scope="module")
def judged(bundle: Bundle) -> Judged:
    return Engine(bundle).feed(rows())


def rows() -> Readings:
    values = normal_rows(ROWS, seed=3)
    values[3, 0], values[20:23, 3], values[30, :2] = 900.0, np.nan, np.nan
    values[22, 0] += 90
    return Readings(np.array(["a", "b"] * (ROWS // 2)), np.arange(ROWS) * 10**9, values)


def expected() -> list[str]:
    return [WITHOUT.get(row, "") for row in range(ROWS)]


def test_python_and_json_lines_name_it_and_few_rows_are_written_as_many(judged: Judged) -> None:
    assert judged.degraded == expected()
    found = judged.rows()
    assert [row.get("degraded", "") for row in found] == expected()
    assert [json.loads(line) for line in json_lines(judged.results, NAMES).splitlines()] == found
    ones = b"".join(json_lines(judged.results.take(slice(i, i + 1)), NAMES) for i in range(ROWS))
    assert ones == json_lines(judged.results, NAMES)
    assert list(found[22]) == [
        *("time", "machine_id", "verdict", "degraded", "sensor_status", "top_sensor"),
        *("score", "severity", "readings", "expected", "errors"),
    ]
    assert found[22]["top_sensor"] == "temperature"
    assert found[22]["errors"]["power"] == 0


def test_blocks_with_and_without_such_rows_are_joined(judged: Judged) -> None:
    results = judged.results
    complete = Results(
        results.readings, results.scores, results.severity, results.verdicts, results.reasons
    ).take(slice(5, 10))
    joined = Results.joined([complete, results.take(slice(18, 24)), complete])
    assert joined.degraded is not None
    assert joined.degraded.tolist() == [-1] * 7 + [3] * 3 + [-1] * 6
    assert Results.joined([complete, complete]).degraded is None


def write_rows(path: Path) -> None:
    readings = rows()
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["time", "machine_id", *NAMES])
        for time, machine, values in zip(
            readings.times.tolist(), readings.machines, readings.values.tolist(), strict=True
        ):
            cells = ["" if np.isnan(value) else value for value in values]
            writer.writerow([f"1970-01-01T00:00:{time // 10**9:02d}Z", machine, *cells])


def scored(folder: Path, bundle: Bundle, name: str, workers: int = 1) -> Path:
    output = folder / name
    task = Task(folder / "in.csv", output, Columns(sensors=NAMES), workers=workers)
    accounts = score_file(task, bundle)
    assert accounts.balanced
    return output


@pytest.mark.parametrize("workers", [1, 2])
def test_score_has_a_column_for_it_in_every_format(folder: Path, bundle: Bundle, workers: int) -> None:
    with scored(folder, bundle, f"{workers}.csv", workers).open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [line["degraded"] for line in lines] == expected()
    assert list(lines[0])[:7] == ["time", "machine_id", "score", "severity", "verdict", "reason", "degraded"]
    found = parquet.read_table(scored(folder, bundle, f"{workers}.parquet", workers))
    assert [name or "" for name in found["degraded"].to_pylist()] == expected()
    with ipc.open_file(scored(folder, bundle, f"{workers}.arrow", workers)) as file:
        table = file.read_all()
    assert [name or "" for name in table["degraded"].to_pylist()] == expected()


def test_score_has_the_column_where_no_row_lacks_anything(tmp_path: Path, bundle: Bundle) -> None:
    (tmp_path / "in.csv").write_text(f"time,{','.join(NAMES)}\n2026-01-01T00:00:00Z,55,1.2,50,235\n")
    for name in ("out.csv", "out.parquet"):
        score_file(Task(tmp_path / "in.csv", tmp_path / name, Columns(sensors=NAMES)), bundle)
    assert (tmp_path / "out.csv").read_text().splitlines()[0].split(",")[6] == "degraded"
    assert parquet.read_table(tmp_path / "out.parquet")["degraded"].to_pylist() == [None]


def test_a_bundle_without_it_writes_what_it_wrote(folder: Path) -> None:
    plain = load_bundle(folder / "plain.onnx")
    with scored(folder, plain, "plain.csv").open(newline="") as stream:
        header = next(csv.reader(stream))
    assert header[:7] == [
        *("time", "machine_id", "score", "severity", "verdict", "reason"),
        "error_temperature",
    ]
    assert "degraded" not in parquet.read_table(scored(folder, plain, "plain.parquet")).column_names
    assert b"degraded" not in json_lines(Engine(plain).feed(rows()).results, NAMES)
    shown = CliRunner().invoke(app, ["inspect", str(folder / "plain.onnx")]).output
    assert "without a sensor" not in shown
    document = CliRunner().invoke(app, ["inspect", "--json", str(folder / "plain.onnx")]).output
    assert "degraded" not in json.loads(document)["metadata"]


def test_influxdb_gets_a_field_only_where_a_sensor_was_missing(judged: Judged) -> None:
    settings = influx_settings(url="http://localhost:8086", database="plant")
    sink = InfluxSink(settings, NAMES, f"sha256:{'0' * 64}")
    lines = zlib.decompress(sink.encode(judged.results)).decode().splitlines()
    assert len(lines) == ROWS
    for row, line in enumerate(lines):
        name = WITHOUT.get(row)
        assert (f',degraded="{name}"' in line) if name else ("degraded" not in line)


def test_accounts_and_journal_count_them_beside_the_balance(judged: Judged) -> None:
    accounts = Accounts(NAMES)
    added = accounts.add(judged.results, {})
    assert {name: count for name, count in added.items() if name.startswith("degraded")} == {
        "degraded.temperature": 1,
        "degraded.power": 3,
    }
    one = accounts.add(judged.results.take(slice(20, 21)), {})
    assert one["degraded.power"] == 1
    assert accounts.balanced
    assert accounts.counters["read"] == ROWS + 1
    lines = accounts.lines()
    assert lines[2:] == [
        *("  judged without power: 4", "  judged without temperature: 1"),
        *("  power, missing: 4", "  temperature, missing: 1"),
        *("  temperature, out of range: 1", "  vibration, missing: 1"),
    ]
    said: list[str] = []
    journal = Journal(said.append)
    journal.minute(accounts.counters, 2, {})
    assert said[0].endswith(
        "1 unknown (missing), 4 judged without power, 1 judged without temperature, readings that cannot be "
        "used: power (missing), temperature (missing), temperature (out of range), vibration (missing)"
    )
    accounts.add(judged.results.take(slice(20, 21)), {})
    journal.minute(accounts.counters, 2, {})
    accounts.add(judged.results.take(slice(5, 6)), {})
    journal.minute(accounts.counters, 2, {})
    assert [line.partition("so far")[2] for line in said[1:]] == [
        ", 1 judged without power, readings that cannot be used: power (missing)",
        "",
    ]


def test_the_live_view_names_it(bundle: Bundle, judged: Judged) -> None:
    state = ViewState(bundle.metadata, 0.0)
    state.take(judged.results.take(slice(20, 22)), 1.0)
    seen = state.snapshot(1.0, 10).machines
    assert [(machine.name, machine.missing) for machine in seen] == [("a", 3), ("b", 3)]
    layout = MachineLines(seen, bundle.metadata.sensors, 120)
    assert all("without power" in "".join(text for text, _ in layout.line(machine)) for machine in seen)
    state.take(judged.results.take(slice(24, 26)), 2.0)
    layout = MachineLines(seen := state.snapshot(2.0, 10).machines, bundle.metadata.sensors, 120)
    assert not any("without" in "".join(text for text, _ in layout.line(machine)) for machine in seen)


class Silent:
    name = "feed"

    def what_came(self) -> str | None:
        return None


def test_a_sensor_that_never_comes_is_told_though_rows_are_judged(bundle: Bundle) -> None:
    said: list[str] = []
    now = [0.0]
    source: Any = Silent()
    watch = FeedWatch(source, NAMES, said.append, lambda: now[0])
    engine = Engine(bundle)
    values = normal_rows(30, seed=2)
    values[:20, 1] = np.nan
    for row in range(20):
        now[0] = float(row)
        found = engine.feed(values[row : row + 1], machine_id="m", time=row * 10**9)
        watch.watch(found.results)
        assert not watch.ended
    assert said == ["feed: vibration did not come in any of 11 rows, which are judged without it"]
    watch.watch(engine.feed(values[25:26], machine_id="m", time=25 * 10**9).results)
    assert watch.ended


def test_a_reading_beyond_its_range_is_no_sensor_that_never_comes(bundle: Bundle) -> None:
    source: Any = Silent()
    watch = FeedWatch(source, NAMES, lambda _line: None, lambda: 0.0)
    values = normal_rows(1, seed=2)
    values[0, 2] = 500.0
    found = Engine(bundle).feed(values, machine_id="m", time=0)
    assert found.degraded == ["pressure"]
    watch.watch(found.results)
    assert watch.ended


def test_check_counts_rows_that_are_judged_without_a_sensor(folder: Path) -> None:
    words = ["check", "--source", "csv", "--input", str(folder / "in.csv"), "--sink", "stdout", "--json"]
    done = CliRunner().invoke(app, [*words, "--bundle", str(folder / "degraded.onnx"), "--seconds", "5"])
    document = json.loads(done.output)
    assert document["first"][3]["degraded"] == "temperature"
    counted = {name: count for name, count in document["rows"].items() if name.startswith("degraded")}
    assert counted == {"degraded.temperature": 1, "degraded.power": 3}


def test_inspect_and_diff_show_thresholds_and_losses(folder: Path, bundle: Bundle) -> None:
    found = bundle.metadata.degraded
    assert found is not None
    shown = CliRunner().invoke(app, ["inspect", str(folder / "degraded.onnx")]).output
    assert "without a sensor" in shown
    assert f"threshold {found.absent[3].threshold:.6g}, AUC lower by 0.050" in shown
    document = json.loads(
        CliRunner().invoke(app, ["inspect", "--json", str(folder / "degraded.onnx")]).output
    )
    assert document["metadata"]["degraded"]["absent"][3]["threshold"] == found.absent[3].threshold
    differences = compare_bundles(bundle, load_bundle(folder / "plain.onnx"))
    assert differences.fields["degraded.absent.power.threshold"] == (found.absent[3].threshold, "-")
    assert not any(name.startswith("degraded.golden") for name in differences.fields)

"""What every sink promises: each row once in the end, whatever was repeated, and never a NaN as a number."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pytest
from support.bundles import normal_rows

from edge_runtime.engine.engine import Engine
from edge_runtime.errors import SinkError, SinkUnavailableError
from edge_runtime.influxdb import query
from edge_runtime.loading.load import load_bundle
from edge_runtime.records import Readings, Results
from edge_runtime.sinks.influx import InfluxSink
from edge_runtime.sinks.jsonl import JsonlSink
from edge_runtime.sinks.stdout import StdoutSink

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.influxdb import InfluxClient
    from edge_runtime.sinks.base import Sink

SECOND = 1_000_000_000
SENSORS = ("temperature", "vibration", "pressure", "power")


@pytest.fixture(scope="module")
def results(bundle: Path) -> Results:
    """Six rows of two machines: normal, an anomaly, one without a reading."""
    values = normal_rows(6, seed=1)
    values[2] *= 3
    values[4, 1] = np.nan
    machines = np.array(["m1", "m2"] * 3)
    times = np.repeat(np.arange(3, dtype=np.int64), 2) * SECOND
    return Engine(load_bundle(bundle)).feed(Readings(machines, times, values)).results


class Target(Protocol):
    """A sink and what lies where it delivers to."""

    def open(self) -> Sink: ...
    def rows(self) -> list[dict[str, Any]]: ...


class Lines:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "out.jsonl"

    def open(self) -> Sink:
        return JsonlSink(self.path, SENSORS)

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line, parse_constant=pytest.fail) for line in self.path.read_text().splitlines()]


class Points:
    def __init__(self, client: InfluxClient) -> None:
        self.client = client

    def open(self) -> Sink:
        return InfluxSink(self.client.settings, SENSORS, "sha256:" + "ab" * 32)

    def rows(self) -> list[dict[str, Any]]:
        return [
            dict(zip(series.columns, row, strict=True))
            for series in query(self.client, "SELECT * FROM anomaly")
            for row in series.values
        ]


@pytest.fixture(params=["jsonl", "influx"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    if request.param == "jsonl":
        return Lines(tmp_path)
    return Points(request.getfixturevalue("database"))


def test_a_row_arrives_with_all_that_is_known_of_it(target: Target, results: Results) -> None:
    sink = target.open()
    sink.check()
    sink.resume(None)
    sink.deliver([sink.encode(results)])
    sink.close()
    rows = target.rows()
    assert len(rows) == 6
    assert sorted(row["machine_id"] for row in rows) == ["m1"] * 3 + ["m2"] * 3
    by_verdict = {row["verdict"]: row for row in rows}
    assert set(by_verdict) == {"normal", "anomaly", "unknown"}
    anomaly = by_verdict["anomaly"]
    assert anomaly["score"] == pytest.approx(float(results.scores.score[2]))
    assert anomaly["severity"] == pytest.approx(float(results.severity[2]))
    assert by_verdict["unknown"]["reason"] == "missing"
    assert by_verdict["unknown"].get("score") is None


def test_what_was_delivered_just_before_a_crash_is_not_there_twice(target: Target, results: Results) -> None:
    first = target.open()
    first.resume(None)
    first.deliver([first.encode(results)])
    known = first.position()
    late = first.encode(
        Results(
            Readings(
                results.readings.machines, results.readings.times + 60 * SECOND, results.readings.values
            ),
            results.scores,
            results.severity,
            results.verdicts,
            results.reasons,
        )
    )
    first.deliver([late])  # and here the power goes: nobody was told
    first.close()
    second = target.open()
    second.resume(known)
    second.deliver([late])
    second.close()
    assert len(target.rows()) == 12


def test_several_payloads_at_once_are_all_there(target: Target, results: Results) -> None:
    sink = target.open()
    sink.resume(None)
    sink.deliver([sink.encode(results), sink.encode(results)])
    sink.close()
    assert {row["verdict"] for row in target.rows()} == {"normal", "anomaly", "unknown"}


def test_standard_output_gets_the_same_lines_as_a_file(results: Results, tmp_path: Path) -> None:
    stream = io.BytesIO()
    sink = StdoutSink(SENSORS, stream)
    sink.check()
    sink.resume(None)
    assert sink.position() is None
    sink.deliver([sink.encode(results)])
    sink.close()
    assert stream.getvalue() == JsonlSink(tmp_path / "x", SENSORS).encode(results)


def test_a_file_that_a_crash_cut_short_loses_its_last_half_line(results: Results, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"a":1}\n{"b":')
    sink = JsonlSink(path, SENSORS)
    sink.resume(None)
    sink.deliver([sink.encode(results)])
    sink.close()
    lines = path.read_text().splitlines()
    assert lines[0] == '{"a":1}'
    assert len(lines) == 7


def test_a_file_that_was_rotated_away_is_begun_anew(results: Results, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    sink = JsonlSink(path, SENSORS)
    sink.deliver([sink.encode(results)])
    known = sink.position()
    sink.close()
    path.rename(tmp_path / "out.jsonl.1")
    again = JsonlSink(path, SENSORS)
    again.resume(known)
    again.deliver([again.encode(results)])
    again.close()
    assert len(path.read_text().splitlines()) == 6


def test_a_file_in_a_folder_that_is_not_there_is_refused_before_a_row_is_read(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="cannot write it"):
        JsonlSink(tmp_path / "nowhere" / "out.jsonl", SENSORS).check()


def test_a_full_disk_leaves_no_half_line(results: Results) -> None:
    from pathlib import Path  # noqa: PLC0415

    sink = JsonlSink(Path("/dev/full"), SENSORS)
    with pytest.raises(SinkUnavailableError, match="No space left"):
        sink.deliver([sink.encode(results)])
    sink.close()

"""`edge-train prepare` out of an InfluxDB 3 Core, with its limits."""

from __future__ import annotations

import json
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.influx3 import DAY_NS, Influx3, Table, serving
from typer.testing import CliRunner

from edge_runtime.errors import EdgeDetectError
from edge_runtime.influxdb.reader import HOUR_NS
from trainer.cli import app
from trainer.data.tables import read_table

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
NOW = 1_767_830_400_000_000_000  # 2026-01-08T00:00:00Z
FIELDS = {"a": "float", "b": "integer", "note": "string"}


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command's clock stands where the server's does."""
    command = import_module("trainer.cli.prepare")
    monkeypatch.setattr(command, "time", SimpleNamespace(time_ns=lambda: NOW))


def points(machine: str, number: int, *, first: int, step: int = MINUTE, **more: Any) -> list[dict[str, Any]]:
    """Points of one series; `more` are further tags and fields, or None to leave one out."""
    return [
        {"time": first + i * step, "machine_id": machine, "a": i + 0.5, "b": i, **more} for i in range(number)
    ]


def table(*series: list[dict[str, Any]], tags: tuple[str, ...] = ()) -> Table:
    rows = sorted((row for one in series for row in one), key=lambda row: row["time"])
    return Table(("machine_id", *tags), FIELDS, rows)


def prepare(held: Influx3, folder: Path, *more: str) -> tuple[str, str]:
    """What the command says on standard output and on standard error; its error is raised."""
    with serving(held) as url:
        words = ["prepare", "--url", url, "--database", "plant", "--gap", "0", "-o", str(folder), *more]
        result = CliRunner().invoke(app, words)
    if isinstance(result.exception, EdgeDetectError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def week_of_three() -> Table:
    """More than a thousand Parquet files, of which one question may read 432."""
    return table(*(points(f"press-{i}", 7 * 1440, first=NOW - 7 * DAY_NS) for i in (1, 2, 3)))


def test_the_default_week_is_read_with_its_events_in_short_questions(tmp_path: Path) -> None:
    event = {"time": NOW - 13 * DAY_NS, "machine_id": "press-2", "kind": "WEAR", "stop": NOW - 6 * DAY_NS}
    events = Table(("machine_id",), {"kind": "string", "stop": "integer"}, [event])
    held = Influx3({"sensors": week_of_three(), "events": events}, NOW)
    said, complained = prepare(held, tmp_path / "out")
    assert "read 30,240 rows of the database: 30,240 taken, 0 merged" in said
    assert complained == "edge-train: fields that hold no numbers in the range were left out: note (string)\n"
    assert held.longest_ns == HOUR_NS
    train = read_table(tmp_path / "out" / "train.csv")
    faulty = train[train["anomaly"] == 1]
    assert set(faulty["machine_id"]) == {"press-2"}
    assert len(faulty) == 1440
    metadata = json.loads((tmp_path / "out" / "metadata.json").read_text())
    assert metadata["query"]["start"] == "2026-01-01T00:00:00Z"
    assert metadata["query"]["account"]["machines"]["press-3"]["complete"] == 7 * 1440


def test_what_the_server_refuses_is_shown_in_its_own_words(tmp_path: Path) -> None:
    held = Influx3({"sensors": week_of_three()}, NOW, file_limit=0)
    with pytest.raises(
        EdgeDetectError, match="Query would scan 1 Parquet files, exceeding the file limit.*even a minute"
    ):
        prepare(held, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_machine_that_is_not_there_is_answered_by_those_that_are(tmp_path: Path) -> None:
    held = Influx3(
        {
            "sensors": table(
                points("press-1", 100, first=NOW - 6 * DAY_NS),
                points("press-2", 100, first=NOW - 20 * DAY_NS),
            )
        },
        NOW,
    )
    with pytest.raises(EdgeDetectError, match="no machine 'nosuch' .*; there are: press-1, press-2"):
        prepare(held, tmp_path / "out", "--machine", "nosuch")
    assert held.longest_ns <= HOUR_NS
    _, complained = prepare(held, tmp_path / "out", "--machine", "press-1", "--machine", "press-2")
    assert "there is no row in the range of press-2: not trained" in complained


def test_a_row_a_sensor_is_refused(tmp_path: Path) -> None:
    long = Table(
        ("machine_id", "sensor"),
        {"value": "float"},
        [
            {"time": NOW - HOUR_NS + i * MINUTE, "machine_id": "m", "sensor": sensor, "value": value}
            for i in range(60)
            for sensor, value in (("flow", 12.5), ("power", 250.0))
        ],
    )
    with pytest.raises(
        EdgeDetectError, match=r"\(value 12.5 and 250\); they differ in the tag 'sensor' \(flow, power\)"
    ):
        prepare(Influx3({"sensors": long}, NOW), tmp_path / "out")


def test_a_machine_without_a_sensor_is_named(tmp_path: Path) -> None:
    first = NOW - 2 * HOUR_NS
    held = Influx3(
        {"sensors": table(points("m1", 100, first=first), points("m2", 60, first=first, b=None))}, NOW
    )
    _, complained = prepare(held, tmp_path / "out")
    assert "there is no reading of 'b' from m2 (60 rows)" in complained


def test_a_sensor_that_is_gone_is_left_out_or_refused(tmp_path: Path) -> None:
    first = NOW - 2 * HOUR_NS
    held = Influx3(
        {"sensors": table(points("m", 9, first=NOW - 30 * DAY_NS), points("m", 100, first=first, b=None))},
        NOW,
    )
    _, complained = prepare(held, tmp_path / "out")
    assert "fields without a reading in the range were left out: b" in complained
    with pytest.raises(EdgeDetectError, match="no row has a reading of b from 2026-01-01T00:00:00Z to"):
        prepare(held, tmp_path / "other", "--sensor", "a", "--sensor", "b")


def test_a_bucket_is_answered_by_what_there_is_instead(tmp_path: Path) -> None:
    with pytest.raises(
        EdgeDetectError, match="this is InfluxDB 3, which has no buckets .*--database instead"
    ):
        prepare(Influx3({}, NOW), tmp_path / "out", "--database", "", "--org", "o", "--bucket", "plant")

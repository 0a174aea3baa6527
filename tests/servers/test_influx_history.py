"""`edge-train simulate` into a real InfluxDB and `edge-train prepare` out of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from typer.testing import CliRunner

from edge_runtime.errors import EdgeDetectError
from edge_runtime.influxdb import InfluxClient, InfluxSettings, encode_lines, query, write
from edge_runtime.simulation import SENSORS
from trainer.cli import app
from trainer.data.tables import numeric_columns, read_table
from trainer.prepare.influx import InfluxOrigin

if TYPE_CHECKING:
    from pathlib import Path

T0 = 1_760_000_000_000_000_000
SECOND = 1_000_000_000
START = "2025-01-01T00:00:00Z"
STRETCH = ("--start", START, "--stop", "2025-01-02T00:00:00Z")


def run(*words: str | Path) -> str:
    """What the command prints; its error is raised."""
    result = CliRunner().invoke(app, list(map(str, words)))
    if isinstance(result.exception, EdgeDetectError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def where(client: InfluxClient) -> tuple[str, ...]:
    return ("--url", client.settings.url, "--database", client.settings.database)


def count(client: InfluxClient, field: str, measurement: str) -> int:
    (series,) = query(client, f"SELECT COUNT({field}) FROM {measurement}")  # noqa: S608
    return int(series.values[0][1])


@pytest.fixture
def plant(database: InfluxClient) -> InfluxClient:
    """Six hours of two machines at 2 s, with labelled events."""
    options = ("--machines", "2", "--duration", "6h", "--cadence", "2", "--rate", "40", "--severity", "2")
    run("simulate", *options, "--start", START, "--to", "influx", *where(database))
    return database


def test_prepare_gives_what_was_simulated_with_its_labels(plant: InfluxClient, tmp_path: Path) -> None:
    assert count(plant, "power", "sensors") == 2 * 6 * 1800
    options = ("--machines", "2", "--duration", "6h", "--cadence", "2", "--rate", "40", "--severity", "2")
    run("simulate", *options, "--start", START, "-o", tmp_path / "rows.csv")
    chosen = [word for sensor in SENSORS for word in ("--sensor", sensor)]
    run("prepare", "--csv", tmp_path / "rows.csv", "-o", tmp_path / "files", *chosen)
    text = run("prepare", *where(plant), *STRETCH, "-o", tmp_path / "influx", *chosen)
    for name in ("train.csv", "val.csv", "test.csv"):
        ours, theirs = read_table(tmp_path / "influx" / name), read_table(tmp_path / "files" / name)
        for column in ("time", "machine_id", "anomaly", "kind"):
            assert ours[column].tolist() == theirs[column].tolist()
        np.testing.assert_allclose(
            numeric_columns(ours, SENSORS, tmp_path), numeric_columns(theirs, SENSORS, tmp_path), rtol=1e-6
        )
    metadata = json.loads((tmp_path / "influx" / "metadata.json").read_text())
    assert metadata["query"]["measurement"] == "sensors"
    assert metadata["query"]["fields"] == list(SENSORS)
    assert metadata["query"]["start"] == START
    assert metadata["cadence_seconds"] == 2.0
    assert metadata["labels"]["method"] == "events"
    assert metadata["labels"]["events"] == count(plant, "stop", "events") > 100
    assert "SPIKE" in text


def test_every_field_of_numbers_is_a_sensor_and_machines_are_chosen(
    plant: InfluxClient, tmp_path: Path
) -> None:
    lines = encode_lines(
        "sensors",
        np.array([T0]),
        tags={"machine_id": ["other"]},
        fields={"note": np.array(["text"]), "anomaly": np.array([1])},
    )
    write(plant, lines)
    run(
        "prepare",
        *where(plant),
        *STRETCH,
        "-o",
        tmp_path / "out",
        "--machine",
        "press-2",
        "--labels",
        "threshold",
    )
    frame = read_table(tmp_path / "out" / "train.csv")
    assert list(frame.columns) == ["time", "machine_id", *sorted(SENSORS), "anomaly", "kind"]
    assert set(frame["machine_id"]) == {"press-2"}


def test_statistics_read_the_training_stretch_first(plant: InfluxClient, tmp_path: Path) -> None:
    run("prepare", *where(plant), *STRETCH, "-o", tmp_path / "out", "--labels", "statistical")
    train = read_table(tmp_path / "out" / "train.csv")
    labels = json.loads((tmp_path / "out" / "metadata.json").read_text())["labels"]
    assert labels["mean"]["power"] == pytest.approx(train["power"].mean(), rel=1e-6)


def test_a_field_that_a_row_lacks_is_an_empty_cell(database: InfluxClient, tmp_path: Path) -> None:
    times = T0 + np.arange(100, dtype=np.int64) * SECOND
    values = np.where(np.arange(100) == 7, np.nan, 1.0)
    fields = {"a": np.arange(100.0), "b": values}
    write(database, encode_lines("sensors", times, tags={"machine_id": ["m"] * 100}, fields=fields))
    bounds = ("--start", str(T0), "--stop", str(T0 + 100 * SECOND), "--gap", "0")
    run("prepare", *where(database), *bounds, "-o", tmp_path / "out")
    train = read_table(tmp_path / "out" / "train.csv")
    assert train["b"].isna().to_numpy().nonzero()[0].tolist() == [7]
    metadata = json.loads((tmp_path / "out" / "metadata.json").read_text())
    assert metadata["splits"]["train"]["missing_readings"] == {"a": 0, "b": 1}
    assert metadata["labels"] == {"method": "none"}


def test_pages_are_bounded_and_end_between_two_times(database: InfluxClient) -> None:
    rows, machines = 60_000, ("m1", "m2", "m3")
    times = np.repeat(T0 + np.arange(rows, dtype=np.int64) * SECOND, len(machines))
    ids = np.tile(np.array(machines), rows)
    write(
        database, encode_lines("sensors", times, tags={"machine_id": ids}, fields={"a": np.ones(len(times))})
    )
    origin = InfluxOrigin(
        database,
        measurement="sensors",
        machine_tag="machine_id",
        sensors=(),
        machines=(),
        start_ns=T0,
        stop_ns=T0 + rows * SECOND,
    )
    assert origin.extent() == (T0, T0 + (rows - 1) * SECOND)
    lengths, last = [], 0
    for page in origin.pages(T0, T0 + rows * SECOND):
        assert int(page.times[0]) > last
        last = int(page.times[-1])
        lengths.append(len(page))
    assert sum(lengths) == rows * len(machines)
    assert max(lengths) <= 56_000


def test_the_database_can_be_made_on_the_way(influxd: object, tmp_path: Path) -> None:
    url = str(getattr(influxd, "url", ""))
    new = ("--url", url, "--database", f"made_{tmp_path.name}")
    options = ("simulate", "--duration", "10s", "--to", "influx", *new)
    with pytest.raises(EdgeDetectError, match="database not found"):
        run(*options)
    run(*options, "--create-database")
    client = InfluxClient(InfluxSettings(url=url, database=f"made_{tmp_path.name}"))
    assert count(client, "power", "sensors") == 10


def test_live_rows_arrive_with_their_events(database: InfluxClient) -> None:
    run(
        *("simulate", "--live", "--speed", "5000", "--duration", "2h", "--rate", "60", "--machines", "2"),
        *("--start", START, "--to", "influx", *where(database)),
    )
    assert count(database, "power", "sensors") == 2 * 7200
    assert 150 < count(database, "stop", "events") < 300


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--sensor", "flow"), "no field 'flow'; there are: power, pressure, temperature, vibration"),
        (("--measurement", "nix"), "there is no such measurement; there are: events, sensors"),
        (
            ("--start", "2020-01-01", "--stop", "2020-01-02"),
            "there are some from 2025-01-01T00:00:00Z to 2025-01-01",
        ),
        (("--machine", "nobody"), "no machine 'nobody' in the tag 'machine_id'; there are: press-1, press-2"),
        (
            ("--labels", "events", "--labels-measurement", "nix"),
            "no such measurement from which labels could be taken",
        ),
        (("--labels", "events", "--labels-measurement", "sensors"), "needs its end as a field 'stop'"),
        (("--database", "nix"), "database not found"),
    ],
)
def test_what_is_not_there_is_one_clear_error(
    plant: InfluxClient, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    with pytest.raises(EdgeDetectError, match=said) as caught:
        run("prepare", *where(plant), *STRETCH, "-o", tmp_path / "out", *options)
    assert caught.value.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_an_event_without_an_end_is_named_by_its_time(plant: InfluxClient, tmp_path: Path) -> None:
    write(plant, b'events,machine_id=press-1 kind="SPIKE" 1735693200000000000\n')
    with pytest.raises(EdgeDetectError, match="the event at 2025-01-01T01:00:00Z has no stop"):
        run("prepare", *where(plant), *STRETCH, "-o", tmp_path / "out", "--labels", "events")

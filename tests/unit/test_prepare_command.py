from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from edge_runtime.config import settings_of
from edge_runtime.errors import EdgeDetectError, UsageError
from edge_runtime.sources.influx import InfluxSourceSettings
from trainer.cli import app
from trainer.data.tables import read_table

if TYPE_CHECKING:
    from pathlib import Path


def run(*words: str | Path) -> str:
    """What the command prints; its error is raised."""
    result = CliRunner().invoke(app, list(map(str, words)))
    if isinstance(result.exception, EdgeDetectError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("history")
    options = ("--machines", "2", "--duration", "6h", "--rate", "40", "--severity", "2")
    run("simulate", *options, "-o", folder / "rows.csv", "--events", folder / "events.csv")
    return folder


def test_the_distribution_is_printed_by_split_and_machine(history: Path, tmp_path: Path) -> None:
    text = run("prepare", "--csv", history / "rows.csv", "-o", tmp_path / "out")
    lines = text.splitlines()
    assert lines[0].split() == ["split", "machine", "rows", "anomalies", "share", "kinds"]
    assert [tuple(line.split()[:2]) for line in lines[1:7]] == [
        (split, machine) for split in ("train", "val", "test") for machine in ("press-1", "press-2")
    ]
    train = read_table(tmp_path / "out" / "train.csv")
    first = train[train["machine_id"] == "press-1"]
    assert lines[1].split()[2:4] == [f"{len(first):,}", f"{int(first['anomaly'].sum()):,}"]
    assert "SPIKE" in lines[1]
    assert lines[-1] == f"{43200 - 2 * 120:,} rows in {tmp_path / 'out'}"


def test_an_influxdb_is_named_by_the_options_of_run() -> None:
    of_run = {one.flag for one in settings_of(InfluxSourceSettings) if one.flag}
    of_following = {"--until", "--poll", "--lateness"}
    command = typer.main.get_command(app).commands["prepare"]  # type: ignore[attr-defined]
    of_prepare = {name for option in command.params for name in option.opts}
    assert of_run - of_following <= of_prepare
    assert {"--retention-policy", "--flux-file", "--measurement", "--machine-tag"} <= of_run


def test_machines_that_cannot_be_trained_are_named(tmp_path: Path) -> None:
    lines = ["time,machine_id,a,b,anomaly"]
    for second in range(100):
        time = f"2026-01-01T00:{second // 60:02}:{second % 60:02}Z"
        a, b = 1 + second % 7 / 4, 2 + second % 5 / 4
        lines += [f"{time},good,{a},{b},0", f"{time},lacking,{a},,0", f"{time},faulty,{a},{b},1"]
        lines += [f"{time},late,{a},{b},0"] if second >= 80 else []
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    result = CliRunner().invoke(
        app, ["prepare", "--csv", str(tmp_path / "rows.csv"), "--gap", "0", "-o", str(tmp_path / "out")]
    )
    assert result.exit_code == 0, result.output
    assert result.stderr == (
        "edge-train: not trained, as they have no complete and normal row in the training split: faulty (100 "
        "rows), lacking (100 rows), late (20 rows)\n"
    )
    metadata = json.loads((tmp_path / "out" / "metadata.json").read_text())
    assert metadata["rows_of_machines_not_trained"] == {"faulty": 100, "lacking": 100, "late": 20}


def test_labels_from_events_are_those_that_the_rows_carry(history: Path, tmp_path: Path) -> None:
    files = ("--csv", history / "rows.csv", "--gap", "30s", "--split", "60/20/20")
    run("prepare", *files, "-o", tmp_path / "carried")
    run("prepare", *files, "-o", tmp_path / "events", "--events-file", history / "events.csv")
    for name in ("train.csv", "val.csv", "test.csv"):
        assert (tmp_path / "carried" / name).read_bytes() == (tmp_path / "events" / name).read_bytes()
    metadata = json.loads((tmp_path / "events" / "metadata.json").read_text())
    assert metadata["split"] == {"train": 0.6, "val": 0.2, "test": 0.2, "gap_seconds": 30.0}


def test_a_parquet_gives_what_its_csv_gives(history: Path, tmp_path: Path) -> None:
    read_table(history / "rows.csv").to_parquet(tmp_path / "rows.parquet")
    run("prepare", "--csv", history / "rows.csv", "-o", tmp_path / "a")
    run("prepare", "--parquet", tmp_path / "rows.parquet", "-o", tmp_path / "b")
    for name in ("train.csv", "val.csv", "test.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_limits_can_be_changed_and_units_given(history: Path, tmp_path: Path) -> None:
    run(
        *("prepare", "--csv", history / "rows.csv", "-o", tmp_path / "out", "--labels", "threshold"),
        *("--limit", "power=:300", "--unit", "power=W", "--sensor", "power", "--machine", "press-2"),
    )
    train = read_table(tmp_path / "out" / "train.csv")
    assert ((train["power"] > 300) == (train["anomaly"] == 1)).all()
    assert 0.02 < train["anomaly"].mean() < 0.9
    metadata = json.loads((tmp_path / "out" / "metadata.json").read_text())
    assert metadata["sensors"] == [{"name": "power", "unit": "W"}]
    assert metadata["labels"] == {"method": "threshold", "limits": {"power": [None, 300.0]}}
    assert metadata["query"]["machines"] == ["press-2"]


def test_statistics_are_fitted_on_the_training_rows_alone(history: Path, tmp_path: Path) -> None:
    run(
        "prepare",
        "--csv",
        history / "rows.csv",
        "-o",
        tmp_path / "out",
        "--labels",
        "statistical",
        "--sigma",
        "2.5",
    )
    train = read_table(tmp_path / "out" / "train.csv")
    metadata = json.loads((tmp_path / "out" / "metadata.json").read_text())
    for sensor in ("temperature", "vibration", "pressure", "power"):
        assert metadata["labels"]["mean"][sensor] == pytest.approx(train[sensor].mean(), rel=1e-9)
        assert metadata["labels"]["deviation"][sensor] == pytest.approx(train[sensor].std(ddof=0), rel=1e-9)
    test = read_table(tmp_path / "out" / "test.csv")
    far = sum(
        (test[s] - metadata["labels"]["mean"][s]).abs() > 2.5 * metadata["labels"]["deviation"][s]
        for s in metadata["labels"]["mean"]
    )
    assert ((far > 0) == (test["anomaly"] == 1)).all()


def test_without_labels_the_tables_claim_none(history: Path, tmp_path: Path) -> None:
    text = run("prepare", "--csv", history / "rows.csv", "-o", tmp_path / "out", "--labels", "none")
    sensors = ["temperature", "vibration", "pressure", "power"]
    assert list(read_table(tmp_path / "out" / "train.csv").columns) == ["time", "machine_id", *sensors]
    assert text.splitlines()[0].split() == ["split", "machine", "rows"]
    metadata = json.loads((tmp_path / "out" / "metadata.json").read_text())
    assert metadata["labels"] == {"method": "none"}
    assert metadata["splits"]["train"]["anomalies"] is None
    assert metadata["splits"]["train"]["machines"]["press-1"]["anomalies"] is None


@pytest.mark.parametrize(
    ("options", "said", "code"),
    [
        (("--csv", "none.csv"), "none.csv: no such file", 1),
        (("--csv", "{rows}", "--sensor", "flow"), "no column 'flow'; it has time", 1),
        (("--csv", "{rows}", "--start", "2031-01-01"), "no rows in this range", 1),
        (("--csv", "{rows}", "--machine", "nobody"), "of machine nobody", 1),
        (("--csv", "{rows}", "--split", "50/50"), "is not a split", 2),
        (("--csv", "{rows}", "--gap", "-5"), "the gap is negative", 2),
        (("--csv", "{rows}", "--gap", "5h"), "too short", 1),
        (("--csv", "{rows}", "--gap", "soon"), "is not a duration", 2),
        (("--csv", "{rows}", "--unit", "power"), "is not SENSOR=VALUE", 2),
        (("--csv", "{rows}", "--unit", "flow=m3"), "no sensor 'flow'", 2),
        (("--csv", "{rows}", "--labels", "threshold", "--limit", "flow=:3"), "no sensor 'flow'", 2),
        (("--csv", "{rows}", "--labels", "statistical", "--sigma", "0"), "standard deviations", 2),
        (("--csv", "{rows}", "--events-file", "none.csv"), "no such file", 1),
        (("--csv", "{rows}", "--database", "x"), "files and InfluxDB cannot be combined", 2),
        (("--database", "x", "--drop", "y"), "only files have such columns", 2),
        (("--csv", "{rows}", "--label-column", "flaw"), "no column 'flaw'; it has time", 1),
        (("--csv", "{rows}", "--normal-value", "0"), "--normal-value: requires --label-column", 2),
        (
            ("--csv", "{rows}", "--label-column", "anomaly", "--labels", "statistical"),
            "--label-column: cannot be combined with --labels",
            2,
        ),
        (("--csv", "{rows}", "--exclude", "2025-01-01"), "'2025-01-01' is not a range of time; write F", 2),
        (("--csv", "{rows}", "--exclude", "now/-1h"), "--exclude now/-1h: the start is not before", 2),
        (("--csv", "{rows}", "--exclude", "soon/now"), "--exclude soon/now: 'soon' is not a time; write", 2),
        (("--csv", "{events}"), "no column .time. for the time", 1),
        ((), "no database was named", 2),
        (("--database", "x", "--url", "http://127.0.0.1:1"), "cannot be reached", 1),
        (("--database", "x", "--start", "now", "--stop", "-1h"), "not before the stop", 2),
        (("--bucket", "b"), "a bucket needs its organisation", 2),
        (("--database", "x", "--machine-tag", "=m", "--machine", "m"), "all rows are of one", 2),
    ],
)
def test_what_cannot_be_prepared_is_one_clear_error(
    history: Path, tmp_path: Path, options: tuple[str, ...], said: str, code: int
) -> None:
    words = [word.format(rows=history / "rows.csv", events=history / "events.csv") for word in options]
    with pytest.raises(EdgeDetectError, match=said) as caught:
        run("prepare", "-o", tmp_path / "out", *words)
    assert caught.value.exit_code == code
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_labels_by_events_need_events(history: Path, tmp_path: Path) -> None:
    frame = read_table(history / "rows.csv").drop(columns=["anomaly", "kind"])
    frame.to_csv(tmp_path / "plain.csv", index=False)
    with pytest.raises(EdgeDetectError, match="no events to label with; give an --events-file"):
        run("prepare", "--csv", tmp_path / "plain.csv", "-o", tmp_path / "out", "--labels", "events")
    run("prepare", "--csv", tmp_path / "plain.csv", "-o", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "metadata.json").read_text())["labels"] == {"method": "none"}


def test_each_file_may_be_a_machine_that_is_called_as_it_is(tmp_path: Path) -> None:
    paths = []
    for number, name in enumerate(("north/1", "north/2", "south/1")):
        path = tmp_path / f"{name}.csv"
        path.parent.mkdir(exist_ok=True)
        # The machines' times are the same ones.
        rows = [f"2026-01-01 00:00:{second:02};{number + second * 7 % 5}" for second in range(60)]
        path.write_text("\n".join(["datetime;flow", *rows, ""]))
        paths.append(path)
    words = [word for path in paths for word in ("--csv", path)]
    run("prepare", *words, "--machine-per-file", "--gap", "0", "-o", tmp_path / "out")
    frame = read_table(tmp_path / "out" / "train.csv")
    assert sorted(set(frame["machine_id"])) == ["north-1", "north-2", "south-1"]
    for number, machine in enumerate(("north-1", "north-2", "south-1")):
        flow = frame["flow"][frame["machine_id"] == machine].tolist()
        assert flow == [number + second * 7 % 5 for second in range(len(flow))]
    run("prepare", *words[:2], "--machine-tag", "=press-1", "--gap", "0", "-o", tmp_path / "named")
    assert set(read_table(tmp_path / "named" / "train.csv")["machine_id"]) == {"press-1"}
    run("prepare", *words[:4], "--machine-per-file", "--gap", "0", "-o", tmp_path / "one")
    assert set(read_table(tmp_path / "one" / "train.csv")["machine_id"]) == {"1", "2"}
    for more, said in (
        (("--csv", paths[0]), "two files would be the machine 'north-1'"),
        (("--machine-column", "m"), "cannot be combined with --machine-column"),
        (("--machine-tag", "=m"), "cannot be combined with --machine-column or --machine-tag"),
    ):
        words_of_more = [*map(str, words), *map(str, more), "--machine-per-file", "-o", str(tmp_path / "no")]
        result = CliRunner().invoke(app, ["prepare", *words_of_more])
        assert result.exit_code == 1 or isinstance(result.exception, UsageError)
        assert said in str(result.exception)

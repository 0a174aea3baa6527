"""`edge-detect history`: what it prints of a history, and what it says of one that it cannot print."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.commands import assert_one_clear_line
from support.pages import assert_prints_what_stands_there
from support.pasts import SECOND, START, Past, simulated, small_blocks

from edge_runtime.history.schema import history_file
from edge_runtime.loading.load import load_bundle
from edge_runtime.timeparse import format_time

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from support.commands import Here

ROWS = 1200
SENSORS = ("temperature", "vibration", "pressure", "power")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Past]:
    """A ledger's name, and the history beside it: machines with alarms and a sensor that stands still."""
    ledger = tmp_path_factory.mktemp("kept") / "ledger.sqlite"
    ledger.touch()
    with pytest.MonkeyPatch.context() as patch:
        small_blocks(patch)
        past, readings = Past(history_file(ledger), load_bundle()), simulated(3, ROWS, missing=0.002)
        for start in range(0, len(readings), 300):
            past.take(readings.take(slice(start, start + 300)))
        past.history.close()
    return ledger, past


class History:
    """The command on one ledger."""

    def __init__(self, here: Here, ledger: Path) -> None:
        self._here, self._ledger = here, ledger

    def __call__(self, *words: object) -> subprocess.CompletedProcess[bytes]:
        return self._here("edge-detect", "history", *words, "--state", self._ledger)

    def text(self, *words: object) -> str:
        """What it prints when it goes well."""
        done = self(*words)
        assert done.returncode == 0, done.stderr.decode()
        assert not done.stderr
        return done.stdout.decode()

    def alarms(self, *words: object) -> subprocess.CompletedProcess[bytes]:
        return self._here("edge-detect", "alarms", "list", *words, "--state", self._ledger)

    def rows(self, *words: object) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.text("rows", *words))))


@pytest.fixture
def history(here: Here, kept: tuple[Path, Past]) -> History:
    return History(here, kept[0])


def test_machines_are_listed_with_their_rows(history: History, kept: tuple[Path, Past]) -> None:
    lines = [line.split() for line in history.text("list").splitlines()]
    assert lines[0][0] == "history"
    assert lines[0][1] == f"{history_file(kept[0])}:"
    assert lines[2] == ["machine", "rows", "oldest", "newest"]
    assert [line[:3] for line in lines[3:]] == [
        [f"press-{i + 1}", "1,200", format_time(START + i * SECOND // 10)] for i in range(3)
    ]
    document = json.loads(history.text("list", "--json"))
    assert [one["rows"] for one in document["machines"]] == [ROWS] * 3
    assert document["bytes"] == history_file(kept[0]).stat().st_size
    assert document["gaps"] == []


def test_curves_have_the_least_and_the_greatest_and_what_happened(
    history: History, kept: tuple[Path, Past]
) -> None:
    lines = history.text("show", "press-2").splitlines()
    rows = kept[1].rows()["press-2"]
    first, last = (format_time(int(rows.times[at])) for at in (0, -1))
    assert lines[0] == f"press-2 from {format_time(int(rows.times[-1]) - 3600 * SECOND)} to {last}"
    assert lines[2].startswith("  1,200 rows, ")
    for place, name in enumerate(SENSORS):
        words = next(line for line in lines if line.startswith(f"  {name} ")).split()
        found = [float(word) for word in (words[1], words[3])]
        column = rows.values[:, place]
        assert found == pytest.approx([np.nanmin(column), np.nanmax(column)], rel=1e-4)
        assert 15 <= len(words[-1]) <= 60
        assert set(words[-1]) <= set("▁▂▃▄▅▆▇█")
    assert any("failure: flat" in line for line in lines)
    assert any(" alarm " in line for line in lines)
    assert first < min(line.split()[0] for line in lines if "failure: flat" in line)


def test_points_are_those_that_are_asked_for(history: History, kept: tuple[Path, Past]) -> None:
    document = json.loads(history.text("show", "press-1", "--json", "--points", 50, "--last", "20m"))
    (part,) = document["parts"]
    rows = kept[1].rows()["press-1"]
    assert 25 <= len(part["times"]) <= 50
    assert sum(part["rows"]) == ROWS
    assert document["start"] < part["times"][1]
    assert min(part["least"]["power"]) == np.nanmin(rows.values[:, 3])
    assert {one["status"] for one in document["sensor_status"]} >= {"failure: missing", "good"}
    assert document["alarms"]
    assert set(part["mean"]) == {*SENSORS, "severity"}


def test_rows_come_back_as_they_were(history: History, kept: tuple[Path, Past]) -> None:
    wanted = kept[1].rows()["press-3"]
    start, stop = (format_time(int(wanted.times[at])) for at in (100, 900))
    found = history.rows("press-3", "--start", start, "--stop", stop)
    assert [row["time"] for row in found] == [format_time(time) for time in wanted.times[100:900].tolist()]
    values = np.array([[row[name] or "nan" for name in SENSORS] for row in found]).astype(np.float32)
    np.testing.assert_array_equal(values, wanted.values[100:900])
    assert {row["verdict"] for row in found} == {"normal", "anomaly", "unknown"}
    assert {row["reason"] for row in found} == {"", "missing"}
    assert any(row["degraded"] and row["sensor_status"].startswith(row["degraded"]) for row in found)
    last = history.rows("press-3", "--last", "9s")
    assert [row["time"] for row in last] == [format_time(time) for time in wanted.times[-10:].tolist()]


def test_what_was_expected_is_computed_again(history: History, kept: tuple[Path, Past]) -> None:
    found = history.rows("press-1", "--last", "5m", "--bundle", "default")
    judged = [one for one in kept[1].judged if "press-1" in one.readings.machines]
    for row in found[:: len(found) // 7]:
        results = next(one for one in judged if (one.readings.times == _time(row["time"])).any())
        place = int(
            np.flatnonzero(
                (results.readings.times == _time(row["time"])) & (results.readings.machines == "press-1")
            )[0]
        )
        assert float(row["score"]) == pytest.approx(results.scores.score.item(place), rel=1e-5)
        assert float(row["expected_power"]) == pytest.approx(results.scores.expected.item(place, 3), rel=1e-5)


def _time(text: str) -> int:
    from edge_runtime.timeparse import parse_time  # noqa: PLC0415

    return parse_time(text, 0)


def test_rows_can_be_scored_as_a_file(history: History, here: Here, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(history.text("rows", "press-2", "--last", "10m"))
    done = here("edge-detect", "score", tmp_path / "rows.csv", "-o", tmp_path / "scored.csv")
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "scored.csv").read_text().splitlines()) == 602


def test_what_cannot_be_is_said_in_one_line(history: History, here: Here, tmp_path: Path) -> None:
    def refused(done: subprocess.CompletedProcess[bytes], code: int, *words: str) -> None:
        assert_one_clear_line(done, code, *words)

    refused(history("show", "press-9"), 2, "has no machine 'press-9'", "press-1, press-2, press-3")
    refused(history("show", "press-1", "--last", "1h", "--start", "-1d"), 2, "--last and --start")
    refused(history("rows", "press-1", "--stop", "2020-01-01T00:00:00Z", "--start", "-1s"), 2, "ends before")
    refused(history("rows", "press-1", "--last", "soon"), 2, "'soon' is not a duration")
    refused(history("rows", "press-1", "--start", "2200-01-01"), 2, "the newest row of 'press-1' is of")
    refused(history.alarms("--last", "1h", "--machine", "press-9"), 2, "no machine 'press-9'", "press-1")
    refused(here("edge-detect", "history", "list"), 2, "which ledger?")
    refused(here("edge-detect", "history", "list", "--state", tmp_path / "x"), 2, "there is no ledger")
    (tmp_path / "ledger").touch()
    refused(here("edge-detect", "history", "list", "--state", tmp_path / "ledger"), 1, "there is no history")
    (tmp_path / "text").write_text("no database, " * 400)
    refused(
        here("edge-detect", "history", "list", "--file", tmp_path / "text"), 1, "the history cannot be read"
    )


def test_any_duration_can_be_asked_for(history: History) -> None:
    for far in ("999999999999999w", "500000d"):
        assert history.text("rows", "press-1", "--last", far).count("\n") == ROWS + 1
        assert "  1,200 rows, " in history.text("show", "press-1", "--last", far)
        assert history.alarms("--last", far).returncode == 0
    assert "  1 row, " in history.text("show", "press-1", "--last", "0s")


def test_a_damaged_block_is_left_out_and_said(kept: tuple[Path, Past], here: Here, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    with closing(sqlite3.connect(history_file(kept[0]))) as db, closing(sqlite3.connect(copy)) as other:
        db.backup(other)
        one, start, rows, data = other.execute(
            "SELECT id, start, rows, data FROM blocks WHERE machine = 1 ORDER BY start LIMIT 1"
        ).fetchone()
        other.execute("UPDATE blocks SET data = ? WHERE id = ?", (data[:-5] + b"\0wxyz", one))
        other.commit()
    done = here("edge-detect", "history", "rows", "press-1", "--file", copy)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 1 + ROWS - rows
    said = done.stderr.decode()
    assert "1 part of the history could not be read, and was left out" in said
    assert format_time(start) in said


def test_the_configuration_leads_to_it(kept: tuple[Path, Past], here: Here, tmp_path: Path) -> None:
    def listed(text: str) -> Any:
        (tmp_path / "gateway.toml").write_text(text)
        done = here("edge-detect", "history", "list", "--config", tmp_path / "gateway.toml", "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    where = history_file(kept[0])
    text = f'[run]\nsource = "csv"\nstate = "{kept[0]}"\n[csv]\ninput = "x.csv"\n'
    assert listed(text)["history"] == str(where)
    assert listed(f'{text}[history]\nfile = "{where}"\n')["history"] == str(where)


def test_the_pages_commands_print_what_stands_there(tmp_path: Path) -> None:
    assert assert_prints_what_stands_there("history.md", tmp_path) == 5

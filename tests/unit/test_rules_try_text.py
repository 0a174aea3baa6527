"""What trying rules prints: a line a machine, totals, each lost alarm, and one document with all of it."""

from __future__ import annotations

import json
import os
import pty
import sqlite3
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.bundles import make_bundle
from support.pasts import EVER, SECOND, START, Past, simulated, small_blocks

from edge_runtime import Readings, load_bundle, progress
from edge_runtime.cli import rule_try_text
from edge_runtime.cli.rule_try import compare
from edge_runtime.engine.rules import Rule
from edge_runtime.errors import LedgerError, UsageError
from edge_runtime.history.reading import reading_history
from edge_runtime.simulation import SENSORS, Simulator
from edge_runtime.timeparse import format_time

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 600
# Which machine's pressure is so much off, from which row until before which.
FAULTS = {"press-1": [(100, 108, 14.0), (300, 400, 14.0)], "press-2": [(200, 215, 20.0)], "press-3": []}
DELAY = Rule(name="patient", why="short ones are none", on_delay_s=30.0)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history of three machines: a short and a long fault, a short one, and none."""
    past = Past(tmp_path_factory.mktemp("kept") / "history", load_bundle())
    with pytest.MonkeyPatch.context() as patch:
        small_blocks(patch, rows=64)
        for machine, faults in FAULTS.items():
            block = Simulator(machine, seed=1, rate=0.0, start_ns=START).block(ROWS)
            values = block.values.copy()
            for first, stop, by in faults:
                values[first:stop, SENSORS.index("pressure")] += by
            for place in range(0, ROWS, 50):
                rows = slice(place, place + 50)
                past.take(Readings(np.full(50, machine), block.times[rows], values[rows]))
        past.history.close()
    return past.path


def text(capsys: pytest.CaptureFixture[str], path: Path, *rules: Rule, **options: Any) -> list[str]:
    compare(path, "default", (), rules, **options)
    out, err = capsys.readouterr()
    assert err == ""  # it is no terminal
    return [line.rstrip() for line in out.splitlines()]


def document(capsys: pytest.CaptureFixture[str], path: Path, *rules: Rule, **options: Any) -> Any:
    return json.loads("\n".join(text(capsys, path, *rules, as_json=True, **options)))


def test_machines_totals_and_lost_alarms_are_printed(capsys: pytest.CaptureFixture[str], kept: Path) -> None:
    lines = text(capsys, kept, DELAY)
    newest = START + (ROWS - 1) * SECOND
    assert lines[0] == (
        f"history {kept} from {format_time(newest - 7 * 86_400 * SECOND)} to {format_time(newest)}"
    )
    assert [line.split() for line in lines[2:6]] == [
        ["machine", "rows", "before", "after", "lost"],
        ["press-1", "600", "2", "1", "1"],
        ["press-2", "600", "1", "0", "1"],
        ["press-3", "600", "0", "0", "0"],
    ]
    days = 3 * 599 / 86_400
    assert lines[7:9] == [
        "  3 alarms before, 1 after; 2 lost",
        f"  alarms a day and machine: {3 / days:.3g} before, {1 / days:.3g} after",
    ]
    assert lines[9].startswith("  of 1,800 rows, ")
    assert lines[11] == "2 alarms are lost:"
    with reading_history(kept) as reader:
        first, _, second = sorted(reader.alarms(0, EVER), key=lambda one: one["machine_id"])
    for place, alarm in ((13, first), (22, second)):
        words = dict(line.strip().split(maxsplit=1) for line in lines[place : place + 8])
        sensors = words.pop("sensors")
        assert words == {
            "alarm": alarm["event_id"],
            "machine": alarm["machine_id"],
            "what": "machine",
            "priority": "medium",
            "severity": f"{alarm['severity']:.3g}",
            "raised": alarm["raised"],
            "returned": alarm["returned"],
        }
        pressure = next(one for one in alarm["sensors"] if one["name"] == "pressure")
        said = f"pressure {pressure['actual']:.5g} PSI (expected {pressure['expected']:.5g})"
        assert said in [sensors, *(line.strip() for line in lines[place + 8 : place + 11])]
    assert lines[-4] == "1 alarm differs in when it is raised, in its priority, or in the number of alarms:"
    assert lines[-2].split() == ["id", "machine", "what", "raised", "told", "priority", "alarms"]
    raised = format_time(START + 300 * SECOND)
    assert lines[-1].split()[1:] == ["press-1", "machine", raised, "30", "s", "later", "medium", "1"]


def test_the_document_has_all_of_it(capsys: pytest.CaptureFixture[str], kept: Path) -> None:
    found = document(capsys, kept, DELAY, Rule(name="calm", why="it is", priority="low", machine="*-1"))
    assert {name: found[name] for name in ("rows", "before", "after", "lost", "new")} == {
        "rows": 1800,
        "before": 3,
        "after": 1,
        "lost": 2,
        "new": 0,
    }
    assert [one["machine_id"] for one in found["machines"]] == list(FAULTS)
    assert found["alarms_per_day_and_machine"]["before"] == pytest.approx(3 * 86_400 / (3 * 599))
    assert found["bundle"] == load_bundle().digest
    assert [one["outcome"] for one in found["alarms"]] == ["lost", "changed", "lost"]
    changed = found["alarms"][1]
    assert changed["delay_s"] == 30.0
    (before,), (after,) = changed["before"], changed["after"]
    assert before["event_id"] == after["event_id"]
    assert (before["priority"], after["priority"]) == ("medium", "low")
    assert after["told"] == format_time(START + 330 * SECOND)
    assert "acknowledged_by" not in after
    assert found["left_out"] == []


def test_time_is_before_the_newest_row_of_all_machines(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    past = Past(tmp_path / "history", load_bundle())
    past.take(simulated(1, 100))
    later = Simulator("late", seed=1, rate=0.0, start_ns=START + 50 * SECOND).block(100)
    past.take(Readings(np.full(100, "late"), later.times, later.values))
    past.history.close()
    found = document(capsys, past.path, last="60s")
    assert {one["machine_id"]: one["rows"] for one in found["machines"]} == {"late": 61, "press-1": 11}
    found = document(capsys, past.path, last="60s", machine="press-1")
    assert [(one["machine_id"], one["rows"]) for one in found["machines"]] == [("press-1", 11)]
    times = {"start": format_time(START + 10 * SECOND), "stop": format_time(START + 20 * SECOND)}
    assert document(capsys, past.path, **times, machine="press-1")["rows"] == 10


def test_many_lost_alarms_are_not_all_printed(
    capsys: pytest.CaptureFixture[str], kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rule_try_text, "MOST_ALARMS", 1)
    lines = text(capsys, kept, Rule(name="x", why="y", threshold_factor=1e6))
    assert "3 alarms are lost:" in lines
    assert sum(line.startswith("  alarm  ") for line in lines) == 1
    assert lines[-1] == "  … 2 more; --json prints all"


def test_alarms_that_are_new_have_a_column(capsys: pytest.CaptureFixture[str], kept: Path) -> None:
    compare(kept, "default", [DELAY], ())
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[2:4]] == [
        ["machine", "rows", "before", "after", "lost", "new"],
        ["press-1", "600", "1", "2", "0", "1"],
    ]
    assert "  1 alarm before, 3 after; 0 lost, 2 new" in lines
    assert any("30 s earlier" in line for line in lines)


def test_rules_for_what_is_not_there_are_named(capsys: pytest.CaptureFixture[str], kept: Path) -> None:
    typo = Rule(name="typo", why="x", sensor="pressur", direction="above")
    away = Rule(name="away", why="x", machine="pump-*", priority="low")
    some = Rule(name="some", why="x", machine="*-1", sensor="power", priority="low")
    no_sensor = "it has no effect, because the bundle has no sensor 'pressur'; did you mean pressure?"
    no_machine = "it has no effect here, because no machine matches 'pump-*'; machines here: "
    assert text(capsys, kept, typo, away, some)[:2] == [
        f"rule typo: {no_sensor}",
        f"rule away: {no_machine}press-1, press-2, press-3",
    ]
    assert document(capsys, kept, typo, away, some, machine="press-2")["without_effect"] == {
        "typo": no_sensor,
        "away": f"{no_machine}press-2",
        "some": "it has no effect here, because no machine matches '*-1'; machines here: press-2",
    }
    compare(kept, "default", [away], [away, some])  # what is in force already is not tried
    assert capsys.readouterr().out.startswith("history ")
    assert document(capsys, kept, some)["without_effect"] == {}


def test_rows_of_another_bundle_are_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    other = make_bundle(tmp_path)
    past, readings = Past(tmp_path / "history", load_bundle()), simulated(1, 300)
    past.take(readings.take(slice(0, 200)))
    past.restart(load_bundle(other))
    past.take(readings.take(slice(200, 300)))
    past.history.close()
    lines = text(capsys, past.path)
    own, theirs = load_bundle().digest, load_bundle(other).digest
    times = [format_time(int(readings.times[place])) for place in (200, 299)]
    assert f"  100 rows are left out, which another bundle judged than {own}:" in lines
    assert f"    100 of press-1 from {times[0]} to {times[1]} by {theirs}" in lines
    assert document(capsys, past.path)["left_out"] == [
        {"machine_id": "press-1", "bundle": theirs, "since": times[0], "until": times[1], "rows": 100}
    ]
    with pytest.raises(
        UsageError, match=f"but {theirs} did; name the file of that one with --bundle"
    ) as error:
        compare(past.path, "default", (), (), last="10s")
    assert error.value.where == f"bundle {own}"


def test_what_cannot_be_is_said(kept: Path, tmp_path: Path) -> None:
    def refused(match: str, path: Path = kept, **options: Any) -> None:
        with pytest.raises(UsageError, match=match):
            compare(path, "default", (), (), **options)

    refused("no machine 'press-9'; it has press-1, press-2, press-3", machine="press-9")
    refused("'soon' is not a duration", last="soon")
    refused("--last and --start both", last="1h", start="-1h")
    refused("the newest row of the history is of", start="2200-01-01")
    refused("there are no rows in that time", start="2001-01-01", stop="2002-01-01")
    Past(tmp_path / "empty", load_bundle()).history.close()
    refused("the history has no rows yet", tmp_path / "empty")
    with pytest.raises(LedgerError, match="there is no history"):
        compare(tmp_path / "none", "default", (), ())


def test_damaged_parts_are_left_out_and_said(
    capsys: pytest.CaptureFixture[str], kept: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    with closing(sqlite3.connect(kept)) as db, closing(sqlite3.connect(copy)) as other:
        db.backup(other)
        one, rows, data = other.execute("SELECT id, rows, data FROM blocks ORDER BY start LIMIT 1").fetchone()
        other.execute("UPDATE blocks SET data = ? WHERE id = ?", (data[:-5] + b"\0wxyz", one))
        other.commit()
    with pytest.raises(LedgerError, match="1 part of the history could not be read, and was left out"):
        compare(copy, "default", (), [DELAY], as_json=True)
    assert json.loads(capsys.readouterr().out)["rows"] == 3 * ROWS - rows


def test_a_terminal_sees_how_far_it_is(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        compare(kept, "default", (), [DELAY])
        monkeypatch.undo()
        shown = os.read(leader, 100_000).decode()
    os.close(leader)
    assert "█" * progress.WIDTH + " 100%" in shown
    assert shown.endswith("\r\x1b[K")

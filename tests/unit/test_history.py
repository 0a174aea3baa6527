"""The history beside a plain model: whatever crashes, and whatever is judged a second time, it agrees."""

from __future__ import annotations

import errno
import os
import random
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.pastfiles import assert_whole, rollups_in, rows_in, table

from edge_runtime.engine.alarms import Change, event_id
from edge_runtime.engine.engine import Engine
from edge_runtime.errors import LedgerUnavailableError
from edge_runtime.history import bounds, history, opened, packing, room
from edge_runtime.history.bounds import Bounds, used_bytes
from edge_runtime.history.history import History
from edge_runtime.history.schema import history_file
from edge_runtime.loading.load import load_bundle
from edge_runtime.records import COMPLETE, Readings, Reason, Results, Scores, Verdict

if TYPE_CHECKING:
    from pathlib import Path

SOAK = bool(os.environ.get("EDGE_DETECT_SOAK"))
LIVES = 300 if SOAK else 25
SECOND = 1_000_000_000
START = 1_795_000_000 * SECOND
SENSORS = 4


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(load_bundle(), alarms=True)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows make a block, so that few make many."""
    monkeypatch.setattr(opened, "PACK_COMMITS", 5)
    monkeypatch.setattr(opened, "STATE_ROWS", 20)
    monkeypatch.setattr(packing, "BLOCK_ROWS", 32)
    monkeypatch.setattr(packing, "SMALL_BLOCKS", 4)


def results(chosen: np.random.Generator, machines: list[str], times: list[int]) -> Results:
    """Rows as an engine could have judged them."""
    rows = len(times)
    values = chosen.normal(50, 5, (rows, SENSORS)).round(2).astype(np.float32)
    faults = np.where(chosen.random((rows, SENSORS)) < 0.05, Reason.FLAT, Reason.NONE).astype(np.int8)
    values[chosen.random((rows, SENSORS)) < 0.05] = np.nan
    scores = Scores.unknown(rows, SENSORS)
    verdicts = chosen.integers(0, 3, rows).astype(np.int8)
    severity = np.where(verdicts == Verdict.UNKNOWN, np.nan, chosen.random(rows) * 3).astype(np.float32)
    reasons = np.where(verdicts == Verdict.UNKNOWN, Reason.FLAT, Reason.NONE).astype(np.int8)
    degraded = np.where(chosen.random(rows) < 0.1, 2, COMPLETE).astype(np.int16)
    return Results(Readings(machines, times, values), scores, severity, verdicts, reasons, degraded, faults)


def change(machine: str, time: int, what: str = "raised") -> Change:
    from edge_runtime.timeparse import format_time  # noqa: PLC0415

    fields: dict[str, Any] = {
        "event_id": event_id(machine, "machine", "", time),
        "machine_id": machine,
        "kind": "machine",
        "subject": "",
        "raised": format_time(time),
        "comment": "Öl",
    }
    return Change(what, time, True, fields)


class Model:
    """Machine to its rows, each with the time that it has; and what the ledger knows."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[int, bytes]]] = {}
        self.changes: list[str] = []
        self.mark: str | None = None

    def commit(self, block: Results, changes: list[Change], mark: str | None) -> None:
        for row in range(len(block)):
            machine, time = str(block.readings.machines[row]), int(block.readings.times[row])
            known = self.rows.setdefault(machine, [])
            while known and known[-1][0] >= time:
                known.pop()
            known.append((time, digest(block.take(slice(row, row + 1)))))
        self.changes += [one.fields["event_id"] for one in changes]
        self.mark = mark or self.mark

    def tell(self, mark: str) -> None:
        self.mark = mark

    def check(self, path: Path) -> None:
        assert_whole(path)
        found = rows_in(path)
        assert {name: own for name, own in self.rows.items() if own} == {
            name: [
                (int(rows.times[row]), row_digest(rows.take(slice(row, row + 1)))) for row in range(len(rows))
            ]
            for name, rows in found.items()
            if len(rows)
        }
        assert [row[0] for row in table(path, "SELECT event_id FROM changes ORDER BY id")] == self.changes


def digest(block: Results) -> bytes:
    assert block.degraded is not None
    assert block.faults is not None
    columns = (block.readings.values, block.verdicts, block.reasons, block.degraded, block.faults)
    return b"".join(np.nan_to_num(np.ascontiguousarray(column), nan=-1).tobytes() for column in columns)


def row_digest(rows: Any) -> bytes:
    columns = (rows.values, rows.verdicts, rows.reasons, rows.degraded, rows.faults)
    return b"".join(np.nan_to_num(np.ascontiguousarray(column), nan=-1).tobytes() for column in columns)


@pytest.mark.usefixtures("small")
def test_whatever_ends_it_the_history_has_what_the_ledger_has(engine: Engine, tmp_path: Path) -> None:
    """Lives that end before or after the ledger's commit, rows of some machines, times that begin again."""
    chosen, numbers = random.Random(7), np.random.default_rng(7)  # noqa: S311 - for moments, not for secrets
    path, model = tmp_path / "h", Model()
    newest = dict.fromkeys("abc", START)
    for _ in range(LIVES):
        past = History(path, engine, model.mark, report=pytest.fail, tell=model.tell)
        for _ in range(chosen.randrange(12)):
            machines = [name for name in "abc" for _ in range(chosen.choice((0, 1, 1, 3, 40)))]
            times = []
            if machines and chosen.random() < 0.03:  # a future was forgotten, or a ledger put back
                newest[machines[0]] -= chosen.randrange(200) * SECOND
            for name in machines:
                newest[name] += chosen.choice((1, 1, 1, 90, 4000)) * SECOND
                times.append(newest[name])
            block = results(numbers, machines, times)
            changes = [change(machines[0], times[0])] if machines and chosen.random() < 0.3 else []
            mark = past.append(block, changes)
            if chosen.random() < 0.1:  # killed before the ledger has it: it is read again, or never
                known = {name: model.rows.get(name) or [(START, b"")] for name in "abc"}
                newest = {name: rows[-1][0] for name, rows in known.items()}
                break
            model.commit(block, changes, mark)
        past.close()
        History(path, engine, model.mark, report=pytest.fail).close()
        model.check(path)
    assert len(table(path, "SELECT * FROM blocks WHERE level = 1")) > 3
    assert len(table(path, "SELECT * FROM states")) > 10


@pytest.mark.parametrize("file", ["first", "after damage"])
def test_what_a_ledger_does_not_have_of_a_new_file_is_taken_out(
    engine: Engine, tmp_path: Path, file: str
) -> None:
    """A new file is told to the ledger before anything is stored in it."""
    path, numbers, told, said = tmp_path / "h", np.random.default_rng(1), list[str](), list[str]()
    mark = None
    if file == "after damage":
        past = History(path, engine, None, report=pytest.fail)
        mark = past.append(results(numbers, ["m"], [START]), [])
        past.close()
        path.write_bytes(b"\xff" * 8192)
    past = History(path, engine, mark, report=said.append, tell=told.append)
    first, second = results(numbers, ["m"], [START + SECOND]), results(numbers, ["m"], [START + 9 * SECOND])
    assert told == []
    past.append(first, [change("m", START + SECOND)])  # and killed, before the ledger has it
    past.close()
    ((identity,),) = table(path, "SELECT value FROM about WHERE name = 'identity'")
    assert told == [f"{identity}:0"]
    past = History(path, engine, told[0], report=said.append, tell=told.append)
    past.append(second, [change("m", START + 9 * SECOND)])
    past.close()
    assert len(told) == 1
    assert rows_in(path)["m"].times.tolist() == [START + 9 * SECOND]
    assert len(table(path, "SELECT * FROM changes")) == 1


def test_nothing_is_stored_while_the_ledger_cannot_be_told_of_the_file(
    engine: Engine, tmp_path: Path
) -> None:
    path, numbers, said, now, told = tmp_path / "h", np.random.default_rng(1), list[str](), [0.0], list[str]()

    def tell(mark: str) -> None:
        if now[0] < 10:
            raise LedgerUnavailableError("cannot be written", where="ledger", hint="look at the disk")
        told.append(mark)

    past = History(path, engine, None, report=said.append, tell=tell, clock=lambda: now[0])
    for second in range(100):
        now[0] = float(second)
        past.append(results(numbers, ["m"], [START + second * SECOND]), [])
    past.close()
    assert len(told) == 1
    assert "cannot be written" in said[0]
    assert said[1:] == ["history: is written again"]
    assert ((rows_in(path)["m"].times - START) // SECOND).tolist() == [*range(61, 100)]
    assert len(table(path, "SELECT * FROM gaps")) == 1


@pytest.mark.usefixtures("small")
def test_a_ledger_that_was_put_back_takes_the_history_with_it(engine: Engine, tmp_path: Path) -> None:
    numbers, path = np.random.default_rng(1), tmp_path / "h"
    past, marks = History(path, engine, None, report=pytest.fail), list[str | None]()
    for commit in range(40):
        times = [START + (commit * 10 + row) * 20 * SECOND for row in range(10)]
        marks.append(past.append(results(numbers, ["m"] * 10, times), []))
    past.close()
    assert len(rows_in(path)["m"]) == 400
    past = History(path, engine, marks[12], report=pytest.fail)
    past.close()
    assert len(rows_in(path)["m"]) == 130
    assert_whole(path)
    assert rollups_in(path, 60)["m"].rows.sum() == len(rows_in(path)["m"]) - 10 * len(
        table(path, "SELECT * FROM recent")
    )


def test_a_history_that_lost_its_last_commits_says_so(engine: Engine, tmp_path: Path) -> None:
    numbers, path = np.random.default_rng(1), tmp_path / "h"
    past = History(path, engine, None, report=pytest.fail)
    mark = past.append(results(numbers, ["m"], [START]), [])
    past.close()
    assert mark is not None
    identity = mark.partition(":")[0]
    past = History(path, engine, f"{identity}:3", report=pytest.fail)
    assert past.append(results(numbers, ["m"], [START + SECOND]), []) == f"{identity}:4"
    past.close()
    assert len(rows_in(path)["m"]) == 2
    lost = "the last commits before a power cut are missing"
    assert table(path, "SELECT number, why FROM gaps") == [(1, lost)]


def test_a_new_ledger_goes_on_in_the_history_that_there_is(engine: Engine, tmp_path: Path) -> None:
    numbers, path = np.random.default_rng(1), tmp_path / "h"
    for mark in (None, None, "of another:9", "nonsense", ":", "x:y"):
        past = History(path, engine, mark, report=pytest.fail)
        time = START + 10 * SECOND * len(table(path, "SELECT * FROM recent"))
        assert past.append(results(numbers, ["m"], [time]), []) is not None
        past.close()
    assert len(rows_in(path)["m"]) == 6


def test_two_processes_do_not_write_one_history(engine: Engine, tmp_path: Path) -> None:
    """Two ledgers whose configurations name the same file; one goes on when the other has ended."""
    numbers, path, said, now = np.random.default_rng(1), tmp_path / "h", list[str](), [0.0]
    one = History(path, engine, None, report=pytest.fail)
    two = History(path, engine, None, report=said.append, clock=lambda: now[0])
    assert one.append(results(numbers, ["m"], [START]), []) is not None
    assert two.append(results(numbers, ["n"], [START]), []) is None
    one.close()
    now[0] = 61.0
    two.append(results(numbers, ["n"], [START + SECOND]), [])
    assert two.append(results(numbers, ["n"], [START + 2 * SECOND]), []) is not None
    two.close()
    wrong = "another edge-detect writes it, with another ledger"
    assert said == [
        f"history: cannot be written ({wrong}); rows are judged and delivered without it",
        "history: is written again",
    ]
    assert {name: len(rows) for name, rows in rows_in(path).items()} == {"m": 1, "n": 1}
    assert table(path, "SELECT since, until, why FROM gaps") == [(START, START + SECOND, wrong)]


def test_a_ledger_that_comes_back_takes_out_nothing_of_another(engine: Engine, tmp_path: Path) -> None:
    numbers, path, marks = np.random.default_rng(1), tmp_path / "h", dict[str, str | None]()
    for turn, ledger in enumerate("abab"):
        past = History(path, engine, marks.get(ledger), report=pytest.fail)
        marks[ledger] = past.append(results(numbers, [ledger], [START + turn * SECOND]), [])
        past.close()
    assert {name: len(rows) for name, rows in rows_in(path).items()} == {"a": 2, "b": 2}


def test_rows_that_were_not_judged_for_their_time_are_not_in_it(engine: Engine, tmp_path: Path) -> None:
    block = results(np.random.default_rng(1), ["m"] * 4, [START + i for i in range(4)])
    block.reasons[:] = [Reason.TIME_IN_THE_FUTURE, Reason.NONE, Reason.TOO_MANY_MACHINES, Reason.MISSING]
    past = History(tmp_path / "h", engine, None, report=pytest.fail)
    past.append(block, [])
    block.reasons[:] = Reason.TIME_IN_THE_FUTURE
    assert past.append(block, []) is None
    past.close()
    assert rows_in(tmp_path / "h")["m"].times.tolist() == [START + 1, START + 3]


@pytest.mark.usefixtures("small")
def test_rows_of_a_future_that_was_forgotten_do_not_stand_before_earlier_ones(
    engine: Engine, tmp_path: Path
) -> None:
    """The gateway's clock was set right between two blocks of one commit."""
    numbers, path = np.random.default_rng(1), tmp_path / "h"
    past = History(path, engine, None, report=pytest.fail)
    for commit in range(12):
        times = [START + (commit * 10 + row) * SECOND for row in range(10)]
        if commit == 5:
            times[2:6] = [time + 10**6 * SECOND for time in times[2:6]]
        names = ["m", "n"] * 5 if commit % 2 else ["m"] * 10
        past.append(results(numbers, names, times), [])
    past.close()
    assert_whole(path)
    found = np.sort(np.concatenate([rows.times for rows in rows_in(path).values()])) - START
    assert (found // SECOND).tolist() == [*range(52), *range(56, 120)]


def test_only_changes_of_a_sensors_status_are_stored(engine: Engine, tmp_path: Path) -> None:
    path, numbers = tmp_path / "h", np.random.default_rng(1)
    mark = None
    flat = ([0, 1, 1], [1, 1, 0], [0, 0, 0], [0, 0, 1])
    for commit, column in enumerate(flat):
        past = History(path, engine, mark, report=pytest.fail)
        block = results(numbers, ["m"] * 3, [START + commit * 10 + i for i in range(3)])
        block.faults = None
        if any(column):
            block.faults = np.zeros((3, SENSORS), np.int8)
            block.faults[:, 2] = np.array(column) * int(Reason.FLAT)
        mark = past.append(block, [])
        past.close()
    wanted = [(1, Reason.FLAT), (12, Reason.NONE), (32, Reason.FLAT)]
    found = table(path, "SELECT time, reason FROM statuses ORDER BY id")
    assert found == [(START + at, reason) for at, reason in wanted]


class Disk:
    """A disk that is full for a while."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        real = room.make_sure_of_room

        def look(path: Path) -> None:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            real(path)

        monkeypatch.setattr(history, "make_sure_of_room", look)


def test_a_full_disk_costs_rows_of_the_history_alone_and_they_are_named(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, said, now = Disk(monkeypatch), list[str](), [0.0]
    past = History(tmp_path / "h", engine, None, report=said.append, clock=lambda: now[0])
    numbers, mark = np.random.default_rng(1), None
    for second in range(200):
        now[0] = float(second)
        disk.full = 20 <= second < 70
        time = START + second * SECOND
        mark = past.append(results(numbers, ["m"], [time]), [change("m", time)]) or mark
    past.close()
    assert said == [
        "history: cannot be written (No space left on device); rows are judged and delivered without it",
        "history: is written again",
    ]
    times = (rows_in(tmp_path / "h")["m"].times - START) // SECOND
    assert times.tolist() == [*range(20), *range(81, 200)]  # it tries again once a minute
    assert table(tmp_path / "h", "SELECT since, until, why FROM gaps") == [
        (START + 20 * SECOND, START + 80 * SECOND, "No space left on device")
    ]
    assert len(table(tmp_path / "h", "SELECT * FROM changes")) == 200
    assert mark is not None
    assert mark.endswith(":140")


def test_a_file_that_was_deleted_while_it_was_written_is_missed(engine: Engine, tmp_path: Path) -> None:
    said, now, numbers = list[str](), [0.0], np.random.default_rng(1)
    path = tmp_path / "history" / "h"
    past = History(path, engine, None, report=said.append, clock=lambda: now[0])
    for second in range(100):
        now[0] = float(second)
        if second == 20:
            shutil.rmtree(path.parent)
        past.append(results(numbers, ["m"], [START + second * SECOND]), [])
    past.close()
    assert [line.partition(";")[0] for line in said] == [
        "history: cannot be written (No such file or directory)",
        "history: is written again",
    ]
    assert ((rows_in(path)["m"].times - START) // SECOND).tolist() == [*range(81, 100)]
    since, until, _ = table(path, "SELECT since, until, why FROM gaps WHERE since IS NOT NULL")[0]
    assert (since, until) == (START + 20 * SECOND, START + 80 * SECOND)


@pytest.mark.parametrize("when", ["before", "while"])
def test_a_damaged_history_is_set_aside_and_a_new_one_begins(
    engine: Engine, tmp_path: Path, when: str
) -> None:
    path, said, numbers = tmp_path / "h", list[str](), np.random.default_rng(1)

    def block(commit: int) -> Results:
        return results(numbers, ["m"] * 200, [START + commit * 200 + i for i in range(200)])

    past = History(path, engine, None, report=said.append)
    mark = None
    for commit in range(60):
        mark = past.append(block(commit), [])
    if when == "before":
        past.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0 if when == "before" else 4096)
        file.write(b"\xff" * (4096 if when == "before" else size - 4096))
    if when == "before":
        past = History(path, engine, mark, report=said.append)
    for commit in range(60, 70):
        past.append(block(commit), [])
    past.close()
    assert any("was damaged" in line and "a new one begins" in line for line in said), said
    assert len(list(tmp_path.glob("h.damaged.*"))) == 1
    assert len(rows_in(path)["m"]) >= 9 * 200
    assert_whole(path)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("about.value", str(2**70)),
        ("machines.code", 2**62),
        ("blocks.stop", "later"),
        ("blocks.stop", -(2**63)),
        ("rollups.data", b""),
        ("rollups.data", b"\7" * 70),
        ("states.time", "x"),
        ("statuses.reason", "x"),
    ],
)
def test_content_that_cannot_be_costs_no_row(
    engine: Engine, tmp_path: Path, column: str, value: object
) -> None:
    """SQLite finds nothing wrong with it."""
    path, said, numbers = tmp_path / "h", list[str](), np.random.default_rng(1)
    past, mark = History(path, engine, None, report=pytest.fail), None
    for second in range(101):
        mark = past.append(results(numbers, ["m"], [START + second * SECOND]), [])
    past.close()
    table_of, _, name = column.partition(".")
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"UPDATE {table_of} SET {name} = ?", (value,))  # noqa: S608 - of the names above
    past = History(path, engine, mark, report=said.append)
    for second in range(101, 121):
        past.append(results(numbers, ["m"], [START + second * SECOND]), [])
    past.close()
    assert not said or "its content is not as it was written" in said[0]
    assert rows_in(path)["m"].times[-1] == START + 120 * SECOND


def test_a_later_version_or_another_file_is_left_alone(engine: Engine, tmp_path: Path) -> None:
    path, said, numbers = tmp_path / "h", list[str](), np.random.default_rng(1)
    History(path, engine, None, report=pytest.fail).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 2")
    past = History(path, engine, None, report=said.append)
    assert past.append(results(numbers, ["m"], [START]), []) is None
    past.close()
    assert [line for line in said if "has version 2, and this edge-detect knows 1" in line] == said
    assert not rows_in(path)


@pytest.mark.usefixtures("small")
def test_it_stays_within_its_bounds_and_rows_go_first(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "STEP_BLOCKS", 8)
    monkeypatch.setattr(bounds, "STEP_SPANS", 64)
    path, numbers = tmp_path / "h", np.random.default_rng(1)
    limit = Bounds(max_mb=1, max_days=366)
    past = History(path, engine, None, report=pytest.fail, bounds=limit)
    for commit in range(600):
        times = [START + (commit * 40 + row) * 30 * SECOND for row in range(40)]
        past.append(results(numbers, ["m"] * 40, times), [])
    past.close()
    with closing(sqlite3.connect(path)) as db:
        assert used_bytes(db) <= 1.1e6
    assert path.stat().st_size < 1.6e6
    assert_ends_together(path)
    spans = [len(rollups_in(path, step)["m"]) * step for step in (60, 3600)]
    rows = (rows_in(path)["m"].times[-1] - rows_in(path)["m"].times[0]) / SECOND
    assert rows * 3 < spans[0] <= spans[1]


def assert_ends_together(path: Path) -> None:
    """What is left is the newest, without a hole."""
    rows = rows_in(path)["m"]
    assert set(np.diff(rows.times).tolist()) == {30 * SECOND}
    for step in (60, 3600):
        assert set(np.diff(rollups_in(path, step)["m"].starts).tolist()) == {step}


@pytest.mark.usefixtures("small")
def test_rows_go_by_their_age(engine: Engine, tmp_path: Path) -> None:
    path, numbers = tmp_path / "h", np.random.default_rng(1)
    later = START + 30 * 86_400 * SECOND
    past = History(path, engine, None, report=pytest.fail, bounds=Bounds(1000, 2), now=lambda: later)
    for hour in range(24 * 20):
        past.append(
            results(numbers, ["m"] * 4, [START + (hour * 60 + i) * 60 * SECOND for i in range(4)]), []
        )
    past.close()
    oldest, newest = rows_in(path)["m"].times[[0, -1]].tolist()
    assert 2 * 86_400 <= (newest - oldest) / SECOND < 3.5 * 86_400
    minutes, hours = (rollups_in(path, step)["m"].starts for step in (60, 3600))
    assert 8 * 86_400 <= newest / SECOND - minutes[0] < 9.5 * 86_400
    assert newest / SECOND - hours[0] > 19 * 86_400


@pytest.mark.usefixtures("small")
def test_a_row_that_is_years_ahead_makes_no_other_old(engine: Engine, tmp_path: Path) -> None:
    path, numbers = tmp_path / "h", np.random.default_rng(1)
    now = [START]
    past = History(path, engine, None, report=pytest.fail, bounds=Bounds(1000, 1), now=lambda: now[0])
    past.append(results(numbers, ["b"], [START + 20 * 366 * 86_400 * SECOND]), [])
    for minute in range(200):
        now[0] = START + minute * 60 * SECOND
        past.append(results(numbers, ["m"], now[:]), [])
    past.close()
    assert {name: len(rows) for name, rows in rows_in(path).items()} == {"b": 1, "m": 200}


@pytest.mark.usefixtures("small")
def test_rows_may_be_kept_for_any_number_of_days(engine: Engine, tmp_path: Path) -> None:
    numbers, path = np.random.default_rng(1), tmp_path / "h"
    past = History(path, engine, None, report=pytest.fail, bounds=Bounds(1000, 10**9))
    for second in range(20):
        past.append(results(numbers, ["m"], [START + second * SECOND]), [])
    past.close()
    assert table(path, "SELECT COUNT(*) FROM blocks") != [(0,)]
    assert len(rows_in(path)["m"]) == 20


def test_it_lies_in_a_folder_beside_the_ledger(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "ledger.sqlite")
    for name in ("ledger.sqlite", "link"):
        assert history_file(tmp_path / name) == tmp_path / "history" / "ledger.sqlite"

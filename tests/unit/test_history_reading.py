"""What is read of a history is what was stored in it, while it is written, and nothing of it is touched."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.bundles import make_bundle
from support.pasts import (
    EVER,
    SECOND,
    START,
    Past,
    assert_same_rows,
    rows_of,
    simulated,
    small_blocks,
    some_past,
)

from edge_runtime import load_bundle
from edge_runtime.delivery.ledger import Ledger
from edge_runtime.errors import LedgerError
from edge_runtime.history import parts, points
from edge_runtime.history.columns import SEVERITY_ERROR
from edge_runtime.history.reading import reading_history
from edge_runtime.history.rows import Rows

if TYPE_CHECKING:
    from edge_runtime import Bundle
    from edge_runtime.history.reading import HistoryReader


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(None)


@pytest.fixture
def past(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Past:
    """Three machines, packed and not packed, still open."""
    small_blocks(monkeypatch)
    return some_past(tmp_path / "history" / "l.sqlite", bundle)


def test_rows_are_those_that_were_stored_from_any_time_to_any_other(
    past: Past, monkeypatch: pytest.MonkeyPatch, bundle: Bundle
) -> None:
    monkeypatch.setattr(parts, "PIECE_BLOCKS", 3)
    random = np.random.default_rng(1)
    with reading_history(past.path) as reader:
        wanted = past.rows()
        spans = [(name, int(rows.times[0]), int(rows.times[-1]), len(rows)) for name, rows in wanted.items()]
        assert [tuple(one) for one in reader.machines()] == sorted(spans)
        for machine, rows in wanted.items():
            found = list(reader.rows(machine, 0, EVER))
            assert {part.bundle for part in found} == {bundle.digest}
            sensors = [(one.name, one.unit) for one in bundle.metadata.sensors]
            assert [tuple(sensor) for sensor in found[0].sensors] == sensors
            assert len(found) > 5
            for _ in range(20):
                first, last = sorted(random.integers(-1, len(rows) + 1, 2).tolist())
                start, stop = (START + place * SECOND - SECOND // 3 for place in (first, last))
                within = (rows.times >= start) & (rows.times < stop)
                some = list(reader.rows(machine, start, stop))
                assert sum(len(part.rows) for part in some) == within.sum()
                if some:
                    assert_same_rows(
                        Rows.joined([part.rows for part in some]), rows.take(within), SEVERITY_ERROR
                    )
        assert list(reader.rows("nobody", 0, EVER)) == []
        assert reader.damaged == []
    past.history.close()


def test_rows_that_are_about_to_be_replaced_count_once(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger forgot all: its first commit stands beside what it replaces until the next one."""
    monkeypatch.setattr(points, "MOST_ROWS", 0)
    earlier = past.rows()
    past.forget()
    again = simulated(3, 2000, missing=0.01).take(slice(3000, 3900))
    past.take(again)
    first = {name: int(again.times[again.machines == name][0]) for name in earlier}
    with reading_history(past.path) as reader:
        for span in reader.machines():
            kept = int((earlier[span.machine_id].times < first[span.machine_id]).sum())
            assert span.rows == kept + 300 == len(rows_of(reader, span.machine_id))
            assert span.stop == int(again.times[again.machines == span.machine_id][-1])
            found = reader.points(span.machine_id, START, START + 3000 * SECOND)
            assert sum(int(one.rows.sum()) for one in found) == span.rows
            numbers = {one.number for one in reader.states(span.machine_id, first[span.machine_id], EVER)}
            assert len(numbers) == 1  # all of the new commit
    past.history.close()


def test_while_it_is_written_no_row_is_lost_and_none_comes_twice(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_blocks(monkeypatch, rows=64, commits=3)
    monkeypatch.setattr(parts, "PIECE_BLOCKS", 2)
    past, readings = Past(tmp_path / "history", bundle), simulated(2, 3000, severity=0.0)
    past.take(readings.take(slice(0, 50)))
    committed, failed = [25], []

    def write() -> None:
        try:
            for start in range(50, len(readings), 50):
                past.take(readings.take(slice(start, start + 50)))
                committed.append(start // 2 + 25)
        except BaseException as error:
            failed.append(error)
            raise

    thread = threading.Thread(target=write)
    thread.start()
    reads, counts = 0, set[int]()
    with reading_history(past.path) as reader:
        while thread.is_alive():
            before = committed[-1]
            found = rows_of(reader, "press-1").times
            np.testing.assert_array_equal(found, START + SECOND * np.arange(len(found)))
            between = committed[-1]
            points = reader.points("press-1", START, START + 4000 * SECOND, 50)
            span = reader.machines()[0]
            after = committed[-1] + 25
            assert before <= len(found) <= between + 25
            assert between <= sum(int(one.rows.sum()) for one in points) <= after
            assert between <= span.rows <= committed[-1] + 25
            assert span.stop == START + (span.rows - 1) * SECOND
            reads, counts = reads + 1, counts | {len(found)}
    thread.join()
    assert failed == []
    assert len(counts) > 5
    past.history.close()
    assert past.said == []


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}


def ask_everything(reader: HistoryReader) -> None:
    assert [span.rows for span in reader.machines()] == [2000, 2000, 2000]
    assert len(rows_of(reader, "press-2")) == 2000
    assert reader.points("press-2", START, START + 2000 * SECOND)
    assert reader.alarms(0, EVER)
    assert reader.statuses("press-1", START, EVER)
    assert reader.gaps() == []
    assert reader.size_bytes > 100_000


def test_nothing_is_written_whether_it_is_open_closed_or_left_by_a_crash(past: Past, tmp_path: Path) -> None:
    folder, crashed = past.path.parent, tmp_path / "crashed"
    crashed.mkdir()
    for end in ("", "-wal"):
        shutil.copyfile(f"{past.path}{end}", crashed / f"l.sqlite{end}")
    for path, files in ((past.path, 4), (crashed / "l.sqlite", 2)):
        before = contents(path.parent)
        with reading_history(path) as reader:
            ask_everything(reader)
        assert contents(path.parent) == before
        assert len(list(path.parent.iterdir())) == files
    past.history.close()
    before = contents(folder)
    assert list(before) == ["l.sqlite", "l.sqlite.lock"]
    with reading_history(past.path) as reader:
        ask_everything(reader)
    assert contents(folder) == before


def test_one_reader_goes_on_when_the_writer_ends_and_begins_again(past: Past) -> None:
    readings = simulated(3, 100, start=START + 3000 * SECOND)
    with reading_history(past.path) as reader:
        past.restart()
        assert len(rows_of(reader, "press-1")) == 2000
        past.history.close()
        assert len(rows_of(reader, "press-1")) == 2000
        past.restart()
        past.take(readings)
        assert len(rows_of(reader, "press-1")) == 2100
    past.history.close()


def alter(path: Path, *statements: str) -> Path:
    with sqlite3.connect(path) as db:
        for statement in statements:
            db.execute(statement)
    db.close()
    return path


def test_a_file_that_is_none_says_so_and_what_to_do(past: Past, tmp_path: Path) -> None:
    past.history.close()
    ledger, empty, torn = tmp_path / "ledger", tmp_path / "empty", tmp_path / "torn"
    Ledger(ledger, "x").close()
    empty.touch()
    torn.write_bytes(past.path.read_bytes()[:8192] + b"\0" * 8192)
    later = alter(Path(shutil.copy(past.path, tmp_path / "later")), "PRAGMA user_version = 9")
    fewer = alter(Path(shutil.copy(past.path, tmp_path / "fewer")), "DROP TABLE blocks")
    noise = tmp_path / "noise"
    noise.write_bytes(b"not a database" * 1000)
    for path, words in (
        (tmp_path / "none", "there is no history; `edge-detect run` with a ledger makes one"),
        (ledger, "is no history of edge-detect; it lies in the folder `history` beside the ledger"),
        (empty, "the history is empty; `edge-detect run` is about to begin it"),
        (later, "the history has version 9, and this edge-detect knows 1; install a newer edge-detect"),
        (torn, "cannot be read .*the next `edge-detect run` lays it aside"),
        (fewer, "cannot be read .*no such table: blocks.*lays it aside"),
        (noise, "cannot be read .*not a database.*lays it aside"),
    ):
        with pytest.raises(LedgerError, match=words) as raised, reading_history(path):
            pass
        assert str(raised.value).startswith(str(path))


def test_a_damaged_block_is_left_out_and_named(past: Past) -> None:
    past.history.close()
    with sqlite3.connect(past.path) as db:
        (code,) = db.execute("SELECT code FROM machines WHERE name = 'press-2'").fetchone()
        blocks = db.execute(
            "SELECT id, start, stop FROM blocks WHERE machine = ? ORDER BY start", (code,)
        ).fetchall()
        block, start, stop = blocks[2]
        (data,) = db.execute("SELECT data FROM blocks WHERE id = ?", (block,)).fetchone()
        bad = data[:60] + bytes([data[60] ^ 1]) + data[61:]
        db.execute("UPDATE blocks SET data = ? WHERE id = ?", (bad, block))
        number, data = db.execute("SELECT MAX(number), data FROM recent").fetchone()
        db.execute("UPDATE recent SET data = ? WHERE number = ?", (data[:-1] + bytes([data[-1] ^ 1]), number))
    db.close()
    wanted = past.rows()["press-2"]
    last = past.judged[-1].readings
    there = (wanted.times < start) | ((wanted.times > stop) & (wanted.times < last.times.min()))
    with reading_history(past.path) as reader:
        assert_same_rows(rows_of(reader, "press-2"), wanted.take(there), SEVERITY_ERROR)
        assert reader.damaged == [(start, stop), (blocks[-1][2] + 1, EVER)]
        reader.points("press-2", START, EVER)
        assert len(rows_of(reader, "press-1")) < 2000


def test_rows_come_in_order_when_a_bundle_comes_back_before_its_small_blocks_are_joined(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_blocks(monkeypatch, rows=200, commits=1)
    other = load_bundle(make_bundle(tmp_path))
    past, readings = Past(tmp_path / "history", bundle), simulated(1, 1000)
    for start, following in ((0, other), (100, bundle), (200, bundle), (300, other), (400, other)):
        for place in range(start, start + 100, 25):
            past.take(readings.take(slice(place, place + 25)))
        past.restart(following)
    for place in range(500, 1000, 25):
        past.take(readings.take(slice(place, place + 25)))
    with reading_history(past.path) as reader:
        assert_same_rows(rows_of(reader, "press-1"), past.rows()["press-1"], SEVERITY_ERROR)
    past.history.close()
    with sqlite3.connect(past.path) as db:
        spans = db.execute("SELECT start, stop, rows FROM blocks ORDER BY start").fetchall()
    db.close()
    assert all(before[1] < after[0] for before, after in pairwise(spans))
    assert max(rows for *_, rows in spans) > 150


def test_a_file_that_the_system_does_not_show_is_refused(tmp_path: Path) -> None:
    """As one in a folder of another's; a name that is too long is refused for everybody, root included."""
    with (
        pytest.raises(LedgerError, match="the history cannot be read \\(File name too long\\)"),
        reading_history(tmp_path / ("x" * 300)),
    ):
        pass


def test_a_copy_is_of_one_moment(past: Past, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While what a crash left is copied, a process goes on writing it."""
    left = tmp_path / "left"
    for end in ("", "-wal"):
        shutil.copyfile(f"{past.path}{end}", f"{left}{end}")
    past.history.close()
    copies = 0

    def copied(source: Path, target: Path) -> None:
        nonlocal copies
        real(source, target)
        copies += 1
        if copies == 1:
            writer.execute("DELETE FROM recent")
            writer.execute("PRAGMA wal_checkpoint(RESTART)")
            writer.execute("UPDATE blocks SET start = start - 1 WHERE machine = 1")

    real, writer = shutil.copyfile, sqlite3.connect(left, isolation_level=None)
    monkeypatch.setattr(shutil, "copyfile", copied)
    with reading_history(left) as reader:
        found = reader.machines()
    assert copies
    query = "SELECT MIN(start), MAX(stop), SUM(rows) FROM blocks GROUP BY machine"
    wanted = writer.execute(query).fetchall()
    writer.close()
    assert [one[1:] for one in found] == wanted


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("blocks.stop", "later"),
        ("blocks.stop", -(2**63)),
        ("bundles.sensors", "[1]"),
        ("bundles.sensors", "{"),
        ("changes.fields", "{}"),
        ("changes.fields", '{"raised'),
        ("statuses.reason", 99),
        ("statuses.reason", "x"),
        ("states.time", "x"),
        ("rollups.start", 2**62),
    ],
)
def test_content_that_cannot_be_is_a_damaged_history(past: Past, column: str, value: object) -> None:
    """SQLite finds nothing wrong with it."""
    past.history.close()
    table, _, name = column.partition(".")
    with closing(sqlite3.connect(past.path)) as db, db:
        if table == "rollups":
            db.execute("DELETE FROM rollups WHERE start > (SELECT MIN(start) FROM rollups)")
        db.execute(f"UPDATE OR REPLACE {table} SET {name} = ?", (value,))  # noqa: S608 - of the names above
    said = []
    with reading_history(past.path) as reader:
        for ask in (
            reader.machines,
            reader.bytes_per_day,
            lambda: list(reader.rows("press-1", 0, EVER)),
            lambda: reader.points("press-1", 0, EVER),
            lambda: reader.alarms(0, EVER),
            lambda: [reader.changes(one) for one in reader.ids("")],
            lambda: reader.statuses("press-1", 0, EVER),
            lambda: reader.states("press-1", 0, EVER),
        ):
            try:
                ask()
            except LedgerError as error:
                said.append(str(error))
    assert all("cannot be read (" in one for one in said)
    assert said or column in {"states.time", "rollups.start", "blocks.stop"}

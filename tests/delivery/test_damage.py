"""Damaged ledgers: each says so, none is mute, and what can be proved is delivered once.

`make soak` damages 500 of them, of which `make test` damages a few.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest
from support.damage import KINDS, MadeLedger, damage, entries_on, make_ledger

from edge_runtime.checkpoint import Checkpoint
from edge_runtime.delivery import migrations
from edge_runtime.delivery.ledger import Ledger
from edge_runtime.delivery.outbox import SinkSums
from edge_runtime.engine.stage import StageState
from edge_runtime.errors import LedgerError

if TYPE_CHECKING:
    from pathlib import Path

    from support.commands import Command

LEDGERS = 500 if os.environ.get("EDGE_DETECT_SOAK") else 16
MADE = 8 if LEDGERS > 100 else 2


def test_a_page_that_is_out_of_use_sends_no_machine_back(tmp_path: Path) -> None:
    path = tmp_path / "l"
    ledger = Ledger(path, "influx a")
    newest, older = 1_767_830_400_000_000_000, 1_767_830_300_000_000_000
    machines = {f"m{number:03}": [newest, [[0, 1]]] for number in range(200)}
    ledger.commit(checkpoint=Checkpoint("c1", machines), states=[], payloads=[], counters={"read": 1})
    ledger._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    ledger.close()
    # A page as it was, at the end of the file, where no tree leads; and the damage.
    pages = path.read_bytes()
    stale = [pages[at : at + 4096] for at in range(0, len(pages), 4096)]
    (tmp_path / "old").mkdir()
    before = Ledger(tmp_path / "old" / "l", "influx a")
    machines = {name: [older, [[0, 1]]] for name in machines}
    before.commit(checkpoint=Checkpoint("c0", machines), states=[], payloads=[], counters={"read": 1})
    before._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    before.close()
    old = (tmp_path / "old" / "l").read_bytes()
    leaves = [old[at : at + 4096] for at in range(0, len(old), 4096) if b"source" in old[at : at + 4096]]
    assert len(leaves) > 1
    path.write_bytes(b"".join([*stale[:1], b"\xff" * 4096, *stale[2:], *leaves]))
    said: list[str] = []
    mended = Ledger(path, "influx a", report=said.append)
    found = mended.checkpoint()
    mended.close()
    assert "carried over" in said[0]
    assert found is not None
    assert len(found.machines) == 200
    assert {own[0] for own in found.machines.values()} == {newest}


def drained(ledger: Ledger, sink: str) -> list[bytes]:
    found: list[bytes] = []
    while parcels := ledger.parcels(sink, most=7):
        found += [parcel.payload for parcel in parcels]
        ledger.delivered(sink, parcels, None)
    return found


def test_killed_and_damaged_each_says_so_and_delivers_what_it_can_prove(tmp_path: Path) -> None:
    made = [make_ledger(tmp_path / f"m{i}", i, log=i % 2 == 1) for i in range(MADE)]
    wanted_in_all = got_in_all = notable = aside = 0
    for number in range(LEDGERS):
        one, kind = made[number % MADE], KINDS[number // MADE % len(KINDS)]
        wanted, got, said, was_set_aside = after_damage(one, tmp_path / f"d{number}", kind, number)
        wanted_in_all += wanted
        got_in_all += got
        notable += bool(said)
        aside += was_set_aside
    assert notable > LEDGERS // 2
    assert aside > LEDGERS // 4
    assert got_in_all >= 0.99 * wanted_in_all > 0, (got_in_all, wanted_in_all)


def after_damage(made: MadeLedger, folder: Path, kind: str, seed: int) -> tuple[int, int, list[str], bool]:
    """How many entries on whole pages there were, how many were delivered, what was said."""
    folder.mkdir()
    path = folder / "l"
    shutil.copy(made.path, path)
    log = made.path.with_name("l-wal")
    if log.exists():
        shutil.copy(log, folder / "l-wal")
    whole = entries_on(made.path, damage(path, kind, seed))
    said: list[str] = []
    ledger = Ledger(path, "csv a", report=said.append)
    ledger._db.execute("PRAGMA synchronous = OFF")
    wanted = got = 0
    where = f"{folder.name}: {kind}, seed {seed}: {said}"
    for sink, waiting in made.waiting.items():
        found = drained(ledger, sink)
        assert len(found) == len(set(found)), where
        assert not set(found) - set(waiting.values()), where
        wanted += len(whole & set(waiting))
        got += len({waiting[number] for number in whole & set(waiting)} & set(found))
        sums = ledger.sums(sink)
        assert sums.balanced, f"{where} {sums}"
        assert sums.waiting == 0, f"{where} {sums}"
        if len(found) < len(waiting):
            assert said, where
    again = drained(ledger, "a") + drained(ledger, "b")
    assert again == [], where
    ledger.commit(checkpoint=Checkpoint("later"), states=[], payloads=[("a", b"new", 1)], counters={})
    assert drained(ledger, "a") == [b"new"], where
    ledger.close()
    second: list[str] = []
    Ledger(path, "csv a", report=second.append).close()
    assert second == [], where
    was_set_aside = any(".damaged." in each.name for each in folder.iterdir())
    assert was_set_aside <= any("was damaged" in line for line in said)
    shutil.rmtree(folder)
    return wanted, got, said, was_set_aside


def commit(ledger: Ledger, number: int) -> None:
    states = [StageState("bundle", "hold", f"m{number}", 1, float(number))]
    payloads = [("a", b"%d " % number + b"x" * 3000, 2)]
    ledger.commit(checkpoint=Checkpoint(f"c{number}"), states=states, payloads=payloads, counters={"read": 2})


def test_one_bit_of_one_payload_is_a_dead_letter_and_the_others_go_out(tmp_path: Path) -> None:
    path, said = tmp_path / "l", list[str]()
    ledger = Ledger(path, "csv a", report=said.append)
    for number in range(9):
        commit(ledger, number)
    ledger.close()
    data = bytearray(path.read_bytes())
    data[data.index(b"4 xxx") + 100] ^= 4
    path.write_bytes(data)
    ledger = Ledger(path, "csv a", report=said.append)
    assert [payload[:1] for payload in drained(ledger, "a")] == [b"%d" % n for n in range(9) if n != 4]
    assert said == ["ledger: 2 rows for a were damaged on the disk; they are dead letters now"]
    assert ledger.sums("a") == SinkSums(encoded=18, delivered=16, waiting=0, dead=2, dropped=0)
    letters = ledger._db.execute("SELECT id, error FROM dead_letters").fetchall()
    assert letters == [(5, "damaged on the disk")]
    ledger.close()


def test_while_running_it_mends_itself_and_goes_on(tmp_path: Path) -> None:
    path, said = tmp_path / "l", list[str]()
    ledger = Ledger(path, "csv a", report=said.append)
    for number in range(60):
        commit(ledger, number)
    first = ledger.parcels("a", most=4)
    ledger.delivered("a", first, "p4")
    ledger._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    with path.open("r+b") as file:
        file.seek(4096)
        size = path.stat().st_size - 4096
        kept = file.read(size)
        pages = [bytearray(kept[at : at + 4096]) for at in range(0, size, 4096)]
        for page in pages:
            if page[0] == 0x05:  # what leads to the entries: SQLite finds none of them without it
                page[:] = b"\xff" * 4096
        file.seek(4096)
        file.write(b"".join(pages))
    ledger._db.execute("PRAGMA shrink_memory")
    commit(ledger, 60)
    found = drained(ledger, "a")
    assert [int(payload.split()[0]) for payload in found] == list(range(4, 61))
    assert len(said) == 1
    assert said[0].startswith(f"ledger: {path} was damaged (")
    assert "no row is lost" in said[0]
    assert ledger.sums("a") == SinkSums(encoded=122, delivered=122, waiting=0, dead=0, dropped=0)
    assert (ledger.checkpoint(), ledger.position("a"), len(ledger.states())) == (
        Checkpoint("c60"),
        "p4",
        61,
    )
    aside = [each for each in tmp_path.glob("l.damaged.*") if not each.name.endswith(("-wal", "-shm"))]
    assert len(aside) == 1
    ledger.close()


def test_a_file_that_is_no_ledger_is_never_moved(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(b"time,machine_id,temperature\n" * 1000)
    with pytest.raises(LedgerError, match="cannot be used"):
        Ledger(path, "csv a")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["in.csv", "in.csv.lock"]
    assert path.read_bytes() == b"time,machine_id,temperature\n" * 1000


def test_no_more_than_a_few_are_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "l"
    for _ in range(5):
        ledger = Ledger(path, "csv a")
        commit(ledger, 1)
        ledger.close()
        with path.open("r+b") as file:
            file.write(bytes(100))
    aside = [each for each in tmp_path.iterdir() if ".damaged." in each.name]
    assert len(aside) == 3


def test_a_mended_ledger_that_was_not_in_its_place_yet_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "l"
    ledger = Ledger(path, "csv a")
    commit(ledger, 1)
    ledger.close()
    path.rename(tmp_path / "l.mended")
    path.write_bytes(b"half moved")
    ledger = Ledger(path, "csv a")
    assert ledger.checkpoint() == Checkpoint("c1")
    ledger.close()


def test_an_earlier_version_that_is_damaged_gives_back_what_can_be_read(tmp_path: Path) -> None:
    path, said = tmp_path / "l", list[str]()
    db = sqlite3.connect(path, isolation_level=None)
    for step in migrations.STEPS[:3]:
        step(db)
    db.execute("INSERT INTO about VALUES ('source', 'csv a'), ('checkpoint', 'c7')")
    rows = [("a", 1, b"%d " % number + b"x" * 500) for number in range(100)]
    db.executemany("INSERT INTO outbox (sink, rows, payload) VALUES (?, ?, ?)", rows)
    db.execute("INSERT INTO counters VALUES ('encoded.a', 100)")
    db.execute("PRAGMA user_version = 3")
    db.close()
    data = bytearray(path.read_bytes())
    at = data.index(b"50 xxx") // 4096 * 4096
    data[at : at + 8] = bytes(8)
    path.write_bytes(data)
    ledger = Ledger(path, "csv a", report=said.append)
    found = [int(payload.split()[0]) for payload in drained(ledger, "a")]
    assert len(found) > 80
    assert 50 not in found
    assert "how many are missing is not known" in said[0]
    assert ledger.checkpoint() == Checkpoint("c7")
    assert ledger.sums("a").balanced
    assert ledger.sums("a").lost == 100 - len(found)
    ledger.close()


def test_run_says_that_its_ledger_is_damaged_and_delivers_everything(
    command: Command, tmp_path: Path
) -> None:
    rows = "".join(f"2026-01-01T00:{i // 60:02}:{i % 60:02}Z,m1,55,1.2,50,235\n" for i in range(900))
    source = tmp_path / "in.csv"
    source.write_text("time,machine_id,temperature,vibration,pressure,power\n" + rows)
    path, name = tmp_path / "l", f"csv {source}"
    words = (
        "--source",
        "csv",
        "--input",
        "in.csv",
        "--sink",
        "jsonl",
        "--output",
        "out.jsonl",
        "--state",
        path,
    )
    done = command("edge-detect", "run", "--bundle", "default", *words, "--rows", 300)
    assert done.returncode == 0, done.stderr
    ledger = Ledger(path, name)
    for number in range(20):  # what a sink that was away left
        payload = b'{"left": %d, "x": "%s"}\n' % (number, b"x" * 900)
        ledger.commit(checkpoint=None, states=[], payloads=[("jsonl", payload, 1)], counters={})
    ledger.close()
    with path.open("r+b") as file:
        file.write(bytes(100))
    done = command("edge-detect", "run", "--bundle", "default", *words)
    said = done.stderr.decode()
    assert done.returncode == 0, said
    assert "edge-detect: ledger: " in said
    assert "20 entries that wait, 0 dead letters" in said
    assert "no row is lost" in said
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["left"] for line in lines if "left" in line] == list(range(20))
    assert len({line["time"] for line in lines if "time" in line}) == len(lines) - 20 == 900

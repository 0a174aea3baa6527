"""An older ledger is brought up to date with nothing lost, beside a copy of what it was."""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.bundles import make_bundle, normal_rows

from edge_runtime import Engine, Readings, load_bundle
from edge_runtime.bundle.metadata import Debounce, Hold
from edge_runtime.checkpoint import Checkpoint
from edge_runtime.delivery import migrations
from edge_runtime.delivery.ledger import Ledger
from edge_runtime.delivery.outbox import SinkSums
from edge_runtime.errors import LedgerError

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime import Bundle

# As version 1 wrote it.
VERSION_1 = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL, rows INTEGER NOT NULL,
                     payload BLOB NOT NULL);
CREATE INDEX outbox_by_sink ON outbox (sink, id);
CREATE TABLE dead_letters (id INTEGER PRIMARY KEY, sink TEXT NOT NULL, rows INTEGER NOT NULL,
                           payload BLOB NOT NULL, error TEXT NOT NULL);
INSERT INTO about VALUES ('source', 'csv a'), ('checkpoint', 'c7');
INSERT INTO counters VALUES ('read', 12);
INSERT INTO outbox (sink, rows, payload) VALUES ('jsonl', 3, x'616263');
PRAGMA user_version = 1;
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundle")
    return load_bundle(
        make_bundle(folder, smooth=3, hold=Hold(rise=1, fall=1, cap=9, level=2), debounce=Debounce(2, 4))
    )


def version_1(path: Path, states: dict[str, object]) -> None:
    db = sqlite3.connect(path)
    db.executescript(VERSION_1)
    rows = [(f"state.{name}", json.dumps(value)) for name, value in states.items()]
    db.executemany("INSERT INTO about VALUES (?, ?)", rows)
    db.commit()
    db.close()


def test_states_of_version_1_are_gone_on_from(tmp_path: Path, loaded: Bundle) -> None:
    path, values = tmp_path / "ledger.sqlite", normal_rows(12) * np.float32(1.5)
    rows = Readings(["press"] * 12, range(12), values)
    # What version 1 stored after 8 of the rows is what the stages still store, but for the known rows.
    first = Engine(loaded)
    first.feed(rows.take(slice(0, 8)))
    now = {(state.stage, state.machine): state.value for state in first.changes()}
    states = {
        "quality": {"press": 7, "lathe": 3},
        "bundle": loaded.digest,
        "debounce": {"press": now["debounce", "press"]},
        "hold": {"press": now["hold", "press"]},
        "memory.press": now["memory", "press"],
    }
    assert len(base64.b64decode(str(states["memory.press"]))) > 0
    version_1(path, states)
    ledger = Ledger(path, "csv a")
    second = Engine(loaded)
    assert second.restore(ledger.states()) == []
    assert (ledger.checkpoint(), ledger.counters(), ledger.waiting("jsonl")) == (
        Checkpoint("c7"),
        {"read": 12, "encoded.jsonl": 3},
        3,
    )
    ledger.close()
    rest, wanted = second.feed(rows), Engine(loaded).feed(rows)
    # The known rows of version 1 are not known, so what comes again is too late and not repeated.
    assert rest.reasons == ["too late"] * 8 + [""] * 4
    np.testing.assert_allclose(rest.score[8:], wanted.score[8:], rtol=1e-3)
    assert rest.verdicts[8:] == wanted.verdicts[8:]
    lathe = Readings(["lathe"] * 2, [3, 4], values[:2])
    assert second.feed(lathe).reasons == ["too late", ""]


@pytest.mark.parametrize(
    "damage", ['{"press": 7', "null", "[1]", '"x"', '{"press": "x"}', '{"press": null}'], ids=repr
)
@pytest.mark.parametrize("name", ["quality", "bundle", "hold", "debounce", "memory.press"])
def test_a_state_that_is_damaged_costs_no_other(
    tmp_path: Path, loaded: Bundle, name: str, damage: str
) -> None:
    path = tmp_path / "ledger.sqlite"
    version_1(path, {"quality": {"press": 7}, "bundle": loaded.digest, "hold": {"press": 1.0}})
    db = sqlite3.connect(path)
    db.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (f"state.{name}", damage))
    db.commit()
    db.close()
    ledger = Ledger(path, "csv a")
    engine = Engine(loaded)
    assert all("press: the stored state of" in sentence for sentence in engine.restore(ledger.states()))
    reasons = engine.feed(Readings(["press"], [7], normal_rows(1))).reasons
    assert reasons == ([""] if name == "quality" else ["too late"])
    ledger.close()


def test_a_copy_that_cannot_be_put_in_place_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    version_1(path, {})
    days = {datetime.now(UTC).date(), (datetime.now(UTC) + timedelta(minutes=5)).date()}
    for day in days:
        (tmp_path / f"ledger.sqlite.v1.{day}").mkdir()
    for _ in range(2):
        with pytest.raises(LedgerError, match="cannot be used"):
            Ledger(path, "csv a")


def test_a_dated_copy_of_the_older_ledger_is_left(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    version_1(path, {"quality": {"press": 7}})
    Ledger(path, "csv a").close()
    Ledger(path, "csv a").close()
    copies = [each for each in tmp_path.iterdir() if each.name.startswith("ledger.sqlite.v1.")]
    assert len(copies) == 1
    day = datetime.strptime(copies[0].name.removeprefix("ledger.sqlite.v1."), "%Y-%m-%d").replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - day).days) <= 1
    copy = sqlite3.connect(copies[0])
    assert copy.execute("PRAGMA user_version").fetchone() == (1,)
    assert copy.execute("SELECT value FROM about WHERE name = 'state.quality'").fetchone() == (
        '{"press": 7}',
    )
    copy.close()


def test_a_new_ledger_has_nothing_to_copy(tmp_path: Path) -> None:
    Ledger(tmp_path / "l", "csv a").close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["l", "l.lock"]


def test_without_room_for_the_copy_the_older_ledger_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.sqlite"
    version_1(path, {"quality": {"press": 7}})
    connect = sqlite3.connect

    def full(database: Path, **options: object) -> sqlite3.Connection:
        if database.name.endswith(".part"):
            raise sqlite3.OperationalError("database or disk is full")
        return connect(database, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(sqlite3, "connect", full)
    with pytest.raises(LedgerError, match="disk is full"):
        Ledger(path, "csv a")
    monkeypatch.undo()
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone() == (1,)
    db.close()


def test_a_step_that_fails_changes_nothing_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.sqlite"
    version_1(path, {"quality": {"press": 7}})

    def failing(db: sqlite3.Connection) -> None:
        migrations._states_by_machine(db)
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(migrations, "STEPS", (migrations.STEPS[0], failing))
        with pytest.raises(LedgerError, match="disk I/O error"):
            Ledger(path, "csv a")
    ledger = Ledger(path, "csv a")
    assert [state.machine for state in ledger.states()] == ["press"]
    ledger.close()


def test_what_a_sink_was_to_get_is_reckoned_from_what_became_of_it(tmp_path: Path) -> None:
    """Version 2 counted what was delivered, refused and dropped, and not what was put in."""
    path = tmp_path / "l"
    db = sqlite3.connect(path, isolation_level=None)
    for step in migrations.STEPS[:2]:
        step(db)
    db.execute("PRAGMA user_version = 2")
    counters = {
        "read": 99,
        "delivered.jsonl": 50,
        "dead.jsonl": 3,
        "dropped.jsonl": 7,
        "delivered.my.sink": 5,
    }
    db.executemany("INSERT INTO counters VALUES (?, ?)", counters.items())
    db.execute("INSERT INTO outbox (sink, rows, payload) VALUES ('jsonl', 4, 'x'), ('influx', 2, 'x')")
    db.close()
    ledger = Ledger(path, "source")
    assert ledger.sums("jsonl") == SinkSums(encoded=64, delivered=50, waiting=4, dead=3, dropped=7)
    assert ledger.sums("my.sink") == SinkSums(encoded=5, delivered=5, waiting=0, dead=0, dropped=0)
    assert ledger.sums("influx") == SinkSums(encoded=2, delivered=0, waiting=2, dead=0, dropped=0)
    assert ledger.sums("other") == SinkSums(encoded=0, delivered=0, waiting=0, dead=0, dropped=0)
    ledger.close()


def test_a_later_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "l"
    Ledger(path, "csv a").close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    shutil.copy(path, tmp_path / "before")
    with pytest.raises(
        LedgerError, match="has version 99, but this edge-detect knows version 4; install a newer"
    ):
        Ledger(path, "csv a")
    assert path.read_bytes() == (tmp_path / "before").read_bytes()

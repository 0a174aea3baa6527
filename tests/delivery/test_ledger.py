"""The ledger: all or nothing, one process, one source, bounded, and every row in its counters."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.running import WAIT_S, running

from edge_runtime.checkpoint import Checkpoint
from edge_runtime.delivery.ledger import Ledger
from edge_runtime.delivery.outbox import Bounds, SinkSums
from edge_runtime.engine.stage import StageState
from edge_runtime.errors import LedgerError, LedgerUnavailableError

if TYPE_CHECKING:
    from pathlib import Path


def commit(ledger: Ledger, payload: bytes, *, rows: int = 1, checkpoint: Checkpoint | None = None) -> None:
    ledger.commit(
        checkpoint=checkpoint,
        states=[StageState("bundle", "hold", "m1", 1, 2.0)],
        payloads=[("a", payload, rows)],
        counters={"read": rows},
    )


def test_what_was_committed_is_there_in_the_next_process(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "ledger.sqlite"
    ledger = Ledger(path, "source")
    commit(ledger, b"one", rows=2, checkpoint=Checkpoint("c1"))
    commit(ledger, b"two", rows=3)
    ledger.close()

    again = Ledger(path, "source")
    assert again.checkpoint() == Checkpoint("c1")
    assert again.states() == [StageState("bundle", "hold", "m1", 1, 2.0)]
    assert again.counters() == {"read": 5, "encoded.a": 5}
    assert [(p.rows, p.payload) for p in again.parcels("a", most=10)] == [(2, b"one"), (3, b"two")]
    assert again.parcels("b", most=10) == []
    again.close()


def test_states_replace_those_before_by_owner_stage_and_machine(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l", "source")

    def store(*states: StageState, clock: int | None = None) -> None:
        ledger.commit(checkpoint=None, states=states, payloads=[], counters={}, clock=clock)

    first = StageState("b1", "hold", "m1", 1, 2.0)
    others = [first._replace(owner="b2"), first._replace(stage="times"), first._replace(machine="m2")]
    store(first, *others, clock=7)
    store(first._replace(value=[3, "x"]), others[0]._replace(value=None))
    assert sorted(ledger.states()) == sorted([first._replace(value=[3, "x"]), *others[1:]], key=str)
    assert ledger.clock() == 7
    ledger._db.execute("UPDATE states SET value = '01' WHERE stage = 'times'")
    assert StageState("b1", "times", "m1", 1, {"unreadable": "01"}) in ledger.states()
    ledger.close()


def test_each_machine_stays_where_the_last_checkpoint_that_named_it_put_it(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l", "source")
    steps: dict[str, dict[str, list[int] | None]]
    steps = {"1": {"m1": [1], "m2": [2], "m3": [3]}, "2": {"m2": [4], "m3": None}, "3": {}}
    for text, machines in steps.items():
        ledger.commit(checkpoint=Checkpoint(text, machines), states=[], payloads=[], counters={})
    ledger.commit(checkpoint=None, states=[], payloads=[], counters={})
    assert ledger.checkpoint() == Checkpoint("3", {"m1": [1], "m2": [4]})
    # They are no stage's.
    assert ledger.states() == []
    # One that is damaged is not known any more.
    ledger._db.execute("UPDATE states SET value = '[5]' WHERE machine = 'm1'")
    assert ledger.checkpoint() == Checkpoint("3", {"m2": [4]})
    ledger.close()


def test_a_process_that_is_killed_leaves_whole_transactions(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    code = f"""
import os, sys
from pathlib import Path
from edge_runtime.checkpoint import Checkpoint
from edge_runtime.delivery.ledger import Ledger
from edge_runtime.delivery.outbox import SinkSums
from edge_runtime.engine.stage import StageState
ledger = Ledger(Path({str(path)!r}), "source")
for i in range(1000):
    reached = Checkpoint(str(i))
    ledger.commit(checkpoint=reached, states=[], payloads=[("a", b"x" * 1000, 1)], counters={{"read": 1}})
    print(i, flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    for _ in range(20):
        told = int(process.stdout.readline())
    process.kill()
    process.wait()
    ledger = Ledger(path, "source")
    reached = ledger.checkpoint()
    checkpoint = int(reached.text) if reached else -1
    assert checkpoint >= told
    assert len(ledger.parcels("a", most=2000, max_bytes=1 << 30)) == checkpoint + 1
    assert ledger.counters() == {"read": checkpoint + 1, "encoded.a": checkpoint + 1}
    ledger.close()


def test_delivered_parcels_go_and_are_counted(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l", "source")
    commit(ledger, b"one", rows=2)
    commit(ledger, b"two", rows=3)
    first, second = ledger.parcels("a", most=10)
    ledger.delivered("a", [first], "position")
    assert ledger.parcels("a", most=10) == [second]
    assert ledger.position("a") == "position"
    assert ledger.waiting("a") == 3
    ledger.bury("a", second, "refused")
    assert ledger.waiting("a") == 0
    assert ledger.counters() == {"read": 5, "encoded.a": 5, "delivered.a": 2, "dead.a": 3}
    assert ledger.sums("a") == SinkSums(encoded=5, delivered=2, waiting=0, dead=3, dropped=0)
    ledger.close()


def test_beyond_its_bound_the_oldest_go_and_are_counted(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l", "source", bounds=Bounds(waiting_bytes=2500))
    for i in range(5):
        commit(ledger, bytes([i]) * 1000, rows=10)
    assert [p.payload[0] for p in ledger.parcels("a", most=10)] == [3, 4]
    assert ledger.counters() == {"read": 50, "encoded.a": 50, "dropped.a": 30, "dropped for room": 30}
    assert ledger.sums("a") == SinkSums(encoded=50, delivered=0, waiting=20, dead=0, dropped=30)
    assert ledger.sums("a").balanced
    ledger.close()


def test_what_arrived_after_it_was_dropped_for_room_is_delivered_and_not_dropped(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l", "source", bounds=Bounds(waiting_bytes=2500))
    commit(ledger, b"1" * 1000, rows=10)
    commit(ledger, b"2" * 1000, rows=20)
    under_way = ledger.parcels("a", most=2)
    commit(ledger, b"3" * 1000, rows=40)
    assert ledger.sums("a") == SinkSums(encoded=70, delivered=0, waiting=60, dead=0, dropped=10)
    ledger.delivered("a", under_way[:1], None)
    assert ledger.sums("a") == SinkSums(encoded=70, delivered=10, waiting=60, dead=0, dropped=0)
    commit(ledger, b"4" * 1000, rows=80)
    ledger.bury("a", under_way[1], "refused")
    assert ledger.sums("a") == SinkSums(encoded=150, delivered=10, waiting=120, dead=20, dropped=0)
    ledger.close()


def test_the_sums_of_a_sink_are_said_and_a_sum_that_does_not_balance_is_too() -> None:
    assert str(SinkSums(encoded=1234, delivered=1200, waiting=4, dead=20, dropped=10)) == (
        "4 rows wait in the ledger; of 1,234 since it was made 1,200 were delivered, 20 are dead letters and "
        "10 were dropped"
    )
    assert str(SinkSums(2, 1, 0, 0, 0)).endswith("these numbers do not balance: please report it")


def test_a_parcel_that_is_larger_than_the_bound_is_kept_for_it_is_the_newest(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l", "source", bounds=Bounds(waiting_bytes=10))
    commit(ledger, b"x" * 100)
    assert ledger.waiting("a") == 1
    ledger.close()


def test_one_process_at_a_time_and_one_source(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l", "csv a")
    with pytest.raises(LedgerError, match="is in use by another edge-detect"):
        Ledger(tmp_path / "l", "csv a")
    ledger.close()
    with pytest.raises(LedgerError, match=r"another source \(csv a\)"):
        Ledger(tmp_path / "l", "csv b")
    Ledger(tmp_path / "l", "csv a").close()


def test_a_damaged_file_and_one_that_cannot_be_made_are_clear_errors(tmp_path: Path) -> None:
    (tmp_path / "damaged").write_bytes(b"this is not a database" * 100)
    with pytest.raises(LedgerError, match="cannot be used"):
        Ledger(tmp_path / "damaged", "source")
    with pytest.raises(LedgerError, match="--state"):
        Ledger(tmp_path / "damaged" / "below", "source")


@pytest.mark.parametrize("names", ["l", "l*"])
def test_a_file_that_was_deleted_while_in_use_ends_it_and_is_no_full_disk(tmp_path: Path, names: str) -> None:
    ledger = Ledger(tmp_path / "l", "source")
    commit(ledger, b"one")
    for path in list(tmp_path.glob(names)):
        path.unlink()
    with pytest.raises(
        LedgerError, match="was deleted, or its disk taken away, while it was in use"
    ) as caught:
        commit(ledger, b"two")
    assert not isinstance(caught.value, LedgerUnavailableError)
    assert caught.value.where == str(tmp_path / "l")
    ledger.close()


def test_run_ends_when_its_ledger_was_deleted(tmp_path: Path) -> None:
    words = ("--sink", "jsonl", "--output", tmp_path / "out.jsonl", "--state", tmp_path / "l.sqlite")
    with running(tmp_path, "edge-detect", "run", "--source", "simulate", *words) as run:
        assert run.process.stderr is not None
        assert run.process.stderr.readline().startswith(b"edge-detect: version ")
        (tmp_path / "l.sqlite").unlink()
        said = run.process.stderr.read().decode()  # until it ends
        assert run.process.wait(WAIT_S) == 1
    assert (
        f"{tmp_path / 'l.sqlite'}: was deleted, or its disk taken away, while it was in use; put it" in said
    )
    assert "free some disk space" not in said
    assert "Traceback" not in said


def test_a_full_disk_stores_nothing_and_says_so(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l", "source")
    commit(ledger, b"one", checkpoint=Checkpoint("c1"))
    ledger._db.execute(f"PRAGMA max_page_count = {ledger._db.execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(LedgerUnavailableError, match="full"):
        commit(ledger, os.urandom(100_000), checkpoint=Checkpoint("c2"))
    assert ledger.checkpoint() == Checkpoint("c1")
    assert ledger.counters() == {"read": 1, "encoded.a": 1}
    ledger._db.execute("PRAGMA max_page_count = 1000000")
    commit(ledger, os.urandom(100_000), checkpoint=Checkpoint("c2"))
    assert ledger.checkpoint() == Checkpoint("c2")
    ledger.close()

"""What the ledger keeps has bounds, costs no more the more of it there is, and its file gives room back."""

from __future__ import annotations

import json
import os
import resource
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support.smalldisk import DISK_BYTES, small_disk

from edge_runtime.checkpoint import Checkpoint
from edge_runtime.delivery.entries import Bounds, Kept
from edge_runtime.delivery.ledger import Ledger
from edge_runtime.delivery.outbox import SinkSums
from edge_runtime.errors import LedgerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENTRIES = 1_300_000 if os.environ.get("EDGE_DETECT_SOAK") else 50_000
SIZE = 200


def fill(ledger: Ledger, entries: int) -> None:
    ledger._db.execute("PRAGMA synchronous = OFF")
    for start in range(0, entries, 10_000):
        number = min(10_000, entries - start)
        with ledger.transaction() as (_, book, outbox):
            outbox.put(("a", b"x" * SIZE, 1) for _ in range(number))
            book.count({"encoded.a": number})


@contextmanager
def steps_of(ledger: Ledger) -> Iterator[list[int]]:
    """How many hundreds of SQLite's own instructions are run meanwhile: what is done, and not how fast."""
    counted = [0]

    def count() -> int:
        counted[0] += 1
        return 0

    ledger._db.set_progress_handler(count, 100)
    yield counted
    ledger._db.set_progress_handler(None, 0)


def test_killed_or_not_a_full_outbox_costs_a_commit_no_more_than_one_that_is_nearly_empty(
    tmp_path: Path,
) -> None:
    ledger = Ledger(tmp_path / "l", "csv a", bounds=Bounds(waiting_bytes=ENTRIES * SIZE))

    def most() -> int:
        worst = 0
        for _ in range(30):
            with steps_of(ledger) as counted:
                ledger.commit(
                    checkpoint=Checkpoint("c"),
                    states=[],
                    payloads=[("a", b"y" * SIZE, 1)],
                    counters={"read": 1},
                )
                ledger.waiting("a")
                ledger.delivered("a", ledger.parcels("a", most=1), None)
            worst = max(worst, counted[0])
        return worst

    fill(ledger, 100)
    few = most()
    fill(ledger, ENTRIES)
    assert ledger.sums("a").waiting == ENTRIES + 100
    ledger.commit(
        checkpoint=Checkpoint("c"), states=[], payloads=[("a", b"y" * SIZE, 1)], counters={"read": 1}
    )
    full = most()
    assert ledger.sums("a").dropped > 0
    assert full <= few + 30, (few, full)
    size = (tmp_path / "l").stat().st_size
    while parcels := ledger.parcels("a", most=1000, max_bytes=1 << 30):
        ledger.delivered("a", parcels, None)
    for _ in range(2000):
        ledger.parcels("a", most=1)
        if ledger._db.execute("PRAGMA freelist_count").fetchone()[0] <= 64:
            break
    assert ledger.sums("a").balanced
    ledger.close()
    assert (tmp_path / "l").stat().st_size < max(size // 10, 1 << 20)
    assert not (tmp_path / "l-wal").exists()


def test_rows_for_a_database_that_is_away_do_not_push_out_alarms_that_wait_for_people(tmp_path: Path) -> None:
    said: list[str] = []
    ledger = Ledger(tmp_path / "l", "csv a", report=said.append, bounds=Bounds(waiting_bytes=10_000))

    def commit(*payloads: tuple[str, bytes, int]) -> None:
        ledger.commit(checkpoint=None, states=[], payloads=payloads, counters={})

    commit(("slack", b"first", 1))
    for _ in range(50):
        commit(("influx", b"x" * 1000, 100))
    commit(("slack", b"second", 1), ("jsonl", b"y" * 4000, 3))
    assert [parcel.payload for parcel in ledger.parcels("slack", most=9)] == [b"first", b"second"]
    assert ledger.sums("slack") == SinkSums(encoded=2, delivered=0, waiting=2, dead=0, dropped=0)
    assert ledger.sums("jsonl").dropped == 0
    waiting = ledger.parcels("influx", most=99)
    assert len(waiting) == 5
    assert ledger.sums("influx").dropped == 4500
    assert ledger.sums("influx").balanced
    words = "the oldest rows and changes were dropped, 100 until now"
    assert said[0] == f"ledger: more waits than the ledger keeps; {words}"
    assert 3 < len(said) < 10
    ledger.delivered("influx", waiting[:2], None)
    ledger.close()
    again = Ledger(tmp_path / "l", "csv a", bounds=Bounds(waiting_bytes=10_000))
    assert [parcel.id for parcel in again.parcels("influx", most=99)] == [one.id for one in waiting[2:]]
    again.close()


def test_of_two_sinks_alike_each_keeps_about_half_and_the_sums_fit(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l", "csv a", bounds=Bounds(waiting_bytes=20_000))
    for number in range(100):
        ledger.commit(
            checkpoint=None,
            states=[],
            payloads=[("a", b"x" * (500 + number), 1), ("b", b"y" * 700, 1)],
            counters={},
        )
        # As an older version would leave it, which does not know these sums.
        if number % 10 == 0:
            with ledger.transaction() as (_, book, _outbox):
                book.about.pop("bytes")
    waiting = {sink: ledger.parcels(sink, most=999) for sink in ("a", "b")}
    sizes = {sink: sum(len(one.payload) for one in some) for sink, some in waiting.items()}
    assert sum(sizes.values()) == Kept.of(ledger._book).bytes <= 20_000
    assert abs(sizes["a"] - sizes["b"]) < 2000
    for sink, some in waiting.items():
        sums = ledger.sums(sink)
        assert (sums.encoded, sums.waiting, sums.dropped) == (100, len(some), 100 - len(some))
    ledger.close()


def test_a_parcel_that_is_more_than_is_kept_stays_and_still_counts_for_its_sink(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l", "csv a", bounds=Bounds(waiting_bytes=1000))
    payloads = [("a", b"x" * 300, 1), ("a", b"x" * 300, 1), ("b", b"y" * 5000, 1)]
    ledger.commit(checkpoint=None, states=[], payloads=payloads, counters={})
    assert (ledger.waiting("a"), ledger.waiting("b")) == (0, 1)
    with ledger.transaction() as (_, book, _outbox):
        assert json.loads(book.about["bytes"])["waiting"] == {"a": 0, "b": 5000}
    ledger.delivered("b", ledger.parcels("b", most=1), None)
    payloads = [("a", b"x" * 300, 1), *[("b", b"y" * 300, 1)] * 3]
    ledger.commit(checkpoint=None, states=[], payloads=payloads, counters={})
    assert (ledger.waiting("a"), ledger.waiting("b")) == (1, 2)
    ledger.close()


def test_the_oldest_dead_letters_go_beyond_a_bound_and_that_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    bounds = Bounds(dead_letters=3, dead_bytes=10_000)
    ledger = Ledger(tmp_path / "l", "csv a", report=said.append, bounds=bounds)
    for size in (10, 10, 10, 10, 4000, 4000, 4000):
        ledger.commit(checkpoint=None, states=[], payloads=[("a", b"x" * size, 2)], counters={})
        ledger.bury("a", ledger.parcels("a", most=1)[0], "refused")
    assert [row[0] for row in ledger._db.execute("SELECT id FROM dead_letters ORDER BY id")] == [6, 7]
    assert ledger.sums("a") == SinkSums(encoded=14, delivered=0, waiting=0, dead=4, dropped=10)
    assert ledger.counters()["dropped dead letters"] == 5
    assert said[0] == "ledger: too many dead letters; the oldest were dropped, 1 until now"
    assert len(said) == 3
    kept = Kept.of(ledger._book)
    assert (kept.letters, kept.dead_bytes) == (2, 8000)
    ledger.close()


def test_its_files_are_for_its_owner_and_group_alone(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        path = tmp_path / "state" / "l"
        ledger = Ledger(path, "csv a")
        ledger.commit(checkpoint=Checkpoint("c"), states=[], payloads=[("a", b"x", 1)], counters={})
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
        ledger.close()
        path.chmod(0o644)
        Ledger(path, "csv a").close()
    finally:
        os.umask(umask)
    assert modes == dict.fromkeys(("l", "l-wal", "l-shm", "l.lock"), 0o640)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB; where none can be mounted, files that cannot grow beyond that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with small_disk(tmp_path / "disk") as mounted:
        if not mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (DISK_BYTES, hard))
        yield tmp_path / "disk"
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_on_a_disk_that_is_full_nothing_is_lost_or_doubled_and_it_recovers_by_itself(
    full_disk: Path,
) -> None:
    """It fills the disk itself, so nobody else makes room: delivering must."""
    ledger = Ledger(full_disk / "l", "csv a")
    stored: list[bytes] = []
    delivered: list[bytes] = []
    refused: list[str] = []
    for number in range(3000):
        payload = b"%08d" % number + os.urandom(1500)
        try:
            ledger.commit(
                checkpoint=Checkpoint(str(number)),
                states=[],
                payloads=[("a", payload, 1)],
                counters={"read": 1},
            )
        except LedgerUnavailableError as error:
            refused.append(str(error))
            parcels = ledger.parcels("a", most=200, max_bytes=1 << 20)
            assert parcels
            delivered += [parcel.payload for parcel in parcels]
            ledger.delivered("a", parcels, None)
            continue
        stored.append(payload)
    while parcels := ledger.parcels("a", most=50):
        delivered += [parcel.payload for parcel in parcels]
        ledger.delivered("a", parcels, None)
    assert len(refused) > 3
    assert all("full" in each for each in refused)
    assert delivered == stored
    assert ledger.sums("a") == SinkSums(len(stored), len(stored), 0, 0, 0)
    ledger.close()


def test_what_was_delivered_while_the_disk_was_full_is_not_given_out_again(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l", "csv a")
    for payload in (b"1", b"2", b"3"):
        ledger.commit(checkpoint=None, states=[], payloads=[("a", payload, 1)], counters={})
    ledger._db.execute("PRAGMA query_only = ON")  # as a disk that takes nothing
    first = ledger.parcels("a", most=2)
    with pytest.raises(LedgerUnavailableError):
        ledger.delivered("a", first, "p2")
    with pytest.raises(LedgerUnavailableError):
        ledger.parcels("a", most=2)
    ledger._db.execute("PRAGMA query_only = OFF")
    assert [parcel.payload for parcel in ledger.parcels("a", most=2)] == [b"3"]
    assert (ledger.position("a"), ledger.sums("a").delivered) == ("p2", 2)
    ledger.close()

"""Several posts under way: each row arrives, in whatever order, and the ledger knows what has arrived."""

from __future__ import annotations

import random
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from edge_runtime.delivery import drain
from edge_runtime.delivery.backoff import Backoff
from edge_runtime.delivery.ledger import Ledger
from edge_runtime.delivery.sender import Sender
from edge_runtime.errors import LedgerUnavailableError, SinkError, SinkUnavailableError
from edge_runtime.sinks.influx import INFLUX
from edge_runtime.sinks.jsonl import JSONL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from edge_runtime.records import Results

PARCELS, UNDER_WAY = 24, 3
LIMIT_S = 300.0


class OpenSink:
    """One to which order does not matter; it does as told with what comes."""

    name = "a"

    def __init__(self, take: Callable[[Sequence[bytes]], None], part: int = 2) -> None:
        self.part = part
        self.taken: list[bytes] = []
        self.under_way = self.most_under_way = 0
        self._take = take
        self._lock = threading.Lock()

    def check(self) -> None: ...

    def resume(self, position: str | None, waiting: Sequence[bytes]) -> None: ...

    def position(self) -> None: ...

    def encode(self, results: Results) -> bytes:
        raise AssertionError(results)

    def deliver(self, payloads: Sequence[bytes]) -> int:
        with self._lock:
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            self._take(payloads[: self.part])
            with self._lock:
                self.taken += payloads[: self.part]
        finally:
            with self._lock:
                self.under_way -= 1
        return len(payloads[: self.part])

    def close(self) -> None: ...


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    monkeypatch.setattr(drain, "MAX_PARCELS", 4)
    ledger = Ledger(tmp_path / "l", "source")
    for number in range(PARCELS):
        payload = b"%d" % number
        ledger.commit(checkpoint=None, states=[], payloads=[("a", payload, 10)], counters={"read": 10})
    yield ledger
    ledger.close()


def sender_of(sink: OpenSink, ledger: Ledger, said: list[str]) -> Sender:
    return Sender(sink, ledger, said.append, backoff=Backoff(0.01, 0.01), max_under_way=UNDER_WAY)


def wanted() -> list[bytes]:
    return sorted(b"%d" % number for number in range(PARCELS))


def test_influxdb_gets_several_posts_at_a_time_and_a_file_one_after_another() -> None:
    assert INFLUX.max_under_way > 1
    assert JSONL.max_under_way == 1


def test_several_posts_are_under_way_and_no_more(ledger: Ledger) -> None:
    together = threading.Barrier(UNDER_WAY)  # nobody goes on before so many are there

    def take(_: Sequence[bytes]) -> None:
        together.wait(LIMIT_S)

    sink = OpenSink(take, part=4)
    said: list[str] = []
    assert sender_of(sink, ledger, said).drain() is None
    assert sorted(sink.taken) == wanted()
    assert sink.most_under_way == UNDER_WAY
    assert (ledger.waiting("a"), said) == (0, [])


def test_a_post_holds_no_more_than_the_sink_takes_at_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l", "source")
    for number in range(100):
        payloads = [("a", b"%d" % number, 10)]
        ledger.commit(checkpoint=None, states=[], payloads=payloads, counters={"read": 10})
    given: list[int] = []

    class Counting(OpenSink):
        def deliver(self, payloads: Sequence[bytes]) -> int:
            given.append(len(payloads))
            return super().deliver(payloads)

    sink = Counting(lambda _: None, part=3)
    assert sender_of(sink, ledger, []).drain() is None
    # The first try shows how many; from then on that many go together, and now and then a few more are tried.
    assert given[0] == 100
    assert sum(given[2:]) <= 2 * 100, given
    assert len(sink.taken) == 100
    ledger.close()


def test_what_arrived_before_an_earlier_post_waits_in_the_ledger_until_that_has_arrived(
    ledger: Ledger,
) -> None:
    others, waiting = threading.Semaphore(0), list[int]()

    def take(payloads: Sequence[bytes]) -> None:
        if payloads[0] == b"0":  # the first post arrives when both others are there
            for _ in range(4):
                assert others.acquire(timeout=LIMIT_S)
            waiting.append(ledger.waiting("a"))
        elif int(payloads[0]) < 12:
            others.release()

    sink = OpenSink(take)
    assert sender_of(sink, ledger, []).drain() is None
    assert waiting == [10 * PARCELS]
    assert sink.taken.index(b"0") > sink.taken.index(b"4")
    assert sorted(sink.taken) == wanted()
    assert ledger.waiting("a") == 0


def test_a_post_that_comes_to_nothing_is_made_again_with_those_after_it(ledger: Ledger) -> None:
    failures = iter([True])

    def take(payloads: Sequence[bytes]) -> None:
        if b"6" in payloads and next(failures, False):
            raise SinkUnavailableError("gone")

    sink, said = OpenSink(take), list[str]()
    sender = sender_of(sink, ledger, said)
    assert sender.drain() is not None
    assert ledger.waiting("a") == 10 * (PARCELS - 6)
    assert sink.under_way == 0  # nothing goes on behind our back
    assert sender.drain() is None
    assert sorted(set(sink.taken)) == wanted()
    assert ledger.waiting("a") == 0
    assert said == ["a: gone; results wait in the ledger", "a: delivers again"]


def others_given_up(sender: Sender) -> bool:
    return all(post._given_up for post in sender._drain._posts)


def test_after_a_failure_nothing_goes_on_behind_the_sender(ledger: Ledger) -> None:
    begun, failed = threading.Barrier(UNDER_WAY), threading.Event()

    def take(payloads: Sequence[bytes]) -> None:
        if failed.is_set():  # the second part of a post
            return
        begun.wait(LIMIT_S)
        if payloads[0] == b"0":
            failed.set()
            raise SinkUnavailableError("gone")
        until = time.monotonic() + LIMIT_S
        while not others_given_up(sender):
            assert time.monotonic() < until

    sink = OpenSink(take)
    sender = sender_of(sink, ledger, [])
    assert sender.drain() is not None
    # The others ended with what they had begun, and were waited for.
    assert sink.under_way == 0
    assert sorted(map(int, sink.taken)) == [4, 5, 8, 9]
    assert sender.drain() is None
    assert sorted(set(sink.taken)) == wanted()
    assert ledger.waiting("a") == 0


def test_what_cannot_be_written_down_ends_all_that_is_under_way(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivered, full = ledger.delivered, [True]

    def full_once(*parts: Any) -> None:
        if full:
            full.clear()
            raise LedgerUnavailableError("disk full")
        delivered(*parts)

    monkeypatch.setattr(ledger, "delivered", full_once)
    sink = OpenSink(lambda _: None)
    sender = sender_of(sink, ledger, [])
    assert sender.drain() is not None
    assert sink.under_way == 0
    assert not sender._drain._posts
    before = len(sink.taken)
    time.sleep(0.05)
    assert len(sink.taken) == before
    assert sender.drain() is None
    assert sorted(set(sink.taken)) == wanted()
    assert ledger.waiting("a") == 0


def test_a_server_that_cannot_do_several_at_a_time_gets_one_and_later_more(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain, "MORE_AFTER", 2)
    together = threading.Barrier(UNDER_WAY)

    def take(_: Sequence[bytes]) -> None:
        if not together.broken:
            with suppress(threading.BrokenBarrierError):
                together.wait(LIMIT_S)
            together.abort()
            raise SinkUnavailableError("too busy")
        if sink.under_way > 1 and sender._drain._may_be_under_way == 1:
            raise AssertionError

    sink = OpenSink(take)
    sender = sender_of(sink, ledger, [])
    assert sender.drain() is not None
    assert sender._drain._may_be_under_way == 1
    assert sender.drain() is None
    assert sorted(sink.taken) == wanted()
    assert sender._drain._may_be_under_way == UNDER_WAY


def test_without_a_thread_of_its_own_a_post_is_made_all_the_same(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoThread(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr("edge_runtime.delivery.posts.threading.Thread", NoThread)
    sink, said = OpenSink(lambda _: None), list[str]()
    assert sender_of(sink, ledger, said).drain() is None
    assert (sorted(sink.taken), said) == (wanted(), [])


def test_a_sink_is_shown_all_that_any_version_may_have_delivered_without_recording_it(
    tmp_path: Path,
) -> None:
    ledger = Ledger(tmp_path / "l", "source")
    for _ in range(8):
        ledger.commit(
            checkpoint=None, states=[], payloads=[("a", b"x" * (1 << 20), 10)], counters={"read": 10}
        )
    shown: list[int] = []

    class Shown(OpenSink):
        def resume(self, position: str | None, waiting: Sequence[bytes]) -> None:
            del position
            shown.append(len(waiting))

    sink = Shown(lambda _: None)
    for under_way in (1, UNDER_WAY):
        Sender(sink, ledger, print, max_under_way=under_way)._drain.some()
    assert shown == [4, 4]
    ledger.close()


def test_when_time_is_up_what_is_under_way_is_recorded_and_nothing_begins(ledger: Ledger) -> None:
    sink = OpenSink(lambda _: None)
    sender = sender_of(sink, ledger, [])
    assert sender._drain.some()
    while sender._drain.some(more=False):
        pass
    assert sorted(map(int, sink.taken)) == list(range(12))
    assert ledger.waiting("a") == 10 * (PARCELS - 12)


def test_only_what_is_refused_becomes_a_dead_letter_while_others_are_under_way(ledger: Ledger) -> None:
    def take(payloads: Sequence[bytes]) -> None:
        if {b"1", b"9", b"23"} & set(payloads):
            raise SinkError("no")

    sink = OpenSink(take)
    assert sender_of(sink, ledger, []).drain() is None
    assert sorted(sink.taken) == sorted(set(wanted()) - {b"1", b"9", b"23"})
    sums = ledger.sums("a")
    assert (sums.delivered, sums.dead, sums.waiting) == (10 * PARCELS - 30, 30, 0)


@pytest.mark.parametrize("part", [1, 3, 5])
def test_a_half_of_a_refused_post_that_is_taken_in_parts_is_taken_whole(tmp_path: Path, part: int) -> None:
    ledger = Ledger(tmp_path / "l", "source")
    for number in range(40):
        payloads = [("a", b"%d" % number, 10)]
        ledger.commit(checkpoint=None, states=[], payloads=payloads, counters={"read": 10})
    refused = {b"0", b"17", b"39"}

    def take(payloads: Sequence[bytes]) -> None:
        if refused & set(payloads):
            raise SinkError("no")

    sink, said = OpenSink(take, part=part), list[str]()
    assert sender_of(sink, ledger, said).drain() is None
    assert sorted(sink.taken) == sorted({b"%d" % number for number in range(40)} - refused)
    sums = ledger.sums("a")
    assert (sums.delivered, sums.dead, sums.lost, sums.waiting) == (370, 30, 0, 0), said
    ledger.close()


def test_what_is_damaged_has_its_turn_when_it_is_the_oldest(ledger: Ledger) -> None:
    ledger._db.execute("UPDATE outbox SET payload = x'00' WHERE id IN (7, 8)")
    sink, said = OpenSink(lambda _: None), list[str]()
    assert sender_of(sink, ledger, said).drain() is None
    assert sorted(sink.taken) == sorted(set(wanted()) - {b"6", b"7"})
    assert (ledger.sums("a").dead, ledger.waiting("a")) == (20, 0)


def test_a_sink_that_raises_anything_gets_it_one_by_one_and_loses_nothing_else(ledger: Ledger) -> None:
    def take(payloads: Sequence[bytes]) -> None:
        if b"5" in payloads:
            raise RuntimeError("5!")

    sink, said = OpenSink(take), list[str]()
    sender = sender_of(sink, ledger, said)
    for _ in range(8):
        if sender._try() is None:
            break
    assert sorted(set(sink.taken)) == sorted(set(wanted()) - {b"5"})
    assert (ledger.sums("a").dead, ledger.waiting("a"), sender.failure) == (10, 0, None)


@pytest.mark.parametrize("seed", range(4))
def test_however_it_fails_each_row_arrives_or_is_a_dead_letter(ledger: Ledger, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    refused = {b"%d" % number for number in chance.sample(range(PARCELS), 3)}

    def take(payloads: Sequence[bytes]) -> None:
        time.sleep(chance.random() / 100)
        if chance.random() < 0.2:
            raise SinkUnavailableError("gone")
        if refused & set(payloads):
            raise SinkError("no")

    sink = OpenSink(take)
    sender = sender_of(sink, ledger, [])
    until = time.monotonic() + LIMIT_S
    while sender.drain() is not None:
        assert time.monotonic() < until
    assert sorted(set(sink.taken)) == sorted(set(wanted()) - refused)
    sums = ledger.sums("a")
    assert (sums.delivered, sums.dead, sums.waiting) == (10 * (PARCELS - 3), 30, 0)

"""Several posts under way: each row arrives, in whatever order, and the ledger knows what has arrived."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING

import pytest

from edge_runtime.delivery import drain
from edge_runtime.delivery.backoff import Backoff
from edge_runtime.delivery.ledger import Ledger
from edge_runtime.delivery.sender import Sender
from edge_runtime.errors import SinkError, SinkUnavailableError
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

    def __init__(self, take: Callable[[Sequence[bytes]], None]) -> None:
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
            self._take(payloads[:2])
            with self._lock:
                self.taken += payloads[:2]
        finally:
            with self._lock:
                self.under_way -= 1
        return len(payloads[:2])

    def close(self) -> None: ...


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    monkeypatch.setattr(drain, "MAX_PARCELS", 4)
    ledger = Ledger(tmp_path / "l", "source")
    for number in range(PARCELS):
        payload = b"%d" % number
        ledger.commit(checkpoint=None, states=[], payloads={"a": (payload, 10)}, counters={"read": 10})
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

    sink = OpenSink(take)
    said: list[str] = []
    assert sender_of(sink, ledger, said).drain() is None
    assert sorted(sink.taken) == wanted()
    assert sink.most_under_way == UNDER_WAY
    assert (ledger.waiting("a"), said) == (0, [])


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


def test_only_what_is_refused_becomes_a_dead_letter_while_others_are_under_way(ledger: Ledger) -> None:
    def take(payloads: Sequence[bytes]) -> None:
        if {b"1", b"9", b"23"} & set(payloads):
            raise SinkError("no")

    sink = OpenSink(take)
    assert sender_of(sink, ledger, []).drain() is None
    assert sorted(sink.taken) == sorted(set(wanted()) - {b"1", b"9", b"23"})
    sums = ledger.sums("a")
    assert (sums.delivered, sums.dead, sums.waiting) == (10 * PARCELS - 30, 30, 0)


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

"""The sender: in order, with back-off while the sink is away, and dead letters for what it refuses."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from edge_runtime.delivery.backoff import Backoff
from edge_runtime.delivery.ledger import Ledger
from edge_runtime.delivery.sender import Sender
from edge_runtime.errors import SinkError, SinkUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge_runtime.records import Results


class ScriptedSink:
    """Takes payloads, or fails as told."""

    name = "a"

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.resumed: list[str | None] = []
        self.away = False
        self.refuses: set[bytes] = set()

    def check(self) -> None: ...

    def resume(self, position: str | None) -> None:
        self.resumed.append(position)

    def position(self) -> str | None:
        return str(len(self.taken))

    def encode(self, results: Results) -> bytes:
        raise AssertionError(results)

    def deliver(self, payloads: Sequence[bytes]) -> None:
        if self.away:
            raise SinkUnavailableError("gone")
        if self.refuses & set(payloads):
            raise SinkError("no")
        self.taken += payloads

    def close(self) -> None: ...


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "l", "source")
    for payload in (b"1", b"2", b"3"):
        ledger.commit(checkpoint=None, states=[], payloads={"a": (payload, 10)}, counters={"read": 10})
    yield ledger
    ledger.close()


def test_everything_is_delivered_in_order(ledger: Ledger) -> None:
    sink = ScriptedSink()
    said: list[str] = []
    assert Sender(sink, ledger, said.append).drain() is None
    assert sink.taken == [b"1", b"2", b"3"]
    assert ledger.waiting("a") == 0
    assert ledger.position("a") == "3"
    assert said == []


def test_while_the_sink_is_away_the_waits_grow_and_nothing_is_lost(ledger: Ledger) -> None:
    sink = ScriptedSink()
    said: list[str] = []
    sink.away = True
    backoff = Backoff(1.0, 10.0, uniform=lambda _low, high: high)
    sender = Sender(sink, ledger, said.append, backoff=backoff)
    assert [sender.drain() for _ in range(6)] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert ledger.waiting("a") == 30
    assert len(said) == 1
    assert "results wait in the ledger" in said[0]
    sink.away = False
    assert sender.drain() is None
    assert sink.taken == [b"1", b"2", b"3"]
    assert said[1] == "a: delivers again"
    assert backoff.next_wait() == 1.0


def test_whatever_a_sink_raises_its_rows_wait_and_go_out_later(ledger: Ledger) -> None:
    sink = ScriptedSink()
    said: list[str] = []
    faults = [ConnectionResetError("by peer"), ZeroDivisionError("oh")]
    deliver = sink.deliver

    def faulty(payloads: Sequence[bytes]) -> None:
        if faults:
            raise faults.pop(0)
        deliver(payloads)

    sink.deliver = faulty  # type: ignore[method-assign]
    sender = Sender(sink, ledger, said.append, backoff=Backoff(0.01, 0.01))
    sender.start()
    until = time.monotonic() + 60
    while ledger.waiting("a") and time.monotonic() < until:
        time.sleep(0.01)
    sender.stop(60)
    assert sink.taken == [b"1", b"2", b"3"]
    assert said == ["a: ConnectionResetError: by peer", "a: ZeroDivisionError: oh"]


def test_only_what_is_refused_becomes_a_dead_letter(ledger: Ledger) -> None:
    sink = ScriptedSink()
    said: list[str] = []
    sink.refuses = {b"2"}
    assert Sender(sink, ledger, said.append).drain() is None
    assert sink.taken == [b"1", b"3"]
    assert ledger.counters() == {"read": 30, "encoded.a": 30, "delivered.a": 20, "dead.a": 10}
    assert said == ["a: no; 10 rows were moved to the dead letters"]


def test_the_thread_takes_up_delivers_and_ends(ledger: Ledger) -> None:
    ledger.delivered("a", [], "42")
    sink = ScriptedSink()
    sender = Sender(sink, ledger, print)
    sender.start()
    sender.stop(10.0)
    assert sink.resumed == ["42"]
    assert sink.taken == [b"1", b"2", b"3"]


def test_no_wait_is_next_to_nothing_or_beyond_the_longest() -> None:
    backoff = Backoff(1.0, 8.0)
    waits = [backoff.next_wait() for _ in range(200)]
    assert min(waits) >= 0.25
    assert max(waits) <= 8.0

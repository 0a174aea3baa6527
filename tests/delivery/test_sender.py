"""The sender: in order, with back-off while the sink is away, and dead letters for what it refuses."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from edge_runtime.delivery.backoff import Backoff
from edge_runtime.delivery.ledger import Ledger
from edge_runtime.delivery.sender import Sender
from edge_runtime.errors import LedgerError, LedgerUnavailableError, SinkError, SinkUnavailableError
from edge_runtime.sinks.base import RowsRefusedError
from edge_runtime.sinks.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
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

    def resume(self, position: str | None, waiting: Sequence[bytes]) -> None:  # noqa: ARG002
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
        ledger.commit(checkpoint=None, states=[], payloads=[("a", payload, 10)], counters={"read": 10})
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


def test_each_part_that_a_sink_takes_is_recorded_at_once(ledger: Ledger) -> None:
    sink = ScriptedSink()
    left: list[int] = []

    def one_by_one(payloads: Sequence[bytes]) -> int:
        left.append(ledger.waiting("a"))
        sink.taken.append(payloads[0])
        return 1

    sink.deliver = one_by_one  # type: ignore[method-assign,assignment]
    assert Sender(sink, ledger, print).drain() is None
    assert (sink.taken, left) == ([b"1", b"2", b"3"], [30, 20, 10])


def test_the_position_is_known_before_the_first_delivery(ledger: Ledger) -> None:
    sink = ScriptedSink()
    known: list[str | None] = []
    deliver = sink.deliver

    def looking(payloads: Sequence[bytes]) -> None:
        known.append(ledger.position("a"))
        deliver(payloads)

    sink.deliver = looking  # type: ignore[method-assign]
    assert Sender(sink, ledger, print).drain() is None
    assert known == ["0"]


def test_what_the_ledger_could_not_take_down_is_not_delivered_again(ledger: Ledger) -> None:
    sink, said = ScriptedSink(), list[str]()
    sender = Sender(sink, ledger, said.append)
    write, failing = ledger._write, [True, True]

    def full(work: Callable[[], None], **options: Any) -> None:
        if sink.taken and failing:
            failing.pop()
            raise LedgerUnavailableError("the disk is full")
        write(work, **options)

    ledger._write = full  # type: ignore[method-assign]
    assert [sender.drain() is None for _ in range(3)] == [False, False, True]
    assert sink.taken == [b"1", b"2", b"3"]
    assert ledger.waiting("a") == 0
    assert said == ["a: the disk is full; results wait in the ledger"]


def test_of_a_payload_only_the_rows_that_are_refused_become_dead_letters(ledger: Ledger) -> None:
    sink, said = ScriptedSink(), list[str]()
    deliver = sink.deliver

    def choosy(payloads: Sequence[bytes]) -> None:
        if b"2" in payloads:
            if len(payloads) == 1:
                raise RowsRefusedError(SinkError("not these"), b"bad", 3)
            raise SinkError("not all of them")
        deliver(payloads)

    sink.deliver = choosy  # type: ignore[method-assign]
    assert Sender(sink, ledger, said.append).drain() is None
    assert sink.taken == [b"1", b"3"]
    assert ledger.counters() == {"read": 30, "encoded.a": 30, "delivered.a": 27, "dead.a": 3}
    assert said == ["a: not these; 3 rows were moved to the dead letters"]


def test_a_sink_that_turns_out_never_to_work_ends_the_sender(ledger: Ledger) -> None:
    sink, said = ScriptedSink(), list[str]()
    answers: list[SinkError] = [SinkUnavailableError("gone"), SinkError("no such place")]

    def check() -> None:
        raise answers.pop(0)

    sink.check = check  # type: ignore[method-assign]
    sender = Sender(sink, ledger, said.append, backoff=Backoff(0.01, 0.01))
    sender.check()
    sender.start()
    assert sender.join(60)
    assert str(sender.failure) == "no such place"
    assert said == ["a: gone; results wait in the ledger"]
    assert ledger.waiting("a") == 30


def test_one_payload_that_a_sink_cannot_stand_becomes_a_dead_letter_and_takes_no_other_along(
    ledger: Ledger,
) -> None:
    sink, said = ScriptedSink(), list[str]()
    deliver = sink.deliver

    def touchy(payloads: Sequence[bytes]) -> None:
        if b"2" in payloads:
            raise ZeroDivisionError("oh")
        deliver(payloads)

    sink.deliver = touchy  # type: ignore[method-assign]
    sender = Sender(sink, ledger, said.append, backoff=Backoff(0.01, 0.01))
    sender.start()
    sender.finish()
    assert sender.join(60)
    assert sender.failure is None
    assert sink.taken == [b"1", b"3"]
    assert ledger.counters() == {"read": 30, "encoded.a": 30, "delivered.a": 20, "dead.a": 10}
    assert (
        "it cannot be delivered (ZeroDivisionError: oh); 10 rows were moved to the dead letters" in said[-1]
    )


def test_a_sink_that_takes_nothing_at_all_makes_the_sender_give_up(ledger: Ledger) -> None:
    sink, said = ScriptedSink(), list[str]()

    def broken(payloads: Sequence[bytes]) -> None:
        raise TypeError(str(len(payloads)))

    sink.deliver = broken  # type: ignore[method-assign]
    sender = Sender(sink, ledger, said.append, backoff=Backoff(0.01, 0.01))
    sender.start()
    assert sender.join(60)
    assert "gave up after 10 faults in a row, the last one: TypeError: 1" in str(sender.failure)
    assert ledger.waiting("a") + ledger.counters().get("dead.a", 0) == 30
    assert ledger.counters().get("dead.a", 0) <= 10  # one payload, and not all of them


def test_at_the_end_a_sink_that_stays_away_is_waited_for_a_while(ledger: Ledger) -> None:
    sink, said, now = ScriptedSink(), list[str](), [0.0]
    sink.away = True
    sender = Sender(sink, ledger, said.append, backoff=Backoff(0.01, 0.01), clock=lambda: now[0])
    sender.start()
    sender.finish()
    assert not sender.join(0.2)
    now[0] = 16.0
    assert sender.join(60)
    assert (sender.is_stuck, sender.failure) == (True, None)
    assert ledger.waiting("a") == 30


def test_where_the_sink_cannot_say_how_far_it_got_it_is_taken_up_again(ledger: Ledger) -> None:
    sink, failing = ScriptedSink(), [True]
    told = sink.position

    def lost() -> str | None:
        if sink.taken and failing:
            failing.pop()
            raise SinkUnavailableError("gone just now")
        return told()

    def undone(position: str | None, waiting: Sequence[bytes]) -> None:
        assert list(waiting) == [b"1", b"2", b"3"]
        del sink.taken[int(position or 0) :]

    sink.position, sink.resume = lost, undone  # type: ignore[method-assign]
    sender = Sender(sink, ledger, print)
    assert [sender.drain() is None for _ in range(2)] == [False, True]
    assert sink.taken == [b"1", b"2", b"3"]


def test_a_sink_that_takes_one_payload_at_a_time_takes_a_thousand(ledger: Ledger) -> None:
    for number in range(4, 1500):
        ledger.commit(checkpoint=None, states=[], payloads=[("a", b"%d" % number, 1)], counters={"read": 1})
    sink = ScriptedSink()

    def one(payloads: Sequence[bytes]) -> int:
        sink.taken.append(payloads[0])
        return 1

    sink.deliver = one  # type: ignore[method-assign,assignment]
    assert Sender(sink, ledger, print).drain() is None
    assert sink.taken == [b"%d" % number for number in range(1, 1500)]


def test_a_ledger_that_cannot_be_mended_ends_the_sender(ledger: Ledger) -> None:
    sink = ScriptedSink()

    def hopeless(*_: object, **__: object) -> None:
        raise LedgerError("is damaged and cannot be mended")

    ledger.delivered = ledger.bury = hopeless  # type: ignore[method-assign]
    sender = Sender(sink, ledger, print, backoff=Backoff(0.01, 0.01))
    sender.start()
    assert sender.join(60)
    assert "cannot be mended" in str(sender.failure)


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


class SlowSink(ScriptedSink):
    """Its check takes until it is told."""

    def __init__(self, outcome: Exception | None = None) -> None:
        super().__init__()
        self.may_end = threading.Event()
        self._outcome = outcome

    def check(self) -> None:
        assert self.may_end.wait(300)
        if self._outcome is not None:
            raise self._outcome


def test_a_check_that_takes_long_does_not_hold_up_the_start(ledger: Ledger) -> None:
    sink, said = SlowSink(), list[str]()
    sender = Sender(sink, ledger, said.append)
    sender.check(0.01)
    assert said == ["a: it does not answer yet; results wait in the ledger"]
    sender.start()
    assert sink.taken == []
    sink.may_end.set()
    sender.finish()
    assert sender.join(300)
    assert sink.taken == [b"1", b"2", b"3"]
    assert said[1:] == ["a: answers now"]


@pytest.mark.parametrize("outcome", [SinkError("no such place"), ZeroDivisionError("oh")])
def test_a_check_that_fails_late_ends_the_sender(ledger: Ledger, outcome: Exception) -> None:
    sink = SlowSink(outcome)
    sender = Sender(sink, ledger, lambda _: None)
    sender.check(0.01)
    sink.may_end.set()
    sender.start()
    assert sender.join(300)
    assert sender.failure is not None
    assert str(outcome) in str(sender.failure)
    assert ledger.waiting("a") == 30


@pytest.mark.parametrize("within", [None, 300.0])
def test_a_check_that_fails_at_once_is_raised(ledger: Ledger, within: float | None) -> None:
    for outcome in (SinkError("no such place"), ZeroDivisionError("oh")):
        sink = SlowSink(outcome)
        sink.may_end.set()
        with pytest.raises(type(outcome), match=str(outcome)):
            Sender(sink, ledger, lambda _: None).check(within)


def test_why_a_slow_sink_is_away_is_said_as_soon_as_that_is_known(ledger: Ledger) -> None:
    sink, said = SlowSink(SinkUnavailableError("its certificate is not trusted")), list[str]()
    sender = Sender(sink, ledger, said.append)
    sender.check(0.01)
    sink.may_end.set()
    assert sender._checking is not None
    sender._checking.join(300)
    for _ in range(2):
        assert sender.drain() is not None
    assert [line.partition(";")[0] for line in said] == [
        "a: it does not answer yet",
        "a: its certificate is not trusted",
    ]


class PacedSink(ScriptedSink):
    """Speaks to people: one message a payload, or one about all."""

    def __init__(self, gather_s: float) -> None:
        super().__init__()
        self.now = 0.0
        self.pace = Pace(2, gather_s, lambda: self.now)
        self.messages: list[tuple[bytes, ...]] = []

    def deliver(self, payloads: Sequence[bytes]) -> None:
        if self.pace.singles(len(payloads)):
            for payload in payloads:
                self.messages.append((payload,))
                self.pace.spent()
        else:
            self.messages.append(tuple(payloads))
            self.pace.spent(digest=True)


def test_in_a_flood_what_waits_is_gathered_and_told_together(ledger: Ledger) -> None:
    sink, said = PacedSink(30.0), list[str]()
    sender = Sender(sink, ledger, said.append)
    assert sender.drain() == 1.0  # it is looked again within a second
    ledger.commit(checkpoint=None, states=[], payloads=[("a", b"4", 1)], counters={})
    sink.now = 29.0
    assert sender.drain() == 1.0
    assert sink.messages == []
    sink.now = 30.0
    assert sender.drain() is None
    assert sink.messages == [(b"1", b"2", b"3", b"4")]
    assert said == []  # it is not away
    ledger.commit(checkpoint=None, states=[], payloads=[("a", b"5", 1)], counters={})
    assert sender.drain() == 1.0
    sink.now = 60.0
    assert sender.drain() is None
    assert sink.messages[1:] == [(b"5",)]
    assert ledger.sums("a").delivered == 32


@pytest.mark.parametrize("ends", ["the feed", "the process"])
def test_what_is_gathered_is_told_when_the_process_ends(ledger: Ledger, ends: str) -> None:
    sink = PacedSink(1e9)
    sender = Sender(sink, ledger, lambda _: None)
    sender.start()
    if ends == "the feed":
        sender.finish()
        assert sender.join(300)
    else:
        sender.stop(300)
    assert sink.messages == [(b"1", b"2", b"3")]
    assert ledger.waiting("a") == 0


def test_a_sink_is_looked_after_while_nothing_waits(ledger: Ledger) -> None:
    looked_after = threading.Event()

    class Tended(ScriptedSink):
        def tend(self) -> None:
            looked_after.set()

    sender = Sender(Tended(), ledger, lambda _: None)
    sender.start()
    assert looked_after.wait(300)
    sender.stop(300)


def test_after_a_fault_what_goes_one_by_one_is_not_gathered(ledger: Ledger) -> None:
    sink = PacedSink(1e9)
    deliver, faults = sink.deliver, [ZeroDivisionError("oh")]

    def faulty(payloads: Sequence[bytes]) -> None:
        if faults and len(payloads) > 1:
            raise faults.pop()
        deliver(payloads)

    sink.deliver = faulty  # type: ignore[method-assign]
    sender = Sender(sink, ledger, lambda _: None, backoff=Backoff(0.01, 0.01))
    sender._drain.hurried = True  # so that the digest is tried at once
    with pytest.raises(ZeroDivisionError):
        sender.drain()
    sender._drain.hurried = False
    sender._drain.doubt()
    assert sender.drain() is None
    assert sink.messages == [(b"1",), (b"2",), (b"3",)]

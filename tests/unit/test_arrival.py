"""Rows without a time: each gets one of its own, in the order in which they came."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.bundles import make_bundle, normal_rows

from edge_runtime import Engine, Readings, load_bundle
from edge_runtime.engine.arrival import dated
from edge_runtime.errors import SourceError
from edge_runtime.gateway.clock import GatewayClock
from edge_runtime.mqtt.redelivery import Redelivery
from edge_runtime.records import NO_TIME

if TYPE_CHECKING:
    from pathlib import Path

US = 1000
SECOND = 10**9
NOW = 1_800_000_000 * SECOND


def times(
    machines: list[str], given: list[int], newest: dict[str, int], latest: int | None = None
) -> list[int]:
    rows = Readings(machines, given, np.arange(len(given), dtype=np.float32)[:, None])
    found = dated(rows, NOW, lambda machine: newest.get(machine, NO_TIME), latest)
    assert found.machines.tolist() == machines
    assert found.values.tolist() == rows.values.tolist()
    return [int(time) for time in found.times]


def test_an_array_of_rows_gets_a_microsecond_more_a_row_for_each_machine() -> None:
    found = times(["a", "b", "a", "a"], [NO_TIME] * 4, {"a": NOW - SECOND})
    assert found == [NOW, NOW, NOW + US, NOW + 2 * US]


def test_a_row_is_later_than_the_one_before_it_whatever_the_clock_says() -> None:
    assert times(["a", "a"], [NO_TIME] * 2, {"a": NOW + SECOND}) == [NOW + SECOND + US, NOW + SECOND + 2 * US]
    assert times(["a", "b"], [NO_TIME] * 2, {"a": NOW}) == [NOW + US, NOW]


def test_rows_with_a_time_keep_it_and_those_between_follow_them() -> None:
    given = [NOW - 5 * SECOND, NO_TIME, NO_TIME, NOW + US // 2, NO_TIME]
    assert times(["a"] * 5, given, {}) == [NOW - 5 * SECOND, NOW, NOW + US, NOW + US // 2, NOW + 2 * US]


def test_a_row_of_the_future_does_not_draw_those_after_it_along() -> None:
    assert times(["a"] * 2, [NOW + 10**18, NO_TIME], {}, latest=NOW + 60 * SECOND) == [NOW + 10**18, NOW]
    # One that is ahead and taken does, and so does any where there is no future.
    near = NOW + 10 * SECOND
    assert times(["a"] * 2, [near, NO_TIME], {}, latest=NOW + 60 * SECOND) == [near, near + US]
    assert times(["a"] * 2, [near, NO_TIME], {}) == [near, near + US]


def test_the_engine_dates_what_it_is_fed_and_judges_each_row(tmp_path: Path) -> None:
    engine = Engine(load_bundle(make_bundle(tmp_path, smooth=3)))
    values = normal_rows(6)
    asked = []

    def arrival() -> int:
        asked.append(1)
        return NOW

    for start, stop in ((0, 4), (4, 5), (5, 6)):
        rows = Readings(["m"] * (stop - start), [NO_TIME] * (stop - start), values[start:stop])
        judged = engine.feed(rows, now=NOW, arrival=arrival)
        assert judged.reasons == [""] * (stop - start)
    assert judged.results.readings.times.tolist() == [NOW + 5 * US]
    assert len(asked) == 3
    engine.feed(Readings(["m"], [NOW + SECOND], values[:1]), now=NOW, arrival=arrival)
    assert len(asked) == 3


def test_under_a_clock_that_is_not_believed_time_goes_on_from_what_is_known() -> None:
    elapsed = [100.0]
    clock = GatewayClock({"x": NOW}, lambda _: None, lambda: 12 * SECOND, lambda: elapsed[0])
    assert clock.arrival() == NOW
    elapsed[0] += 1.5
    assert clock.arrival() == NOW + 1_500_000_000
    assert GatewayClock({"x": NOW}, lambda _: None, lambda: NOW + 5).arrival() == NOW + 5
    # What ten rows agree with is where time goes on from.
    now, elapsed[0] = [NOW - 500 * SECOND], 1e6
    clock = GatewayClock({"x": NOW}, lambda _: None, lambda: now[0], lambda: elapsed[0])
    elapsed[0] += 1e6
    assert clock(np.full(10, now[0])) == NOW - 500 * SECOND
    now[0] -= 100 * SECOND
    elapsed[0] += 1.0
    assert clock.arrival() == NOW - 499 * SECOND


def sent(mid: int, payload: bytes = b"{}", *, dup: bool = False, qos: int = 1, topic: str = "t") -> Any:
    return SimpleNamespace(mid=mid, payload=payload, dup=dup, qos=qos, topic=topic)


def test_a_message_is_known_again_by_packet_id_and_content_where_the_broker_marks_it() -> None:
    first = Redelivery()
    first.add([sent(1), sent(2, b"x"), sent(0, qos=0)])
    second = Redelivery()
    second.restore(first.checkpoint())
    assert second.knows(sent(1, dup=True))
    assert second.knows(sent(2, b"x", dup=True))
    for other in (
        sent(1),
        sent(1, b"x", dup=True),
        sent(3, dup=True),
        sent(1, dup=True, topic="u"),
        sent(0, dup=True),
    ):
        assert not second.knows(other)
    second.forget()
    assert not second.knows(sent(1, dup=True))


def test_messages_are_kept_for_some_seconds_but_no_fewer_and_no_more_than_so_many() -> None:
    now = [0.0]
    kept = Redelivery(lambda: now[0])
    for mid in range(1, 201):
        now[0] += 0.1
        kept.add([sent(mid)])
    # Ten seconds' worth of them.
    assert [kept.knows(sent(mid, dup=True)) for mid in (90, 99, 101, 200)] == [False, False, True, True]
    now[0] += 1000
    kept.add([sent(300)])
    assert [kept.knows(sent(mid, dup=True)) for mid in (100, 137, 138, 300)] == [False, False, True, True]
    for start in range(1000, 6000, 500):
        kept.add([sent(mid) for mid in range(start, start + 500)])
    assert not kept.knows(sent(1999, dup=True))
    assert kept.knows(sent(2000, dup=True))
    again = Redelivery()
    again.restore(kept.checkpoint())
    assert again.checkpoint() == kept.checkpoint()
    assert again.knows(sent(2000, dup=True))


def test_a_packet_id_that_is_used_again_means_the_newer_message() -> None:
    now = [0.0]
    kept = Redelivery(lambda: now[0])
    kept.add([sent(1, b"old")])
    now[0] = 9.0
    kept.add([sent(1, b"new"), *(sent(mid) for mid in range(2, 200))])
    assert not kept.knows(sent(1, b"old", dup=True))
    now[0] = 11.0
    kept.add([sent(500)])
    assert kept.knows(sent(1, b"new", dup=True))


def test_a_checkpoint_of_the_version_before_says_nothing_and_another_sources_is_refused() -> None:
    kept = Redelivery()
    for before in ('{"press":1767225600000000000}', '{"messages":1767225600000000000}', "{}"):
        kept.restore(before)
        assert kept.checkpoint() == '{"messages":""}'
    for strange in ("[]", "x", '{"start":1,"machines":{}}', '{"messages":[7]}', '{"messages":"AAA="}'):
        with pytest.raises(SourceError, match="not one of an MQTT broker"):
            kept.restore(strange)

"""Every sink that takes alarms, held to one contract: each change once in the end, with all of its fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.alarmtargets import ALARM_TARGETS, alarm_target_of, later_changes, some_changes
from support.bundles import normal_rows
from support.targets import some_results

from edge_runtime.checkpoint import Checkpoint
from edge_runtime.delivery.ledger import Ledger
from edge_runtime.delivery.pending import Pending, store
from edge_runtime.delivery.sender import Sender
from edge_runtime.engine.engine import Engine
from edge_runtime.errors import SinkUnavailableError
from edge_runtime.loading.load import load_bundle
from edge_runtime.sinks.base import ALARMS, AlarmSink, Sink
from edge_runtime.sinks.outlet import Outlet
from edge_runtime.sinks.registry import SINKS
from edge_runtime.timeparse import parse_time

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from support.target import AlarmTarget

    from edge_runtime.engine.alarms import Change
    from edge_runtime.records import Results

# How a change arrives there is what tests of their own are about.
ELSEWHERE = {"stdout", "influx", "mqtt"}
NAMES = [name for name in SINKS.names() if ALARMS in SINKS.get(name).takes and name not in ELSEWHERE]
SOME, LATER = some_changes(), later_changes()
# As docs/alarms.md and the engine have them, after when it was and what changed.
FIELDS = [
    *("event_id", "revision", "machine_id", "kind", "subject", "active", "acked", "priority", "severity"),
    *("raised", "returned", "acknowledged", "acknowledged_by", "comment", "shelved_until"),
    *("out_of_service", "sensors", "rows", "bundle"),
]
FIELDS_OF_SENSORS = {"name", "share", "actual", "expected", "unit"}

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(params=NAMES)
def target(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AlarmTarget:
    """Where the sink delivers to; a sink without a target fails here."""
    return alarm_target_of(request.param)(SINKS.get(request.param), tmp_path, monkeypatch, request)


@pytest.fixture(scope="module")
def results(bundle: Path) -> Results:
    return some_results(bundle)


def opened(target: AlarmTarget, position: str | None = None, waiting: Sequence[bytes] = ()) -> Any:
    """A sink that goes on after a position."""
    sink = target.open()
    sink.check()
    sink.resume(position, waiting)
    return sink


def encoded(sink: Any, changes: Sequence[Change]) -> list[bytes]:
    """An entry of the outbox for each change."""
    return [sink.encode_alarm(change) for change in changes]


def test_a_sink_without_a_target_is_told_where_to_add_one() -> None:
    assert NAMES
    with pytest.raises(AssertionError, match="add a target for it to ALARM_TARGETS"):
        alarm_target_of("nobody")
    assert set(ALARM_TARGETS) == set(NAMES)


def test_the_changes_of_this_contract_show_every_word_and_both_kinds() -> None:
    assert {change.change for change in SOME} >= {
        *("raised", "returned", "acknowledged", "comment", "shelved", "unshelved"),
        *("out of service", "in service"),
    }
    assert {change.fields["kind"] for change in SOME} == {"machine", "sensor"}
    # A sensor that sends nothing has no number, which is where a sink would write NaN.
    assert any(sensor["actual"] is None for change in SOME for sensor in change.fields["sensors"])


def test_it_is_a_sink_that_takes_alarms(target: AlarmTarget) -> None:
    sink: Sink = target.open()
    assert sink.name == target.kind.name
    assert isinstance(sink, AlarmSink)
    assert not target.kind.direct
    sink.close()


def test_a_change_arrives_with_all_of_its_fields_in_their_order(target: AlarmTarget) -> None:
    sink = opened(target)
    sink.deliver(encoded(sink, SOME))
    sink.close()
    arrived = target.changes()  # which fails at a number that JSON does not have
    assert arrived == target.wanted(SOME)
    if not target.whole:
        return
    for one, change in zip(arrived, SOME, strict=True):
        assert list(one) == ["time", "change", *FIELDS]
        assert parse_time(one["time"], 0) == change.time
        assert one["change"] == change.change
        for sensor in one["sensors"]:
            assert set(sensor) - {"status"} == FIELDS_OF_SENSORS
            assert ("status" in sensor) == (one["kind"] == "sensor")
        for moment in ("raised", "returned", "acknowledged", "shelved_until"):
            assert one[moment] is None or parse_time(one[moment], 0) > 0


def test_a_name_of_any_letters_and_a_half_of_one_arrive_as_json(target: AlarmTarget) -> None:
    texts = ["Presse 1 \u2014 S\u00fcd", 'a "quote"\\ and\nanother line', "\u2028 \U0001f600", "half \udc80"]
    changes = [
        type(SOME[0])(
            "comment",
            SOME[0].time + revision,
            told=True,
            fields={**SOME[0].fields, "revision": revision, "comment": text},
        )
        for revision, text in enumerate(texts, start=2)
    ]
    sink = opened(target)
    sink.deliver(encoded(sink, changes))
    sink.close()
    assert target.changes() == target.wanted(changes)
    if target.whole:
        assert [one["comment"] for one in target.changes()] == texts


def test_what_was_delivered_just_before_a_crash_is_not_there_twice(target: AlarmTarget) -> None:
    first = opened(target)
    first.deliver(encoded(first, SOME))
    known = first.position()
    assert (known is not None) is target.undoes
    late = encoded(first, LATER)
    first.deliver(late)  # and here the power goes: nobody was told
    first.close()
    second = opened(target, known, late)
    if target.undoes:
        assert target.changes() == target.wanted(SOME)
    second.deliver(late[:4])
    second.deliver(late[4:])
    second.close()
    assert target.changes() == target.wanted([*SOME, *LATER])


def test_several_payloads_at_once_are_all_there_and_another_one_goes_on(target: AlarmTarget) -> None:
    first = opened(target)
    first.deliver(encoded(first, SOME))
    first.deliver([])
    known = first.position()
    first.close()
    first.close()
    second = opened(target, known)
    second.deliver(encoded(second, LATER))
    second.close()
    assert target.changes() == target.wanted([*SOME, *LATER])


def test_rows_do_not_go_there(target: AlarmTarget, results: Results) -> None:
    sink = opened(target)
    # One that takes rows as well is asked for them where its settings say so.
    assert (sink.encode(results) == b"") is (target.kind.takes == (ALARMS,))
    sink.deliver([])
    sink.close()
    assert target.changes() == []


def test_nothing_of_rows_reaches_its_outbox_and_changes_do(
    target: AlarmTarget, bundle: Path, tmp_path: Path
) -> None:
    engine = Engine(load_bundle(bundle), alarms=True)
    ledger = Ledger(tmp_path / "ledger.sqlite", "none")
    sink: Any = target.open()
    sender = Sender(Outlet(sink, (ALARMS,)), ledger, target.said.append)

    def commit(rows: int, changes: Sequence[Change]) -> None:
        pending = Pending(checkpoint=Checkpoint("1"))
        block = engine.feed(normal_rows(rows), machine_id="press-1")
        pending.add(block.results, {"read": rows}, lambda: 0.0)
        pending.alarms += changes
        stored = store(
            pending,
            ledger,
            [sender],
            states=[],
            clock=None,
            report=target.said.append,
            wait=lambda _: pytest.fail("it did not store them"),
            stopping=lambda: True,
        )
        assert stored

    commit(5, [])
    assert ledger.parcels(sink.name, most=10) == []
    commit(5, SOME)
    parcels = ledger.parcels(sink.name, most=100)
    assert [(one.payload, one.rows) for one in parcels] == [(payload, 1) for payload in encoded(sink, SOME)]
    assert ledger.sums(sink.name).waiting == len(SOME)
    sink.close()
    ledger.close()


def test_a_place_that_takes_nothing_now_is_tried_again_later(target: AlarmTarget) -> None:
    sink: Any = target.open(target.away())
    with pytest.raises(SinkUnavailableError):
        sink.deliver(encoded(sink, SOME))
    sink.close()


def test_a_sink_that_cannot_work_says_so_by_an_error_of_this_project(target: AlarmTarget) -> None:
    for label, (error, make) in target.broken().items():
        with pytest.raises(error) as found:
            make().check()
        assert found.value.what, label

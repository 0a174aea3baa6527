"""Alarms in a real Alertmanager: which alerts it shows as active, and what it does with what comes late."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from support.receiving import Reply
from support.webhooks import change, sink_of

from edge_runtime.delivery.ledger import Ledger
from edge_runtime.delivery.sender import Sender
from edge_runtime.engine.alarmtext import described, sentence, title
from edge_runtime.errors import SinkError, SinkUnavailableError
from edge_runtime.sinks.outlet import Outlet
from edge_runtime.timeparse import format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from alertmanager import Alertmanager
    from support.receiving import Receiver

    from edge_runtime.engine.alarms import Change

SECOND = 1_000_000_000


def now() -> int:
    """A moment ago, in whole seconds."""
    return (int(time.time()) - 1) * SECOND


def deliver(sink: Any, *changes: Change) -> None:
    assert sink.deliver([sink.encode_alarm(one) for one in changes]) == len(changes)


def active(server: Alertmanager, machine: str) -> list[dict[str, Any]]:
    """The alerts of a machine that are active."""
    return [one for one in server.alerts() if one["labels"]["machine_id"] == machine]


def raised(machine: str, since: int | None = None, **fields: Any) -> Change:
    moment = now() - 60 * SECOND if since is None else since
    return change(time=moment, raised=format_time(moment), machine_id=machine, **fields)


def then(one: Change, what: str, moment: int | None = None, **fields: Any) -> Change:
    """What became of an alarm."""
    at = now() if moment is None else moment
    if what == "returned":
        fields |= {"active": False, "returned": format_time(at)}
    known = {**one.fields, "revision": one.fields["revision"] + 1, **fields}
    return replace(one, change=what, time=at, fields=known)


@pytest.fixture
def sink(alertmanager: Alertmanager) -> Any:
    found = sink_of("alertmanager", url=alertmanager.url)
    found.check()
    return found


def test_an_alarm_is_active_with_its_labels_until_it_has_returned(
    alertmanager: Alertmanager, sink: Any
) -> None:
    one = raised("life")
    deliver(sink, one)
    (alert,) = active(alertmanager, "life")
    assert alert["labels"] == {
        "alertname": "EdgeDetectMachine",
        "machine_id": "life",
        "kind": "machine",
        "priority": one.fields["priority"],
    }
    assert alert["status"]["state"] == "active"
    assert moment_of(alert["startsAt"]) == one.time
    assert alert["annotations"] == {
        "summary": title(one),
        "description": sentence(one),
        "event_id": one.fields["event_id"],
        "severity": f"{one.fields['severity']:.3g}",
        "sensors": ", ".join(described(sensor) for sensor in one.fields["sensors"]),
    }
    acked = then(one, "acknowledged", acked=True, acknowledged_by="ada", comment="seen")
    deliver(sink, acked)
    (alert,) = active(alertmanager, "life")
    assert alert["annotations"]["acknowledged_by"] == "ada"
    assert alert["annotations"]["comment"] == "seen"
    deliver(sink, then(acked, "returned"))
    assert active(alertmanager, "life") == []


def moment_of(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * SECOND


def test_a_sensors_alarm_and_its_machines_are_two(alertmanager: Alertmanager, sink: Any) -> None:
    sensor = raised("two", kind="sensor", subject="power", priority="low", severity=None)
    deliver(sink, raised("two"), sensor)
    assert sorted(
        (one["labels"]["alertname"], one["labels"].get("subject")) for one in active(alertmanager, "two")
    ) == [
        ("EdgeDetectMachine", None),
        ("EdgeDetectSensor", "power"),
    ]
    deliver(sink, then(sensor, "returned"))
    assert [one["labels"]["kind"] for one in active(alertmanager, "two")] == ["machine"]


def test_a_priority_that_rises_replaces_the_alert_under_the_lower_one(
    alertmanager: Alertmanager, sink: Any
) -> None:
    one = raised("rises", priority="low")
    deliver(sink, one)
    medium = then(one, "priority", priority="medium")
    deliver(sink, medium)
    assert [one["labels"]["priority"] for one in active(alertmanager, "rises")] == ["medium"]
    high = then(medium, "priority", priority="high")
    deliver(sink, high)
    assert [one["labels"]["priority"] for one in active(alertmanager, "rises")] == ["high"]
    deliver(sink, then(high, "returned"))
    assert active(alertmanager, "rises") == []


@pytest.mark.parametrize(
    ("out", "back", "fields"),
    [
        ("shelved", "unshelved", {"shelved_until": "2100-01-01T00:00:00Z"}),
        ("out of service", "in service", {"out_of_service": True}),
    ],
)
def test_what_is_shelved_or_out_of_service_is_not_shown_until_it_is_back(
    alertmanager: Alertmanager, sink: Any, out: str, back: str, fields: dict[str, Any]
) -> None:
    one = raised(out)
    deliver(sink, one)
    away = then(one, out, **fields)
    deliver(sink, away)
    assert active(alertmanager, out) == []
    again = then(away, back, shelved_until=None, out_of_service=False)
    deliver(sink, again)
    assert len(active(alertmanager, out)) == 1
    deliver(sink, then(again, "returned"))
    deliver(sink, then(again, back, active=False, returned=format_time(now())))
    assert active(alertmanager, out) == []


def test_of_several_at_once_the_newest_holds(alertmanager: Alertmanager, sink: Any) -> None:
    one, other = raised("newest", priority="medium"), raised("other")
    rises = then(one, "priority", priority="high")
    deliver(sink, one, other, rises, then(other, "returned"))
    assert [alert["labels"]["priority"] for alert in active(alertmanager, "newest")] == ["high"]
    assert active(alertmanager, "other") == []
    deliver(sink, then(rises, "returned"), raised("newest", now(), priority="medium"))
    assert [alert["labels"]["priority"] for alert in active(alertmanager, "newest")] == ["medium"]


def test_what_comes_again_changes_nothing(alertmanager: Alertmanager, sink: Any) -> None:
    one = raised("again")
    for _ in range(3):
        deliver(sink, one)
    assert len(active(alertmanager, "again")) == 1
    over = then(one, "returned")
    for _ in range(3):
        deliver(sink, one, over)
    assert active(alertmanager, "again") == []


@pytest.mark.parametrize("ahead_s", [5, 3600])
def test_an_alarm_is_over_though_the_machines_clock_is_ahead(
    alertmanager: Alertmanager, sink: Any, ahead_s: int
) -> None:
    """An Alertmanager would keep the end far ahead that it knows instead of one that is still to come."""
    name = f"ahead {ahead_s}"
    late = now() + ahead_s * SECOND
    for since in (now() - SECOND, late - SECOND):  # and the alarm itself may begin in what is still to come
        one = raised(name, since)
        deliver(sink, one)
        assert len(active(alertmanager, name)) == 1
        deliver(sink, then(one, "returned", late))
        assert active(alertmanager, name) == []


def test_an_alarm_of_the_future_that_is_discarded_is_over(alertmanager: Alertmanager, sink: Any) -> None:
    one = raised("future", now() + 7200 * SECOND)
    deliver(sink, one)
    deliver(sink, then(one, "forgotten", now(), active=False))
    assert active(alertmanager, "future") == []


def test_names_of_any_letters_arrive(alertmanager: Alertmanager, sink: Any) -> None:
    name = 'Presse "1" \u2014 S\u00fcd\n{machine}'
    deliver(sink, raised(name, comment="\u2028 half \udc80"))
    assert len(active(alertmanager, name)) == 1


def test_by_way_of_the_ledger_it_shows_what_is_open(
    alertmanager: Alertmanager, sink: Any, tmp_path: Path
) -> None:
    ledger, said = Ledger(tmp_path / "ledger.sqlite", "none"), list[str]()
    sender = Sender(Outlet(sink, ("alarms",), tells="told"), ledger, said.append)
    one, other = raised("stays"), raised("goes")
    shelved = then(other, "shelved", shelved_until="2100-01-01T00:00:00Z")
    for some in ([one, other], [shelved], [replace(then(shelved, "comment", comment="x"), told=False)]):
        payloads = [
            ("alertmanager", payload, number)
            for payload, number in sender.outlet.entries(None, some, lambda _: [])
        ]
        ledger.commit(checkpoint=None, states=[], payloads=payloads, counters={})
    assert ledger.waiting("alertmanager") == 3
    assert sender.drain() is None
    assert ledger.waiting("alertmanager") == 0
    ledger.close()
    assert said == []
    assert len(active(alertmanager, "stays")) == 1
    assert active(alertmanager, "goes") == []


class TestPosts:
    """What is posted, as a receiver sees it."""

    def test_all_go_in_one_post_to_the_api_of_the_address(self, receiver: Receiver) -> None:
        for path, posted in (
            ("", "/api/v2/alerts"),
            ("/", "/api/v2/alerts"),
            ("/am/", "/am/api/v2/alerts"),
            ("/api/v2/alerts", "/api/v2/alerts"),
            ("/am?tenant=1", "/am/api/v2/alerts?tenant=1"),
        ):
            sink = sink_of("alertmanager", url=f"{receiver.url}{path}")
            deliver(sink, *(raised(f"press-{number}") for number in range(200)))
            assert receiver.posts[-1].path == posted
            assert len(receiver.posts[-1].document) == 200
        assert len(receiver.posts) == 5

    def test_lower_priorities_are_told_to_be_over_as_far_as_they_go_there(self, receiver: Receiver) -> None:
        one = then(raised("m", priority="low"), "priority", priority="high")
        assert ended(receiver, {}, [one]) == [["low", "medium"]]
        assert ended(receiver, {"only": {"priority": "medium"}}, [one]) == [["medium"]]
        assert ended(receiver, {"only": {"priority": "high"}}, [one]) == [[]]
        assert ended(receiver, {}, [raised("m", priority="high")]) == [[]]

    def test_an_end_before_the_receivers_time_is_not_posted_twice(self, receiver: Receiver) -> None:
        one = raised("m", 1_790_000_000 * SECOND)
        over = then(one, "returned", 1_790_000_060 * SECOND)
        receiver.dates = "Mon, 21 Sep 2026 14:14:20 GMT"  # the same moment
        deliver(sink_of("alertmanager", url=receiver.url), over)
        assert len(receiver.posts) == 1
        receiver.dates = "Mon, 21 Sep 2026 14:14:19 GMT"
        deliver(sink_of("alertmanager", url=receiver.url), one, over, raised("n"))
        first, second = receiver.documents[1:]
        assert [alert["endsAt"] for alert in first] == ["2026-09-21T14:14:20Z", "2199-12-31T00:00:00Z"]
        assert [(alert["startsAt"], alert["endsAt"]) for alert in second] == [
            ("2026-09-21T14:13:20Z", "2026-09-21T14:14:19Z")
        ]
        for date in ("yesterday", "Mon, 99 Sep 2026 14:14:19 GMT", "x" * 100):
            receiver.posts.clear()
            receiver.dates = date
            deliver(sink_of("alertmanager", url=receiver.url), over)
            assert len(receiver.posts) == 1

    def test_what_it_refuses_is_refused_and_what_it_cannot_take_now_waits(self, receiver: Receiver) -> None:
        sink = sink_of("alertmanager", url=receiver.url)
        receiver.replies = [Reply(400, b'"no labels"'), Reply(500)]
        with pytest.raises(SinkError, match=r"it answers 400 \(no labels\)"):
            deliver(sink, raised("m"))
        with pytest.raises(SinkUnavailableError):
            deliver(sink, raised("m"))


def ended(receiver: Receiver, settings: dict[str, Any], changes: Sequence[Change]) -> list[list[str]]:
    """Of each post, the priorities under which alerts are over."""
    receiver.posts.clear()
    deliver(sink_of("alertmanager", url=receiver.url, **settings), *changes)
    far = parse_time("2100-01-01T00:00:00Z", 0)
    return [
        [alert["labels"]["priority"] for alert in post if parse_time(alert["endsAt"], 0) < far]
        for post in receiver.documents
    ]

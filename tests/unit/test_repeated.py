"""Alarms of high priority that nobody acknowledged are told again, and nothing else is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.alarmed import HIGH, START, bundle
from support.alarmsite import DAY, SECOND, Site, rows_of

from edge_runtime.engine.alarms import Alarm, Suspension
from edge_runtime.engine.alarmstate import condition_of, state_of
from edge_runtime.engine.condition import Condition
from edge_runtime.errors import UsageError
from edge_runtime.gateway.assembly import make_engine
from edge_runtime.gateway.settings import load_settings
from edge_runtime.timeparse import format_time

if TYPE_CHECKING:
    from pathlib import Path

AFTER = 60 * SECOND
DIGEST = f"sha256:{'0' * 64}"


def condition(**more: Any) -> Condition:
    """One with an open high alarm."""
    given = {"priority": "high", "revision": 3, **more}
    return Condition(alarm=Alarm("press", "machine", "", 5, DIGEST, "0" * 16, **given))


def told(found: Condition, start: int, stop: int) -> list[int]:
    """The seconds at which it is told again, looked at once a second."""
    seconds = []
    for second in range(start, stop):
        for change in found.repeat(second * SECOND, AFTER):
            assert (change.change, change.time, change.told) == ("again", second * SECOND, True)
            seconds.append(second)
    return seconds


def test_it_is_told_again_each_time_as_long_as_it_is_high_active_and_not_acknowledged() -> None:
    found = condition()
    assert told(found, 1000, 1200) == [1060, 1120, 1180]
    assert found.alarm is not None
    assert found.alarm.revision == 6
    assert found.alarm.asked == 1  # what was acknowledged of revision 3 would still do
    for change in ({"priority": "medium"}, {"acked": True}, {"active": False}):
        assert told(condition(**change), 1000, 1200) == []


def test_while_it_is_shelved_or_out_of_service_nothing_is_told_and_the_time_begins_anew() -> None:
    for name in ("shelved", "out_of_service"):
        found = condition()
        assert told(found, 0, 50) == []
        setattr(found, name, Suspension("ada", 0, "why"))
        assert told(found, 50, 500) == []
        setattr(found, name, None)
        assert told(found, 500, 600) == [560]


def test_a_higher_priority_begins_the_time_and_an_acknowledgement_ends_it() -> None:
    found = condition(priority="medium")
    assert told(found, 0, 100) == []
    found.ask_again(100 * SECOND, "high")
    assert told(found, 100, 200) == [160]
    assert found.alarm is not None
    found.alarm.acked = True
    assert told(found, 200, 400) == []


def test_a_clock_that_is_set_back_tells_no_flood_and_forgets_nothing() -> None:
    found = condition()
    assert told(found, 10_000, 10_050) == []
    assert told(found, 100, 200) == [160]
    assert told(found, 1_000_000, 1_000_050) == [1_000_000]


def test_when_it_was_told_survives_a_restart() -> None:
    found = condition()
    assert told(found, 1000, 1030) == []
    stored = json.loads(json.dumps(state_of("machine", "", found)))
    _, restored = condition_of("press", stored)
    assert restored.told == 1000 * SECOND
    assert told(restored, 1040, 1100) == [1060]
    with pytest.raises(ValueError, match="no time"):
        condition_of("press", {**stored, "told": "yesterday"})


def test_a_running_feed_tells_it_again_until_it_is_acknowledged(tmp_path: Path) -> None:
    def hours_later() -> None:
        site.now += 3600 * SECOND

    site = Site(tmp_path, rows_of("press-1"), repeat_s=3600.0)
    site.then(None, hours_later, None, hours_later, None, site.acknowledge, None, hours_later, None)
    log = site()
    assert [line["change"] for line in log] == ["raised", "again", "again", "acknowledged"]
    assert [line["revision"] for line in log] == [1, 2, 3, 4]
    again = f"alarm {HIGH} is still not acknowledged: press-1, machine, high priority, severity "
    assert [line.startswith(again) for line in site.said] == [False, True, True, False]


def test_after_a_restart_the_feed_goes_on_with_the_time(tmp_path: Path) -> None:
    first = Site(tmp_path, rows_of("press-1"), None, repeat_s=3600.0)
    first.then(rows_of("press-4"))
    assert [line["change"] for line in first()] == ["raised"]
    second = Site(tmp_path, repeat_s=3600.0)
    second.now = first.now + 3599 * SECOND

    def a_second_later() -> None:
        second.now += SECOND

    second.then(None, a_second_later, None)
    assert [line["change"] for line in second()] == ["raised", "again"]


def test_by_a_clock_that_is_not_believed_nothing_is_told_again(tmp_path: Path) -> None:
    def at_the_start_of_time() -> None:
        site.now, site.believed = 5 * SECOND, False

    def as_it_is() -> None:
        site.now, site.believed = START + DAY, True

    def an_hour_later() -> None:
        site.now += 3600 * SECOND

    site = Site(
        tmp_path, at_the_start_of_time, rows_of("press-1"), None, an_hour_later, None, repeat_s=3600.0
    )
    site.then(as_it_is, None, None, an_hour_later, None)
    assert [(line["change"], line["time"]) for line in site()][1:] == [
        ("again", format_time(START + DAY + 3600 * SECOND))
    ]


@pytest.mark.parametrize("text", ["-1", "0.5", "nan", "1e12"])
def test_a_time_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(f"[alarms]\nrepeat_s = {text}\n")
    with pytest.raises(UsageError, match="repeat_s must be 0, or from 1 second to a year"):
        load_settings(file, {})


def test_without_a_ledger_nobody_can_acknowledge_and_nothing_is_told_again(tmp_path: Path) -> None:
    alone = load_settings(None, {})
    assert alone.alarms.repeat_s == 3600.0
    assert make_engine(alone, bundle())._repeat is None
    output = str(tmp_path / "out.jsonl")
    stored: dict[str, dict[str, object]] = {"run": {"sinks": ["jsonl"]}, "jsonl": {"output": output}}
    assert make_engine(load_settings(None, stored), bundle())._repeat == 3600 * SECOND
    never = load_settings(None, {**stored, "alarms": {"repeat_s": 0.0}})
    assert make_engine(never, bundle())._repeat is None

"""Latched alarms: active until they are acknowledged and reset, whatever restarts and rules come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.alarmed import HIGH, MEDIUM, ROWS
from support.alarmsite import SECOND, Site, changes, rows_of
from support.commands import assert_one_clear_line

from edge_runtime.delivery.openalarms import Key, kept_alarms
from edge_runtime.delivery.reading import reading
from edge_runtime.engine.alarms import event_id
from edge_runtime.engine.rules import Rule

if TYPE_CHECKING:
    from pathlib import Path

    from support.commands import Here

    from edge_runtime.engine.condition import Condition

LATCH = Rule(name="latch", why="look at it before it starts again", machine="press-*", latch=True)
PRESS_2 = Key("press-2", "machine", "")


def condition(folder: Path) -> Condition | None:
    """Of press-2, whose fault ends ten rows before its rows do, and whose alarm returns after five."""
    with reading(folder / "ledger.sqlite") as db:
        return kept_alarms(db).conditions.get(PRESS_2)


def raised(site: Site) -> list[dict[str, Any]]:
    log = [line for line in site() if line["machine_id"] == "press-2" and line["change"] != "sensor"]
    assert {line["event_id"] for line in log} == {log[0]["event_id"]}
    return log


def test_it_stays_active_until_it_is_acknowledged_and_reset(tmp_path: Path) -> None:
    site = Site(tmp_path, rows_of("press-2"), None, rules=[LATCH])
    at = {"event_id": MEDIUM}
    site.then(lambda: site.say("reset", "press-2", **at), None, None)
    site.then(lambda: site.say("ack", "press-2", revision=9, **at), None, None)
    site.then(lambda: site.say("reset", "press-2", text="looked at", **at), None, None)
    site.then(lambda: site.say("reset", "press-2", **at), None, None)
    log = raised(site)
    assert changes(log) == ["raised", "acknowledged", "returned"]
    assert (log[1]["active"], log[1]["returned"]) == (True, None)
    assert (log[2]["active"], log[2]["returned"]) == (False, "2026-09-21T14:15:12Z")
    refused = [line for line in site.said if line.startswith("alarms: reset")]
    assert [line.rpartition(": ")[2] for line in refused] == [
        "it has to be acknowledged first",
        "the alarm is not open any more",
    ]
    assert condition(tmp_path) is None


def test_a_restart_keeps_it_latched_and_without_the_rule_the_next_row_ends_it(tmp_path: Path) -> None:
    Site(tmp_path, rows_of("press-2", stop=ROWS - 2), rules=[LATCH])()
    kept = condition(tmp_path)
    assert kept is not None
    assert kept.alarm is not None
    assert (kept.latched, kept.alarm.active) == (True, True)
    Site(tmp_path, rows_of("press-2", first=ROWS - 2, stop=ROWS - 1), rules=[LATCH])()
    kept = condition(tmp_path)
    assert kept is not None
    assert kept.latched
    log = raised(Site(tmp_path, rows_of("press-2", first=ROWS - 1)))
    assert changes(log) == ["raised", "returned"]
    assert log[1]["returned"] == "2026-09-21T14:15:12Z"


def test_an_alarm_whose_rows_are_anomalous_is_not_reset_and_goes_on_after_it_was_latched(
    tmp_path: Path,
) -> None:
    later = rows_of("press-1", first=100)
    later.times[:] += 60 * SECOND
    first = rows_of("press-2", name="press-1")
    site = Site(tmp_path, first, None, later, None, rules=[LATCH])
    own = event_id("press-1", "machine", "", int(first.times[90]))
    site.then(lambda: site.say("ack", "press-1", event_id=own, revision=99), None, None)
    site.then(lambda: site.say("reset", "press-1", event_id=own), None, None)
    log = [line for line in site() if line["change"] not in ("sensor", "priority")]
    assert changes(log) == ["raised", "acknowledged"]
    assert {line["event_id"] for line in log} == {own}
    assert [line.rpartition(": ")[2] for line in site.said if line.startswith("alarms: reset")] == [
        "it is not latched, so it needs no reset"
    ]


def test_the_command_resets_what_is_latched_and_the_list_says_that_it_is(here: Here, tmp_path: Path) -> None:
    ledger = ("--state", tmp_path / "ledger.sqlite")
    Site(tmp_path, rows_of("press-2"), rows_of("press-1"), rules=[LATCH])()
    listed = here("edge-detect", "alarms", "list", *ledger).stdout.decode()
    assert "unacknowledged (latched)" in listed
    shown = here("edge-detect", "alarms", "show", MEDIUM, *ledger).stdout.decode()
    assert "over since 2026-09-21T14:15:12Z, and active until it is reset" in shown
    refused = here("edge-detect", "alarms", "reset", MEDIUM, *ledger)
    assert_one_clear_line(refused, 2, "it has to be acknowledged first", "")
    refused = here("edge-detect", "alarms", "reset", HIGH, *ledger)
    assert_one_clear_line(refused, 2, "it is not latched, so it needs no reset", "")
    for word in ("ack", "reset"):
        done = here("edge-detect", "alarms", word, MEDIUM, "--by", "ada", *ledger)
        assert done.returncode == 0, done.stderr
    log = [line for line in Site(tmp_path, None, rules=[LATCH])() if line["event_id"] == MEDIUM]
    assert changes(log)[-2:] == ["acknowledged", "returned"]

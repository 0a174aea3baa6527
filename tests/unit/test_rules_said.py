"""Rules of the configuration and of people: in force from the next row on, stored with the rows, and kept."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from support.alarmed import HIGH, MEDIUM, ROWS, bundle
from support.alarmsite import Site, changes, kept, of_rules, raised, rows_of

from edge_runtime.delivery.keptrules import CONFIGURED, RulesKept
from edge_runtime.engine import quiet
from edge_runtime.engine.rules import Rule
from edge_runtime.errors import UsageError
from edge_runtime.timeparse import parse_time

if TYPE_CHECKING:
    from pathlib import Path

ASKS = "machines *, sensor vibration, from a deviation of 50 on"
CALM = Rule(name="calm", why="the foundation shakes", sensor="vibration", least_deviation=50.0)


def test_a_rule_of_the_configuration_narrows_from_the_first_row_and_is_in_the_ledger(tmp_path: Path) -> None:
    site = Site(tmp_path, rows_of("press-1"), rows_of("press-2"), rules=[CALM])
    found: list[RulesKept] = []
    site.then(lambda: found.append(kept(site)))
    assert raised(site()) == [MEDIUM]
    (rules,) = found
    assert rules.sensors == bundle().metadata.sensor_names
    one = rules.configured["calm"]
    assert (one.rule, one.by, one.at, one.why) == (CALM, CONFIGURED, site.now, "the foundation shakes")
    assert of_rules(site) == [f"rule calm of configuration is in force: {ASKS}; the foundation shakes"]


def test_what_a_person_says_holds_from_the_next_row_on_and_after_a_restart(tmp_path: Path) -> None:
    site = Site(tmp_path, rows_of("press-4"), None)
    site.then(lambda: site.say_of_rule("rule", "calm", sensor="vibration", least_deviation=50.0))
    site.then(None, None, rows_of("press-1"), rows_of("press-2"))
    assert raised(site()) == [MEDIUM]
    assert any(line.startswith("rule calm of ada is in force: ") for line in site.said)
    again = Site(tmp_path, rows_of("press-1", name="press-7"), rows_of("press-2", name="press-8"))
    assert [line["machine_id"] for line in again() if line["change"] == "raised"] == ["press-2", "press-8"]


def test_an_open_alarm_that_no_longer_counts_returns(tmp_path: Path) -> None:
    site = Site(tmp_path, rows_of("press-1", stop=108), None)
    site.then(lambda: site.say_of_rule("rule", "calm", machine="press-*", threshold_factor=1000))
    site.then(None, None, rows_of("press-1", first=108))
    log = site()
    assert changes([line for line in log if line["change"] != "sensor"])[-2:] == ["raised", "returned"]
    assert {line["event_id"] for line in log} == {HIGH}


def test_a_person_overrides_the_configuration_until_that_is_taken_back(tmp_path: Path) -> None:
    site = Site(tmp_path, rows_of("press-4"), None, rules=[CALM])
    states: list[list[tuple[str, str, float | None]]] = []

    def look() -> None:
        states.append(
            [
                (name, one.by, None if one.rule is None else one.rule.least_deviation)
                for name, one in kept(site).all().items()
            ]
        )

    asks: dict[str, Any] = {"sensor": "vibration", "least_deviation": 2.5}
    for word in ("rule off", "rule", "rule removed"):
        site.then(partial(site.say_of_rule, word, "calm", **asks), None, None, look)
    site()
    assert states == [[("calm", "ada", None)], [("calm", "ada", 2.5)], [("calm", CONFIGURED, 50.0)]]
    assert of_rules(site)[1:] == [
        "rule calm is switched off by ada: tried",
        "rule calm of ada is in force: machines *, sensor vibration, from a deviation of 2.5 on; tried",
        "rule calm is removed by ada: tried",
        f"rule calm of configuration is in force: {ASKS}; the foundation shakes",
    ]


def test_words_that_change_nothing_are_said_and_taken_up_all_the_same(tmp_path: Path) -> None:
    site = Site(tmp_path, rows_of("press-4"), None, rules=[CALM])
    site.then(
        lambda: site.say_of_rule("rule off", "other"),
        lambda: site.say_of_rule("rule removed", "calm"),
        lambda: site.say_of_rule("rule off", "calm"),
        lambda: site.say_of_rule("rule off", "calm"),
    )
    found: list[int] = []
    site.then(None, None, lambda: found.append(site.committed()[0]))
    site()
    assert found == [4]
    assert of_rules(site)[1:] == [
        "rule other: rule off by ada: there is no rule of this name",
        "rule calm: rule removed by ada: it is as the configuration has it",
        "rule calm is switched off by ada: tried",
        "rule calm: rule off by ada: it is switched off already",
    ]


def test_a_rule_that_left_the_configuration_is_said_and_one_that_stays_keeps_its_time(tmp_path: Path) -> None:
    other = Rule(name="other", why="x", priority="low")
    Site(tmp_path, rows_of("press-4"), rules=[CALM, other])()
    site = Site(tmp_path, None, rows_of("press-1", stop=ROWS), rules=[CALM])
    began = site.now
    site.now += 60 * 10**9
    found: list[RulesKept] = []
    site.then(lambda: found.append(kept(site)))
    site()
    assert "rule other is not in the configuration any more" in site.said
    assert {name: one.at for name, one in found[0].all().items()} == {"calm": began}


def test_a_rule_for_a_sensor_that_the_bundle_lacks_is_said_and_changes_nothing(tmp_path: Path) -> None:
    rule = Rule(name="typo", why="x", sensor="vibratoin", least_deviation=50.0)
    site = Site(tmp_path, rows_of("press-1"), rules=[rule])
    assert raised(site()) == [HIGH]
    why = "it has no effect, because the bundle has no sensor 'vibratoin'; did you mean vibration?"
    assert of_rules(site)[0] == f"rule typo of configuration: {why}"


def test_a_ledger_that_was_mended_has_its_rules_again(tmp_path: Path) -> None:
    site = Site(tmp_path, rows_of("press-4"), None, rules=[CALM])

    def lose() -> None:
        site.ledger._book.about.pop("rules")  # as salvage leaves it where its row was damaged
        site.ledger.mended += 1

    found: list[RulesKept] = []
    site.then(lose, rows_of("press-2"), None, lambda: found.append(kept(site)))
    site()
    assert list(found[0].all()) == ["calm"]


def test_a_rule_that_this_machine_cannot_follow_any_more_is_kept_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path, rows_of("press-4"), None)
    site.then(lambda: site.say_of_rule("rule", "night", quiet=["22:00-06:00"], time_zone="Europe/Berlin"))
    site.then(lambda: site.say_of_rule("rule", "calm", sensor="vibration", least_deviation=50.0), None, None)
    site()

    def no_zone(*_given: object) -> None:
        raise UsageError("there is no such zone", where="time_zone")

    with monkeypatch.context() as patched:
        patched.setattr(quiet.QuietTimes, "__init__", no_zone)
        without = Site(tmp_path, rows_of("press-1", name="press-7"), rules=[])
        assert raised(without()) == []
        assert [line for line in without.said if line.startswith("rule night")] == [
            "rule night: ledger: rule night: time_zone: there is no such zone; it is not in force"
        ]
    again = Site(tmp_path, None)
    found: list[RulesKept] = []
    again.then(lambda: found.append(kept(again)))
    again()
    assert list(found[0].said) == ["night", "calm"]
    assert found[0].unusable == {}


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"sensors": [], "configured": [1], "said": []}', "[" * 10**5]
)
def test_what_a_ledger_says_about_rules_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="what it says about rules cannot be read"):
        RulesKept.read(text)


def test_a_ledger_whose_rules_cannot_be_read_goes_on_with_the_configuration(tmp_path: Path) -> None:
    Site(tmp_path, rows_of("press-4"))()
    site = Site(tmp_path, rows_of("press-1"), rules=[CALM])
    site.ledger._book.about["rules"] = "{}"
    assert raised(site()) == []
    why = "rules: ledger: what it says about rules cannot be read"
    assert f"{why}; those of the configuration are in force" in site.said


def test_what_is_kept_reads_back_as_it_was() -> None:
    rules = RulesKept(("a", "b"))
    rules.configure([CALM], parse_time("2026-11-29T08:00:00Z", 0))
    text = rules.text()
    assert RulesKept.read(text) == rules
    assert json.loads(text)["configured"][0]["rule"]["name"] == "calm"

"""What an on-site rule may be, what is said of one that is none, and which machines it is for."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_runtime.config import Text
from edge_runtime.engine.rules import Rule, document_of, rule_of
from edge_runtime.errors import UsageError

economical = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
LID = {"name": "lid", "why": "the lid is opened", "threshold_factor": 2.0}
FILE = "rules.toml: rule lid: "
TABLE = "rules.toml: [rule lid] "
ONE_OF = "direction, least_deviation, threshold_factor, on_delay_s, off_delay_s, quiet, priority, latch"
TIMES = 'write for instance "Mon-Fri 05:45-06:15", "22:00-06:00" or "Sat, Sun"'
NO_ZONE = f"{FILE}time_zone: there is no time zone"
ZONES = "on this machine; such as Europe/Berlin; the package tzdata holds them all"
FINITE = "is not a finite number,"
OF_ANOMALIES = "only a rule for anomalies has that; leave out kind"
CONTROL = "it has a control character in it"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"name": ""}, "rules.toml: rule: name: it is missing; give it a name"),
        ({"name": " \t"}, "rules.toml: rule: name: it is missing; give it a name"),
        ({"name": "n" * 101}, f"rules.toml: rule {'n' * 40}: name: it is longer than 100 letters"),
        ({"name": "a\nb"}, f"rules.toml: rule a?b: name: {CONTROL}"),
        ({"name": "a\x1b[2J"}, f"rules.toml: rule a?[2J: name: {CONTROL}"),
        ({"name": "a\ud800"}, f"rules.toml: rule a?: name: {CONTROL}"),
        ({"why": ""}, f"{FILE}why: it is missing; say why there is this rule"),
        ({"why": "\n"}, f"{FILE}why: it is missing; say why there is this rule"),
        ({"why": "w" * 2001}, f"{FILE}why: it is longer than 2,000 letters"),
        ({"why": "one\ntwo\x07"}, f"{FILE}why: {CONTROL}"),
        ({"machine": ""}, f"{FILE}machine: it is missing"),
        ({"machine": "m" * 2001}, f"{FILE}machine: it is longer than 2,000 letters"),
        ({"machine": "press\x00"}, f"{FILE}machine: {CONTROL}"),
        ({"machine": "press\n*"}, f"{FILE}machine: {CONTROL}"),
        ({"sensor": ""}, f"{FILE}sensor: it is empty; leave it out for every sensor"),
        ({"sensor": "  "}, f"{FILE}sensor: it is missing"),
        ({"sensor": "s" * 2001}, f"{FILE}sensor: it is longer than 2,000 letters"),
        ({"sensor": "power\x85"}, f"{FILE}sensor: {CONTROL}"),
        ({"sensor": "power\n"}, f"{FILE}sensor: {CONTROL}"),
        ({"kind": "silence"}, f"{FILE}kind: 'silence' is none; write machine or sensor"),
        ({"kind": ""}, f"{FILE}kind: '' is none; write machine or sensor"),
        ({"direction": "up\n"}, f"{FILE}direction: 'up?' is none; write above or below or both"),
        ({"priority": "urgent"}, f"{FILE}priority: 'urgent' is none; write low or medium or high"),
        ({"priority": ""}, f"{FILE}priority: '' is none; write low or medium or high"),
        ({"least_deviation": 1.0}, f"{FILE}least_deviation: it needs a sensor, whose unit it has"),
        ({"threshold_factor": 0.9999999}, f"{FILE}threshold_factor: 0.9999999 {FINITE} 1 or more"),
        ({"threshold_factor": math.nan}, f"{FILE}threshold_factor: nan {FINITE} 1 or more"),
        ({"threshold_factor": math.inf}, f"{FILE}threshold_factor: inf {FINITE} 1 or more"),
        ({"on_delay_s": -0.5}, f"{FILE}on_delay_s: -0.5 is not from 0 to 2,592,000"),
        ({"on_delay_s": 2592000.5}, f"{FILE}on_delay_s: 2592000.5 is not from 0 to 2,592,000"),
        ({"off_delay_s": math.inf}, f"{FILE}off_delay_s: inf is not from 0 to 2,592,000"),
        ({"off_delay_s": math.nan}, f"{FILE}off_delay_s: nan is not from 0 to 2,592,000"),
        ({"quiet": [""]}, f"{FILE}quiet: a quiet time is empty; {TIMES}"),
        ({"quiet": ["Sat", "noon"]}, f"{FILE}quiet: 'noon' is no quiet time; {TIMES}"),
        ({"time_zone": "Mars/Base"}, f"{NO_ZONE} 'Mars/Base' {ZONES}"),
        ({"time_zone": ""}, f"{NO_ZONE} '' {ZONES}"),
        ({"threshold_factor": 1.0, "kind": "sensor"}, f"{FILE}threshold_factor: {OF_ANOMALIES}"),
        # Of another kind than it should be.
        ({"name": 5}, "rules.toml: [rule] name: 5 is not a string"),
        ({"name": None}, "rules.toml: [rule] name: None is not a string"),
        ({"why": True}, f"{TABLE}why: True is not a string"),
        ({"machine": ["press"]}, f"{TABLE}machine: ['press'] is not a string"),
        ({"sensor": 3}, f"{TABLE}sensor: 3 is not a string"),
        ({"kind": 1.5}, f"{TABLE}kind: 1.5 is not a string"),
        ({"direction": False}, f"{TABLE}direction: False is not a string"),
        ({"least_deviation": "2", "sensor": "power"}, f"{TABLE}least_deviation: '2' is not a number"),
        ({"threshold_factor": True}, f"{TABLE}threshold_factor: True is not a number"),
        ({"threshold_factor": None}, f"{TABLE}threshold_factor: None is not a number"),
        ({"on_delay_s": 10**400}, f"{TABLE}on_delay_s: a number too large for any setting"),
        ({"off_delay_s": [1]}, f"{TABLE}off_delay_s: [1] is not a number"),
        ({"quiet": "Sat"}, f'{TABLE}quiet: \'Sat\' is not a list; write ["Sat"]'),
        ({"quiet": [5]}, f"{TABLE}quiet: 5 is not a string"),
        ({"time_zone": 1}, f"{TABLE}time_zone: 1 is not a string"),
        ({"priority": 2}, f"{TABLE}priority: 2 is not a string"),
        # What no rule has.
        ({"treshold_factor": 2}, f"{FILE}a rule has no 'treshold_factor'; did you mean threshold_factor?"),
        ({"name": 5, "sensr": 2}, "rules.toml: a rule has no 'sensr'; did you mean sensor?"),
        ({"zz\n": 2}, f"{FILE}a rule has no 'zz?'; there are: {', '.join(one.name for one in fields(Rule))}"),
    ],
)  # fmt: skip
def test_what_is_no_rule_is_refused_and_told_why(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        rule_of({**LID, **given}, "rules.toml")
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, f"{FILE}it asks for nothing; give one of {ONE_OF}"),
        ({"kind": "sensor"}, f"{FILE}it asks for nothing; give one of {ONE_OF}"),
        (
            {"machine": "a", "sensor": "b", "direction": "both", "quiet": []},
            f"{FILE}it asks for nothing; give one of {ONE_OF}",
        ),
        ({"time_zone": "Europe/Berlin"}, f"{FILE}it asks for nothing; give one of {ONE_OF}"),
        (
            {"sensor": "power", "least_deviation": -1},
            f"{FILE}least_deviation: -1.0 {FINITE} 0 or more",
        ),
        *(
            (
                {"kind": "sensor", "sensor": "power", name: value},
                f"{FILE}{name}: {OF_ANOMALIES}",
            )
            for name, value in (("direction", "above"), ("least_deviation", 0.0), ("threshold_factor", 2.0))
        ),
    ],
)
def test_a_rule_asks_for_something_that_its_alarms_have(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        rule_of({"name": "lid", "why": "the lid is opened", **given}, "rules.toml")
    assert str(error.value) == sentence


@pytest.mark.parametrize("missing", ["name", "why"])
def test_a_rule_has_a_name_and_a_reason(missing: str) -> None:
    with pytest.raises(UsageError, match=f"{missing}: it is missing") as error:
        rule_of({key: value for key, value in LID.items() if key != missing}, "rules.toml")
    assert error.value.exit_code == 2


def test_a_rule_that_a_program_makes_is_checked_in_the_same_way() -> None:
    with pytest.raises(UsageError) as error:
        Rule(name="lid", why="the lid is opened", on_delay_s=-1.0)
    assert str(error.value) == "rule lid: on_delay_s: -1.0 is not from 0 to 2,592,000"


@pytest.mark.parametrize(
    "given",
    [
        {"name": "n" * 100, "why": "w" * 2000},
        {"why": "on Mondays\nthe lid is opened"},
        {"name": "Ölstand / Presse 3", "machine": "Prüfstand [4]?", "sensor": "Öl (°C)"},
        {"sensor": "power", "least_deviation": 0},
        {"threshold_factor": 1},
        {"on_delay_s": 0, "off_delay_s": 2_592_000},
    ],
)
def test_what_is_just_within_the_limits_is_a_rule(given: dict[str, Any]) -> None:
    values = {**LID, **given}
    rule = rule_of(values, "rules.toml")
    assert {name: getattr(rule, name) for name in values} == values


def test_values_that_a_person_typed_become_what_their_setting_wants() -> None:
    typed = {name: Text(value) for name, value in {"on_delay_s": "90", "quiet": "Sat,Sun"}.items()}
    rule = rule_of({**LID, **typed}, "--rule")
    assert (rule.on_delay_s, rule.quiet) == (90.0, ("Sat", "Sun"))
    with pytest.raises(UsageError, match=r"\[rule lid\] on_delay_s: '1 min' is not a number"):
        rule_of({**LID, "on_delay_s": Text("1 min")}, "--rule")


words = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=20)
delays = st.none() | st.floats(0, 30 * 86_400)
of_any = st.fixed_dictionaries(
    {
        "name": words,
        "why": st.lists(words, min_size=1).map("\n".join),
        "machine": words,
        "off_delay_s": delays,
        "on_delay_s": delays,
        "quiet": st.lists(st.sampled_from(["Sat, Sun", "22:00-06:00", "Mon-Fri 05:45-06:15"])).map(tuple),
        "time_zone": st.sampled_from(["UTC", "Europe/Berlin"]),
        "priority": st.sampled_from(["low", "medium", "high"]),
    }
)
of_anomalies = st.fixed_dictionaries(
    {
        "sensor": words,
        "direction": st.sampled_from(["above", "below", "both"]),
        "least_deviation": st.none() | st.floats(0, allow_infinity=False),
        "threshold_factor": st.none() | st.floats(1, allow_infinity=False),
    }
)


@economical
@given(of_any, of_anomalies | st.just({"kind": "sensor"}) | st.fixed_dictionaries({"sensor": words}))
def test_a_rule_comes_back_from_its_document_as_it_was(one: dict[str, Any], more: dict[str, Any]) -> None:
    rule = Rule(**one, **more)
    document = document_of(rule)
    assert rule_of(json.loads(json.dumps(document)), "the ledger") == rule
    assert None not in document.values()
    assert document_of(rule_of(document, "the ledger")) == document


def test_a_document_leaves_out_what_nobody_gave() -> None:
    assert document_of(rule_of({**LID, "machine": "*", "direction": "both"}, "rules.toml")) == LID


@pytest.mark.parametrize(
    ("pattern", "machine", "fits"),
    [
        ("*", "press", True),
        ("*", "", True),
        ("press", "press", True),
        ("press", "press-1", False),
        ("press", "Press", False),
        ("press-*", "press-", True),
        ("press-*", "press-1/a", True),
        ("press-*", "my press-1", False),
        ("*-1", "press-1", True),
        ("*-1", "press-11", False),
        ("p*s*-*", "press-1", True),
        ("p**1", "press-1", True),
        ("*", "two\nlines", True),
        ("press?", "press1", False),
        ("press?", "press?", True),
        ("press[1]", "press1", False),
        ("press[1]", "press[1]", True),
        ("press[!1]", "press2", False),
        ("press[!1]", "press[!1]", True),
        ("[[]", "[", False),
        ("[[]", "[[]", True),
        ("[?]", "?", False),
        ("[?]", "[?]", True),
        ("a]b", "a]b", True),
        ("press.1", "press-1", False),
        ("a\\*", "a\\b", True),
        ("a\\*", "a*", False),
        ("Prüfstand *", "Prüfstand 3", True),
    ],
)
def test_in_a_machines_name_only_a_star_is_special(pattern: str, machine: str, *, fits: bool) -> None:
    assert rule_of({**LID, "machine": pattern}, "rules.toml").is_for(machine) is fits


def plainly_fits(pattern: str, name: str) -> bool:
    """Letter by letter."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(plainly_fits(pattern[1:], name[start:]) for start in range(len(name) + 1))
    return name[:1] == pattern[0] and plainly_fits(pattern[1:], name[1:])


@economical
@given(st.text("ab*?[]!^-\\.", min_size=1, max_size=6), st.text("ab?[]!^-\\.", max_size=6))
def test_patterns_fit_as_when_they_are_compared_letter_by_letter(pattern: str, machine: str) -> None:
    rule = rule_of({**LID, "machine": pattern}, "rules.toml")
    assert rule.is_for(machine) is plainly_fits(pattern, machine)
    assert rule.is_for(pattern)

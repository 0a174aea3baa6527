"""Rules that people set and that `run` has lost or cannot follow: they are not forgotten for that."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from support.alarmsite import Site, kept, of_rules, raised, rows_of

from edge_runtime.delivery.operator import operator_file
from edge_runtime.engine import quiet
from edge_runtime.engine.rules import Rule
from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.delivery.keptrules import RulesKept

ASKS = "machines *, sensor vibration, from a deviation of 50 on"


@pytest.mark.parametrize("left", [None, "{}"])
def test_what_people_said_about_rules_outlives_its_loss_from_the_ledger(
    tmp_path: Path, left: str | None
) -> None:
    other = Rule(name="other", why="x", priority="low")
    site = Site(tmp_path, rows_of("press-4"), None, rules=[other])
    for word, name in (("rule", "gone"), ("rule", "calm"), ("rule off", "other"), ("rule removed", "gone")):
        site.then(partial(site.say_of_rule, word, name, sensor="vibration", least_deviation=50.0))
    site.then(None, None)
    site()
    again = Site(
        tmp_path, rows_of("press-1", name="press-7"), rows_of("press-2", name="press-8"), rules=[other]
    )
    if left is None:
        again.ledger._book.about.pop("rules")  # as salvage leaves it where its row was damaged
    else:
        again.ledger._book.about["rules"] = left
    found: list[RulesKept] = []
    again.then(lambda: found.append(kept(again)))
    assert [line["machine_id"] for line in again() if line["change"] == "raised"] == ["press-8"]
    assert {name: (one.by, one.rule is None) for name, one in found[0].all().items()} == {
        "calm": ("ada", False),
        "other": ("ada", True),
    }
    lost = "rules: the ledger had lost what people said about rules; the operator file has it:"
    assert again.said.count(lost) == 1
    assert of_rules(again)[1:] == [
        f"rule calm of ada is in force: {ASKS}; tried",
        "rule other is switched off by ada: tried",
    ]


def test_a_ledger_that_lost_its_rules_is_not_overwritten_while_the_operator_file_cannot_be_read(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path, rows_of("press-4"), None)
    site.then(partial(site.say_of_rule, "rule", "calm", sensor="vibration", least_deviation=50.0), None, None)
    site()
    file = operator_file(tmp_path / "ledger.sqlite")
    aside = file.rename(file.with_name("aside"))
    file.write_bytes(b"no database at all" * 100)
    broken = Site(tmp_path, rows_of("press-4", name="press-5"), None)
    broken.ledger._book.about["rules"] = "{}"
    broken()
    aside.replace(file)
    again = Site(tmp_path, rows_of("press-1"))
    assert again.ledger.rules() == "{}"
    assert raised(again()) == []


def test_a_rule_that_run_cannot_follow_is_kept_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_zone(*_given: object) -> None:
        raise UsageError("there is no such zone", where="time_zone")

    # The one of the configuration that it takes the place of does not come back meanwhile.
    configured = Rule(name="night", why="x", threshold_factor=1000.0)
    site = Site(tmp_path, rows_of("press-4"), None, rules=[configured])
    site.then(partial(site.say_of_rule, "rule", "night", quiet=["22:00-06:00"], time_zone="Europe/Berlin"))
    found: list[RulesKept] = []
    with monkeypatch.context() as patched:
        site.then(lambda: patched.setattr(quiet.QuietTimes, "__init__", no_zone), None, None, patched.undo)
        site.then(lambda: found.append(kept(site)))
        site()
    assert of_rules(site)[1:] == [
        "rule night: rule by ada: rule night: time_zone: there is no such zone; it is not in force"
    ]
    # Whoever reads the ledger on a machine that knows the zone is not told that the rule is in force.
    assert list(found[0].unusable) == ["night"]
    assert found[0].all() == {}
    again = Site(tmp_path, None, rules=[configured])
    again.then(lambda: found.append(kept(again)))
    again()
    assert of_rules(again) == [
        "rule night of ada is in force: machines *, quiet 22:00-06:00 (Europe/Berlin); tried"
    ]
    assert found[1].unusable == {}

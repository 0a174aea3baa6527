"""`edge-detect rules`: what is in force, what becomes of what people say, and what is kept of it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from support.alarmed import MEDIUM, Gateway
from support.commands import assert_one_clear_line

from edge_runtime.delivery.operator import OperatorFile, feed_of, operator_file
from edge_runtime.engine.quiet import QuietTimes
from edge_runtime.engine.rules import Rule
from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from support.commands import Here

CALM = Rule(name="calm", why="the crane passes", sensor="vibration", least_deviation=2.5)
SET = ("set", "heat", "--sensor", "temperature", "--least-deviation", 12, "--machine", "press-*")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger that no process has open, with a rule of the configuration."""
    path = tmp_path / "ledger.sqlite"
    gateway = Gateway(path, [CALM])
    gateway.watch_the_machines()
    gateway.close()
    return path


@pytest.fixture
def running(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    """The same with `run`, which takes words up while a command waits."""
    gateway = Gateway(path, [CALM])
    monkeypatch.setattr("time.sleep", gateway.take_up_words)
    yield gateway
    gateway.close()


class Rules:
    """The command on one ledger."""

    def __init__(self, here: Here, path: Path) -> None:
        self._here, self._path = here, path

    def __call__(self, *words: object) -> subprocess.CompletedProcess[bytes]:
        """The command with these words."""
        return self._here("edge-detect", "rules", *words, "--state", self._path)

    def text(self, *words: object) -> str:
        """What it prints when it goes well."""
        done = self(*words)
        assert done.returncode == 0, done.stderr.decode()
        assert not done.stderr
        return done.stdout.decode()

    def listed(self) -> dict[str, Any]:
        """Name to what the list says of it."""
        return {one["name"]: one for one in json.loads(self.text("list", "--json"))["rules"]}

    def refused(self, *words: object, because: str, hint: str = "") -> None:
        """It ends with one line and code 2."""
        assert_one_clear_line(self(*words), 2, because, hint)


@pytest.fixture
def rules(here: Here, path: Path, monkeypatch: pytest.MonkeyPatch) -> Rules:
    monkeypatch.setenv("SUDO_USER", "ada")
    return Rules(here, path)


def test_a_rule_is_set_replaced_switched_off_and_removed_while_run_goes_on(
    rules: Rules, running: Gateway
) -> None:
    asks = "machines press-*, sensor temperature, from a deviation of 12 on"
    assert rules.text(*SET, "--why", "new heater") == f"rule heat of ada is in force: {asks}\n"
    assert rules.listed()["heat"]["rule"] == {
        "name": "heat",
        "why": "new heater",
        "machine": "press-*",
        "sensor": "temperature",
        "least_deviation": 12.0,
    }
    rules.text("set", "heat", "--on-delay", 90, "--quiet", "Sat, Sun", "--why", "slower", "--by", "bob")
    heat = rules.listed()["heat"]
    assert (heat["by"], heat["why"], heat["in_force"]) == ("bob", "slower", True)
    assert heat["rule"] == {"name": "heat", "why": "slower", "on_delay_s": 90.0, "quiet": ["Sat, Sun"]}
    assert rules.text("off", "calm", "--why", "crane is gone") == "rule calm is switched off by ada\n"
    assert rules.listed()["calm"]["in_force"] is False
    assert rules.text("remove", "calm", "--why", "it is back").startswith(
        "rule calm of configuration is in force"
    )
    assert rules.text("remove", "heat", "--why", "done") == "rule heat is removed\n"
    assert list(rules.listed()) == ["calm"]
    words = json.loads(rules.text("log", "--json"))["words"]
    assert [(one["by"], one["word"], one["rule"], one["why"]) for one in words] == [
        ("ada", "set", "heat", "new heater"),
        ("bob", "set", "heat", "slower"),
        ("ada", "off", "calm", "crane is gone"),
        ("ada", "remove", "calm", "it is back"),
        ("ada", "remove", "heat", "done"),
    ]
    assert [one["what"] for one in words[:3]] == [
        asks,
        "machines *, raised after 90 s at the earliest, quiet Sat, Sun (UTC)",
        "",
    ]
    assert running.take_up_words() == []


def test_a_rule_that_is_said_narrows_the_next_rows(
    rules: Rules, running: Gateway, here: Here, path: Path
) -> None:
    rules.text("set", "quiet", "--machine", "press-4", "--threshold-factor", 1000, "--why", "tried")
    running.go_on("press-4", "pressure", 12.0)
    listed = json.loads(here("edge-detect", "alarms", "list", "--json", "--state", path).stdout)["alarms"]
    assert MEDIUM in {one["event_id"] for one in listed}
    assert "press-4" not in {one["machine_id"] for one in listed}


def test_a_rule_that_run_cannot_follow_is_not_said_to_be_in_force(
    rules: Rules, running: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_zone(*_given: object) -> None:
        raise UsageError("there is no such zone", where="time_zone")

    def take_up(seconds: float) -> None:
        with monkeypatch.context() as there:  # as of `run` in a container without time zones
            there.setattr(QuietTimes, "__init__", no_zone)
            running.take_up_words(seconds)

    monkeypatch.setattr("time.sleep", take_up)
    night = ("set", "night", "--quiet", "22:00-06:00", "--time-zone", "Europe/Berlin", "--why", "x")
    rules.refused(*night, because="rule night is kept, but run cannot follow it", hint="rules remove")
    assert list(rules.listed()) == ["calm"]
    assert "there is no such zone; it is not in force" in rules.text("list")
    assert rules.text("remove", "night", "--why", "x") == "rule night is removed\n"
    assert "not in force" not in rules.text("list")


def test_without_run_it_is_kept_and_the_list_says_what_waits(rules: Rules, path: Path) -> None:
    said = rules.text(*SET, "--why", "new heater")
    assert said.startswith("rule heat: what ada said is kept; run does not run now")
    text = rules.text("list")
    assert "1 word waits for run to take up, and may change this" in text
    assert "heat" not in rules.listed()
    assert json.loads(rules.text("list", "--json"))["waiting"] == 1
    tried = rules("try", "other", "--priority", "low", "--bundle", "default").stdout.decode()
    assert "in force: 1 rule\n" in tried
    assert "1 word waits for run to take up, and may change this" in tried
    rules.refused("remove", "other", "--why", "x", because="there is no such rule", hint="1 word from before")
    rules.text("off", "heat", "--why", "no")  # what waits counts
    rules.refused("off", "heat", "--why", "no", because="it is switched off already")
    operator_file(path).rename(path.with_name("aside"))
    operator_file(path).write_bytes(b"no database at all")
    done = rules("try", "other", "--priority", "low", "--bundle", "default")
    assert b"is damaged (file is not a database)" in done.stdout
    assert b"there is no history" in done.stderr  # so it went on
    path.with_name("aside").replace(operator_file(path))
    gateway = Gateway(path, [CALM])
    gateway.take_up_words()
    gateway.close()
    assert "switched off" in rules.text("list")


@pytest.mark.parametrize(
    ("words", "because", "hint"),
    [
        (("set", "a", "--why", "x"), "rule a: it asks for nothing", "give one of direction"),
        (("set", "a", "--why", " ", "--priority", "low"), "why: it is missing", "say why"),
        (
            ("set", "a", "--why", "x", "--sensor", "vibratoin", "--on-delay", 5),
            "no sensor 'vibratoin'",
            "vibration?",
        ),
        (("set", "a", "--why", "x", "--direction", "up"), "'up' is none", "above or below or both"),
        (("set", "a", "--why", "x", "--least-deviation", 3), "it needs a sensor", ""),
        (("set", "a", "--why", "x", "--quiet", "never"), "'never' is no quiet time", "Mon-Fri"),
        (("set", "a\x1b", "--why", "x", "--priority", "low"), "control character", ""),
        (("set", "a", "--why", "x", "--priority", "low", "--by", "x" * 101), "longer than 100 letters", ""),
        (("off", "other", "--why", "x"), "there is no rule of this name", "rules list"),
        (("remove", "calm", "--why", "x"), "it is as the configuration has it", ""),
        (("try", "--bundle", "default"), "no rule is tried", "--without NAME"),
        (("try", "--bundle", "default", "--without", "x"), "there is no rule 'x' to leave out", ""),
        (("try", "--bundle", "default", "--on-delay", "5"), "name: it is missing", "give it a name"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_said(
    rules: Rules, path: Path, words: tuple[object, ...], because: str, hint: str
) -> None:
    rules.refused(*words, because=because, hint=hint)
    assert not operator_file(path).exists()


def test_a_ledger_without_rules_has_none_and_nobody_has_said_anything(here: Here, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "ledger.sqlite")
    gateway.close()
    rules = Rules(here, tmp_path / "ledger.sqlite")
    assert "there are no rules" in rules.text("list")
    assert "nobody has said anything about a rule" in rules.text("log")
    # Nothing has run with it yet, so the sensors are not known, and nothing is refused.
    assert "said is kept" in rules.text("set", "a", "--sensor", "any", "--on-delay", 5, "--why", "x")


@pytest.mark.parametrize("words", [("list",), ("try", "x", "--priority", "low", "--bundle", "default")])
def test_damaged_rules_are_not_said_to_be_none(rules: Rules, path: Path, words: tuple[str, ...]) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE about SET value = replace(value, '2.5', '9.5') WHERE name = 'rules'")
        db.commit()
    assert_one_clear_line(rules(*words), 1, "what it says about rules is damaged", "edge-detect run")


def test_a_file_of_words_is_of_the_first_version_until_the_first_rule(rules: Rules, path: Path) -> None:
    file = OperatorFile(operator_file(path))
    of: dict[str, Any] = {"feed": feed_of(path), "by": "ada", "at": 10**18}
    said = [file.say(**of, word="unshelve", machine_id="press-1", kind="machine", subject="")]
    assert version(path) == 1
    rules.text(*SET, "--why", "new heater")
    assert version(path) == 2
    said.append(file.say(**of, word="unshelve", machine_id="press-2", kind="machine", subject=""))
    words, _ = file.after(None, feed_of(path))
    assert [words[0], words[2]] == said
    assert (words[1].kind, words[1].subject, words[1].text) == ("rule", "heat", "new heater")
    with (
        closing(sqlite3.connect(operator_file(path))) as db,
        pytest.raises(sqlite3.Error, match="never changed"),
    ):
        db.execute("UPDATE words SET rule = NULL")


def version(path: Path) -> int:
    with closing(sqlite3.connect(operator_file(path))) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def test_check_names_the_rules_and_one_for_a_sensor_that_is_not_there(here: Here, tmp_path: Path) -> None:
    config = tmp_path / "site.toml"
    rule = '[[rule]]\nname = "{}"\nwhy = "x"\nsensor = "{}"\non_delay_s = 5\n'
    text = '[run]\nsource = "simulate"\nbundle = "default"\n' + rule.format("one", "vibration")
    config.write_text(text)
    done = here("edge-detect", "check", "--config", config, "--seconds", "1")
    assert "rule" in done.stdout.decode(), done.stderr
    assert "one: machines *, sensor vibration, raised after 5 s at the earliest" in done.stdout.decode()
    config.write_text(text + rule.format("two", "vibratoin"))
    done = here("edge-detect", "check", "--config", config, "--seconds", "1")
    assert done.returncode == 1
    assert "rule: two: it has no effect, because the bundle has no sensor 'vibratoin'" in done.stdout.decode()


def test_a_run_without_a_ledger_says_its_rules_too(here: Here, tmp_path: Path) -> None:
    config = tmp_path / "site.toml"
    rule = '[[rule]]\nname = "one"\nwhy = "it shakes"\nsensor = "vibratoin"\non_delay_s = 5\n'
    config.write_text('[run]\nsource = "simulate"\nrows = 3\n' + rule)
    said = here("edge-detect", "run", "--config", config).stderr.decode().splitlines()
    why = "it has no effect, because the bundle has no sensor 'vibratoin'; did you mean vibration?"
    assert said[1] == f"edge-detect: rule one of configuration: {why}"

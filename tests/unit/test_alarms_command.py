"""`edge-detect alarms`: what it shows of a ledger, and what becomes of what people say."""

from __future__ import annotations

import json
import os
import pwd
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from support.alarmed import HIGH, LOW, MEDIUM, Gateway
from support.commands import assert_one_clear_line

from edge_runtime.cli.alarm_target import alarm_of, read_alarms, target_of
from edge_runtime.cli.alarm_words import NOT_RUNNING, NOT_YET, STEP_S, login_name, wait_until_taken
from edge_runtime.delivery.inuse import is_in_use
from edge_runtime.delivery.ledger import Ledger
from edge_runtime.delivery.openalarms import AlarmsKept, Key
from edge_runtime.delivery.operator import OperatorFile, feed_of, operator_file
from edge_runtime.engine.alarms import Alarm
from edge_runtime.engine.condition import Condition
from edge_runtime.errors import LedgerError, UsageError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from support.commands import Command, Here


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger with three open alarms, which no process has open."""
    path = tmp_path / "ledger.sqlite"
    gateway = Gateway(path)
    gateway.watch_the_machines()
    gateway.close()
    return path


@pytest.fixture
def running(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    """The same with `run`, which takes words up while a command waits."""
    gateway = Gateway(path)
    monkeypatch.setattr("time.sleep", gateway.take_up_words)
    yield gateway
    gateway.close()


class Alarms:
    """The command on one ledger."""

    def __init__(self, here: Here, path: Path) -> None:
        self._here, self._path = here, path

    def __call__(self, *words: object) -> subprocess.CompletedProcess[bytes]:
        """The command with these words."""
        return self._here("edge-detect", "alarms", *words, "--state", self._path)

    def text(self, *words: object) -> str:
        """What it prints when it goes well."""
        done = self(*words)
        assert done.returncode == 0, done.stderr.decode()
        assert not done.stderr
        return done.stdout.decode()

    def json(self, *words: object) -> Any:
        """The document that it prints."""
        return json.loads(self.text(*words, "--json"))

    def ids(self, *words: object) -> list[str]:
        """Of the alarms that it lists."""
        return [one["event_id"] for one in self.json("list", *words)["alarms"]]

    def refused(self, *words: object, because: str, hint: str = "") -> None:
        """It ends with one line and code 2."""
        assert_one_clear_line(self(*words), 2, because, hint)


@pytest.fixture
def alarms(here: Here, path: Path, monkeypatch: pytest.MonkeyPatch) -> Alarms:
    monkeypatch.setenv("SUDO_USER", "ada")
    return Alarms(here, path)


def test_the_list_has_the_highest_priority_first_and_says_what_each_is(alarms: Alarms) -> None:
    lines = [line.split() for line in alarms.text("list").splitlines()]
    assert lines[2:] == [
        ["id", "state", "priority", "machine", "what", "since", "severity", "sensors"],
        [HIGH, "unacknowledged", "high", "press-1", "machine", "2026-09-21T14:15:00Z", *lines[3][6:]],
        [MEDIUM, "returned,", "unacknowledged", "medium", "press-2", "machine", *lines[4][6:]],
        [LOW, "unacknowledged", "low", "press-3", "sensor", "power", *lines[5][6:]],
    ]
    assert lines[3][7:] == ["vibration", "3.9557", "mm/s", "(expected", "1.3261)"]
    assert lines[5][7:] == ["-", "power", "failure:", "missing", "(expected", "226.73)"]
    assert alarms.ids() == [HIGH, MEDIUM, LOW]
    assert alarms.ids("--machine", "press-2") == [MEDIUM]
    assert alarms.ids("--machine", "press-4") == []
    assert "no alarm is open" in alarms.text("list", "--machine", "press-4")


def test_of_equal_priority_the_newest_is_first() -> None:
    kept = handmade("aaaa", "bbbb", "cccc")
    assert [one.alarm.event_id[:4] for one in kept.open()] == ["cccc", "bbbb", "aaaa"]


def test_the_document_has_every_field_of_each_alarm(alarms: Alarms, path: Path) -> None:
    document = alarms.json("list")
    assert document["ledger"] == str(path)
    assert (document["hidden"], document["suspended"], document["unreadable"]) == (0, [], [])
    kept = read_alarms(path)
    assert document["alarms"] == [one.condition.fields(one.alarm) for one in kept.open()]
    high, medium, _ = document["alarms"]
    assert (high["active"], high["acked"], high["severity"]) == (True, False, pytest.approx(37.6, abs=5))
    assert (medium["returned"], medium["revision"]) == ("2026-09-21T14:15:12Z", 2)


def test_nothing_is_made_or_changed_by_looking(alarms: Alarms, path: Path) -> None:
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    alarms.text("list", "--all")
    alarms.text("show", HIGH)
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == before
    gateway = Gateway(path)
    files = sorted(path.parent.iterdir())
    assert alarms.ids() == [HIGH, MEDIUM, LOW]
    assert sorted(path.parent.iterdir()) == files
    gateway.close()


def test_one_alarm_is_shown_with_all_that_is_known_and_was_said(alarms: Alarms, running: Gateway) -> None:
    alarms.text("comment", HIGH[:4], "bearing\nis warm", "--by", "bob")
    alarms.text("shelve", "press-1", "--for", "8h", "--reason", "being greased")
    alarms.text("comment", MEDIUM, "of another one")
    text = alarms.text("show", HIGH[:6].upper())
    for line in (
        f"  alarm         {HIGH}",
        "  state         unacknowledged, revision 3",
        "  priority      high",
        "  machine       press-1",
        "  what          machine",
        "  raised        2026-09-21T14:15:00Z",
        "  comment       bearing is warm",
        "  shelved       until ",
        " by ada: being greased",
        "  sensors       vibration 3.9",
        "bob  comment",
        "ada  shelve machine until 20",
    ):
        assert line in text
    assert "of another one" not in text
    document = alarms.json("show", HIGH)
    assert document["alarm"]["comment"] == "bearing\nis warm"
    assert [(word["word"], word["by"], word["text"]) for word in document["words"]] == [
        ("comment", "bob", "bearing\nis warm"),
        ("shelve", "ada", "being greased"),
    ]
    assert running.take_up_words() == []


def test_an_alarm_that_is_over_is_still_known_by_what_was_said(alarms: Alarms, running: Gateway) -> None:
    assert f"machine press-2: alarm {MEDIUM} is over" in alarms.text(
        "ack", MEDIUM, "--comment", "was a valve"
    )
    assert alarms.ids() == [HIGH, LOW]
    text = alarms.text("show", MEDIUM[:5])
    assert f"alarm {MEDIUM} of press-2 is not open any more" in text
    assert "ada  ack   was a valve" in text
    document = alarms.json("show", MEDIUM)
    assert (document["alarm"], len(document["words"])) == (None, 1)
    alarms.refused("ack", MEDIUM, because=f"no open alarm has the id {MEDIUM}", hint="alarms list --all")
    assert running.take_up_words() == []


def test_what_is_acknowledged_is_so_within_a_second_and_says_by_whom(
    alarms: Alarms, running: Gateway
) -> None:
    text = alarms.text("ack", HIGH[:4])
    assert text == f"machine press-1: high alarm {HIGH} is acknowledged\n"
    (one,) = alarms.json("list", "--machine", "press-1")["alarms"]
    assert (one["acked"], one["acknowledged_by"], one["comment"]) == (True, "ada", None)
    alarms.refused("ack", HIGH, because="it is acknowledged already")
    assert (
        alarms.text("ack", LOW, "--by", "bob") == f"press-3, sensor power: low alarm {LOW} is acknowledged\n"
    )
    assert running.take_up_words() == []


def test_an_acknowledgement_covers_the_revision_that_was_looked_at(alarms: Alarms, running: Gateway) -> None:
    alarms.refused("ack", HIGH, "--revision", 9, because=f"alarm {HIGH} has revision 1")
    alarms.text("comment", HIGH, "so that it has a second revision")
    assert alarms.json("show", HIGH)["alarm"]["revision"] == 2
    assert "is acknowledged" in alarms.text("ack", HIGH, "--revision", 1)
    assert running.take_up_words() == []


def test_shelved_alarms_are_hidden_and_counted_until_they_are_unshelved(
    alarms: Alarms, running: Gateway
) -> None:
    text = alarms.text("shelve", HIGH[:4], "--for", "1h30m", "--reason", "being greased")
    assert text.startswith("machine press-1: shelved until 2")
    assert f"high alarm {HIGH} is unacknowledged" in text
    assert alarms.ids() == [MEDIUM, LOW]
    assert "1 open alarm is shelved or out of service; --all shows them" in alarms.text("list")
    assert alarms.json("list")["hidden"] == 1
    assert alarms.ids("--all") == [HIGH, MEDIUM, LOW]
    listed = alarms.text("list", "--all")
    assert "unacknowledged (shelved)" in listed
    assert "being greased" in listed
    (why,) = alarms.json("list")["suspended"]
    assert (why["machine_id"], why["kind"], why["shelved"]["by"]) == ("press-1", "machine", "ada")
    assert why["out_of_service"] is None
    text = alarms.text("unshelve", "press-1")
    assert text == f"machine press-1: not shelved, high alarm {HIGH} is unacknowledged\n"
    assert alarms.ids() == [HIGH, MEDIUM, LOW]
    alarms.refused("unshelve", "press-1", because="machine press-1: it is not shelved")
    assert running.take_up_words() == []


def test_a_sensor_is_shelved_apart_from_its_machine(alarms: Alarms, running: Gateway) -> None:
    alarms.text("shelve", "press-3", "--sensor", "power", "--for", "2d", "--reason", "meter is changed")
    alarms.text("shelve", "press-3", "--for", "2d", "--reason", "the machine as well")
    assert alarms.ids() == [HIGH, MEDIUM]
    alarms.text("unshelve", LOW)
    assert alarms.ids() == [HIGH, MEDIUM, LOW]
    assert [why["subject"] for why in alarms.json("list")["suspended"]] == [""]
    alarms.refused("unshelve", LOW, "--sensor", "power", because="which sensor", hint="leave out --sensor")
    assert running.take_up_words() == []


def test_out_of_service_has_no_end_until_it_is_in_service_again(alarms: Alarms, running: Gateway) -> None:
    text = alarms.text("service", "out", "press-4", "--reason", "overhaul")
    assert text == "machine press-4: out of service, no open alarm\n"
    alarms.text("service", "out", "press-3", "--sensor", "power", "--reason", "removed")
    assert alarms.ids() == [HIGH, MEDIUM]
    rows = [line.split() for line in alarms.text("list", "--all").splitlines() if "removed" in line]
    assert rows[0][:7] == ["press-3", "sensor", "power", "out", "of", "service", "-"]
    text = alarms.text("service", "in", "press-4", "--reason", "done")
    assert text == "machine press-4: in service, no open alarm\n"
    alarms.text("service", "in", "press-3", "--sensor", "power", "--reason", "put back")
    assert alarms.ids() == [HIGH, MEDIUM, LOW]
    alarms.refused(
        "service", "in", "press-4", "--reason", "done", because="machine press-4: it is in service"
    )
    assert running.take_up_words() == []


def test_where_run_does_not_run_a_word_is_kept_and_waits(alarms: Alarms, path: Path) -> None:
    text = alarms.text("ack", HIGH, "--comment", "seen")
    assert text == f"machine press-1: ack by ada is kept; {NOT_RUNNING}\n"
    assert alarms.json("list")["alarms"][0]["acked"] is False
    assert "1 word waits for run to take up" in alarms.text("list")
    alarms.refused("ack", HIGH, because="it is acknowledged already", hint="run has still to take up 1 word")
    alarms.text("ack", MEDIUM)
    alarms.refused("ack", MEDIUM, because="the alarm is not open any more", hint="still to take up 2 words")
    alarms.text("shelve", "press-4", "--for", "1h", "--reason", "is moved")
    alarms.text("unshelve", "press-4")  # of what waits
    gateway = Gateway(path)
    assert gateway.take_up_words() == []
    assert gateway.take_up_words() == []
    gateway.close()
    assert alarms.ids() == [HIGH, LOW]
    (high, _) = alarms.json("list")["alarms"]
    assert (high["acknowledged_by"], high["comment"], high["revision"]) == ("ada", "seen", 2)
    assert "wait" not in alarms.text("list")


def test_an_alarm_that_rises_while_it_is_acknowledged_asks_again(
    alarms: Alarms, running: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.go_on("press-4", "pressure", 12.0)
    (one,) = alarms.json("list", "--machine", "press-4")["alarms"]
    assert (one["priority"], one["active"]) == ("medium", True)
    refused = list[str]()

    def rise_first(_seconds: float) -> None:
        running.go_on("press-4", "pressure", 100.0)
        refused.extend(running.take_up_words())

    monkeypatch.setattr("time.sleep", rise_first)
    alarms.refused(
        "ack", one["event_id"], because="its priority has risen since", hint="acknowledge it again"
    )
    assert len(refused) == 1
    (one,) = alarms.json("list", "--machine", "press-4")["alarms"]
    assert (one["priority"], one["acked"]) == ("high", False)
    monkeypatch.setattr("time.sleep", running.take_up_words)
    assert f"high alarm {one['event_id']} is acknowledged" in alarms.text("ack", one["event_id"])


def test_an_alarm_that_is_replaced_while_it_is_acknowledged_is_over(
    alarms: Alarms, running: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = list[str]()

    def replace_first(_seconds: float) -> None:
        running.go_on("press-2", "pressure", 12.0)
        refused.extend(running.take_up_words())

    monkeypatch.setattr("time.sleep", replace_first)
    text = alarms.text("ack", MEDIUM)
    (one,) = alarms.json("list", "--machine", "press-2")["alarms"]
    assert one["event_id"] != MEDIUM
    over = f"machine press-2: alarm {MEDIUM} is over, medium alarm {one['event_id']} is unacknowledged"
    assert text == f"{over}\n"
    assert len(refused) == 1


@pytest.mark.parametrize(
    ("words", "because", "hint"),
    [
        (["ack", "e1c"], "'e1c' is not an alarm's id", "alarms list --all"),
        (["ack", "press-1"], "'press-1' is not an alarm's id", "alarms list --all"),
        (["ack", "ffff"], "no open alarm has the id ffff", "alarms list --all"),
        (["show", "ffff"], "no open alarm has the id ffff", "alarms list --all"),
        (["comment", "ffff", "x"], "no open alarm has the id ffff", "alarms list --all"),
        (["comment", HIGH, " "], "comment: it is empty", ""),
        (["comment", HIGH, "x" * 2001], "comment: it is longer than 2,000 letters", ""),
        (["ack", HIGH, "--by", "\x1b[2J"], "by: it has a control character in it", ""),
        (
            ["shelve", "press-11", "--for", "1h", "--reason", "x"],
            "no machine 'press-11'",
            "did you mean press-1",
        ),
        (
            ["shelve", "mill", "--for", "1h", "--reason", "x"],
            "no machine 'mill'",
            "it knows press-1, press-2",
        ),
        (
            ["shelve", "press-1", "--for", "31d", "--reason", "x"],
            "31d is not between 0 and 30 days",
            "service out",
        ),
        (["shelve", "press-1", "--for", "0s", "--reason", "x"], "0s is not between 0 and 30 days", ""),
        (["shelve", "press-1", "--for", "soon", "--reason", "x"], "'soon' is not a duration", "12h or 7d"),
        (["shelve", "press-1", "--for", "1h", "--reason", ""], "reason: it is empty", ""),
        (["service", "out", "press-5", "--reason", "x"], "no machine 'press-5'", "did you mean press-"),
        (["service", "out", HIGH, "--reason", "x"], f"no machine '{HIGH}'", "it knows press-1"),
        (["list", "--machine", "pres-1"], "no machine 'pres-1'", "did you mean press-1"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_nothing_is_said(
    alarms: Alarms, path: Path, words: list[object], because: str, hint: str
) -> None:
    alarms.refused(*words, because=because, hint=hint)
    assert OperatorFile(operator_file(path)).after(None, feed_of(path))[0] == []


@pytest.mark.parametrize(
    "words",
    [["shelve", "press-1", "--for", "1h"], ["shelve", "press-1", "--reason", "x"], ["service", "out", "p"]],
)
def test_an_end_and_a_reason_are_required(alarms: Alarms, words: list[object]) -> None:
    done = alarms(*words)
    assert done.returncode == 2
    assert b"Missing option" in done.stderr


def test_without_a_ledger_it_says_so(here: Here, tmp_path: Path) -> None:
    none = tmp_path / "none.sqlite"
    assert_one_clear_line(here("edge-detect", "alarms", "list", "--state", none), 2, "there is no ledger")
    assert_one_clear_line(here("edge-detect", "alarms", "list"), 2, "which ledger?", "--config")
    none.write_bytes(b"something else" * 1000)
    assert_one_clear_line(here("edge-detect", "alarms", "list", "--state", none), 1, "cannot be read")


def test_an_operator_file_that_cannot_be_read_does_not_hide_the_alarms(alarms: Alarms, path: Path) -> None:
    operator_file(path).parent.mkdir()
    operator_file(path).write_bytes(b"something else" * 1000)
    for words, shown in ((["list"], HIGH), (["show", HIGH], "press-1")):
        done = alarms(*words)
        assert_one_clear_line(done, 1, "is damaged", "move it away")
        assert shown in done.stdout.decode()
    done = alarms("ack", HIGH)
    assert_one_clear_line(done, 1, "is damaged", "move it away")


def test_alarms_whose_state_is_damaged_are_named(alarms: Alarms, path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "UPDATE states SET value = REPLACE(value, 'high', 'low')"
            " WHERE stage = 'alarms' AND machine = 'press-1'"
        )
    assert alarms.ids() == [MEDIUM, LOW]
    assert alarms.json("list")["unreadable"] == ["press-1"]
    assert "the alarms of press-1 cannot be read" in alarms.text("list")


def test_a_ledger_of_another_version_is_not_guessed_at(alarms: Alarms, path: Path) -> None:
    for version, hint in ((3, "brings it up to date"), (9, "install a newer")):
        with closing(sqlite3.connect(path)) as db:
            db.execute(f"PRAGMA user_version = {version}")
        assert_one_clear_line(alarms("list"), 1, f"has version {version}", hint)


def test_a_link_to_the_ledger_is_the_same_ledger(here: Here, path: Path, running: Gateway) -> None:
    link = path.parent / "elsewhere" / "link.sqlite"
    link.parent.mkdir()
    link.symlink_to(path)
    assert "is acknowledged" in Alarms(here, link).text("ack", HIGH)
    assert not (link.parent / "operator").exists()
    assert running.take_up_words() == []


def test_the_ledger_is_found_by_the_configuration(here: Here, path: Path) -> None:
    config = path.with_name("edge-detect.toml")
    config.write_text('[run]\nsource = "simulate"\nstate = "ledger.sqlite"\n')
    done = here("edge-detect", "alarms", "list", "--config", config, "--json")
    assert [one["event_id"] for one in json.loads(done.stdout)["alarms"]] == [HIGH, MEDIUM, LOW]


def test_the_words_of_two_ledgers_in_a_folder_stay_apart(here: Here, path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    gateway = Gateway(other)
    gateway.watch_the_machines()
    gateway.close()
    Alarms(here, path).text("ack", HIGH)
    Alarms(here, other).text("comment", HIGH, "of the other")
    for file, words in ((path, ["ack"]), (other, ["comment"])):
        gateway = Gateway(file)
        assert gateway.take_up_words() == []
        gateway.close()
        assert [word["word"] for word in Alarms(here, file).json("show", HIGH)["words"]] == words


def handmade(*prefixes: str) -> AlarmsKept:
    """Open alarms whose ids begin so, each raised a second after the one before."""
    kept = AlarmsKept(machines=["beef", "press-1"])
    for number, prefix in enumerate(prefixes):
        alarm = Alarm("press-1", "sensor", f"s{number}", number, "", f"{prefix:0<16}", "low", revision=1)
        kept.conditions[Key("press-1", "sensor", f"s{number}")] = Condition(alarm=alarm)
    return kept


def test_several_alarms_of_one_beginning_are_named() -> None:
    kept = handmade("abcd1", "abcd2")
    assert alarm_of(kept, "abcd2").key.subject == "s1"
    with pytest.raises(UsageError, match="2 open alarms have ids that begin with abcd") as caught:
        alarm_of(kept, "abcd")
    assert caught.value.hint is not None
    assert "abcd100000000000" in caught.value.hint


def test_a_machine_that_is_called_like_an_id_is_that_machine() -> None:
    kept = handmade("beef1", "cafe")
    assert target_of(kept, "beef", None) == Key("beef", "machine", "")
    assert target_of(kept, "beef1", None) == Key("press-1", "sensor", "s0")
    assert target_of(kept, "cafe", None) == Key("press-1", "sensor", "s1")
    kept.machines.append("beef100000000000")
    assert target_of(kept, "beef100000000000", None) == Key("press-1", "sensor", "s0")


def test_waiting_ends_after_three_seconds(path: Path) -> None:
    ledger, now, slept = Ledger(path, "simulate"), [100.0], list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    file = OperatorFile(operator_file(path))
    word = file.say(
        feed=feed_of(path), at=1, by="ada", word="unshelve", machine_id="press-1", kind="machine", subject=""
    )
    taken = wait_until_taken(path, file.identity(), word, lambda: now[0], sleep)
    assert taken.why_not == NOT_YET
    assert 3.0 <= sum(slept) <= 3.0 + 2 * STEP_S
    slept.clear()
    ledger.commit(checkpoint=None, states=[], payloads=[], counters={}, words="another file:99")
    assert wait_until_taken(path, file.identity(), word, lambda: 1e9 * len(slept), sleep).why_not == NOT_YET
    ledger.commit(checkpoint=None, states=[], payloads=[], counters={}, words=f"{file.identity()}:1")
    assert wait_until_taken(path, file.identity(), word, lambda: 0.0, sleep).why_not is None
    ledger.close()
    assert wait_until_taken(path, file.identity(), word, lambda: 0.0, sleep).why_not is None
    assert wait_until_taken(path, "another", word, lambda: 0.0, sleep).why_not == NOT_RUNNING


def test_whether_a_process_has_the_ledger_is_found_without_keeping_it(path: Path) -> None:
    link = path.with_name("link.sqlite")
    link.symlink_to(path)
    assert not is_in_use(path.with_name("never.sqlite"))
    assert not is_in_use(path)
    ledger = Ledger(path, "simulate")
    assert is_in_use(path)
    assert is_in_use(link)
    with pytest.raises(LedgerError, match="in use"):
        Ledger(path, "simulate")
    ledger.close()
    assert not is_in_use(link)
    Ledger(path, "simulate").close()


def test_who_says_it_is_who_called_sudo_or_else_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "ada")
    monkeypatch.setenv("LOGNAME", "somebody-else")
    assert login_name() == "ada"
    monkeypatch.delenv("SUDO_USER")
    assert login_name() == pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.setattr(os, "getuid", lambda: 987654321)
    assert login_name() == "user 987654321"


def test_every_command_and_option_has_a_sentence(command: Command) -> None:
    done = command("edge-detect", "alarms", "--help")
    for name in ("list", "show", "ack", "comment", "shelve", "unshelve", "service"):
        assert f"\n  {name} " in done.stdout.decode()
    assert b"operator/operator.sqlite" in done.stdout.replace(b"\n  ", b" ")

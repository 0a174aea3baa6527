"""`kill -9` at each commit, write and sync of `run` that takes words up, and of `edge-detect alarms` itself.

A ledger with open alarms, and words about them that wait, is copied for each point. `make soak` passes every
point there is, `make test` some of them.
"""

from __future__ import annotations

import os
import random
import time
from itertools import count
from typing import TYPE_CHECKING

import pytest
from support.alarmfeed import HOUR, AlarmFeed, Case
from support.lives import KILLED, Ending, Lives

from edge_runtime.engine.alarms import State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge_runtime.delivery.openalarms import OpenAlarm

SOAK = bool(os.environ.get("EDGE_DETECT_SOAK"))
SOME = 5
STEPS = 50
MOST_TRIES = 60

pytestmark = pytest.mark.timeout(1500 if SOAK else 300)


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlarmFeed]:
    folder = tmp_path_factory.mktemp("points")
    with Lives(folder / "state") as lives:
        yield AlarmFeed(folder, lives, STEPS)


@pytest.fixture(scope="module")
def begun(feed: AlarmFeed, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Killed amid its rows, when alarms of several states were open and told."""
    folder = tmp_path_factory.mktemp("begun")
    for at in range(feed.points // 2, feed.points // 2 + MOST_TRIES):
        case = feed.case(folder / str(at))
        assert case.live(Ending(at=at)).code == KILLED
        states = {one.state for one in case.kept().open()}
        told = (case.folder / "alarms.jsonl").exists() and (case.folder / "alarms.jsonl").stat().st_size
        if states >= {State.UNACKNOWLEDGED, State.RETURNED} and told and case.looks[-1][0] < feed.rows:
            return case
    raise AssertionError("no such moment was found")


def open_alarm(case: Case, state: State) -> OpenAlarm:
    """The first of this state."""
    return next(one for one in case.kept().open() if one.state is state)


def points_of(last: int, seed: str) -> Iterator[int]:
    """All of them, until a life has no such point; or some that it has."""
    chosen = random.Random(seed)  # noqa: S311 - for moments, not for secrets
    return count(1) if SOAK else iter(sorted(chosen.sample(range(1, last + 1), SOME)))


def say_of_each_kind(case: Case) -> None:
    """Words that wait: two that are taken up, a shelving, one that changes nothing, and out of service."""
    stands, gone = open_alarm(case, State.UNACKNOWLEDGED), open_alarm(case, State.RETURNED)
    for one in (stands, gone):
        case.say(
            "ack",
            one.key.machine_id,
            one.key.subject,
            event_id=one.alarm.event_id,
            revision=one.alarm.revision,
            text="on my way",
        )
    until = time.time_ns() + 24 * HOUR
    case.say("shelve", stands.key.machine_id, stands.key.subject, until=until, text="is known")
    case.say("comment", "m1", event_id="0123456789abcdef", text="of no alarm")
    case.say("out of service", gone.key.machine_id, gone.key.subject, text="is taken away")


def test_killed_at_any_point_while_words_wait_each_is_taken_up_once(begun: Case, tmp_path: Path) -> None:
    waiting = begun.copy(tmp_path / "waiting")
    say_of_each_kind(waiting)
    whole = waiting.copy(tmp_path / "whole")
    life = whole.live()
    assert life.code == 0, life.log
    assert len(whole.check()) == 1
    wanted = whole.log()
    kills = 0
    for at in points_of(len(life.points), "words"):
        case = waiting.copy(tmp_path / str(at))
        life = case.live(Ending(at=at))
        if life.code == KILLED:
            kills += 1
            assert case.live().code == 0, case.said
        else:  # it has no such point
            assert SOAK
            assert life.code == 0, life.log
        case.check()
        assert case.log() == wanted  # for all of them are taken up before the next row
        if life.code != KILLED:
            break
    print(f"\n{kills} kills of run")  # noqa: T201
    assert kills >= SOME


def test_killed_at_any_point_of_saying_it_a_word_is_there_whole_or_not_at_all(
    begun: Case, tmp_path: Path
) -> None:
    one = open_alarm(begun, State.UNACKNOWLEDGED)
    words = ("ack", one.alarm.event_id, "--by", "ada", "--comment", "on my way")
    whole = begun.copy(tmp_path / "whole")
    life = whole.command(*words)
    assert life.code == 0, life.log
    assert [word.text for word in whole.everything_said()] == ["on my way"]
    kills, there = 0, set[int]()
    for at in points_of(len(life.points), "saying"):
        case = begun.copy(tmp_path / str(at))
        killed = case.command(*words, at=at)
        if killed.code != KILLED:
            assert SOAK
            assert killed.code == 0, killed.log
            break
        kills += 1
        said = len(case.everything_said())
        there.add(said)
        again = case.command(*words)
        # What is there waits to be taken up: to say it again would change nothing.
        assert again.code == (2 if said else 0), again.log
        (word,) = case.everything_said()
        assert (word.word, word.event_id, word.by) == ("ack", one.alarm.event_id, "ada")
        assert case.live().code == 0, case.said
        assert case.check() == ()
        acknowledged = [line for line in case.log() if line["change"] == "acknowledged"]
        assert [line["event_id"] for line in acknowledged] == [one.alarm.event_id]
    print(f"\n{kills} kills of edge-detect alarms, of {len(life.points)} points")  # noqa: T201
    assert kills >= SOME
    assert not SOAK or there == {0, 1}

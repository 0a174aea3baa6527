"""`kill -9` with alarms in all states, while people say something about them: each change once, no word lost.

What the alarm log holds in the end is what one engine gives that was never interrupted, for some order of
rows and words that fits what the ledger said after each kill. `make soak` kills a thousand times, which takes
about ten minutes.
"""

from __future__ import annotations

import os
import random
from itertools import count
from typing import TYPE_CHECKING

import pytest
from support.alarmfeed import MACHINES, AlarmFeed
from support.lives import KILLED, Ending, Lives
from support.people import People, some_ending

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOAK = bool(os.environ.get("EDGE_DETECT_SOAK"))
SILENT_KILLS, KILLS = (200, 800) if SOAK else (5, 15)
IN_ONE_CASE = 8
STEPS = 160
MAX_MB = 150
STATES = {
    *("unacknowledged", "acknowledged", "returned, unacknowledged"),
    *("forming", "returning", "shelved", "out of service"),
}

pytestmark = pytest.mark.timeout(3000 if SOAK else 300)


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlarmFeed]:
    folder = tmp_path_factory.mktemp("alarms")
    with Lives(folder / "state") as lives:
        yield AlarmFeed(folder, lives, STEPS)


def test_the_feed_has_alarms_of_every_kind(feed: AlarmFeed) -> None:
    assert feed.log == feed.replay.uninterrupted()
    assert {line["change"] for line in feed.log} == {"raised", "priority", "sensor", "returned", "replaced"}
    assert {(line["machine_id"], line["kind"]) for line in feed.log} == {
        (machine, kind) for machine in MACHINES for kind in ("machine", "sensor")
    }


def test_killed_at_any_moment_the_alarm_log_is_that_of_an_uninterrupted_run(
    feed: AlarmFeed, tmp_path: Path
) -> None:
    chosen, kills, states = random.Random("silent"), 0, set[str]()  # noqa: S311 - for moments
    for number in count():
        if kills >= SILENT_KILLS:
            break
        case = feed.case(tmp_path / str(number))
        for _ in range(min(IN_ONE_CASE, SILENT_KILLS - kills)):
            life = case.live(some_ending(chosen, feed.points))
            assert life.code in (KILLED, 0), life.log
            kills += life.code == KILLED
        assert case.live().code == 0, case.said
        assert case.log() == feed.log
        case.check()
        states |= case.states
    assert kills >= SILENT_KILLS
    assert feed.lives.peak_mb < MAX_MB
    assert not SOAK or states >= STATES - {"acknowledged", "shelved", "out of service"}


def test_killed_while_people_say_something_each_word_is_taken_up_once_and_none_is_lost(
    feed: AlarmFeed, tmp_path: Path
) -> None:
    chosen, kills, states = random.Random("words"), 0, set[str]()  # noqa: S311 - for moments
    said = refused = 0
    for number in count():
        if kills >= KILLS:
            break
        case = feed.case(tmp_path / str(number))
        people = People(case, chosen)
        for _ in range(min(IN_ONE_CASE, KILLS - kills)):
            ending = some_ending(chosen, feed.points)
            life = case.live(
                Ending(at=ending.at, after_s=ending.after_s, meanwhile=people.say_it_now_and_then)
            )
            assert life.code in (KILLED, 0), life.log
            kills += life.code == KILLED
            for _ in range(chosen.choice([0, 0, 1, 2])):
                people.say_something()
        people.say_something()
        assert case.live().code == 0, case.said
        assert case.everything_said() == case.words
        refused += len(case.check())
        said += len(case.words)
        states |= case.states
    print(f"\n{kills} kills, {said} words, {refused} of them changed nothing")  # noqa: T201
    assert kills >= KILLS
    assert feed.lives.peak_mb < MAX_MB
    assert not SOAK or (states >= STATES and 0 < refused < said)

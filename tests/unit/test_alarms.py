"""When an alarm has found an event, and how much it is up otherwise: each kind of alarm by hand.

A row is drawn as a letter, one every ten seconds: the tolerance before an event is three rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from trainer.data.stretches import SLACK_NS, Stretch
from trainer.evaluation.evaluate import evaluate
from trainer.evaluation.events import Delays, first_alarms, match_events

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.evaluation.events import EventReport

STEP = 10_000_000_000


def rows(text: str) -> tuple[NDArray[np.int64], NDArray[np.str_], NDArray[np.bool_]]:
    """Times, machines and flags of the rows of machine m; a blank is a row that is not there."""
    letters = np.array(list(text))
    there = letters != " "
    return (np.arange(len(text)) * STEP)[there], np.full(there.sum(), "m"), letters[there] == "x"


def events(drawn: str) -> list[Stretch]:
    """One for every run of the same letter."""
    found: list[Stretch] = []
    for i, letter in enumerate(drawn):
        if letter == ".":
            continue
        if i and drawn[i - 1] == letter:
            found[-1] = Stretch("m", found[-1].start, i * STEP, letter)
        else:
            found.append(Stretch("m", i * STEP, i * STEP, letter))
    return found


def matched(truth: str, flags: str) -> EventReport:
    return match_events(events(truth), *rows(flags))


def found_after(truth: str, flags: str) -> list[float | None]:
    """Of each event, after how many rows the alarm began that found it."""
    true = events(truth)
    firsts = first_alarms(true, *rows(flags))
    return [None if f is None else (f - e.start) / STEP for e, f in zip(true, firsts, strict=True)]


def test_an_alarm_that_is_always_on_finds_nothing_and_is_up_all_day() -> None:
    report = matched("....AAA....BB....", "x" * 17)
    assert (report.injected, report.found, report.in_alarm_since_before) == (2, 0, 2)
    assert report.delays_s is None
    assert (report.alarm_minutes_per_day, report.false_alarm_rate) == (1440.0, 1.0)
    # It is one alarm, which does touch events.
    assert (report.alarms, report.false_alarms, report.alarm_precision) == (1, 0, 1.0)
    assert report.random_alarms is not None
    assert report.random_alarms.events_found == 0
    assert report.random_alarms.precision == pytest.approx(5 / 17)
    assert report.random_alarms.f1 == pytest.approx(2 * 5 / (17 + 5))


def test_an_event_at_a_machines_first_row_is_no_gift_to_it() -> None:
    report = matched("AA...BB..", "x" * 9)
    assert (report.found, report.in_alarm_since_before) == (0, 2)
    assert matched("AA...BB..", ".x...xx..").found == 2


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ("....xxxxxxxxxxx.....", None),  # up since a row before the tolerance
        (".....xxxxxxxxxx.....", -3.0),  # began with the tolerance
        (".......xxxxxxxx.....", -1.0),
        ("........xxxxx.......", 0.0),
        ("..........xxx.......", 2.0),
        ("............x.......", 4.0),  # in the last row of the event
        (".............xxx....", None),  # right after it
        ("xxxxxxxxxx.xx.......", 3.0),  # went down in the event, and rose again in it
        ("xxxx.xxxxxxxx.......", -3.0),  # went down, and rose again in the tolerance
        ("xxxxxxxxxx..........", None),  # went down in the event, and stayed down
        ("xxx.................", None),
        ("......x.............", -2.0),  # of a single row, in the tolerance
    ],
)
def test_an_alarm_has_to_begin_in_the_event_or_shortly_before(flags: str, found: float | None) -> None:
    truth = "........AAAAA......."
    assert SLACK_NS == 3 * STEP
    assert found_after(truth, flags) == [found]
    report = matched(truth, flags)
    assert report.found == (found is not None)
    # A delay counts from the event's start, and what began before it came with none.
    delay = None if found is None else max(0.0, 10 * found)
    assert report.delays_s == (None if delay is None else Delays(delay, delay))
    up = any(letter == "x" for letter in flags[8:13])
    assert report.in_alarm_since_before == (found is None and up)


def test_an_alarm_that_bridges_two_events_finds_the_first() -> None:
    truth, flags = "....AA....BB....", ".....xxxxxxxx..."
    report = matched(truth, flags)
    assert found_after(truth, flags) == [1.0, None]
    assert (report.found, report.in_alarm_since_before, report.alarms) == (1, 1, 1)
    assert report.by_kind == {"A": (1, 1), "B": (1, 0)}
    # Once it has gone down between the two, it tells of the second as well, whatever counts as one alarm.
    assert found_after(truth, ".....xx..xxxx...") == [1.0, -1.0]
    assert matched(truth, ".....xx..xxxx...").alarms == 1


def test_what_begins_in_an_event_tells_nothing_of_the_next_one() -> None:
    # The start of B's tolerance lies in A.
    assert found_after("....AAA.BB....", "......x.......") == [2.0, None]
    assert found_after("....AAABB.....", "......xxx.....") == [2.0, None]
    assert found_after("....AAA.BB....", "....xxx.xx....") == [0.0, 0.0]
    assert found_after("....AAA.BB....", ".......xx.....") == [None, -1.0]
    within = [Stretch("m", 4 * STEP, 12 * STEP), Stretch("m", 6 * STEP, 7 * STEP)]
    assert first_alarms(within, *rows(".....xxx........")) == [5 * STEP, None]
    assert first_alarms(within, *rows("......xx........")) == [6 * STEP, 6 * STEP]


def test_no_alarm_begins_in_a_hole_of_the_data() -> None:
    hole = " " * 40
    flags = "...xxx" + hole + "xxx..."
    truth = "......" + "." * 39 + "AAA...."
    assert found_after(truth, flags) == [None]
    assert matched(truth, flags).in_alarm_since_before == 1
    assert found_after(truth, "......" + hole + "xxx...") == [1.0]


def test_each_machine_has_its_own_alarms() -> None:
    times = np.tile(np.arange(20) * STEP, 3)
    machines = np.repeat(["a", "b", "c"], 20)
    on = np.ones(20, np.bool_)
    rising = np.arange(20) == 9
    true = [Stretch(name, 9 * STEP, 11 * STEP, "S") for name in ("c", "b", "gone", "a")]
    mixed = np.random.default_rng(0).permutation(60)
    flags = np.concatenate([rising, on, ~on])
    report = match_events(true, times[mixed], machines[mixed], flags[mixed])
    assert first_alarms(true, times[mixed], machines[mixed], flags[mixed]) == [None, None, None, 9 * STEP]
    assert (report.injected, report.found, report.in_alarm_since_before) == (4, 1, 1)
    assert report.alarm_minutes_per_day == pytest.approx(1440 / 3)
    assert report == match_events(true, times, machines, flags)


def test_alarm_minutes_are_of_time_and_not_of_rows() -> None:
    # Of a's 100 s of one row a second, half is in alarm; b's ten rows stand for 1000 s, all of them.
    times = np.concatenate([np.arange(100) * STEP // 10, np.arange(10) * STEP * 10])
    machines = np.repeat(["a", "b"], [100, 10])
    flags = np.concatenate([np.arange(100) < 50, np.ones(10, np.bool_)])
    report = match_events([], times, machines, flags)
    assert report.alarm_minutes_per_day == pytest.approx(1440 * 1050 / 1100)
    assert report.false_alarm_rate == pytest.approx(60 / 110)
    # Rows in events count in neither.
    report = match_events([Stretch("b", 0, 9 * STEP * 10)], times, machines, flags)
    assert (report.alarm_minutes_per_day, report.false_alarm_rate) == (720.0, 0.5)
    report = match_events([Stretch("a", 0, 99 * STEP), Stretch("b", 0, 99 * STEP)], times, machines, flags)
    assert (report.alarm_minutes_per_day, report.false_alarm_rate) == (None, None)


def test_the_precision_of_alarms_is_the_part_that_is_about_an_event() -> None:
    truth = "........................AA......................"
    assert matched(truth, "xx........x............xx.......x...........x...").alarms == 5
    report = matched(truth, "xx........x............xx.......x...........x...")
    assert (report.false_alarms, report.alarm_precision) == (4, 0.2)
    quiet = matched(truth, "." * len(truth))
    assert (quiet.alarms, quiet.alarm_precision, quiet.alarm_minutes_per_day) == (0, 0.0, 0.0)
    assert matched("." * len(truth), truth.replace("A", "x")).alarm_precision is None


def test_rows_without_a_score_do_not_make_an_alarm_begin() -> None:
    truth, verdicts = np.arange(100) // 10 == 5, np.ones(100, np.bool_)
    gone = np.arange(100) % 7 == 0
    scores, times, machines = np.where(gone, np.nan, 1.0), np.arange(100) * STEP, np.full(100, "m")
    found = evaluate(scores, 0.5, truth, None, times, machines, verdicts=verdicts)
    assert found.events is not None
    assert (found.events.found, found.events.in_alarm_since_before, found.events.alarms) == (0, 1, 1)
    assert found.events.alarm_minutes_per_day == 1440.0
    # An event of which no row has a score was missed, and is not left out.
    found = evaluate(np.where(truth, np.nan, 1.0), 0.5, truth, None, times, machines, verdicts=~truth)
    assert found.events is not None
    assert (found.events.injected, found.events.found) == (1, 0)
    assert found.events.random_alarms is None

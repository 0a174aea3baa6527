"""Events from rows, and rows against events, by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_runtime.errors import TrainingError
from trainer.data.stretches import Stretch, observed_seconds, row_seconds, series_starts, stretches
from trainer.evaluation.events import Delays, false_alarms, match_events

if TYPE_CHECKING:
    from numpy.typing import NDArray

SECOND = 1_000_000_000


def seconds(*values: float) -> NDArray[np.int64]:
    return np.array([value * SECOND for value in values], np.int64)


def flags(text: str) -> NDArray[np.bool_]:
    return np.array([letter == "x" for letter in text])


def spans(found: list[Stretch]) -> list[tuple[str, float, float, str]]:
    return [(s.machine, s.start / SECOND, s.stop / SECOND, s.kind) for s in found]


def test_a_run_ends_at_a_normal_row_another_kind_and_another_machine() -> None:
    times = seconds(0, 1, 2, 3, 4, 5, 0, 1)
    machines = np.repeat(["a", "b"], [6, 2])
    kinds = np.array(["S", "S", "", "S", "D", "D", "D", ""])
    found = stretches(times, machines, flags("xx.xxxx."), kinds)
    assert spans(found) == [("a", 0, 1, "S"), ("a", 3, 3, "S"), ("a", 4, 5, "D"), ("b", 0, 0, "D")]
    assert spans(stretches(times, machines, flags("xx.xxxx."))) == [
        ("a", 0, 1, ""),
        ("a", 3, 5, ""),
        ("b", 0, 0, ""),
    ]


def test_a_run_ends_at_a_hole_unless_the_rows_are_joined() -> None:
    times = seconds(0, 1, 2, 3, 30, 31)
    machines = np.full(6, "a")
    assert spans(stretches(times, machines, flags("..xxxx"))) == [("a", 2, 3, ""), ("a", 30, 31, "")]
    assert spans(stretches(times, machines, flags("..xxxx"), join_ns=27 * SECOND)) == [("a", 2, 31, "")]


def test_rows_may_come_in_any_order() -> None:
    times, machines = seconds(3, 1, 0, 2), np.full(4, "a")
    assert spans(stretches(times, machines, np.array([False, True, False, True]))) == [("a", 1, 2, "")]
    assert stretches(times, machines, np.zeros(4, np.bool_)) == []
    assert stretches(times[:0], machines[:0], np.zeros(0, np.bool_)) == []


def test_events_are_found_with_a_delay_and_the_rest_are_false_alarms() -> None:
    times = np.arange(1000, dtype=np.int64) * SECOND
    machines = np.full(1000, "a")
    flagged = np.zeros(1000, np.bool_)
    flagged[[104, 110, 220, 500, 540, 700]] = True
    events = [
        Stretch("a", 100 * SECOND, 120 * SECOND, "S"),  # found after 4 s
        Stretch("a", 190 * SECOND, 200 * SECOND, "D"),  # missed; 220 is within its slack
        Stretch("b", 500 * SECOND, 600 * SECOND, "S"),  # of a machine without rows
    ]
    report = match_events(events, times, machines, flagged)
    assert (report.injected, report.found, report.in_alarm_since_before) == (3, 1, 0)
    assert report.by_kind == {"D": (1, 0), "S": (2, 1)}
    assert report.delays_s == Delays(4.0, 4.0)
    # 104 and 110, and 500 and 540, are less than a minute apart: one alarm each.
    assert (report.alarms, report.false_alarms, report.alarm_precision) == (4, 2, 0.5)
    assert report.machine_days == pytest.approx(1000 / 86_400)
    assert report.false_alarms_per_day == pytest.approx(2 * 86.4)
    assert spans(false_alarms(events, times, machines, flagged)) == [("a", 500, 540, ""), ("a", 700, 700, "")]
    assert match_events(events, times, machines, flagged, join_ns=0, slack_ns=0).false_alarms == 4


def test_both_ends_of_an_event_count() -> None:
    times, machines = seconds(0, 1, 2, 3), np.full(4, "a")
    event = [Stretch("a", SECOND, 2 * SECOND)]
    for place, found in enumerate((0, 1, 1, 0)):
        assert match_events(event, times, machines, np.arange(4) == place).found == found


def test_nothing_found_has_no_delay_and_no_rows_no_rate() -> None:
    event = [Stretch("a", 0, SECOND)]
    report = match_events(event, seconds(), np.empty(0, np.str_), np.zeros(0, np.bool_))
    assert report.delays_s is None
    assert (report.found, report.false_alarms, report.false_alarms_per_day) == (0, 0, 0.0)
    assert (report.false_alarm_rate, report.alarm_minutes_per_day, report.random_alarms) == (None, None, None)


def test_a_hole_is_no_observed_time() -> None:
    assert observed_seconds(seconds(0, 1, 2, 3)) == pytest.approx(4)
    assert observed_seconds(seconds(0, 1, 2, 1000, 1001)) == pytest.approx(5)
    assert observed_seconds(seconds(0, 1, 2, 7, 8)) == pytest.approx(9)
    assert observed_seconds(seconds(5)) == 0
    # The row before the hole stands for one step, as the last one does.
    assert row_seconds(seconds(0, 1, 2, 1000, 1004, 1005)).tolist() == [1, 1, 1, 4, 1, 1]
    assert row_seconds(seconds()).tolist() == []


def test_a_series_begins_with_a_machine_and_after_a_hole() -> None:
    times = seconds(2, 0, 1, 100, 0, 1)
    machines = np.array(["b", "b", "b", "b", "a", "a"])
    order, new = series_starts(times, machines)
    assert order.tolist() == [4, 5, 1, 2, 0, 3]
    assert new.tolist() == [True, False, True, False, False, True]
    assert len(series_starts(times[:0], machines[:0])[0]) == 0


def test_a_stretch_does_not_end_before_it_starts() -> None:
    with pytest.raises(TrainingError, match="ends before it starts"):
        Stretch("a", 2, 1)

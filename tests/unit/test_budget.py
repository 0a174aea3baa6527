"""The threshold by a false-alarm budget: what it promises is what then happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_runtime.errors import TrainingError, UsageError
from trainer.calibration.budget import AlarmBudget, threshold_for_budget
from trainer.data.stretches import ALARM_JOIN_NS, stretches

if TYPE_CHECKING:
    from numpy.typing import NDArray

SECOND = 1_000_000_000
DAY = 86_400


def scores(seed: int, days: float) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.str_]]:
    """Smoothed noise with a heavy tail: an exceedance lasts for some rows, as real ones do."""
    rows = int(days * DAY)
    noise = np.random.default_rng(seed).gamma(1.5, 1.0, rows + 4)
    smooth = np.convolve(noise, np.ones(5) / 5, "valid")
    return smooth, np.arange(rows, dtype=np.int64) * SECOND, np.full(rows, "m")


def alarms(values: NDArray[np.float64], times: NDArray[np.int64], threshold: float) -> int:
    return len(stretches(times, np.full(len(times), "m"), values > threshold, join_ns=ALARM_JOIN_NS))


@pytest.mark.parametrize(("text", "held_out", "days"), [("1/day", 2, 1), ("5/day", 2, 1), ("1/week", 6, 7)])
def test_realised_alarms_are_inside_the_interval_nine_times_of_ten(
    text: str, held_out: int, days: int
) -> None:
    inside, realised = [], []
    for run in range(20):
        found = threshold_for_budget(*scores(run, held_out), AlarmBudget.parse(text), seed=run)
        values, times, _ = scores(1000 + run, days)
        realised.append(alarms(values, times, found.value))
        inside.append(found.low <= realised[-1] <= found.high)
    assert np.mean(inside) >= 0.85
    wanted = AlarmBudget.parse(text).alarms
    assert 0.3 * wanted <= np.mean(realised)
    assert np.median(realised) <= 2 * wanted


def test_a_smaller_budget_needs_a_higher_threshold() -> None:
    held_out = scores(3, 1)
    values = [
        threshold_for_budget(*held_out, AlarmBudget.parse(text)).value
        for text in ("1/hour", "1/day", "1/week", "1/month", "1/year")
    ]
    assert values == sorted(values)
    assert len(set(values)) == 5


def test_a_budget_is_of_one_machine_and_a_hole_in_the_data_is_no_time() -> None:
    values, times, _ = scores(5, 2)
    two = np.repeat(["a", "b"], DAY)
    same_days = np.concatenate([times[:DAY], times[:DAY] + 365 * DAY * SECOND])
    one = threshold_for_budget(values, times, np.full(len(values), "m"), AlarmBudget.parse("2/day"))
    both = threshold_for_budget(values, same_days, two, AlarmBudget.parse("2/day"))
    assert both.machine_days == pytest.approx(one.machine_days, rel=0.01)
    assert both.value == pytest.approx(one.value, rel=0.05)


def test_what_is_rarer_than_the_time_can_show_says_so() -> None:
    held_out = scores(6, 1)
    assert not threshold_for_budget(*held_out, AlarmBudget.parse("2/day")).extrapolated
    assert threshold_for_budget(*held_out, AlarmBudget.parse("1/month")).extrapolated


def test_too_few_rows_are_an_error() -> None:
    for days in (0.0, 0.001):
        with pytest.raises(TrainingError, match="too few for a budget of 1/day"):
            threshold_for_budget(*scores(7, days), AlarmBudget.parse("1/day"))


def test_budgets_are_read_and_written() -> None:
    assert AlarmBudget.parse(" 0.5 / month ") == AlarmBudget(0.5, "month")
    assert str(AlarmBudget.parse("1/week")) == "1/week"
    assert AlarmBudget.parse("7/week").per_day == pytest.approx(1)
    for text in ("", "1", "1/fortnight", "0/day", "-1/day", "often"):
        with pytest.raises(UsageError, match="is not a budget"):
            AlarmBudget.parse(text)


def test_alarms_about_events_are_none_of_the_budgets() -> None:
    values, times, machines = scores(8, 2)
    clean = threshold_for_budget(values, times, machines, AlarmBudget.parse("1/day"))
    event = (np.arange(len(values)) // 600) % 12 == 5
    # Its first half minute is not labelled, and its score is as high.
    disturbed = event & (np.arange(len(values)) % 600 >= 30)
    with_events = values + 20.0 * event
    found = threshold_for_budget(
        with_events, times, machines, AlarmBudget.parse("1/day"), disturbed=disturbed
    )
    assert found.value == pytest.approx(clean.value, rel=0.15)
    assert found.rows == (~disturbed).sum()
    assert found.machine_days == pytest.approx(2 * (~disturbed).mean(), rel=0.01)
    labelled_alone = threshold_for_budget(
        with_events[~disturbed], times[~disturbed], machines[~disturbed], AlarmBudget.parse("1/day")
    )
    assert labelled_alone.value > 3 * clean.value

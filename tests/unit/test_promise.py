"""A budget of false alarms is promised where the history can promise it, and else refused with a way out."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.errors import TrainingError
from trainer.calibration.budget import AlarmBudget, budget_threshold
from trainer.calibration.peaks import ScoreSeries, parts_of_time
from trainer.calibration.promise import promised, refuse_short, widened
from trainer.data.split import Split

SECOND = 1_000_000_000
STEP = 300 * SECOND  # longer than the minute within which alarms are one
A_DAY = 288
DAY, WEEK = AlarmBudget.parse("1/day"), AlarmBudget.parse("1/week")


def series(
    seed: int,
    days: int,
    *,
    first: int = 0,
    spread: float = 0.0,
    level: float = 1.0,
    machines: tuple[str, ...] = ("m",),
) -> ScoreSeries:
    """Heavy-tailed scores, every five minutes; days have levels of their own, by this logarithmic spread."""
    random = np.random.default_rng(seed)
    rows = days * A_DAY
    scores, times = [], []
    for _ in machines:
        noise = random.gamma(1.5, 1.0, rows + 2)
        days_level = np.repeat(np.exp(spread * random.standard_normal(days)), A_DAY)
        scores.append(level * days_level * np.convolve(noise, np.ones(3) / 3, "valid"))
        times.append((first * A_DAY + np.arange(rows, dtype=np.int64)) * STEP)
    return ScoreSeries.of(np.concatenate(scores), np.concatenate(times), np.repeat(machines, rows))


def test_neighbouring_rows_are_one_alarm_however_far_apart_rows_come() -> None:
    scores = np.array([0, 9, 9, 0, 9, 0, 0, 0, 9, 9.0])
    times = np.arange(10, dtype=np.int64) * STEP
    times[9] += 20 * STEP  # a hole
    found = ScoreSeries.of(scores, times, np.full(10, "m")).peaks(5.0)
    assert found.rows.tolist() == [1, 4, 8, 9]
    both = ScoreSeries.of(scores, np.arange(10) * STEP, np.repeat(["a", "b"], 5)).peaks(5.0)
    assert both.rows.tolist() == [1, 4, 8]


def test_each_machine_has_its_time_divided_into_parts() -> None:
    machines = np.repeat(["a", "b"], [8, 4])
    assert parts_of_time(machines, 4).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 0, 1, 2, 3]
    assert parts_of_time(machines[:0], 4).tolist() == []


@pytest.mark.parametrize("machines", [("m",), ("a", "b", "c")])
def test_a_steady_history_keeps_its_promise(machines: tuple[str, ...]) -> None:
    held, highs = [], []
    days = 8 if len(machines) == 1 else 3
    for run in range(20):
        validation, training = (series(start + run, days, machines=machines) for start in (0, 100))
        found = widened(budget_threshold(validation, WEEK, seed=run), validation, training, WEEK, seed=run)
        later = series(200 + run, 28, machines=machines)
        held.append(found.low <= 7 * later.rate(found.value) <= found.high)
        highs.append(found.high)
    assert np.mean(held) >= 0.9
    assert np.median(highs) <= 6
    assert np.mean(np.array(highs) <= 10) >= 0.8  # promised


def test_days_that_differ_widen_the_interval_and_it_holds() -> None:
    highs: dict[float, list[float]] = {0.0: [], 0.25: []}
    held = []
    for run in range(20):
        for spread, found in highs.items():
            history = series(run, 16, spread=spread)
            threshold = budget_threshold(history, DAY, seed=run)
            found.append(threshold.high)
            if spread:
                later = series(300 + run, 16, spread=spread)
                held.append(threshold.low <= later.rate(threshold.value) <= threshold.high)
    assert np.mean(highs[0.25]) >= 1.3 * np.mean(highs[0.0])
    assert np.mean(held) >= 0.9


def test_scores_that_rose_from_training_to_validation_refuse_the_budget() -> None:
    training, validation = series(1, 24), series(2, 8, first=24, level=2.5)
    alone = promised(validation, None, DAY)
    found = widened(alone, validation, training, DAY)
    assert alone.high < 10 < found.high
    assert (found.value, found.low) == (alone.value, alone.low)
    with pytest.raises(
        TrainingError, match="cannot promise 1/day: .* up to \\d+ false alarms a day"
    ) as error:
        promised(validation, training, DAY)
    assert error.value.where == "--false-alarms"
    assert error.value.hint is not None
    offered = re.match(r"it can promise (\d+/\w+); 1/day takes about (\d+) machine-days", error.value.hint)
    assert offered is not None, error.value.hint
    kept = promised(validation, training, AlarmBudget.parse(offered[1]))
    assert kept.high <= 10 * AlarmBudget.parse(offered[1]).alarms
    assert float(offered[2]) == pytest.approx(8 * AlarmBudget.parse(offered[1]).per_day, rel=0.1)


def test_spikes_that_training_alone_has_count() -> None:
    spiky = series(3, 24)
    spiky.scores[np.arange(50, len(spiky.scores), 20)] += 50.0  # fourteen a day
    with pytest.raises(TrainingError, match="cannot promise 1/day"):
        promised(series(4, 8, first=24), spiky, DAY)


def test_two_alarms_of_a_short_training_are_chance() -> None:
    validation, short = series(5, 8), series(6, 1, level=0.5)
    found = budget_threshold(validation, WEEK)
    short.scores[[40, 140]] = 2 * found.value
    assert widened(found, validation, short, WEEK).high == found.high
    short.scores[240] = 2 * found.value
    assert widened(found, validation, short, WEEK).high == pytest.approx(21, rel=0.01)
    nothing = ScoreSeries.of(np.empty(0), np.empty(0, np.int64), np.empty(0, np.str_))
    assert widened(found, validation, nothing, WEEK) == found


def test_what_no_history_of_this_length_shows_is_refused() -> None:
    history = series(7, 8)
    with pytest.raises(TrainingError, match="8 machine-days of validation cannot promise 1/year") as error:
        promised(history, None, AlarmBudget.parse("1/year"))
    assert error.value.hint is not None
    assert "it can promise 1/" in error.value.hint
    # None seen in eight days: a tenth of such histories would show none of one in three and a half days.
    assert budget_threshold(history, WEEK).high >= 7 * np.log(10) / 8


def test_what_is_too_short_for_any_scores_is_refused_before_training() -> None:
    rows = 3 * A_DAY
    normal = np.arange(rows) < 2 * A_DAY
    times = np.arange(rows, dtype=np.int64) * STEP
    values = np.ones((rows, 1), np.float32)
    val = Split(Path("val.csv"), times, np.full(rows, "m"), values, ~normal, None)
    refuse_short(val, WEEK)  # takes 1.6 days
    with pytest.raises(
        TrainingError, match="has 2 machine-days of normal rows, and 1/month takes at least 6.9"
    ):
        refuse_short(val, AlarmBudget.parse("1/month"))
    # Several machines are so many times the time.
    five = val.take(np.tile(np.arange(rows), 5))
    machines = replace(five, machines=np.repeat(list("abcde"), rows))
    refuse_short(machines, AlarmBudget.parse("1/month"))


def test_a_generous_budget_is_not_called_a_short_history() -> None:
    with pytest.raises(TrainingError, match="no threshold alarms as often as 40/hour"):
        promised(series(8, 8), None, AlarmBudget.parse("40/hour"))
    few = ScoreSeries.of(np.ones(3), np.arange(3) * STEP, np.full(3, "m"))
    with pytest.raises(TrainingError, match="too few for a budget of 1/week") as error:
        promised(few, None, WEEK)
    assert error.value.hint == "take a longer history, or use --threshold percentile"

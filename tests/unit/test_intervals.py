"""Intervals over blocks of time: they hold the truth as often as they say, and are the same each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from trainer.evaluation.blocks import HOUR_NS, time_blocks
from trainer.evaluation.evaluate import evaluate
from trainer.evaluation.intervals import FIGURES, block_intervals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.evaluation.evaluate import Evaluation

SECOND = 1_000_000_000


def drawn(
    seed: int, count: int, *, step: int = 10
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64], NDArray[np.str_]]:
    """Events of ten minutes, about one in two hours, some easier than others."""
    random = np.random.default_rng(seed)
    length = 600 // step
    truth = np.repeat(random.random(count // length) < 0.08, length)
    ease = np.repeat(random.normal(2.0, 1.0, count // length), length)
    scores = random.normal(0.0, 1.0, len(truth)) + truth * ease
    times = np.arange(len(truth), dtype=np.int64) * step * SECOND
    return scores, truth, times, np.full(len(truth), "m")


def assessed(seed: int, count: int) -> Evaluation:
    scores, truth, times, machines = drawn(seed, count)
    return evaluate(scores, 2.0, truth, None, times, machines)


def test_the_truth_is_inside_about_nine_times_of_ten() -> None:
    truth = assessed(10_000, 600_000).metrics()
    inside: dict[str, list[bool]] = {name: [] for name in FIGURES}
    for seed in range(40):
        for name, (low, high) in assessed(seed, 30_000).intervals.items():
            inside[name].append(low <= truth[name] <= high)
    for name, found in inside.items():
        assert 0.72 <= np.mean(found) <= 1, name
    assert 0.82 <= np.mean([np.mean(found) for found in inside.values()]) <= 0.97


def test_more_time_narrows_them() -> None:
    short, long = assessed(1, 20_000).intervals, assessed(1, 320_000).intervals
    for name in FIGURES:
        # Sixteen times the time, a quarter of the width.
        assert (long[name][1] - long[name][0]) < 0.45 * (short[name][1] - short[name][0]), name


def test_the_figure_lies_inside_and_the_same_data_gives_the_same_interval() -> None:
    first, second = assessed(3, 30_000), assessed(3, 30_000)
    assert first.intervals == second.intervals
    assert set(first.intervals) == set(FIGURES)
    for name, (low, high) in first.intervals.items():
        assert low < first.metrics()[name] < high
    scores, truth, times, machines = drawn(3, 30_000)
    other = block_intervals(scores, scores > 2, truth, times, machines, [], seed=1)
    assert other["f1"] != first.intervals["f1"]
    assert other["f1"] == pytest.approx(first.intervals["f1"], abs=0.02)


def test_the_order_of_the_rows_means_nothing() -> None:
    scores, truth, times, machines = drawn(4, 30_000)
    machines = np.repeat(["a", "b"], len(scores) // 2)
    mixed = np.random.default_rng(5).permutation(len(scores))
    found = evaluate(scores, 2.0, truth, None, times, machines)
    shuffled = evaluate(scores[mixed], 2.0, truth[mixed], None, times[mixed], machines[mixed])
    assert found.intervals == shuffled.intervals


def test_without_chance_between_blocks_an_interval_has_no_width() -> None:
    # Every block of a fiftieth is the same: 20 rows, of which 4 are anomalous, 3 flagged rightly, 1 wrongly.
    hour = np.zeros(20, np.bool_)
    truth, flags = hour.copy(), hour.copy()
    truth[:4], flags[1:5] = True, True
    truth, flags = np.tile(truth, 50), np.tile(flags, 50)
    times = np.arange(1000, dtype=np.int64) * SECOND
    found = block_intervals(flags.astype(float), flags, truth, times, np.full(1000, "m"), [], seed=0)
    assert found["f1"] == pytest.approx((0.75, 0.75))
    assert found["precision"] == found["recall"] == pytest.approx((0.75, 0.75))
    # 3 of 4 anomalous rows above the normal ones but 1 of 16, the others equal.
    assert found["roc_auc"] == pytest.approx((0.84375, 0.84375))
    assert found["average_precision"] == pytest.approx((0.6125, 0.6125))
    # That there was no false alarm does not say that there never is one.
    assert "false_alarms_per_day" not in found


def test_what_is_not_defined_has_no_interval() -> None:
    times, machines = np.arange(1000, dtype=np.int64) * SECOND, np.full(1000, "m")
    nothing, scores = np.zeros(1000, np.bool_), np.arange(1000.0)
    found = block_intervals(scores, scores > 10, nothing, times, machines, [])
    assert set(found) == {"false_alarm_rate"}
    # Of rows none of which is flagged, resampling shows none, however few there are.
    assert block_intervals(scores, nothing, nothing, times, machines, []) == {}
    # One short event of fifty blocks is in less than two thirds of the draws, and is still worth telling.
    one = np.arange(1000) < 5
    assert "recall" in block_intervals(scores, scores > 10, one, times, machines, [])
    empty = np.empty(0)
    assert block_intervals(empty, empty > 0, empty > 0, empty.astype(np.int64), empty.astype(str), []) == {}


def test_rows_without_a_score_are_time_alone() -> None:
    scores, truth, times, machines = drawn(6, 30_000)
    gone = np.arange(len(scores)) % 3 == 0
    found = evaluate(np.where(gone, np.nan, scores), 2.0, truth, None, times, machines)
    assert found.events is not None
    for name in FIGURES:
        low, high = found.intervals[name]
        assert low < found.metrics()[name] < high, name


def test_blocks_are_hours_of_a_machine_and_holes_are_no_time() -> None:
    times = np.concatenate([np.arange(5400), np.arange(36_000, 37_800), np.arange(600)]) * SECOND
    machines = np.repeat(["a", "b"], [7200, 600])
    blocks, seconds = time_blocks(times, machines, HOUR_NS)
    assert seconds == pytest.approx([3600, 1800, 1800, 600])
    assert np.bincount(blocks).tolist() == [3600, 1800, 1800, 600]

"""The volume under the surface: hand-calculated rows, the definition written out, and what it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from trainer.evaluation.vus import range_auc, volume_under_surface

if TYPE_CHECKING:
    from numpy.typing import NDArray

SECOND = 1_000_000_000


def rows(count: int) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    return np.arange(count, dtype=np.int64) * SECOND, np.full(count, "m")


def by_definition(scores: NDArray[np.float64], truth: NDArray[np.bool_], buffer: int) -> tuple[float, float]:
    """Range-AUC of one series, threshold by threshold and row by row."""
    count = len(scores)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], truth.astype(int), [0]])))
    events = [(int(first), int(stop) - 1) for first, stop in edges.reshape(-1, 2)]
    labels = np.zeros(count)
    for first, last in events:
        for row in range(count):
            away = max(first - row, row - last, 0)
            inside = 1.0 if away == 0 else 0.0
            near = np.sqrt(1 - away / buffer) if buffer and 2 * away <= buffer else 0.0
            labels[row] = max(labels[row], inside, near)
    positives = (truth.sum() + labels.sum()) / 2
    area, before, curve = 0.0, 0.0, [(0.0, 0.0)]
    for threshold in np.unique(scores)[::-1]:
        flags = scores >= threshold
        hits = float(labels[flags].sum())
        half = buffer // 2
        existing = np.mean([flags[max(0, first - half) : last + half + 1].any() for first, last in events])
        recall = min(1.0, hits / positives) * float(existing)
        area += (recall - before) * hits / flags.sum()
        before = recall
        curve.append(((flags.sum() - hits) / (count - positives), recall))
    x, y = np.array([*curve, (1.0, 1.0)]).T
    return area, float(np.trapezoid(y, x))


def test_a_buffer_of_none_is_the_plain_area_below_both_curves() -> None:
    random = np.random.default_rng(1)
    truth = (np.arange(400) >= 200) & (np.arange(400) < 240)
    scores = np.round(random.random(400) + 0.6 * truth, 2)
    pr, roc = range_auc(scores, truth, *rows(400), 0)
    assert pr == pytest.approx(average_precision_score(truth, scores))
    assert roc == pytest.approx(roc_auc_score(truth, scores))


def test_a_tiny_case_by_hand() -> None:
    # One anomalous row, flagged first one row late. With a buffer of 2 the labels of rows 1 to 5 are
    # 0, √½, 1, √½, 0: √½ is what the late flag is worth.
    truth = np.array([0, 0, 0, 1, 0, 0], np.bool_)
    scores = np.array([0.0, 0.0, 0.0, 1.0, 2.0, 0.0])
    root = np.sqrt(0.5)
    positives = (1 + 1 + 2 * root) / 2
    late = root / positives  # recall and, with one row flagged, precision √½
    both = 1.0  # (1 + √½) / positives is 1 exactly
    wanted = late * root + (both - late) * (1 + root) / 2
    pr, _ = range_auc(scores, truth, *rows(6), 2)
    assert pr == pytest.approx(wanted)
    # Without a buffer: recall 0 at precision 0, then 1 at a half.
    assert range_auc(scores, truth, *rows(6), 0)[0] == pytest.approx(0.5)
    found = volume_under_surface(scores, truth, *rows(6), longest=2)
    assert found is not None
    # A buffer of 1 reaches no row: half of it lies on either side.
    assert found.pr == pytest.approx((0.5 + 0.5 + wanted) / 3)


def test_recall_counts_the_events_that_are_found() -> None:
    # The first threshold flags one of two events whole: recall is half of the rows times half of the events.
    truth = np.array([0, 1, 0, 0, 1, 0], np.bool_)
    scores = np.array([0.0, 2.0, 0.0, 0.0, 1.0, 0.0])
    pr, roc = range_auc(scores, truth, *rows(6), 0)
    assert pr == pytest.approx(0.25 * 1 + 0.75 * 1)
    assert roc == pytest.approx(1.0)
    late = np.array([0.0, 2.0, 1.0, 1.0, 0.0, 0.0])
    assert range_auc(late, truth, *rows(6), 0)[0] == pytest.approx(0.25 * 1 + 0.75 * 2 / 6)


@pytest.mark.parametrize("buffer", [0, 1, 2, 5, 8, 20])
def test_it_is_the_definition(buffer: int) -> None:
    random = np.random.default_rng(2)
    for _ in range(10):
        truth = np.zeros(120, np.bool_)
        for start in random.integers(0, 120, 3):
            truth[start : start + random.integers(1, 15)] = True
        scores = np.round(random.normal(size=120) + truth, 1)
        np.testing.assert_allclose(
            range_auc(scores, truth, *rows(120), buffer), by_definition(scores, truth, buffer)
        )


def test_the_volume_is_the_mean_over_the_buffers() -> None:
    random = np.random.default_rng(3)
    truth = (np.arange(300) // 12) % 5 == 3
    scores = random.random(300) + truth
    found = volume_under_surface(scores, truth, *rows(300))
    assert found is not None
    assert found.buffer_rows == 12
    each = [range_auc(scores, truth, *rows(300), buffer) for buffer in range(13)]
    assert (found.pr, found.roc) == pytest.approx(tuple(np.mean(each, axis=0)))


def test_scores_that_follow_the_events_come_close_to_1_and_chance_to_the_base_rate() -> None:
    random = np.random.default_rng(4)
    truth = (np.arange(20_000) // 100) % 10 == 4
    ramp = np.convolve(truth, np.ones(51) / 51, "same")  # falls off on both sides of an event
    found = volume_under_surface(truth + ramp, truth, *rows(20_000))
    assert found is not None
    assert found.pr > 0.9
    assert found.roc > 0.98
    chance = volume_under_surface(random.random(20_000), truth, *rows(20_000))
    assert chance is not None
    # The rows of a buffer count in part, so they raise the base rate.
    labels = [
        1 + 2 * sum(np.sqrt(1 - away / buffer) for away in range(1, buffer // 2 + 1)) / 100
        for buffer in range(101)
    ]
    assert chance.pr == pytest.approx(0.1 * np.mean(labels), abs=0.01)
    assert range_auc(random.random(20_000), truth, *rows(20_000), 0)[0] == pytest.approx(0.1, abs=0.01)
    # Above a half by definition: buffers add more to the hits than to what they are divided by.
    assert 0.5 < chance.roc < 0.62
    assert range_auc(random.random(20_000), truth, *rows(20_000), 0)[1] == pytest.approx(0.5, abs=0.02)
    worst = volume_under_surface(-(truth + ramp), truth, *rows(20_000))
    assert worst is not None
    assert worst.roc < 0.1


def test_finding_an_event_late_costs_less_than_by_rows() -> None:
    truth = (np.arange(5_000) // 20) % 10 == 4
    noise = np.random.default_rng(5).random(5_000) / 2
    late = np.roll(truth, 4) + noise
    found, in_time = (volume_under_surface(scores, truth, *rows(5_000)) for scores in (late, truth + noise))
    assert found is not None
    assert in_time is not None
    assert found.pr > average_precision_score(truth, late) + 0.03
    assert found.pr < in_time.pr


def test_a_buffer_ends_with_its_machine_and_at_a_hole() -> None:
    # Each machine's event is its last row; the next in the table is another machine's, or comes hours later.
    truth = np.tile(np.arange(20) == 19, 2)
    scores = np.tile(np.where(np.arange(20) == 0, 2.0, np.arange(20) / 20), 2)
    one = range_auc(scores[:20], truth[:20], *rows(20), 8)
    machines = np.repeat(["a", "b"], 20)
    times = np.tile(np.arange(20, dtype=np.int64), 2) * SECOND
    np.testing.assert_allclose(range_auc(scores, truth, times, machines, 8), one)
    apart = times + np.repeat([0, 100_000], 20) * SECOND
    np.testing.assert_allclose(range_auc(scores, truth, apart, np.full(40, "m"), 8), one)
    joined = range_auc(scores, truth, *rows(40), 8)
    assert abs(joined[0] - one[0]) > 0.01
    shuffled = np.random.default_rng(6).permutation(40)
    found = range_auc(scores[shuffled], truth[shuffled], times[shuffled], machines[shuffled], 8)
    np.testing.assert_allclose(found, one)


def test_quantiles_of_many_scores_come_close_to_all_of_them() -> None:
    random = np.random.default_rng(7)
    truth = (np.arange(60_000) >= 30_000) & (np.arange(60_000) < 30_600)
    scores = random.normal(size=60_000) + 2.5 * truth
    pr, roc = range_auc(scores, truth, *rows(60_000), 0)
    assert pr == pytest.approx(average_precision_score(truth, scores), abs=0.003)
    assert roc == pytest.approx(roc_auc_score(truth, scores), abs=0.003)


def test_without_both_classes_there_is_none_and_an_overflown_score_is_the_highest() -> None:
    for truth in (np.zeros(5, np.bool_), np.ones(5, np.bool_)):
        assert volume_under_surface(np.arange(5.0), truth, *rows(5)) is None
    truth = np.arange(5) == 2
    finite, infinite = np.array([0.0, 1.0, 9.0, 1.0, 0.0]), np.array([0.0, 1.0, np.inf, 1.0, 0.0])
    assert volume_under_surface(finite, truth, *rows(5)) == volume_under_surface(infinite, truth, *rows(5))

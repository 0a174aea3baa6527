"""Whether a sweep found anything better than the default recipe, or has to take the default."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from trainer.evaluation.resampling import Blocks, areas, f1_draws
from trainer.sweep.comparison import compare_trials
from trainer.sweep.results import Tried

if TYPE_CHECKING:
    from numpy.typing import NDArray

SECOND = 1_000_000_000
ROWS = 20_000
TIMES = np.arange(ROWS, dtype=np.int64) * 60 * SECOND
BLOCKS = Blocks.of(TIMES, np.full(ROWS, "m"), 0)
TRUTH = np.repeat(np.arange(ROWS // 50) % 10 == 3, 50)


def verdicts(hits: float, seed: int) -> NDArray[np.bool_]:
    """Of a detector that finds this part of the events, and one of a hundred rows that are none."""
    random = np.random.default_rng(seed)
    found = np.repeat(random.random(ROWS // 50) < hits, 50)
    flags: NDArray[np.bool_] = np.where(TRUTH, found, random.random(ROWS) < 0.01)
    return flags


def trial(number: int, hits: float, seed: int, recipe: str | None = None) -> Tried:
    flags = verdicts(hits, seed)
    figure = float(f1_score(TRUTH, flags))
    return Tried(number, figure, {}, 1.0, recipe=recipe, draws=tuple(f1_draws(BLOCKS, flags, TRUTH)))


def search(seed: int, *hits: float) -> tuple[Tried, ...]:
    """The default recipe, which finds half of the events, and other trials."""
    seeds = range(1000 * seed, 1000 * seed + len(hits) + 1)
    default = trial(1, 0.5, seeds[0], "best")
    return default, *(trial(2 + i, part, seeds[1 + i]) for i, part in enumerate(hits))


def test_the_best_of_many_equals_is_hardly_ever_called_better() -> None:
    claims, alone = 0, 0
    for seed in range(30):
        trials = search(seed, *[0.5] * 15)
        comparison = compare_trials(trials, "best")
        assert comparison is not None
        claims += comparison.better
        # A comparison that forgets the others is fooled by the choice among them.
        pair = compare_trials((trials[0], comparison.best), "best")
        alone += pair is not None and pair.better
        assert comparison.chosen == (comparison.best if comparison.better else trials[0])
    assert claims <= 5
    assert alone >= claims + 4


def test_what_is_better_is_taken_and_said_with_its_interval() -> None:
    trials = search(1, 0.5, 0.9, 0.45)
    comparison = compare_trials(trials, "best")
    assert comparison is not None
    assert comparison.interval is not None
    low, high = comparison.interval
    difference = (trials[2].figure or 0) - (trials[0].figure or 0)
    assert 0 < low < difference < high
    assert comparison.better
    assert comparison.chosen == trials[2]
    assert comparison.sentences() == (
        f"Take trial 3: it is better than the default recipe 'best', {trials[2].figure:.4f} against "
        f"{trials[0].figure:.4f}, a difference of {difference:+.4f} (90 % interval {low:+.4f} to {high:+.4f} "
        "for the best of 4 trials)."
    )


def test_without_a_clear_difference_the_default_is_to_be_taken() -> None:
    default, other = search(2, 0.55)
    if (other.figure or 0) <= (default.figure or 0):
        pytest.fail("the example needs a trial with a larger figure")
    comparison = compare_trials((default, replace(other, recipe="linear")), "best")
    assert comparison is not None
    assert not comparison.better
    assert comparison.chosen == default
    assert comparison.sentences().startswith(
        "Take the default recipe 'best': no trial is better than it beyond the uncertainty of the objective. "
        f"Trial 2 (recipe 'linear') has {other.figure:.4f} against {default.figure:.4f}, a difference of +"
    )
    worse = compare_trials((default, replace(other, figure=0.0)), "best")
    assert worse is not None
    assert worse.chosen == default
    assert worse.sentences() == (
        f"Take the default recipe 'best': none of 2 trials has a larger figure ({default.figure:.4f})."
    )


def test_a_difference_of_which_nothing_is_known_is_not_believed() -> None:
    default, other = search(3, 0.9)
    for draws in ((), (float("nan"),) * len(other.draws), default.draws):
        comparison = compare_trials((default, replace(other, draws=draws)), "best")
        assert comparison is not None
        assert comparison.interval is None
        assert comparison.chosen == default
        assert "validation is too short to say how sure that difference is" in comparison.sentences()


def test_where_the_default_failed_the_best_is_taken_and_that_is_said() -> None:
    default, other = search(4, 0.4)
    assert compare_trials((replace(default, figure=None),), "best") is None
    comparison = compare_trials((replace(default, figure=None), other), "best")
    assert comparison is not None
    assert comparison.chosen == other
    assert comparison.sentences() == (
        "The default recipe has no figure, so nothing can be compared with it; trial 2 has the largest "
        "figure of 1 trial."
    )


def test_draws_are_the_figures_of_the_blocks_that_were_drawn() -> None:
    flags = verdicts(0.5, 5)
    scores = np.random.default_rng(5).integers(0, 50, ROWS) + 20.0 * flags
    found = f1_draws(BLOCKS, flags, TRUTH)
    _, precisions = areas(BLOCKS, scores, TRUTH, ~TRUTH)
    for draw in (0, 7, 399):
        rows = np.concatenate(
            [
                np.tile(np.flatnonzero(BLOCKS.of_row == block), int(times))
                for block, times in enumerate(BLOCKS.drawn[draw])
            ]
        )
        assert found[draw] == pytest.approx(f1_score(TRUTH[rows], flags[rows]))
        assert precisions[draw] == pytest.approx(average_precision_score(TRUTH[rows], scores[rows]))


def test_a_block_is_as_long_as_asked() -> None:
    long = Blocks.of(TIMES, np.full(ROWS, "m"), 0, least_ns=7200 * SECOND)
    assert len(BLOCKS.seconds) == pytest.approx(ROWS / 60, abs=1)
    assert len(long.seconds) == pytest.approx(ROWS / 120, abs=1)

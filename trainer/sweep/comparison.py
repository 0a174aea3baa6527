"""Whether a sweep found anything better than the default recipe, beyond the uncertainty of its objective.

The best of many trials looks better than it is, since it was chosen by the figure that it is judged by. So
the bound under its difference to the default is that of the whole search: blocks of time are resampled, and
what counts of each draw is the trial that gained most by it, in parts of its own standard deviation (White,
2000, "A reality check for data snooping"; Hansen, 2005, "A test for superior predictive ability").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import counted
from trainer.evaluation.resampling import INTERVAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer.sweep.results import Tried

__all__ = ["Comparison", "compare_trials"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The best trial beside the default recipe.

    Attributes:
        default: The default recipe's trial; None where it was not tried, or failed.
        best: The trial with the largest figure.
        trials: How many trials have a figure.
        interval: 90 % interval of the best trial's difference to the default, allowing for its having been
            chosen among all trials; None where it cannot be told, or where there is no difference to tell.
    """

    default: Tried | None
    best: Tried
    trials: int
    interval: tuple[float, float] | None

    @property
    def better(self) -> bool:
        """Whether the best trial is better than the default beyond the uncertainty of the objective."""
        return self.interval is not None and self.interval[0] > 0

    @property
    def chosen(self) -> Tried:
        """What is to be trained: the best trial if it is better, else the default where there is one."""
        return self.best if self.default is None or self.better else self.default

    def sentences(self) -> str:
        """For people: what to take, and why."""
        best, default = self.best, self.default
        if default is None:
            return (
                f"The default recipe has no figure, so nothing can be compared with it; {best.name} has the "
                f"largest figure of {counted(self.trials, 'trial')}."
            )
        name = f"the default recipe '{default.recipe}'"
        if best.number == default.number:
            return (
                f"Take {name}: none of {counted(self.trials, 'trial')} has a larger figure ({_figure(best)})."
            )
        figures = f"{_figure(best)} against {_figure(default)}"
        if self.interval is None:
            return (
                f"Take {name}: {best.name} has the largest figure, {figures}, but validation is too short to "
                "say how sure that difference is."
            )
        low, high = self.interval
        spread = f"90 % interval {low:+.4f} to {high:+.4f} for the best of {counted(self.trials, 'trial')}"
        difference = f"a difference of {(best.figure or 0.0) - (default.figure or 0.0):+.4f} ({spread})"
        if self.better:
            return f"Take {best.name}: it is better than {name}, {figures}, {difference}."
        return (
            f"Take {name}: no trial is better than it beyond the uncertainty of the objective. {best.named} "
            f"has {figures}, {difference}."
        )


def compare_trials(tried: Sequence[Tried], recipe: str) -> Comparison | None:
    """The best of the trials beside the default recipe's; None where no trial has a figure.

    Args:
        tried: In order.
        recipe: Name of the default recipe.
    """
    complete = [trial for trial in tried if trial.figure is not None]
    if not complete:
        return None
    best = max(complete, key=lambda trial: (trial.figure or 0.0, -trial.number))
    default = next((trial for trial in complete if trial.recipe == recipe), None)
    interval = None if default is None or best is default else _interval(complete, best, default)
    return Comparison(default, best, len(complete), interval)


def _interval(trials: Sequence[Tried], best: Tried, default: Tried) -> tuple[float, float] | None:
    """The interval of the best trial's difference; None where most draws leave it undefined."""
    others = [trial for trial in trials if trial is not default]
    if len({len(trial.draws) for trial in trials}) > 1 or not default.draws:
        return None
    found = np.array([trial.figure for trial in others]) - (default.figure or 0.0)
    drawn = np.array([trial.draws for trial in others]) - np.array(default.draws)
    drawn = drawn[:, np.isfinite(drawn).all(0)]
    if 2 * drawn.shape[1] <= len(default.draws):
        return None
    deviations = drawn.std(1)
    place = others.index(best)
    if not deviations[place] > 0:
        return None
    # How far a draw moves each trial's difference, up and down; one that no draw moves is not uncertain.
    some = deviations > 0
    moved = (drawn[some] - found[some, None]) / deviations[some, None]
    most, least = np.quantile(moved.max(0), INTERVAL[1]), np.quantile(moved.min(0), INTERVAL[0])
    difference, deviation = found[place], deviations[place]
    return float(difference - most * deviation), float(difference - least * deviation)


def _figure(trial: Tried) -> str:
    return f"{trial.figure:.4f}"

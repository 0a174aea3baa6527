"""A threshold by how often it may cry wolf: peaks over threshold, from held-out normal rows in time order.

Scores of neighbouring rows are not independent, so exceedances of a high level that lie close together are
one cluster, and only its peak counts. The peaks' excess over the level follows a generalised Pareto
distribution (Pickands, 1975; Davison and Smith, 1990, "Models for exceedances over high thresholds"), fitted
here by probability-weighted moments (Hosking and Wallis, 1987), which stay sane where peaks are few. The
interval resamples whole hours, for the same reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import TrainingError, UsageError
from trainer.data.stretches import ALARM_JOIN_NS
from trainer.evaluation.blocks import time_blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["AlarmBudget", "BudgetThreshold", "threshold_for_budget"]

DAYS = {"hour": 1 / 24, "day": 1.0, "week": 7.0, "month": 30.0, "year": 365.0}
FORM = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(hour|day|week|month|year)")
# Levels to try, as quantiles of the scores, the highest first.
LEVELS = (0.999, 0.998, 0.995, 0.99, 0.98, 0.95, 0.9)
MIN_PEAKS = 50
DRAWS = 500
# A resampled rate that is lower than the budget by more than this says no more than that.
MAX_OFF = 20.0
INTERVAL = (0.05, 0.95)
EXPONENTIAL = 1e-6  # a shape this close to 0 is the exponential distribution


@dataclass(frozen=True, slots=True)
class AlarmBudget:
    """How many false alarms a machine may raise.

    Attributes:
        alarms: So many, more than 0.
        period: "hour", "day", "week", "month" (30 days) or "year".
    """

    alarms: float
    period: str

    @staticmethod
    def parse(text: str) -> AlarmBudget:
        """The budget that a text such as "1/week" names.

        Raises:
            UsageError: It names none.
        """
        found = FORM.fullmatch(text.strip())
        if found is None or not float(found[1]) > 0:
            raise UsageError(
                f"'{text}' is not a budget",
                where="--false-alarms",
                hint="write it as a rate, such as 1/day, 1/week or 0.5/month",
            )
        return AlarmBudget(float(found[1]), found[2])

    def __str__(self) -> str:
        return f"{self.alarms:g}/{self.period}"

    @property
    def per_day(self) -> float:
        """Of one machine."""
        return self.alarms / DAYS[self.period]


@dataclass(frozen=True, slots=True)
class BudgetThreshold:
    """A threshold and what to expect of it.

    Attributes:
        value: The score.
        rows: Normal rows that it was chosen on.
        peaks: Clusters of exceedances that the tail was fitted to.
        machine_days: Time that was observed.
        low: Alarms of one machine in the budget's period, of which 5 % of the time there are fewer.
        high: The same, of which 5 % of the time there are more.
        extrapolated: Whether the budget is rarer than anything that can have been seen in that time.
    """

    value: float
    rows: int
    peaks: int
    machine_days: float
    low: float
    high: float
    extrapolated: bool


def threshold_for_budget(
    scores: NDArray[np.floating],
    times: NDArray[np.int64],
    machines: NDArray[np.str_],
    budget: AlarmBudget,
    *,
    disturbed: NDArray[np.bool_] | None = None,
    seed: int = 0,
) -> BudgetThreshold:
    """The lowest threshold that keeps the budget, by the fitted tail.

    Args:
        scores: [rows] that nothing was trained on, all finite, in any order.
        times: [rows] ns.
        machines: [rows] machine ids.
        budget: How many alarms of one machine are allowed. Rows above the threshold that lie no further than
            a minute apart are one alarm.
        disturbed: [rows] whether an alarm at the row would be about an event: they are no time observed, and
            an alarm that touches one is none of the budget's. None where every row is normal.
        seed: Of the resampling.

    Raises:
        TrainingError: There are too few rows to say anything.
    """
    order = np.lexsort((times, machines))
    ranked: NDArray[np.float64] = scores[order].astype(np.float64)
    times, machines = times[order], machines[order]
    clear = np.ones(len(order), np.bool_) if disturbed is None else ~disturbed[order]
    blocks, seconds = time_blocks(times, machines)
    if len(order):
        seconds *= np.bincount(blocks, weights=clear) / np.bincount(blocks)
    days = seconds.sum() / 86_400
    for level in np.quantile(ranked[clear], LEVELS) if clear.any() else ():
        peaks, of_block = _peaks(ranked, times, machines, clear, float(level))
        of_block = blocks[of_block]
        if len(peaks) >= MIN_PEAKS and len(peaks) / days > budget.per_day:
            break
    else:
        raise TrainingError(
            f"{clear.sum():,} normal validation rows are too few for a budget of {budget}",
            where="--false-alarms",
            hint="take a longer history, or use --threshold percentile",
        )
    shape, scale = _pareto(peaks - level)
    value = float(level + _excess(len(peaks) / days / budget.per_day, shape, scale))
    low, high = _interval(peaks - level, of_block, seconds, value - level, budget, seed)
    return BudgetThreshold(
        value, int(clear.sum()), len(peaks), float(days), low, high, bool(budget.per_day * days < 1)
    )


def _peaks(
    scores: NDArray[np.float64],
    times: NDArray[np.int64],
    machines: NDArray[np.str_],
    clear: NDArray[np.bool_],
    level: float,
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """The peak of each cluster above the level that touches no disturbed row, and the row where it began."""
    above = np.flatnonzero(scores > level)
    if not len(above):
        return np.empty(0), np.empty(0, np.intp)
    apart = (np.diff(times[above]) > ALARM_JOIN_NS) | (machines[above][1:] != machines[above][:-1])
    starts = np.append(0, np.flatnonzero(apart) + 1)
    first, last = above[starts], above[np.append(starts[1:], len(above)) - 1]
    before = np.append(0, np.cumsum(~clear))
    own = before[last + 1] == before[first]
    return np.maximum.reduceat(scores[above], starts)[own], first[own]


def _pareto(excess: NDArray[np.float64]) -> tuple[float, float]:
    """Shape and scale by probability-weighted moments."""
    ranked = np.sort(excess)
    count = len(ranked)
    first = ranked.mean()
    second = (ranked * (count - 1 - np.arange(count)) / (count - 1)).mean()
    if not first > 2 * second > 0:
        return 0.0, float(first)
    return float(2 - first / (first - 2 * second)), float(2 * first * second / (first - 2 * second))


def _excess(times_rarer: float, shape: float, scale: float) -> float:
    """How far above the level a peak is that comes so many times more rarely than any."""
    if abs(shape) < EXPONENTIAL:
        return scale * float(np.log(times_rarer))
    return scale / shape * float(times_rarer**shape - 1)


def _survival(excess: float, shape: float, scale: float) -> float:
    """The part of the peaks that are further above the level than this."""
    if abs(shape) < EXPONENTIAL:
        return float(np.exp(-excess / scale))
    inner = 1 + shape * excess / scale
    return float(inner ** (-1 / shape)) if inner > 0 else 0.0


def _interval(
    excess: NDArray[np.float64],
    of_block: NDArray[np.intp],
    seconds: NDArray[np.float64],
    above: float,
    budget: AlarmBudget,
    seed: int,
) -> tuple[float, float]:
    """Of the number of alarms in a period.

    The tail is refitted to resampled hours. By as much as a resampled rate is below the budget, the true one
    may be above it (the basic bootstrap on the logarithm, Davison and Hinkley, 1997, section 5.2); then
    chance adds its own.
    """
    random = np.random.default_rng(seed)
    counts = []
    for _ in range(DRAWS):
        drawn = np.bincount(random.integers(0, len(seconds), len(seconds)), minlength=len(seconds))
        peaks, days = np.repeat(excess, drawn[of_block]), float((seconds * drawn).sum()) / 86_400
        rate = 0.0
        if len(peaks) > 1 and days > 0:
            rate = len(peaks) / days * _survival(above, *_pareto(peaks))
        counts.append(random.poisson(budget.alarms * min(MAX_OFF, budget.per_day / max(rate, 1e-9))))
    low, high = np.quantile(counts, INTERVAL)
    return float(low), float(high)

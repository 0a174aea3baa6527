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

from edge_runtime.errors import TrainingError, UsageError, counted
from trainer.calibration.peaks import DAY_S, GAUSS, NONE_SEEN, PARTS, ScoreSeries, student

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.calibration.peaks import Peaks

__all__ = ["DAYS", "AlarmBudget", "BudgetThreshold", "budget_threshold", "threshold_for_budget"]

DAYS = {"hour": 1 / 24, "day": 1.0, "week": 7.0, "month": 30.0, "year": 365.0}
FORM = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(hour|day|week|month|year)")
# Levels to try, as quantiles of the scores, the highest first.
LEVELS = (0.999, 0.998, 0.995, 0.99, 0.98, 0.95, 0.9, 0.85, 0.8)
# As many peaks as this, or where there are nowhere so many, as few as this.
MIN_PEAKS = (50, 20)
DRAWS = 500
# A resampled rate that is lower than the budget by more than this says no more than that.
MAX_OFF = 20.0
INTERVAL = (0.05, 0.95)
# How much wider the parts' resampling has to be: Student's t of their number, and its bias in small samples.
FEW = student(PARTS - 1) / GAUSS * (PARTS / (PARTS - 1)) ** 0.5
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
        high: The same, of which 5 % of the time there are more; no less than what so short a time, or
            training's rows, leave possible.
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
    return budget_threshold(ScoreSeries.of(scores, times, machines, disturbed), budget, seed=seed)


def budget_threshold(series: ScoreSeries, budget: AlarmBudget, *, seed: int = 0) -> BudgetThreshold:
    """The same, of a series.

    Raises:
        TrainingError: There are too few rows to say anything, or nothing alarms as often as the budget.
    """
    clear, days = series.scores[series.clear], series.machine_days
    levels = np.quantile(clear, LEVELS).tolist() if len(clear) else []
    tried = [(level, series.peaks(level)) for level in levels]
    found = _highest(tried, budget.per_day * days)
    if found is None:
        raise _no_tail(len(clear), days, max((len(peaks) for _, peaks in tried), default=0), budget)
    level, peaks = found
    shape, scale = _pareto(peaks.heights - level)
    value = float(level + _excess(len(peaks) / days / budget.per_day, shape, scale))
    low, high = _interval(series, peaks, level, (shape, scale), budget, seed)
    return BudgetThreshold(value, len(clear), len(peaks), days, low, high, bool(budget.per_day * days < 1))


def _highest(tried: list[tuple[float, Peaks]], kept: float) -> tuple[float, Peaks] | None:
    """The highest of the levels with alarms enough for a tail, and more of them than the budget allows."""
    for least in MIN_PEAKS:
        for level, peaks in tried:
            if len(peaks) >= least and len(peaks) > kept:
                return level, peaks
    return None


def _no_tail(rows: int, days: float, most: int, budget: AlarmBudget) -> TrainingError:
    """Why there is no threshold; `most` are the alarms above the level that has the most of them."""
    if most >= MIN_PEAKS[-1]:
        return TrainingError(
            f"no threshold alarms as often as {budget}: above no level do the normal validation rows alarm "
            f"more often than {most / days:.3g} times a day",
            where="--false-alarms",
            hint="allow fewer, or use --threshold percentile",
        )
    longer = f" of about {days * MIN_PEAKS[-1] / most:.2g} machine-days" if most else ""
    return TrainingError(
        f"{counted(rows, 'normal validation row is', 'normal validation rows are')} too few for a budget of "
        f"{budget}",
        where="--false-alarms",
        hint=f"take a longer history{longer}, or use --threshold percentile",
    )


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
    series: ScoreSeries,
    peaks: Peaks,
    level: float,
    tail: tuple[float, float],
    budget: AlarmBudget,
    seed: int,
) -> tuple[float, float]:
    """Of the number of alarms in a period.

    The threshold is chosen again from resampled parts of the time, and its rate is what the tail of all of
    them says (the bootstrap of what is done, Davison and Hinkley, 1997, section 5.2); as there are few
    parts, by Student's t further off. A period that comes may be as unlike the others as the parts are among
    themselves, beyond chance, so that its rate is a multiple of the usual one; then chance adds its own.

    As none seen is no proof that there is none, the upper end is no less than the rate of which a tenth of
    such histories would show none.
    """
    random = np.random.default_rng(seed)
    part = series.parts()
    seconds = np.bincount(part, weights=series.seconds, minlength=PARTS)
    of_part, excess = part[peaks.rows], peaks.heights - level
    spread = _overdispersion(np.bincount(of_part, minlength=PARTS), seconds / seconds.sum())
    counts = []
    for _ in range(DRAWS):
        drawn = np.bincount(random.integers(0, PARTS, PARTS), minlength=PARTS)
        resampled, days = np.repeat(excess, drawn[of_part]), float((seconds * drawn).sum()) / DAY_S
        chosen = 0.0
        if len(resampled) > 1 and len(resampled) > days * budget.per_day:
            chosen = _excess(len(resampled) / days / budget.per_day, *_pareto(resampled))
        rate = len(excess) / series.machine_days * _survival(chosen, *tail)
        off = min(MAX_OFF, max(rate / budget.per_day, 1 / MAX_OFF)) ** FEW
        multiple = random.gamma(1 / spread, spread) if spread > 0 else 1.0
        counts.append(random.poisson(budget.alarms * multiple * off))
    low, high = np.quantile(counts, INTERVAL)
    unseen = NONE_SEEN / series.machine_days * DAYS[budget.period]
    return float(low), float(max(high, unseen))


def _overdispersion(counts: NDArray[np.intp], part: NDArray[np.float64]) -> float:
    """Variance, relative to its square, of the rate that the counts in parts of the time go by.

    Pearson's statistic against equal rates, less what chance alone makes of it.

    Args:
        counts: [parts] alarms.
        part: [parts] of the time, which sum to 1.
    """
    expected = counts.sum() * part
    known = expected > 0
    pearson = ((counts - expected)[known] ** 2 / expected[known]).sum() / max(1, known.sum() - 1)
    return float(max(0.0, pearson - 1) / expected[known].mean()) if known.any() else 0.0

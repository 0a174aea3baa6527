"""How many alarms a threshold would have raised, beside what the false-alarm budget foretells of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import TrainingError
from trainer.calibration.budget import DAYS, AlarmBudget, BudgetThreshold
from trainer.calibration.peaks import DAY_S, ScoreSeries
from trainer.calibration.promise import promised
from trainer.data.stretches import observed_seconds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.report.scored import Scored

__all__ = ["BUDGETS", "Foretold", "NormalRows", "foretold", "thresholds"]

BUDGETS = ("1/day", "1/week", "1/month")
STEPS = 200
USUAL = 0.9


@dataclass(frozen=True, slots=True)
class NormalRows:
    """The undisturbed rows of a split, each machine's together and in time order.

    Attributes:
        scores: [rows] all finite.
        times: [rows] ns.
        machines: [rows] machine ids.
        machine_days: Time that they stand for, summed over the machines.
        series: The same, as thresholds of budgets are chosen on it.
    """

    scores: NDArray[np.float64]
    times: NDArray[np.int64]
    machines: NDArray[np.str_]
    machine_days: float
    series: ScoreSeries = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "series", ScoreSeries.of(self.scores, self.times, self.machines))

    @staticmethod
    def of(scored: Scored) -> NormalRows:
        """Of a scored split; where nobody labelled it, every row is taken for normal."""
        rows = scored.undisturbed & np.isfinite(scored.scores)
        times, machines = scored.times[rows], scored.machines[rows]
        days = sum(observed_seconds(times[machines == m]) for m in np.unique(machines)) / DAY_S
        return NormalRows(scored.scores[rows].astype(np.float64), times, machines, float(days))

    def alarms(self, threshold: float) -> int:
        """Clusters of rows above the threshold, as the budget counts them."""
        return len(self.series.peaks(threshold))

    def rate(self, threshold: float) -> float:
        """Alarms a machine and day."""
        return self.alarms(threshold) / self.machine_days if self.machine_days else 0.0


@dataclass(frozen=True, slots=True)
class Foretold:
    """What the validation rows say of a budget.

    Attributes:
        budget: The false alarms allowed.
        threshold: The threshold for it and what to expect; None where the rows are too few.
        why_not: Then, why.
    """

    budget: AlarmBudget
    threshold: BudgetThreshold | None
    why_not: str = ""

    @property
    def interval_per_day(self) -> tuple[float, float]:
        """Alarms a machine and day, between which 9 of 10 such periods are."""
        if self.threshold is None:
            return 0.0, 0.0
        days = DAYS[self.budget.period]
        return self.threshold.low / days, self.threshold.high / days


def foretold(validation: NormalRows, seed: int, training: ScoreSeries | None = None) -> list[Foretold]:
    """For each of `BUDGETS`; the seed is that of the interval's resampling.

    Where training's rows are given, they are heard as `edge-train fit --false-alarms` hears them.
    """
    found = []
    for text in BUDGETS:
        budget = AlarmBudget.parse(text)
        try:
            threshold = promised(validation.series, training, budget, seed=seed)
        except TrainingError as error:
            found.append(Foretold(budget, None, error.what))
        else:
            found.append(Foretold(budget, threshold))
    return found


def thresholds(splits: list[NormalRows], marked: list[float]) -> NDArray[np.float64]:
    """Where to look: from what most normal scores are below to beyond the highest and all that is marked."""
    scores = np.concatenate([split.scores for split in splits])
    positive = scores[scores > 0]
    seen = np.quantile(positive, [USUAL, 1.0]).tolist() if len(positive) else []
    return np.geomspace(min([*marked, *seen]), max([*marked, *seen]) * 1.3, STEPS)

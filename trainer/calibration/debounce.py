"""The debounce that a false-alarm budget is kept with: k of a machine's last n rows above the threshold.

At least k of n scores are above a threshold exactly where the k-th largest of them is. So a debounced alarm
is an exceedance of that order statistic, and its threshold is chosen on it as on any other score.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from edge_runtime.bundle.metadata import Debounce, Hold, Threshold
from edge_runtime.errors import TrainingError
from trainer.calibration.budget import budget_threshold
from trainer.calibration.calibrate import verdicts
from trainer.calibration.peaks import ScoreSeries
from trainer.data.stretches import SLACK_NS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.calibration.budget import AlarmBudget, BudgetThreshold
    from trainer.data.split import Split
    from trainer.detector import Detector

__all__ = ["ScoredRows", "choose_debounce", "kth_largest"]

# Beside none, which is 1 of 1.
CANDIDATES = (Debounce(2, 3), Debounce(3, 5), Debounce(5, 8))


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """Scored rows of a split, in any order.

    Attributes:
        scores: [rows], all finite.
        times: [rows] ns.
        machines: [rows] machine ids.
        normal: [rows] False where a row is labelled anomalous, or ignored.
        ignored: [rows] which of these are ignored; None for none.
    """

    scores: NDArray[np.float32]
    times: NDArray[np.int64]
    machines: NDArray[np.str_]
    normal: NDArray[np.bool_]
    ignored: NDArray[np.bool_] | None = None

    @property
    def anomalous(self) -> NDArray[np.bool_]:
        """[rows] labelled so."""
        return ~self.normal if self.ignored is None else ~(self.normal | self.ignored)

    @staticmethod
    def of(split: Split, detector: Detector) -> ScoredRows:
        """The rows of a split that have all of their readings, by machine and time."""
        rows = np.lexsort((split.times, split.machines))
        rows = rows[split.finite[rows]]
        times, machines = split.times[rows], split.machines[rows]
        scores = detector.score_table(split.values[rows], times, machines)
        ignored = None if split.ignored is None else split.ignored[rows]
        return ScoredRows(scores, times, machines, split.normal[rows], ignored)

    def part(self, rows: NDArray[np.bool_]) -> ScoredRows:
        """These rows alone."""
        return ScoredRows(
            self.scores[rows],
            self.times[rows],
            self.machines[rows],
            self.normal[rows],
            None if self.ignored is None else self.ignored[rows],
        )

    def halves(self) -> tuple[ScoredRows, ScoredRows]:
        """The earlier and the later half of each machine's rows."""
        order = np.lexsort((self.times, self.machines))
        later = np.empty(len(order), np.bool_)
        starts = np.flatnonzero(self.machines[order][1:] != self.machines[order][:-1]) + 1
        for rows in np.split(order, starts):
            later[rows] = np.arange(len(rows)) >= len(rows) // 2
        return self.part(~later), self.part(later)

    def series(self, debounce: Debounce | None) -> ScoreSeries:
        """What the threshold is applied to, and where an alarm would be about no event."""
        scores = kth_largest(self.scores, self.times, self.machines, debounce)
        full = np.isfinite(scores)
        return ScoreSeries.of(scores[full], self.times[full], self.machines[full], self._disturbed()[full])

    def budget_threshold(
        self, debounce: Debounce | None, budget: AlarmBudget, *, seed: int
    ) -> BudgetThreshold:
        """The threshold that keeps the budget with this debounce, from the alarms that are about no event.

        Raises:
            TrainingError: There are too few normal rows.
        """
        return budget_threshold(self.series(debounce), budget, seed=seed)

    def _disturbed(self) -> NDArray[np.bool_]:
        """[rows] whether the row is not normal, or as near to one such as an alarm about it may lie."""
        found = ~self.normal
        for machine in np.unique(self.machines[found]):
            own = np.flatnonzero(self.machines == machine)
            events = np.sort(self.times[own][~self.normal[own]])
            following = np.searchsorted(events, self.times[own] - SLACK_NS)
            last = np.minimum(following, len(events) - 1)
            near = np.abs(events[last] - self.times[own]) <= SLACK_NS
            found[own] |= near & (following < len(events))
        return found


def kth_largest(
    scores: NDArray[np.floating],
    times: NDArray[np.int64],
    machines: NDArray[np.str_],
    debounce: Debounce | None,
) -> NDArray[np.float64]:
    """[rows] the k-th largest of the machine's last n scores; minus infinity where there were not yet k.

    Args:
        scores: [rows], in any order.
        times: [rows] ns.
        machines: [rows] machine ids.
        debounce: None for the scores themselves.
    """
    if debounce is None:
        return scores.astype(np.float64)
    k, n = debounce.k, debounce.n
    found = np.empty(len(scores))
    order = np.lexsort((times, machines))
    starts = np.flatnonzero(machines[order][1:] != machines[order][:-1]) + 1
    for rows in np.split(order, starts) if len(order) else ():
        series = np.concatenate([np.full(n - 1, -np.inf), scores[rows]])
        found[rows] = np.partition(sliding_window_view(series, n), n - k, axis=1)[:, n - k]
    return found


def choose_debounce(
    validation: ScoredRows,
    budget: AlarmBudget,
    hold: Hold,
    *,
    seed: int,
    wanted: Debounce | None = None,
) -> tuple[Debounce | None, BudgetThreshold]:
    """The debounce, and the threshold that keeps the budget with it.

    Of 1 of 1, 2 of 3, 3 of 5 and 5 of 8: with labelled anomalies, the one with the best F1 of the verdict.
    Without any, every row counts by itself: a longer debounce would let a lower threshold keep the budget,
    but nothing tells how many short events that would cost.

    The one that looks best on some rows owes a part of that to chance, and its threshold on the same rows
    would be too low. So it is chosen on the earlier half of validation, and its threshold on the later. Where
    a half is too short, every row counts by itself, with the threshold of the whole.

    Args:
        validation: Nothing was trained on these rows.
        budget: How many alarms of one machine are allowed.
        hold: The verdict's.
        seed: Of the resampling.
        wanted: A debounce that was chosen already; None to choose one.

    Raises:
        TrainingError: There are too few normal rows to say anything.
    """
    if wanted is not None:
        chosen = None if wanted.k == wanted.n == 1 else wanted
        return chosen, validation.budget_threshold(chosen, budget, seed=seed)
    plain = validation.budget_threshold(None, budget, seed=seed)
    earlier, later = validation.halves()
    try:
        debounce = _best(earlier, budget, hold, seed)
        if debounce is not None:
            return debounce, later.budget_threshold(debounce, budget, seed=seed)
    except TrainingError:
        pass
    return None, plain


def _best(validation: ScoredRows, budget: AlarmBudget, hold: Hold, seed: int) -> Debounce | None:
    """The debounce that these rows speak for; one that they are too few for is not among those."""
    if not validation.anomalous.any():
        return None
    first = validation.budget_threshold(None, budget, seed=seed)
    found: list[tuple[Debounce | None, BudgetThreshold]] = [(None, first)]
    for debounce in CANDIDATES:
        with suppress(TrainingError):
            found.append((debounce, validation.budget_threshold(debounce, budget, seed=seed)))
    return max(found, key=lambda pair: _f1(validation, pair[0], pair[1], hold))[0]


def _f1(validation: ScoredRows, debounce: Debounce | None, found: BudgetThreshold, hold: Hold) -> float:
    threshold = Threshold(found.value, "false_alarms", None, None, found.rows, hold=hold, debounce=debounce)
    flags = verdicts(validation.scores, threshold, validation.times, validation.machines)
    if validation.ignored is not None:
        flags &= ~validation.ignored
    hits = int((flags & validation.anomalous).sum())
    return 2 * hits / (int(flags.sum()) + int(validation.anomalous.sum()))

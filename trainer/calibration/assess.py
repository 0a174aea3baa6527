"""The threshold of a trained detector, chosen on validation, and how the detector does with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.bundle.metadata import Threshold
from edge_runtime.errors import TrainingError
from trainer.calibration.calibrate import calibrate, limits, verdicts
from trainer.calibration.debounce import ScoredRows, choose_debounce
from trainer.calibration.margin import TrainingScores
from trainer.calibration.promise import promised
from trainer.evaluation.evaluate import evaluate

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Debounce, Hold
    from trainer.calibration.budget import AlarmBudget, BudgetThreshold
    from trainer.calibration.calibrate import ThresholdMethod
    from trainer.data.split import Split
    from trainer.detector import Detector
    from trainer.evaluation.evaluate import Evaluation

__all__ = ["Assessment", "assess", "choose_threshold", "judge", "keep_budget", "own_thresholds"]

# Of a machine's normal rows: with fewer, its own threshold would be worse than that of all.
MIN_OWN_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Assessment:
    """How the detector did on a split.

    Attributes:
        rows: Rows that were scored and count.
        not_scored: Rows left out because a reading was missing or not finite.
        alarm_rate: Part of these rows that are flagged.
        evaluation: Compared with the labels; None where there are none.
    """

    rows: int
    not_scored: int
    alarm_rate: float
    evaluation: Evaluation | None

    @property
    def metrics(self) -> dict[str, float]:
        """Every figure by its name; those that need labels are left out where there are none."""
        found = {} if self.evaluation is None else self.evaluation.metrics()
        return {**found, "alarm_rate": self.alarm_rate}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        found = {} if self.evaluation is None else self.evaluation.to_dict()
        return {**found, **self.metrics, "rows": self.rows, "rows_not_scored": self.not_scored}


def choose_threshold(
    val: Split,
    detector: Detector,
    method: ThresholdMethod,
    *,
    percentile: float,
    hold: Hold,
    margin: float | None = 1.0,
    per_machine: bool = False,
    training: ScoredRows | None = None,
) -> Threshold:
    """The threshold by one of the methods, from the finite rows of validation.

    Without a margin, scored rows of training, if they are given, say whether validation was calm.
    """
    before = None if training is None or margin is not None else TrainingScores.of(training)
    rows = np.lexsort((val.times, val.machines))
    rows = rows[val.finite[rows]]
    scores = detector.score_table(val.values[rows], val.times[rows], val.machines[rows])
    labels, machines = None if val.labels is None else val.labels[rows], val.machines[rows]
    counted = val.counted[rows]

    def choose(chosen: NDArray[np.bool_], machine: str | None = None) -> Threshold:
        return calibrate(
            method,
            scores[chosen],
            None if labels is None else labels[chosen],
            machines=machines[chosen],
            percentile=percentile,
            margin=margin if before is None else before.margin(machine),
            hold=hold,
            counted=counted[chosen],
        )

    threshold = choose(np.ones(len(scores), np.bool_))
    if not per_machine:
        return threshold
    own = own_thresholds(machines, val.normal[rows], lambda name, chosen: choose(chosen, name).value)
    return replace(threshold, per_machine=own)


def keep_budget(
    val: Split,
    detector: Detector,
    budget: AlarmBudget,
    *,
    hold: Hold,
    seed: int,
    debounce: Debounce | None = None,
    per_machine: bool = False,
    train: Split | None = None,
) -> tuple[Threshold, BudgetThreshold]:
    """The threshold that keeps a false-alarm budget, and the debounce it does so with, from validation.

    The debounce is chosen too, unless one is given. What the rows of training say against the budget is
    heard, where they are given.

    Raises:
        TrainingError: There are too few rows, or the history cannot promise the budget.
    """
    scored = ScoredRows.of(val, detector)
    before = None if train is None else ScoredRows.of(train, detector)
    asked = debounce
    debounce, found = choose_debounce(scored, budget, hold, seed=seed, wanted=asked)
    held_out = scored if debounce is None or asked is not None else scored.halves()[1]

    def kept(rows: ScoredRows, trained: ScoredRows | None) -> BudgetThreshold:
        series = None if trained is None else trained.series(debounce)
        return promised(rows.series(debounce), series, budget, seed=seed)

    found = kept(held_out, before)
    threshold = Threshold(
        found.value, "false_alarms", None, str(budget), found.rows, hold=hold, debounce=debounce
    )
    if per_machine:
        own = own_thresholds(
            held_out.machines,
            held_out.normal,
            lambda name, chosen: (
                kept(held_out.part(chosen), before and before.part(before.machines == name)).value
            ),
        )
        threshold = replace(threshold, per_machine=own)
    return threshold, found


def own_thresholds(
    machines: NDArray[np.str_], normal: NDArray[np.bool_], choose: Callable[[str, NDArray[np.bool_]], float]
) -> dict[str, float]:
    """Machine to its threshold, of those with rows enough to choose one."""
    found = {}
    for machine in np.unique(machines):
        rows = machines == machine
        if (rows & normal).sum() >= MIN_OWN_ROWS:
            try:
                found[str(machine)] = choose(str(machine), rows)
            except TrainingError:  # no anomaly of its own to learn from, say: it gets the threshold of all
                continue
    return found


def assess(split: Split, detector: Detector, threshold: Threshold) -> Assessment:
    """Scores the finite rows of a split, judges them as the gateway would, and compares with their labels.

    Ignored rows are judged, since what follows them may depend on them, but count in no figure.
    With thresholds per machine, a machine's scores are ranked in parts of its own threshold.
    """
    finite, counted = split.finite, split.counted
    scores, flagged = judge(split, detector, threshold)
    rows = int((finite & counted).sum())
    alarm_rate = float(flagged[counted].sum() / rows) if rows else 0.0
    evaluation = None
    if split.labels is not None and rows:
        evaluation = evaluate(
            scores[counted],
            threshold.value,
            split.labels[counted],
            None if split.kinds is None else split.kinds[counted],
            split.times[counted],
            split.machines[counted],
            verdicts=flagged[counted],
        )
    return Assessment(rows, int((~finite & counted).sum()), alarm_rate, evaluation)


def judge(
    split: Split, detector: Detector, threshold: Threshold
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """[rows] scores and which rows are flagged, as the gateway would have it.

    A row that lacks a reading stays in, without a score, and not flagged: an event of such rows alone was
    missed. With thresholds per machine, a score is in parts of its machine's.
    """
    finite = split.finite
    times, machines = split.times[finite], split.machines[finite]
    found = detector.score_table(split.values[finite], times, machines)
    scores, flagged = np.full(len(split), np.nan), np.zeros(len(split), np.bool_)
    scores[finite] = found if not threshold.per_machine else found / limits(threshold, machines)
    flagged[finite] = verdicts(found, threshold, times, machines)
    return scores, flagged

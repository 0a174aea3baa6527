"""Whether a history can promise that a budget of false alarms is kept.

A budget's interval comes from the differences between parts of validation. Two more things are known of
other time, and each may only widen it. Rows that the network was fitted on score lower than others, so what
they raise above the threshold, later rows raise at least. And a threshold that is chosen on training in the
same way, on no less time, met validation as the one that is chosen on validation will meet what comes: how
often it alarmed there is the best evidence of what later is like. It overstates where the network is fitted
too closely, which makes the promise careful, not wrong.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING

from edge_runtime.errors import TrainingError, counted
from trainer.calibration.budget import DAYS, AlarmBudget, budget_threshold
from trainer.calibration.peaks import DAY_S, NONE_SEEN
from trainer.data.stretches import by_machine, observed_seconds

if TYPE_CHECKING:
    from trainer.calibration.budget import BudgetThreshold
    from trainer.calibration.peaks import ScoreSeries
    from trainer.data.split import Split

__all__ = ["is_promised", "promised", "refuse_short", "widened"]

# A budget is promised if its interval ends at no more than so many times it.
MOST = 10.0
# Fewer alarms may be due to chance.
SOME_ALARMS = 3
# What a history may promise where it cannot promise what was asked for.
RATES = (
    AlarmBudget(1, "month"),
    AlarmBudget(1, "week"),
    AlarmBudget(3, "week"),
    AlarmBudget(1, "day"),
    AlarmBudget(3, "day"),
    AlarmBudget(10, "day"),
    AlarmBudget(2, "hour"),
)


def widened(
    found: BudgetThreshold,
    validation: ScoreSeries,
    training: ScoreSeries | None,
    budget: AlarmBudget,
    *,
    seed: int = 0,
) -> BudgetThreshold:
    """The threshold with an interval that holds what training shows of time beyond validation.

    Args:
        found: As validation alone has it.
        validation: What it was chosen on.
        training: The same of the rows of training; None for nothing to compare with.
        budget: How many alarms of one machine are allowed.
        seed: Of the resampling.
    """
    if training is None or not len(training.scores):
        return found
    rates = [_rate(training, found.value)]
    if training.machine_days >= validation.machine_days:
        with suppress(TrainingError):  # too few alarms, say
            rates.append(_rate(validation, budget_threshold(training, budget, seed=seed).value))
    return replace(found, high=max(found.high, *(rate * DAYS[budget.period] for rate in rates)))


def _rate(series: ScoreSeries, value: float) -> float:
    """Alarms a machine and day, of what is more than chance."""
    return series.rate(value) if len(series.peaks(value)) >= SOME_ALARMS else 0.0


def promised(
    validation: ScoreSeries, training: ScoreSeries | None, budget: AlarmBudget, *, seed: int = 0
) -> BudgetThreshold:
    """The threshold that keeps a budget, if the history can promise it.

    Args:
        validation: Rows that nothing was trained on.
        training: The same of the rows of training; None for nothing to compare with.
        budget: How many alarms of one machine are allowed.
        seed: Of the resampling.

    Raises:
        TrainingError: There are too few rows, or its interval ends beyond ten times the budget.
    """
    found = _kept(validation, training, budget, seed)
    if is_promised(found, budget):
        return found
    other = _can_promise(validation, training, budget, seed)
    days = f"{validation.machine_days:.3g} machine-days of validation"
    longer = "" if other is None else _longer(validation, other, budget)
    can = "it can promise no budget" if other is None else f"it can promise {other}{longer}"
    short = NONE_SEEN / validation.machine_days * DAYS[budget.period] > MOST * budget.alarms
    why = "so short a time" if short else "what differs between its parts"
    raise TrainingError(
        f"a history of {days} cannot promise {budget}: by {why}, it may be "
        f"up to {counted(ceil(found.high), 'false alarm')} a {budget.period}",
        where="--false-alarms",
        hint=f"{can}; or use --threshold percentile",
    )


def refuse_short(val: Split, budget: AlarmBudget) -> None:
    """Refuses a budget that no scores of a validation this short could promise, before anything is trained.

    Raises:
        TrainingError: There is too little time in it.
    """
    index = by_machine(val.times[val.normal], val.machines[val.normal])
    days = sum(observed_seconds(val.times[val.normal][own]) for _, own in index) / DAY_S
    needed = NONE_SEEN / MOST / budget.per_day
    if days < needed:
        raise TrainingError(
            f"validation has {days:.2g} machine-days of normal rows, and {budget} takes at least {needed:.2g}"
            ": in a shorter time, ten times as many false alarms may not show",
            where="--false-alarms",
            hint="take a longer history, allow more, or use --threshold percentile",
        )


def _kept(
    validation: ScoreSeries, training: ScoreSeries | None, budget: AlarmBudget, seed: int
) -> BudgetThreshold:
    found = budget_threshold(validation, budget, seed=seed)
    return widened(found, validation, training, budget, seed=seed)


def is_promised(found: BudgetThreshold, budget: AlarmBudget) -> bool:
    """Whether the interval ends at no more than ten times the budget."""
    return found.high <= MOST * budget.alarms


def _can_promise(
    validation: ScoreSeries, training: ScoreSeries | None, budget: AlarmBudget, seed: int
) -> AlarmBudget | None:
    """The rarest budget of those that come to mind, more often than the one asked for, that is promised."""
    for other in RATES:
        if other.per_day > budget.per_day:
            with suppress(TrainingError):
                if is_promised(_kept(validation, training, other, seed), other):
                    return other
    return None


def _longer(validation: ScoreSeries, other: AlarmBudget, budget: AlarmBudget) -> str:
    """How long a history has to be to see as many alarms of this budget as it now sees of the other."""
    days = validation.machine_days * other.per_day / budget.per_day
    return f"; {budget} takes about {days:.2g} machine-days, if they differ no more than these"

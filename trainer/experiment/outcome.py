"""Whether a trained detector is one to rely on: what its epochs and its alarms on test say against it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.errors import counted
from trainer.data.stretches import by_machine, observed_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer.calibration.assess import Assessment
    from trainer.calibration.expected import ExpectedShare
    from trainer.data.training_data import TrainingData
    from trainer.fitting.training import Epoch

__all__ = ["doubts_about_fit", "doubts_about_size"]

# Parts of the rows that are normal, or of which nobody says what they are.
MANY, SOME, SOME_UNLABELLED = 0.2, 0.02, 0.05
# And so many times what it is on validation.
MORE = 5.0
# Normal rows of validation, and days of one machine, with fewer of which its threshold promises little.
FEW_ROWS, FEW_DAYS = 1_000, 1.0
DAY_S = 86_400.0


def doubts_about_size(data: TrainingData, parameters: int, expected: ExpectedShare | None) -> list[str]:
    """Sentences on what the history is too short for, or too uneven.

    Args:
        data: What was trained with.
        parameters: Numbers that the training chose.
        expected: What part of later normal rows will be flagged; None where validation is too short to say.
    """
    found = []
    readings = int(data.train.normal.sum()) * len(data.sensors)
    if readings < parameters:
        found.append(
            f"there is too little data for this model: {parameters:,} parameters were fitted to {readings:,} "
            "readings; take a longer history, or a smaller model, such as --model linear or smaller --widths"
        )
    rows = int(data.val.normal.sum())
    times = [data.val.times[index] for _, index in by_machine(data.val.times, data.val.machines)]
    days = max((observed_seconds(own) for own in times), default=0.0) / DAY_S
    short = [f"only {counted(rows, 'normal row')}"] * (rows < FEW_ROWS)
    short += [f"only {_hours(days)} of a machine, so nothing of how days differ"] * (days < FEW_DAYS)
    if short:
        little = (
            "no rate of false alarms" if expected is None else f"no fewer false alarms than {expected.rarest}"
        )
        found.append(
            f"validation has {' and '.join(short)}: it promises {little}; take a longer history, or give "
            "validation more of it"
        )
    elif expected is not None and expected.high >= MANY:
        found.append(
            f"parts of the history differ so much that the bundle may flag {expected} that come: take a "
            "history that shows more of what is normal, or train again when the machine has changed"
        )
    return found


def _hours(days: float) -> str:
    hours = 24 * days
    return f"{hours:.2g} hours" if hours >= 1.5 else f"{60 * hours:.2g} minutes"  # noqa: PLR2004


def doubts_about_fit(
    history: Sequence[Epoch], epochs: int, validation: Assessment, test: Assessment
) -> list[str]:
    """Sentences on what speaks against a detector.

    Args:
        history: Every epoch of every member; empty for a model in closed form.
        epochs: How many there could have been in all.
        validation: How it did where its threshold was chosen.
        test: How it did on rows that decided nothing.
    """
    found = []
    if history and history[-1].best and len(history) >= epochs:
        found.append("the best epoch is the last one, so the training was not at its end: give more --epochs")
    rate, before = _false_rate(test), _false_rate(validation)
    rows = "test rows, which nobody labelled" if test.evaluation is None else "test rows that are normal"
    some = SOME_UNLABELLED if test.evaluation is None else SOME
    if rate >= MANY or (rate > some and rate > MORE * before):
        found.append(
            f"the bundle alarms on {rate:.1%} of its own {rows}, and on {before:.1%} of those of validation: "
            "either the machine changed in between, or validation is too short to set the threshold; look at "
            "these rows, and if they are normal, train with a history that has some like them"
        )
    return found


def _false_rate(assessment: Assessment) -> float:
    """Part of the normal rows that is flagged; of all, where none is known to be normal."""
    found = assessment.evaluation
    if found is None:
        return assessment.alarm_rate
    normal = (found.fp or 0) + (found.tn or 0)
    return (found.fp or 0) / normal if normal else 0.0

"""Whether a trained detector is one to rely on: what its epochs and its alarms on test say against it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer.calibration.assess import Assessment
    from trainer.fitting.training import Epoch

__all__ = ["doubts_about_fit"]

# Parts of the rows that are normal, or of which nobody says what they are.
MANY, SOME, SOME_UNLABELLED = 0.2, 0.02, 0.05
# And so many times what it is on validation.
MORE = 5.0


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
    if rate > MANY or (rate > some and rate > MORE * before):
        found.append(
            f"the bundle alarms on {rate:.1%} of its own {rows}, and on {before:.1%} of those of validation: "
            "either the machine changed in between, or validation is too short to set the threshold"
        )
    return found


def _false_rate(assessment: Assessment) -> float:
    """Part of the normal rows that is flagged; of all, where none is known to be normal."""
    found = assessment.evaluation
    if found is None:
        return assessment.alarm_rate
    normal = (found.fp or 0) + (found.tn or 0)
    return (found.fp or 0) / normal if normal else 0.0

"""What a sweep makes as large as it can, from train and validation alone.

Losses of differently scaled rows cannot be compared, verdicts and rankings can. Where validation is labelled
that is the F1 of the verdict: validation is cut into blocks of time, every other block is judged with the
threshold of the blocks between, and these with the threshold of those. Where it is not, faults are put into
normal validation rows, and it is the average precision of the scores: the mean precision over all recalls.

Beside the figure stand draws of it, by resampled blocks of time that are the same for every trial, so that
two trials can be compared draw by draw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from edge_runtime.errors import TrainingError
from trainer.calibration.calibrate import calibrate, verdicts
from trainer.evaluation.blocks import HOUR_NS, time_blocks
from trainer.evaluation.injected import APART, inject
from trainer.evaluation.ranking import ranked, ranking
from trainer.evaluation.resampling import Blocks, areas, f1_draws

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.data.split import Split
    from trainer.data.training_data import TrainingData
    from trainer.detector import Detector
    from trainer.sweep.space import Candidate

__all__ = ["GoalName", "HeldOutF1", "InjectedFaults", "Measured", "Objective", "choose_objective"]

GoalName = Literal["auto", "f1", "faults"]
# As many at least, so that both halves see all of what validation holds.
MIN_BLOCKS = 20
SECOND_NS = 1_000_000_000
# Of the draws, the same for every trial of every sweep.
SEED = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure, and how sure it is.

    Attributes:
        figure: Between 0 and 1.
        draws: [draws] the same of resampled blocks of time; NaN where a draw leaves it undefined.
    """

    figure: float
    draws: NDArray[np.float64]


class Objective(Protocol):
    """A figure of a trained detector, the larger the better."""

    @property
    def name(self) -> str:
        """Of the figure, as it is recorded."""
        ...

    @property
    def what(self) -> str:
        """The same for people."""
        ...

    @property
    def calibrated(self) -> bool:
        """Whether it depends on threshold and hold."""
        ...

    def measure(self, detector: Detector, candidate: Candidate) -> Measured:
        """The figure, and draws of it."""
        ...


@dataclass(frozen=True, slots=True)
class HeldOutF1:
    """F1 of the verdict, each half of the blocks of time judged with the threshold of the other.

    Attributes:
        split: Finite rows, by machine and time.
        labels: [rows] whether the row is anomalous, and counts.
        odd: [rows] which half the row is in.
    """

    split: Split
    labels: NDArray[np.bool_]
    odd: NDArray[np.bool_]
    name: str = "held_out_f1"
    what: str = "F1 on validation, each half of its blocks of time with the threshold of the other"
    calibrated: bool = True

    @staticmethod
    def of(val: Split) -> HeldOutF1 | None:
        """None where one of the halves lacks labelled anomalies, or normal rows."""
        if val.labels is None or not val.finite.any():
            return None
        order = np.lexsort((val.times, val.machines))
        order = order[val.finite[order]]
        split = val.take(order)
        labels = val.labels[order] & split.counted
        blocks, seconds = time_blocks(split.times, split.machines)
        length = int(min(HOUR_NS, seconds.sum() * SECOND_NS / MIN_BLOCKS))
        if 0 < length < HOUR_NS:
            blocks, _ = time_blocks(split.times, split.machines, length)
        odd: NDArray[np.bool_] = blocks % 2 == 1
        for half in (odd, ~odd):
            if not labels[half].any() or not split.normal[half].any():
                return None
        return HeldOutF1(split, labels, odd)

    def measure(self, detector: Detector, candidate: Candidate) -> Measured:
        """F1 over the rows of both halves."""
        split = self.split
        scores = detector.score_table(split.values, split.times, split.machines)
        flagged = np.zeros(len(scores), np.bool_)
        for judged in (self.odd, ~self.odd):
            threshold = calibrate(
                "percentile",
                scores[~judged],
                self.labels[~judged],
                percentile=candidate.percentile,
                hold=candidate.hold,
                counted=split.counted[~judged],
            )
            flagged[judged] = verdicts(scores, threshold, split.times, split.machines)[judged]
        flagged &= split.counted
        f1 = float(2 * (flagged & self.labels).sum() / (flagged.sum() + self.labels.sum()))
        blocks = Blocks.of(split.times, split.machines, SEED)
        return Measured(f1, f1_draws(blocks, flagged, self.labels))


@dataclass(frozen=True, slots=True)
class InjectedFaults:
    """Average precision of the scores on normal rows with faults of single sensors in them.

    Attributes:
        split: Finite rows, by machine and time, the ignored ones among them.
        labels: [rows] whether a fault was put into the row.
        least_ns: From one fault to the next: a block of time is no shorter.
    """

    split: Split
    labels: NDArray[np.bool_]
    least_ns: int
    name: str = "injected_average_precision"
    what: str = "average precision on normal validation rows with faults put into them"
    calibrated: bool = False

    @staticmethod
    def of(data: TrainingData) -> InjectedFaults:
        """Faults in validation, by the sensors' standard deviations in train.

        Raises:
            TrainingError: No run of normal rows is long enough.
        """
        broken = inject(data.val, data.train.normal_values, None).split
        kept = broken.finite
        if data.val.labels is not None:  # what was anomalous before says nothing of the faults
            kept = kept & ~data.val.labels[np.lexsort((data.val.times, data.val.machines))]
        split = broken.take(kept)
        labels = np.zeros(len(split), np.bool_) if split.labels is None else split.labels
        return InjectedFaults(split, labels, int(APART * data.cadence_seconds * SECOND_NS))

    def measure(self, detector: Detector, candidate: Candidate) -> Measured:  # noqa: ARG002 - as the protocol
        """Average precision."""
        split = self.split
        scores = ranked(detector.score_table(split.values, split.times, split.machines))
        counted = split.counted
        figure = ranking(scores[counted], self.labels[counted])[1] or 0.0
        blocks = Blocks.of(split.times, split.machines, SEED, least_ns=self.least_ns)
        with np.errstate(invalid="ignore", divide="ignore"):
            _, draws = areas(blocks, scores, self.labels & counted, ~self.labels & counted)
        return Measured(figure, draws)


def choose_objective(data: TrainingData, wanted: GoalName) -> Objective:
    """The objective: by labels where validation has enough of them, else by injected faults.

    Raises:
        TrainingError: "f1" was wanted, and there are no labels for it; or no fault can be put in.
    """
    labelled = None if wanted == "faults" else HeldOutF1.of(data.val)
    if labelled is not None:
        return labelled
    if wanted == "f1":
        raise TrainingError(
            "both halves of validation need labelled anomalies",
            where=str(data.val.path),
            hint="label some, or use --goal faults",
        )
    return InjectedFaults.of(data)

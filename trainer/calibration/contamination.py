"""Whether faults that nobody labelled were learnt from, and which stretches of training to look at."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import counted
from trainer.data.rows import iso_times
from trainer.data.stretches import Stretch, by_machine

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.data.split import Split
    from trainer.data.training_data import TrainingData
    from trainer.detector import Detector

__all__ = ["Contamination", "OddStretch", "find_contamination"]

HIGHEST, HIGH, USUALLY = 0.9955, 0.99, 0.9
# On histories known to be healthy, the high scores of training are at most 1.4 times those of validation.
SUSPICIOUS_TRAIN, SUSPICIOUS_TAIL = 1.5, 10.0
# Shorter than these rows is a spike; longer than this part of a machine's rows is how it usually runs.
SHORTEST, LONGEST = 4, 0.01
# Rows before and after those that are high still belong to the fault.
AROUND = 10
SHOWN = 5


@dataclass(frozen=True, slots=True)
class OddStretch:
    """Consecutive rows of training that stand out.

    Attributes:
        stretch: Machine and time.
        rows: How many.
        peak: Their highest score, in parts of the high scores of validation.
    """

    stretch: Stretch
    rows: int
    peak: float

    def __str__(self) -> str:
        start, stop = (
            str(iso_times(np.array([moment // 10**9 * 10**9], np.int64))[0])
            for moment in (self.stretch.start, self.stretch.stop)
        )
        return f"{self.stretch.machine} {start} to {stop} (peak {self.peak:.1f})"


@dataclass(frozen=True, slots=True)
class Contamination:
    """What the scores of training and validation say of their rows.

    Attributes:
        train_ratio: The 99th or 99.55th percentile of training's normal rows in parts of validation's,
            whichever is more.
        tail_ratio: The 99.55th percentile of validation's normal rows in parts of their 90th.
        stretches: Of training, which stand out; the oddest first.
        rows: How many rows they have together.
    """

    train_ratio: float
    tail_ratio: float
    stretches: tuple[OddStretch, ...]
    rows: int

    @property
    def in_training(self) -> bool:
        """Whether training seems to hold faults."""
        return self.train_ratio > SUSPICIOUS_TRAIN and bool(self.stretches)

    def doubts(self, *, cleaned: int = 0) -> list[str]:
        """Sentences for people.

        Args:
            cleaned: Rows that were left out already; 0 for none.
        """
        found = []
        if self.in_training:
            said = f"training seems to {'still hold' if cleaned else 'hold'} faults that nobody labelled"
            places = "; ".join(map(str, self.stretches[:SHOWN]))
            more = f"; and {len(self.stretches) - SHOWN:,} more" if len(self.stretches) > SHOWN else ""
            these = f"these {counted(self.rows, 'row')}"
            hint = "" if cleaned else f"; --clean leaves {these} out and trains again"
            found.append(
                f"{said}: its highest scores are {self.train_ratio:.1f} times those of validation. "
                f"Look at {places}{more}{hint}"
            )
        if self.tail_ratio > SUSPICIOUS_TAIL:
            found.append(
                f"a few validation rows score {self.tail_ratio:.0f} times as high as most: either they are "
                "faults that nobody labelled, and the threshold is too high, or the machine has a state that "
                "is rare; look at the plots, and label the rows or take a longer history"
            )
        return found

    def cleaned(self, data: TrainingData) -> TrainingData:
        """The data with these stretches of training ignored: nothing is learnt from them."""
        train = data.train
        odd = np.zeros(len(train), np.bool_)
        for each in self.stretches:
            one = each.stretch
            odd |= (train.machines == one.machine) & (train.times >= one.start) & (train.times <= one.stop)
        odd &= train.normal
        ignored = odd if train.ignored is None else odd | train.ignored
        return replace(data, train=replace(train, ignored=ignored))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "train_ratio": self.train_ratio,
            "tail_ratio": self.tail_ratio,
            "rows": self.rows,
            "stretches": [
                {**asdict(each.stretch), "rows": each.rows, "peak": each.peak} for each in self.stretches
            ],
        }


def find_contamination(data: TrainingData, detector: Detector) -> Contamination:
    """Looks for faults among the rows that were taken for normal.

    A detector that learnt from faults reproduces them less well than it does normal rows all the same, since
    they are few. So training's highest scores exceed validation's, while without faults they are alike.

    Args:
        data: The splits; the test split is not looked at.
        detector: As it was fitted.
    """
    train, val = _scores(data.train, detector), _scores(data.val, detector)
    normal = train[data.train.normal], val[data.val.normal]
    trained = np.quantile(normal[0], (HIGHEST, HIGH))
    high, less, usual = np.quantile(normal[1], (HIGHEST, HIGH, USUALLY)).tolist()
    if not min(high, less, usual) > 0:
        return Contamination(1.0, 1.0, (), 0)
    odd = [
        OddStretch(Stretch(machine, int(times[0]), int(times[-1])), len(times), float(scores.max()) / high)
        for machine, times, scores in _odd(data.train, train, high)
    ]
    odd.sort(key=lambda each: -each.peak)
    return Contamination(
        float((trained / (high, less)).max()),
        high / usual,
        tuple(odd),
        sum(each.rows for each in odd),
    )


def _odd(
    train: Split, scores: NDArray[np.float32], high: float
) -> list[tuple[str, NDArray[np.int64], NDArray[np.float32]]]:
    """Runs of a machine's normal rows whose scores are high, if they are neither spikes nor usual."""
    found = []
    for machine, index in by_machine(train.times, train.machines):
        rows = index[train.normal[index]]
        above = np.flatnonzero(scores[rows] > high)
        for run in np.split(above, np.flatnonzero(np.diff(above) > 2 * AROUND + 1) + 1) if len(above) else ():
            if SHORTEST <= run[-1] + 1 - run[0] <= max(SHORTEST, LONGEST * len(rows)):
                own = rows[max(0, run[0] - AROUND) : run[-1] + 1 + AROUND]
                found.append((machine, train.times[own], scores[own]))
    return found


def _scores(split: Split, detector: Detector) -> NDArray[np.float32]:
    """[rows] scores; NaN where a reading is missing."""
    rows = split.finite
    found = np.full(len(split), np.nan, np.float32)
    found[rows] = detector.score_table(split.values[rows], split.times[rows], split.machines[rows])
    return found

"""What our detectors add to a score, given to the simple ones as well: then only the scores are compared."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.bundle.metadata import Hold, Threshold
from edge_runtime.errors import counted
from edge_runtime.scoring.inference import seconds_of_day
from trainer.calibration.assess import own_thresholds
from trainer.calibration.calibrate import limits, percentile_threshold, verdicts
from trainer.calibration.margin import TrainingScores
from trainer.data.stretches import by_machine
from trainer.detector.smoothing import NO_CAP, ScoreSmoothing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Debounce
    from trainer.data.split import Split
    from trainer.detector.parts import DetectorParts
    from trainer.evaluation.baselines import Baseline, FittedBaseline

__all__ = ["ALIKE", "Treated", "Treatment", "held_limits"]

# After the name of a simple detector in a table.
ALIKE = " treated alike"


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """What is done to readings before a score, and to a score before a verdict.

    Attributes:
        smooth: Rows over which the score is smoothed; 1 for none.
        cap: Whether what one row adds to the smoothed score is bounded.
        hold: The verdict's.
        debounce: The verdict's.
        period: Seconds of whose phase sines and cosines are regressed out of the readings; None for none.
        harmonics: How many of them.
        per_machine: Whether a machine with rows enough has a threshold of its own.
    """

    smooth: int = 1
    cap: bool = True
    hold: Hold = field(default_factory=Hold)
    debounce: Debounce | None = None
    period: float | None = None
    harmonics: int = 3
    per_machine: bool = False

    @staticmethod
    def of(parts: DetectorParts, threshold: Threshold) -> Treatment:
        """What a detector and its threshold have of it."""
        smoothing, features = parts.smoothing, parts.features
        return Treatment(
            smooth=1 if smoothing is None else smoothing.rows,
            cap=smoothing is None or smoothing.cap < NO_CAP,
            hold=threshold.hold,
            debounce=threshold.debounce,
            period=None if features is None else features.period,
            harmonics=3 if features is None else features.harmonics,
            per_machine=bool(threshold.per_machine),
        )

    def described(self) -> str:
        """What it is, as an enumeration for people."""
        parts = ["a margin by the same rule"]
        if self.smooth > 1:
            parts.insert(0, f"the mean of the last {counted(self.smooth, 'row')}")
        if self.debounce is not None:
            parts.append(f"the debounce {self.debounce.k} of {self.debounce.n}")
        if self.hold != Hold():
            parts.append("the hold")
        if self.period is not None:
            parts.append(f"{counted(self.harmonics, 'harmonic')} of {self.period:g} s regressed out")
        if self.per_machine:
            parts.append("thresholds per machine")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Treated:
    """A simple detector with a treatment.

    Attributes:
        detector: What gives the scores.
        threshold: Of the treated scores.
    """

    detector: Baseline
    threshold: Threshold
    smoothing: ScoreSmoothing | None
    phase: _Phase | None

    @staticmethod
    def fit(
        kind: type[FittedBaseline],
        train: Split,
        val: Split,
        percentile: float,
        treatment: Treatment,
        plain: FittedBaseline | None = None,
    ) -> Treated:
        """Fits the detector on normal training rows, and chooses its threshold on validation.

        The threshold is this percentile of the normal validation rows' treated scores, times the margin that
        `fitting_margin` finds. Ignored rows are left out, as if they were not there.

        Args:
            kind: Which detector.
            train: What it is fitted on.
            val: What its threshold comes from.
            percentile: Of the scores of the normal ones among them.
            treatment: What it is given.
            plain: The same fitted on the same rows, which saves fitting it again where no phase is regressed
                out; None to fit it.

        Raises:
            TrainingError: The rows do not allow it.
            UsageError: The percentile is out of range.
        """
        train, val = train.take(train.counted), val.take(val.counted)
        detector, phase = plain, None
        if treatment.period is not None:
            phase = _Phase.fit(train, treatment.period, treatment.harmonics)
            train, val = phase.without(train), phase.without(val)
        if detector is None or phase is not None:
            detector = kind.fit(train, val, percentile / 100)
        smoothing = None
        if treatment.smooth > 1:
            normal = detector.score(train)[train.normal]
            smoothing = ScoreSmoothing.fit(treatment.smooth, normal, capped=treatment.cap)
        scores = _scores(detector, smoothing, val)
        known = train.finite & train.normal
        before = _scores(detector, smoothing, train)[known].astype(np.float32)
        training = TrainingScores(before, train.machines[known])

        def choose(rows: NDArray[np.bool_], machine: str | None = None) -> Threshold:
            found = percentile_threshold(
                scores[rows & val.normal].astype(np.float32),
                percentile,
                margin=training.margin(machine),
                hold=treatment.hold,
            )
            return replace(found, debounce=treatment.debounce)

        threshold = choose(val.finite)
        if treatment.per_machine:
            own = own_thresholds(val.machines, val.normal, lambda name, rows: choose(rows, name).value)
            threshold = replace(threshold, per_machine=own)
        return Treated(detector, threshold, smoothing, phase)

    @property
    def name(self) -> str:
        """For a table."""
        return f"{self.detector.name}{ALIKE}"

    def judge(self, rows: Split) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """[rows] treated scores and which rows are flagged; NaN and False where a reading is missing."""
        rows = rows if self.phase is None else self.phase.without(rows)
        scores, flagged = _scores(self.detector, self.smoothing, rows), np.zeros(len(rows), np.bool_)
        finite, machines = rows.finite, rows.machines
        flagged[finite] = verdicts(scores[finite], self.threshold, rows.times[finite], machines[finite])
        if self.threshold.per_machine:
            scores /= limits(self.threshold, machines)
        return scores, flagged


def held_limits(detector: Baseline, treatment: Treatment, rows: Split) -> NDArray[np.bool_]:
    """[rows] which rows are flagged by a detector whose threshold is given, with debounce and hold alone."""
    flagged, finite = np.zeros(len(rows), np.bool_), rows.finite
    above = detector.score(rows)[finite] > detector.threshold
    half = Threshold(0.5, "percentile", None, None, 0, treatment.hold, {}, treatment.debounce)
    flagged[finite] = verdicts(above.astype(np.float64), half, rows.times[finite], rows.machines[finite])
    return flagged


def _scores(detector: Baseline, smoothing: ScoreSmoothing | None, rows: Split) -> NDArray[np.float64]:
    """[rows], each machine's smoothed in the order of its rows; what lacks a reading is passed over."""
    found = detector.score(rows)
    if smoothing is None:
        return found
    known = np.flatnonzero(~np.isnan(found))
    for _, index in by_machine(rows.times[known], rows.machines[known]):
        own = found[known[index]]
        capped = np.concatenate([np.zeros(smoothing.rows - 1), np.minimum(own, smoothing.cap)])
        mean = np.convolve(capped, np.full(smoothing.rows, 1 / smoothing.rows), "valid")
        found[known[index]] = np.maximum(own, mean)
    return found


@dataclass(frozen=True, slots=True)
class _Phase:
    """Sines and cosines of a phase, which the readings of normal training rows are regressed on.

    Attributes:
        period: Seconds, counted from midnight UTC.
        mean: [2 * harmonics] of sines and cosines in those rows.
        coefficients: [2 * harmonics, sensors].
    """

    period: float
    mean: NDArray[np.float64]
    coefficients: NDArray[np.float64]

    @staticmethod
    def fit(train: Split, period: float, harmonics: int) -> _Phase:
        normal = train.take(train.normal)
        waves = _waves(normal.times, period, harmonics)
        values = normal.values.astype(np.float64)
        mean = waves.mean(0)
        found = np.linalg.lstsq(waves - mean, values - values.mean(0), rcond=None)[0]
        return _Phase(period, mean, found)

    def without(self, rows: Split) -> Split:
        """The rows less what their phase makes of them."""
        waves = _waves(rows.times, self.period, len(self.mean) // 2) - self.mean
        values = rows.values - waves @ self.coefficients
        return replace(rows, values=values.astype(np.float32))


def _waves(times: NDArray[np.int64], period: float, harmonics: int) -> NDArray[np.float64]:
    """[rows, 2 * harmonics]."""
    angle = 2 * np.pi * (seconds_of_day(times).astype(np.float64) % period) / period
    angles = angle[:, None] * np.arange(1, harmonics + 1)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)

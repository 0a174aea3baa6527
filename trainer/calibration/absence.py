"""What holds for rows that lack one sensor: the regression that fills it, its threshold, and what is lost.

A detector whose every validation row has a sensor filled scores otherwise than one that sees it: lower where
the sensor told much by itself, higher where the filled reading does not fit what the network makes of the
others. So each sensor gets a threshold of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edge_runtime.bundle.metadata import Absence, Degraded
from edge_runtime.bundle.needs import FEWEST_SENSORS, INJECTED, LABELS
from edge_runtime.scoring.filling import Filling
from trainer.calibration.filled import Faults, ScoredPiece, auc_loss, piece
from trainer.calibration.regressions import regressions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime.bundle.metadata import Sensor, Threshold
    from trainer.data.training_data import TrainingData
    from trainer.detector import Detector

__all__ = ["LOSS_NOTES", "Absences", "calibrate_absences"]

# Rows of a split that are scored, with one sensor after the other: some seconds' work.
MOST_SCORED = 1_200_000
LOSS_NOTES = {
    LABELS: "Expected loss: of AUC on the labelled rows of validation.",
    INJECTED: "Expected loss: of AUC on faults that were injected into the other sensors, for validation has "
    "few labels;\nwhat would show in the missing sensor alone is not found without it.",
    None: "Expected loss: unknown, for validation has neither labels nor room for faults in two sensors.",
}


@dataclass(frozen=True, slots=True)
class Absences:
    """What was found for each sensor.

    Attributes:
        sensors: Their names.
        degraded: What the bundle says, but for its golden scores.
        test_auc: ROC AUC on test rows with all sensors; None without labelled ones.
        test_absent: [sensors] the same with the sensor filled in all rows.
    """

    sensors: tuple[str, ...]
    degraded: Degraded
    test_auc: float | None
    test_absent: tuple[float | None, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        found = self.degraded
        return {
            "rows": found.rows,
            "auc": found.auc,
            "measured_on": found.measured_on,
            "test_auc": self.test_auc,
            "sensors": {
                name: {"threshold": absence.threshold, "auc_loss": absence.auc_loss, "test_auc": test}
                for name, absence, test in zip(self.sensors, found.absent, self.test_absent, strict=True)
            },
        }

    def table(self) -> str:
        """For the screen: the threshold without each sensor, and how well rows are ranked then."""
        width = max(len("sensor"), *map(len, self.sensors))
        head = (
            f"{'sensor':<{width}}  {'threshold':>10}  {'expected loss':>13}  {'AUC on test':>11}  {'loss':>6}"
        )
        lines = ["Without a sensor", head]
        lines.append(f"{'none':<{width}}  {'':>10}  {'':>13}  {_figure(self.test_auc):>11}")
        for name, absence, test in zip(self.sensors, self.degraded.absent, self.test_absent, strict=True):
            cells = f"{absence.threshold:>10.5g}  {_figure(absence.auc_loss):>13}  {_figure(test):>11}"
            lines.append(f"{name:<{width}}  {cells}  {_figure(auc_loss(self.test_auc, test)):>6}")
        return "\n".join([*lines, LOSS_NOTES[self.degraded.measured_on]])

    @property
    def metrics(self) -> dict[str, float]:
        """The losses of AUC by name, for the record of a run."""
        found: dict[str, float] = {}
        names = _metric_names(self.sensors)
        for name, absence, test in zip(names, self.degraded.absent, self.test_absent, strict=True):
            losses = {"expected": absence.auc_loss, "test": auc_loss(self.test_auc, test)}
            found |= {
                f"{where}_auc_loss_without_{name}": loss for where, loss in losses.items() if loss is not None
            }
        return found


def calibrate_absences(
    data: TrainingData,
    detector: Detector,
    threshold: Threshold,
    sensors: Sequence[Sensor],
    on_sensor: Callable[[int, int], None] = lambda _done, _all: None,
) -> Absences | None:
    """Fits the regressions on the normal rows of training, and chooses thresholds on those of validation.

    A sensor's threshold is the detector's own, times the ratio of the scores' quantiles with that sensor
    filled and with all: at the quantile of the normal rows that the detector's threshold stands at. Where it
    lies above all of them, that is their highest score, so the filling alone flags none of these rows.

    Args:
        data: The splits. Of validation and of test at most 1,200,000 rows are scored, divided by the sensors;
            those of a machine in one piece.
        detector: Trained.
        threshold: When a complete row is anomalous.
        sensors: As the bundle has them.
        on_sensor: Called after each sensor with the number that are done, and that of all.

    Returns:
        None with a single sensor, and where validation has no normal row to choose from.
    """
    count = len(sensors)
    if count < FEWEST_SENSORS or not data.val.normal.any():
        return None
    most = MOST_SCORED // count
    absent = regressions(data.train.normal_values)
    filling = Filling(absent, sensors)
    val, test = (ScoredPiece.of(piece(split, most), detector, threshold) for split in (data.val, data.test))
    faults = Faults.of(val, data.train.normal_values, detector, threshold)
    if not val.split.normal.any():
        return None
    at = _level(threshold, val)
    found, tested = list[Absence](), list[float | None]()
    for place, absence in enumerate(absent):
        filled = val.without(place, filling)
        value = threshold.value * _ratio(filled.quantile(at), val.quantile(at))
        loss = auc_loss(val.auc, filled.auc) if faults is None else faults.loss(place, filling)
        found.append(replace(absence, threshold=value, auc_loss=loss))
        tested.append(test.without(place, filling).auc)
        on_sensor(place + 1, count)
    auc, measured_on = (val.auc, LABELS) if faults is None else (faults.scored.auc, INJECTED)
    if auc is None or any(absence.auc_loss is None for absence in found):
        # Without a loss for each sensor, as where all faults are in one of them, none is stated.
        found, auc = [replace(absence, auc_loss=None) for absence in found], None
    degraded = Degraded(
        tuple(found), int(val.split.normal.sum()), auc, None if auc is None else measured_on, (), 0.0
    )
    return Absences(tuple(sensor.name for sensor in sensors), degraded, test.auc, tuple(tested))


def _level(threshold: Threshold, validation: ScoredPiece) -> float:
    """The quantile of normal rows that the threshold stands at: that of the rule, or where it came to lie."""
    if threshold.quantile is not None:
        return threshold.quantile
    return float((validation.parts[validation.split.normal] <= 1).mean())


def _ratio(one: float, other: float) -> float:
    return one / other if one > 0 and other > 0 else 1.0


def _metric_names(sensors: Sequence[str]) -> list[str]:
    """The sensors in letters that a tracker takes; with their place where that changes a name."""
    cleaned = [re.sub(r"[^\w. -]", "_", name) for name in sensors]
    return [
        name if name == clean else f"{clean}_{place}"
        for place, (name, clean) in enumerate(zip(sensors, cleaned, strict=True))
    ]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"

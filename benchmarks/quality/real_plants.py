"""Real machines and plants: fitted on train, threshold from val, tested on later rows that chose nothing.

The folder holds a folder for each plant, with train, val and test as `edge-train prepare` writes them, or
such as `data/plants` has. Beside the detector stand simple ones, fitted on the same rows, with the same
smoothing, the same percentile of validation and the same hold: what is left is what the score is worth.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import roc_auc_score
from tables import summary

from edge_runtime.errors import InputError, TrainingError
from trainer.calibration.assess import assess, choose_threshold
from trainer.calibration.calibrate import percentile_threshold, verdicts
from trainer.data.choice import Columns
from trainer.data.training_data import read_training_data
from trainer.detector.smoothing import CAP_QUANTILE
from trainer.evaluation.baselines import FITTED
from trainer.fitting.fit import Settings, fit
from trainer.fitting.recipes import DEFAULT_HOLD

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from trainer.data.split import Split
    from trainer.data.training_data import TrainingData
    from trainer.evaluation.baselines import Baseline

__all__ = ["measure_plants"]

SMOOTHED = 11


def measure_plants(
    folder: Path, settings: list[Settings], percentile: float, say: Callable[[str], None]
) -> dict[str, dict[str, dict[str, float]]]:
    """Plant and method to figure to mean and standard deviation over training seeds.

    Args:
        folder: With a folder for each plant.
        settings: One for each training seed.
        percentile: Of the normal validation rows' scores: the threshold.
        say: Told how far it is.

    Raises:
        InputError: There is no plant.
    """
    plants = sorted(path for path in folder.glob("*/") if any(path.glob("train.*")))
    if not plants:
        raise InputError("no folder with train, val and test in it", where=str(folder))
    found = {}
    for plant in plants:
        data = read_training_data(plant, Columns())
        runs = []
        for each in settings:
            fitted = fit(data, each)
            detector = fitted.detector
            threshold = choose_threshold(
                data.val, detector, "percentile", percentile=percentile, margin=None, hold=DEFAULT_HOLD
            )
            figures = assess(data.test, detector, threshold).metrics
            runs.append(
                {
                    **{name: figures[name] for name in ("f1", "precision", "recall", "roc_auc")},
                    "far": figures["false_alarm_rate"],
                    "parameters": float(fitted.parts.network.parameter_count),
                }
            )
        found[plant.name] = summary(runs)
        for kind in FITTED:
            # Of a single sensor, principal components leave nothing over.
            with suppress(TrainingError):
                found[f"{plant.name}: {kind.name}"] = summary([_simple(data, kind, percentile)])
        say(f"plants: {plant.name}")
    return found


def _simple(data: TrainingData, kind: Any, percentile: float) -> dict[str, float]:
    """One of the simple detectors with the smoothing, percentile and hold that the others have.

    Raises:
        TrainingError: It knows no score above 0.
    """
    detector: Baseline = kind.fit(data.train.normal_values, data.val.normal_values, percentile / 100)
    cap = float(np.quantile(detector.score(data.train.normal_values), CAP_QUANTILE))

    def scores(split: Split) -> NDArray[np.float32]:
        found = np.full(len(split), np.nan)
        for machine in np.unique(split.machines):
            rows = np.flatnonzero((split.machines == machine) & split.finite)
            rows = rows[np.argsort(split.times[rows], kind="stable")]
            own = detector.score(split.values[rows])
            padded = np.concatenate([np.zeros(SMOOTHED - 1), np.minimum(own, cap)])
            mean = np.convolve(padded, np.full(SMOOTHED, 1 / SMOOTHED), "valid")
            found[rows] = np.maximum(own, mean)
        return found.astype(np.float32)

    threshold = percentile_threshold(
        scores(data.val)[data.val.normal], percentile, margin=None, hold=DEFAULT_HOLD
    )
    rows = data.test.finite & data.test.counted
    tested, times, machines = scores(data.test)[rows], data.test.times[rows], data.test.machines[rows]
    flagged = verdicts(tested, threshold, times, machines)
    truth = data.test.labels[rows] if data.test.labels is not None else np.zeros(len(tested), np.bool_)
    hits, alarms = int((flagged & truth).sum()), int(flagged.sum())
    return {
        "f1": 2 * hits / max(1, alarms + int(truth.sum())),
        "precision": hits / max(1, alarms),
        "recall": hits / max(1, int(truth.sum())),
        "roc_auc": float(roc_auc_score(truth, tested)),
        "far": (alarms - hits) / max(1, int((~truth).sum())),
        "parameters": 0.0,
    }

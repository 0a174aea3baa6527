"""Simulated machines: fitted on train, threshold from val, tested on three files of each severity.

The folder holds train.csv.gz and val.csv.gz with normal rows, and test-severity-S-N.csv.gz with labelled
ones. A drift is labelled from 30 % of its ramp on, so not even flagging all rows that are truly off reaches
an F1 of 1. The grey F1 leaves out the rows before each labelled drift that belong to its ramp.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tables import summary

from edge_runtime.errors import InputError
from trainer.calibration.assess import assess, choose_threshold
from trainer.data.choice import Columns
from trainer.data.split import Split
from trainer.data.stretches import stretches
from trainer.data.training_data import TrainingData, read_training_data
from trainer.fitting.fit import Settings, fit
from trainer.fitting.recipes import DEFAULT_HOLD

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["measure_simulated", "read_simulated"]

SEVERITIES = ("2", "1.5", "1")
FIGURES = ("f1", "precision", "recall", "roc_auc", "average_precision")
KINDS = ("SPIKE", "DRIFT", "CYCLIC", "MULTI_SENSOR")
# A label begins at 30 % of the ramp, so that 3/7 of the labelled length lies before it.
UNLABELLED = 3 / 7


def measure_simulated(
    folder: Path, settings: list[Settings], percentile: float, say: Callable[[str], None]
) -> dict[str, dict[str, dict[str, float]]]:
    """Severity to figure to mean and standard deviation over the settings, each run the mean of its files.

    Args:
        folder: With the files.
        settings: One for each training seed.
        percentile: Of the normal validation rows' scores: the threshold.
        say: Told how far it is.

    Raises:
        InputError: A file is missing.
    """
    tests = {severity: read_simulated(folder, severity) for severity in SEVERITIES}
    first = tests[SEVERITIES[0]][0]
    runs: dict[str, list[dict[str, float]]] = {severity: [] for severity in SEVERITIES}
    for each in settings:
        fitted = fit(first, each)
        detector = fitted.detector
        threshold = choose_threshold(
            first.val, detector, "percentile", percentile=percentile, margin=None, hold=DEFAULT_HOLD
        )
        for severity, files in tests.items():
            found = []
            for data in files:
                figures = assess(data.test, detector, threshold).metrics
                clear = assess(_without_grey(data.test), detector, threshold).metrics
                names = [*FIGURES, *(f"recall_{kind}" for kind in KINDS)]
                found.append({**{name: figures[name] for name in names}, "grey_f1": clear["f1"]})
            runs[severity].append({name: float(np.mean([f[name] for f in found])) for name in found[0]})
        say(f"simulated: seed {each.seed}, {len(fitted.history)} epochs")
    return {severity: summary(found) for severity, found in runs.items()}


def _without_grey(test: Split) -> Split:
    """The rows before each labelled drift that belong to its ramp become unscored."""
    assert test.labels is not None
    assert test.kinds is not None
    grey: NDArray[np.bool_] = np.zeros(len(test), np.bool_)
    for event in stretches(test.times, test.machines, test.labels, test.kinds):
        if event.kind == "DRIFT":
            before = event.start - (event.stop - event.start) * UNLABELLED
            grey |= (test.times >= before) & (test.times < event.start) & (test.machines == event.machine)
    values = test.values.copy()
    values[grey & ~test.labels] = np.nan
    return Split(test.path, test.times, test.machines, values, test.labels, test.kinds)


def read_simulated(folder: Path, severity: str) -> list[TrainingData]:
    """The same training and validation data beside each test file."""
    files = sorted(folder.glob(f"test-severity-{severity}-*.csv.gz"))
    if not files:
        raise InputError(f"no test-severity-{severity}-N.csv.gz in it", where=str(folder))
    found: list[TrainingData] = []
    for file in files:
        with tempfile.TemporaryDirectory() as scratch:
            parts = {"train": folder / "train.csv.gz", "val": folder / "val.csv.gz", "test": file}
            for name, path in parts.items():
                (Path(scratch) / f"{name}.csv.gz").symlink_to(path.resolve())
            data = read_training_data(Path(scratch), Columns())
        # The links are gone: what is read again is read where it lies.
        found.append(
            replace(
                data,
                train=replace(data.train, path=parts["train"]),
                val=replace(data.val, path=parts["val"]),
                test=replace(data.test, path=file),
            )
        )
    return found

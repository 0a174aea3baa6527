"""Simulated machines: fitted on train, threshold from val, tested on three files of each severity.

The folder holds train.csv.gz and val.csv.gz with normal rows, and test-severity-S-N.csv.gz with labelled
ones. The recipe was chosen with these files in sight. So there is a second set of the same form, which is
simulated here, from seeds that nothing was ever chosen on, and with a training of its own: these figures are
those to be expected.

Beside the detector stand the simple ones, each with the percentile of validation alone, and with the same
smoothing, margin and hold. Deviations are over files, and for the detector over training seeds as well.

A drift is labelled from 30 % of its ramp on, so not even flagging all rows that are truly off reaches an F1
of 1. The grey F1 leaves out the rows before each labelled drift that belong to its ramp.
"""

from __future__ import annotations

import gzip
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import numpy as np
from beside import fitted_judge, of_rows, simple_judges
from tables import summary

from edge_runtime.errors import InputError
from edge_runtime.simulation import Simulator
from trainer.data.choice import Columns
from trainer.data.split import Split
from trainer.data.stretches import stretches
from trainer.data.training_data import TrainingData, read_training_data
from trainer.fitting.fit import Settings, fit
from trainer.simulate.emit import CsvTarget, Fleet, emit_history

if TYPE_CHECKING:
    from collections.abc import Callable

    from beside import Judge
    from numpy.typing import NDArray

__all__ = ["SEVERITIES", "UNSEEN", "measure_simulated", "read_simulated", "simulate_unseen"]

SEVERITIES = ("2", "1.5", "1")
KINDS = ("SPIKE", "DRIFT", "CYCLIC", "MULTI_SENSOR")
# A label begins at 30 % of the ramp, so that 3/7 of the labelled length lies before it.
UNLABELLED = 3 / 7
# Never to be chosen on: neither a recipe, nor a number in it, nor a rule.
UNSEEN = (111, 112, 113, 114, 115)
MACHINE, TRAIN, VAL, TEST = "press-1", 40_000, 15_000, 40_000
FIRST_DAY_NS, DAY_NS = 1_735_776_000 * 10**9, 86_400 * 10**9  # 2025-01-02


def measure_simulated(
    folder: Path, settings: list[Settings], percentile: float, say: Callable[[str], None]
) -> dict[str, dict[str, dict[str, float]]]:
    """Files, severity and method to figure to mean and standard deviation over files and training seeds.

    Args:
        folder: With the files.
        settings: One for each training seed.
        percentile: Of the normal validation rows' scores: the threshold.
        say: Told how far it is.

    Raises:
        InputError: A file is missing.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        unseen = [Path(scratch) / str(seed) for seed in UNSEEN]
        for seed, place in zip(UNSEEN, unseen, strict=True):
            simulate_unseen(place, seed)
        for name, places in {"files": [folder], "unseen seeds": unseen}.items():
            runs: dict[str, list[dict[str, float]]] = {}
            for place in places:
                tests = {severity: read_simulated(place, severity) for severity in SEVERITIES}
                for run, figures in _runs(tests, settings, percentile, partial(_said, say, name)).items():
                    runs.setdefault(run, []).extend(figures)
            found |= {f"{name}, {run}": summary(figures) for run, figures in runs.items()}
    return found


def _said(say: Callable[[str], None], name: str, line: str) -> None:
    say(f"simulated, {name}: {line}")


def _runs(
    tests: dict[str, list[TrainingData]],
    settings: list[Settings],
    percentile: float,
    say: Callable[[str], None],
) -> dict[str, list[dict[str, float]]]:
    """Severity, and severity and simple detector, to the figures of each run on each file."""
    first = tests[SEVERITIES[0]][0]
    runs: dict[str, list[dict[str, float]]] = {}

    def add(judged: Judge, name: str) -> None:
        for severity, files in tests.items():
            found = [_figures(data.test, judged) for data in files]
            runs.setdefault(f"severity {severity} {name}", []).extend(found)

    for each in settings:
        fitted = fit(first, each)
        judged, treatment = fitted_judge(first, fitted, percentile)
        add(judged, "ours")
        say(f"seed {each.seed}, {len(fitted.history)} epochs")
    for name, judged in simple_judges(first, percentile, treatment).items():
        add(judged, name)
    say("simple detectors")
    # Severity by severity, in the order of the methods.
    return {name: found for each in SEVERITIES for name, found in runs.items() if name.split()[1] == each}


def _figures(test: Split, judged: Judge) -> dict[str, float]:
    scores, flagged = judged(test)
    found, clear = of_rows(test, scores, flagged), _without_grey(test)
    found["grey_f1"] = of_rows(clear, *judged(clear))["f1"]
    assert test.kinds is not None
    return found | {f"recall_{kind}": float(flagged[test.kinds == kind].mean()) for kind in KINDS}


def simulate_unseen(folder: Path, seed: int) -> None:
    """Writes a training, a validation, and a test table for each severity, of one unseen seed."""
    folder.mkdir()

    def write(name: str, day: int, rows: int, *, severity: float) -> None:
        simulator = Simulator(MACHINE, seed=seed, severity=severity, start_ns=FIRST_DAY_NS + day * DAY_NS)
        with gzip.open(folder / f"{name}.csv.gz", "wb", compresslevel=1) as stream:
            emit_history(
                Fleet([simulator]),
                CsvTarget(cast("IO[bytes]", stream), None),
                ticks=rows,
                progress=lambda _ticks: None,
            )

    write("train", 0, TRAIN, severity=0.0)
    write("val", 1, VAL, severity=0.0)
    for severity in SEVERITIES:
        write(f"test-severity-{severity}-{seed}", 2, TEST, severity=float(severity))


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

"""SKAB, the Skoltech Anomaly Benchmark: a water circuit, 34 labelled files of about 1,000 rows.

Its authors' protocol: for each file fit on the first 400 rows, test on the rest, pool the counts over the
files; F1, false alarm rate FP/(FP+TN), missed alarm rate FN/(FN+TP). Here every row is judged when it comes,
never by those after it, and no prediction is adjusted.

Autoencoders and simple detectors train on the first 300 rows, and rows 300 to 399 give the threshold: for the
simple ones their 99th percentile, for autoencoders what `edge-train fit` makes of them. The models in closed
form train on all 400, of which they have seen every one: their threshold is a multiple of those rows' 95th
percentile. The multiple that gives the best F1 on every other file is used on the files between, and the
reverse; "all" is the one that is best on the first half, on all.

Each simple detector is there with the percentile alone, with smoothing, margin and hold of the autoencoder,
and with what the models in closed form have: a mean of the last 20 rows, and a multiple of that percentile.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from tables import in_memory, split, summary

from edge_runtime.errors import InputError, TrainingError
from trainer.calibration.calibrate import percentile_threshold, verdicts
from trainer.calibration.treatment import Treated, Treatment
from trainer.evaluation.baselines import FITTED, IsolationForest
from trainer.fitting.fit import Settings, fit
from trainer.fitting.recipes import DEFAULT_HOLD, RECIPES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from trainer.evaluation.baselines import FittedBaseline

__all__ = ["FIT", "TRAIN", "measure_skab", "read_skab"]

TRAIN, FIT = 300, 400
PERCENTILE = 99.0
IN_SAMPLE = 95.0
LONG = 20
MARGINS: tuple[float, ...] = tuple(np.geomspace(0.5, 30, 60).tolist())
CLOSED = ("mewma", "autoregression")
LABELS = ["anomaly", "changepoint"]
HALVES = (slice(0, None, 2), slice(1, None, 2))


class _Pool:
    """Flags, scores in units of the percentile, and the truth, a file each."""

    def __init__(self) -> None:
        self.flags: list[NDArray[np.bool_]] = []
        self.scores: list[NDArray[np.float64]] = []
        self.truth: list[NDArray[np.bool_]] = []

    def add(self, flags: NDArray[np.bool_], scores: NDArray[np.floating], truth: NDArray[np.bool_]) -> None:
        self.flags.append(flags)
        self.scores.append(np.nan_to_num(scores.astype(np.float64)))
        self.truth.append(truth)

    def part(self, every: slice, margin: float | None = None) -> dict[str, float]:
        """The figures of some files; with a margin, flagged is what is above it."""
        truth, scores = np.concatenate(self.truth[every]), np.concatenate(self.scores[every])
        flags = np.concatenate(self.flags[every]) if margin is None else scores > margin
        tp, fp = int((flags & truth).sum()), int((flags & ~truth).sum())
        fn, tn = int((~flags & truth).sum()), int((~flags & ~truth).sum())
        return {
            "f1": 2 * tp / max(1, 2 * tp + fp + fn),
            "far": 100 * fp / (fp + tn),
            "mar": 100 * fn / (fn + tp),
            "roc_auc": float(roc_auc_score(truth, scores)),
        }

    def best(self, files: slice) -> float:
        """The margin with the best F1 on some files."""
        best = int(np.argmax([self.part(files, margin)["f1"] for margin in MARGINS]))
        return MARGINS[best]

    def crossed(self) -> dict[str, float]:
        """Each half of the files with the margin that is best on the other half; their mean."""
        found = [self.part(tested, self.best(chosen)) for chosen, tested in (HALVES, HALVES[::-1])]
        return {name: float(np.mean([half[name] for half in found])) for name in found[0]}


def measure_skab(
    folder: Path, settings: list[Settings], _percentile: float, say: Callable[[str], None]
) -> dict[str, dict[str, dict[str, float]]]:
    """Method to figure to mean and standard deviation over training seeds.

    Args:
        folder: With valve1/, valve2/ and other/.
        settings: One for each training seed.
        say: Told how far it is.

    Raises:
        InputError: There are no files.
    """
    files = read_skab(folder)
    runs = []
    for each in settings:
        runs.append(_ours(files, each, held=True).part(slice(None)))
        say(f"SKAB: seed {each.seed}")
    found = {"autoencoder": summary(runs)}
    for name in CLOSED:
        pool = _ours(files, Settings(**RECIPES[name].settings), held=False)
        found[f"{name}, all"] = summary([pool.part(slice(None), pool.best(HALVES[0]))])
        found[f"{name}, other half"] = summary([pool.crossed()])
        say(f"SKAB: {name}")
    for kind in FITTED:
        with suppress(TrainingError):
            for treatment in (Treatment(), Treatment(smooth=settings[0].smooth, hold=DEFAULT_HOLD)):
                name, pool = _simple(files, kind, treatment)
                found[name] = summary([pool.part(slice(None))])
            pool = _simple_in_closed_form(files, kind)
            found[f"{kind.name}, mean of the last {LONG} rows, other half"] = summary([pool.crossed()])
        say(f"SKAB: {kind.name}")
    return found


def read_skab(folder: Path) -> list[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Readings and labels of each file, in the order of their names.

    Raises:
        InputError: There are no files.
    """
    paths = sorted(path for path in folder.glob("*/*.csv") if path.parent.name != "anomaly-free")
    if not paths:
        raise InputError("no valve1, valve2 and other with CSV files in it", where=str(folder))
    tables = [pd.read_csv(path, sep=";") for path in paths]
    return [
        (table.drop(columns=["datetime", *LABELS]).to_numpy(np.float32), table["anomaly"].to_numpy() > 0)
        for table in tables
    ]


def _simple(
    files: list[tuple[NDArray[np.float32], NDArray[np.bool_]]],
    kind: type[FittedBaseline],
    treatment: Treatment,
) -> tuple[str, _Pool]:
    """A simple detector: without a treatment by its percentile alone, else as the autoencoder's."""
    pool, name = _Pool(), kind.name
    for values, truth in files:
        rows = split(values)
        train, val = rows.take(np.arange(TRAIN)), rows.take(np.arange(TRAIN, FIT))
        if treatment == Treatment():
            simple = kind.fit(train, val, PERCENTILE / 100)
            scores, threshold = simple.score(rows), simple.threshold
            flagged = scores > threshold
        else:
            treated = Treated.fit(kind, train, val, RECIPES["best"].percentile, treatment)
            (scores, flagged), threshold, name = treated.judge(rows), treated.threshold.value, treated.name
        # A forest's scores lie around a half: above the threshold, not divided by it.
        away = scores - threshold if kind is IsolationForest else scores / threshold
        pool.add(flagged[FIT:], away[FIT:], truth[FIT:])
    return name, pool


def _simple_in_closed_form(
    files: list[tuple[NDArray[np.float32], NDArray[np.bool_]]], kind: type[FittedBaseline]
) -> _Pool:
    """With what the models in closed form have: 400 rows, a long mean, a multiple of their percentile."""
    pool, treatment = _Pool(), Treatment(smooth=LONG, cap=False)
    for values, truth in files:
        rows = split(values)
        learnt = rows.take(np.arange(FIT))
        treated = Treated.fit(kind, learnt, learnt, IN_SAMPLE, treatment)
        scores = treated.judge(rows)[0]
        scores /= np.quantile(scores[:FIT], IN_SAMPLE / 100)
        pool.add(scores[FIT:] > 1, scores[FIT:], truth[FIT:])
    return pool


def _ours(
    files: list[tuple[NDArray[np.float32], NDArray[np.bool_]]], settings: Settings, *, held: bool
) -> _Pool:
    pool = _Pool()
    closed = settings.model in {"linear", "pca"}
    for values, truth in files:
        sensors = [f"s{i}" for i in range(values.shape[1])]
        train, val = split(values[: FIT if closed else TRAIN]), split(values[TRAIN:FIT])
        test = split(values[FIT:], truth[FIT:])
        detector = fit(in_memory(sensors, train, val, test), settings).detector
        # The rows come one after another: the memory goes on from the fit into the test.
        scores = detector.score(values)[0]
        threshold = (
            percentile_threshold(scores[:FIT], IN_SAMPLE)
            if closed
            else percentile_threshold(scores[TRAIN:FIT], RECIPES["best"].percentile, margin=None)
        )
        if held:
            threshold = replace(threshold, hold=DEFAULT_HOLD)
        tested = scores[FIT:]
        pool.add(
            verdicts(tested, threshold, test.times, test.machines), tested / threshold.value, truth[FIT:]
        )
    return pool

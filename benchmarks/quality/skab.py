"""SKAB, the Skoltech Anomaly Benchmark: a water circuit, 34 labelled files of about 1,000 rows.

Its authors' protocol: for each file fit on the first 400 rows, test on the rest, pool the counts over the
files; F1, false alarm rate FP/(FP+TN), missed alarm rate FN/(FN+TP). Here every row is judged when it comes,
never by those after it, and no prediction is adjusted. The first 300 rows train, rows 300 to 399 give the
threshold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from tables import in_memory, split, summary

from edge_runtime.errors import InputError
from trainer.baselines import FITTED, AlwaysAnomaly
from trainer.calibrate import verdicts
from trainer.fit import Settings, fit
from trainer.results import choose_threshold
from trainer.run import DEFAULT_HOLD

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["measure_skab"]

TRAIN, FIT = 300, 400
LABELS = ["anomaly", "changepoint"]


class _Pool:
    """Counts and scores over all files."""

    def __init__(self) -> None:
        self.flags: list[NDArray[np.bool_]] = []
        self.scores: list[NDArray[np.float64]] = []
        self.truth: list[NDArray[np.bool_]] = []

    def add(self, flags: NDArray[np.bool_], scores: NDArray[np.floating], truth: NDArray[np.bool_]) -> None:
        self.flags.append(flags)
        self.scores.append(np.nan_to_num(scores.astype(np.float64)))
        self.truth.append(truth)

    def figures(self) -> dict[str, float]:
        flags, truth = np.concatenate(self.flags), np.concatenate(self.truth)
        tp, fp = int((flags & truth).sum()), int((flags & ~truth).sum())
        fn, tn = int((~flags & truth).sum()), int((~flags & ~truth).sum())
        return {
            "f1": 2 * tp / (2 * tp + fp + fn),
            "far": 100 * fp / (fp + tn),
            "mar": 100 * fn / (fn + tp),
            "roc_auc": float(roc_auc_score(truth, np.concatenate(self.scores))),
        }


def measure_skab(
    folder: Path, settings: list[Settings], percentile: float, say: Callable[[str], None]
) -> dict[str, dict[str, dict[str, float]]]:
    """Method to figure to mean and standard deviation over training seeds.

    Args:
        folder: With valve1/, valve2/ and other/.
        settings: One for each training seed.
        percentile: Of the held-out rows' scores: the threshold of every method.
        say: Told how far it is.

    Raises:
        InputError: There are no files.
    """
    files = sorted(path for path in folder.glob("*/*.csv") if path.parent.name != "anomaly-free")
    if not files:
        raise InputError("no valve1, valve2 and other with CSV files in it", where=str(folder))
    runs: list[dict[str, float]] = []
    always = AlwaysAnomaly()
    pools = {always.name: _Pool()} | {kind.name: _Pool() for kind in FITTED}
    for number, each in enumerate(settings):
        ours = _Pool()
        for path in files:
            table = pd.read_csv(path, sep=";")
            values = table.drop(columns=["datetime", *LABELS]).to_numpy(np.float32)
            truth = table["anomaly"].to_numpy() > 0
            train, val = values[:TRAIN], values[TRAIN:FIT]
            data = in_memory(
                [f"s{i}" for i in range(values.shape[1])],
                split(train),
                split(val),
                split(values[FIT:], truth[FIT:]),
            )
            detector = fit(data, each).detector
            threshold = choose_threshold(
                data.val, detector, "percentile", percentile=percentile, hold=DEFAULT_HOLD
            )
            score = detector.score(data.test.values)[0]
            flags = verdicts(score, threshold, data.test.times, data.test.machines)
            ours.add(flags, score / threshold.value, truth[FIT:])
            if number == 0:
                pools[always.name].add(
                    np.ones(len(score), np.bool_), always.score(data.test.values), truth[FIT:]
                )
                for kind in FITTED:
                    simple = kind.fit(train, val, percentile / 100)
                    found = simple.score(data.test.values)
                    # A forest's scores are around a half: over the threshold, not divided by it.
                    away = found - simple.threshold if simple.threshold <= 1 else found / simple.threshold
                    pools[kind.name].add(found > simple.threshold, away, truth[FIT:])
        runs.append(ours.figures())
        say(f"SKAB: seed {each.seed}")
    return {"edge-detect": summary(runs), **{name: summary([pool.figures()]) for name, pool in pools.items()}}

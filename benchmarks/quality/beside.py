"""The simple detectors beside ours: as one would write them, and treated alike, as `compare` has it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import roc_auc_score
from tables import summary

from edge_runtime.errors import TrainingError
from trainer.calibration.assess import choose_threshold, judge
from trainer.calibration.debounce import ScoredRows
from trainer.calibration.treatment import ALIKE, Treated, Treatment
from trainer.evaluation.baselines import FITTED
from trainer.evaluation.intervals import block_intervals
from trainer.fitting.recipes import DEFAULT_HOLD

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from trainer.data.split import Split
    from trainer.data.training_data import TrainingData
    from trainer.evaluation.baselines import FittedBaseline
    from trainer.fitting.fit import Fitted

    Figures = dict[str, dict[str, float]]
    Judge = Callable[[Split], tuple[NDArray[np.float64], NDArray[np.bool_]]]

__all__ = ["fitted_judge", "held_against", "of_rows", "simple_judges", "spread", "with_spread"]

CLOSE = 0.02
# Of a normal distribution, from its middle to the 95th percentile, in standard deviations.
TO_95 = 1.645
DRAWS = 2000


def fitted_judge(data: TrainingData, fitted: Fitted, percentile: float) -> tuple[Judge, Treatment]:
    """What gives a trained detector's scores and verdicts, with the threshold that `fit` gives it.

    And what the simple ones are to have as well.
    """
    threshold = choose_threshold(
        data.val,
        fitted.detector,
        "percentile",
        percentile=percentile,
        margin=None,
        hold=DEFAULT_HOLD,
        training=ScoredRows.of(data.train, fitted.detector),
    )
    found = partial(judge, detector=fitted.detector, threshold=threshold)
    return found, Treatment.of(fitted.parts, threshold)


def simple_judges(data: TrainingData, percentile: float, treatment: Treatment) -> dict[str, Judge]:
    """Name to what gives scores and verdicts, each as it is and treated alike, if the rows allow it."""
    found: dict[str, Judge] = {}
    for kind in FITTED:
        try:
            plain = kind.fit(data.train, data.val, percentile / 100)
            treated = Treated.fit(kind, data.train, data.val, percentile, treatment, plain)
        except TrainingError:
            continue
        found |= {kind.name: partial(_plain, plain), treated.name: treated.judge}
    return found


def _plain(detector: FittedBaseline, rows: Split) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    scores = detector.score(rows)
    return scores, scores > detector.threshold


def of_rows(test: Split, scores: NDArray[np.float64], flagged: NDArray[np.bool_]) -> dict[str, float]:
    """Figures of the labelled rows that count and have a score."""
    assert test.labels is not None
    rows = test.finite & test.counted
    truth, flags = test.labels[rows], flagged[rows]
    hits, alarms = int((flags & truth).sum()), int(flags.sum())
    return {
        "f1": 2 * hits / max(1, alarms + int(truth.sum())),
        "precision": hits / max(1, alarms),
        "recall": hits / max(1, int(truth.sum())),
        "roc_auc": float(roc_auc_score(truth, scores[rows])),
        "far": (alarms - hits) / max(1, int((~truth).sum())),
    }


def spread(test: Split, scores: NDArray[np.float64], flagged: NDArray[np.bool_]) -> dict[str, float]:
    """The standard deviations of these figures, from resampled blocks of time; 0 where there is none."""
    assert test.labels is not None
    rows = test.finite & test.counted
    times, machines = test.times[rows], test.machines[rows]
    found = block_intervals(scores[rows], flagged[rows], test.labels[rows], times, machines, [])
    names = {name: name for name in ("f1", "precision", "recall", "roc_auc")} | {"far": "false_alarm_rate"}
    return {
        name: (found[of][1] - found[of][0]) / 2 / TO_95 if of in found else 0.0 for name, of in names.items()
    }


def with_spread(test: Split, judged: Sequence[tuple[NDArray[np.float64], NDArray[np.bool_]]]) -> Figures:
    """Each figure's mean over runs on the same rows, and its standard deviation.

    That is of runs and of resampled blocks of time together, so that one run is as uncertain as several.

    Args:
        test: The rows.
        judged: Of each run, scores and flags.
    """
    runs = summary([of_rows(test, *each) for each in judged])
    blocks = [spread(test, *each) for each in judged]
    for name, figure in runs.items():
        figure["sd"] = float(np.hypot(figure["sd"], np.mean([each[name] for each in blocks])))
    return runs


def held_against(ours: Mapping[str, float], simple: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Sentences on where ours stands among the methods, by F1: those treated alike, and those as they are.

    On how much of the data it is the best or the worst, and what it adds on average to the simple one with
    the highest mean; that one must have an F1 on all of the data.

    Args:
        ours: Data set to F1.
        simple: Data set to the F1 of each simple detector, treated alike and as it is.
    """
    found = []
    for alike in (True, False):
        others = {
            name: {one: f1 for one, f1 in simple[name].items() if one.endswith(ALIKE) is alike}
            for name in ours
        }
        best = [name for name in ours if ours[name] >= max(others[name].values()) - CLOSE]
        worst = [name for name in ours if ours[name] < min(others[name].values())]
        everywhere = set.intersection(*(set(each) for each in others.values()))
        means = {one: float(np.mean([others[name][one] for name in ours])) for one in everywhere}
        first = max(means, key=lambda one: means[one])
        low, high = _interval([ours[name] - others[name][first] for name in ours])
        what, mean = "treated alike" if alike else "as they are", np.mean(list(ours.values()))
        found.append(
            f"Beside simple ones {what}: best or within {CLOSE:g} of the best on {_listed(best)} of "
            f"{len(ours)}, worst on {_listed(worst)}."
        )
        found.append(
            f"Mean F1 {mean:.3f}, to {means[first]:.3f} of {first}, which has the highest of them; 90 % "
            f"interval of the difference, from resampled data sets, {low:+.3f} to {high:+.3f}."
        )
    return found


def _listed(names: Sequence[str]) -> str:
    return f"{len(names)} ({', '.join(names)})" if names else "0"


def _interval(differences: Sequence[float]) -> tuple[float, float]:
    drawn = np.random.default_rng(0).choice(differences, (DRAWS, len(differences))).mean(1)
    low, high = np.quantile(drawn, (0.05, 0.95))
    return float(low), float(high)

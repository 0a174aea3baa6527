"""The threshold, chosen on validation rows alone, for the verdict with its hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from edge_runtime.bundle.metadata import Hold, Threshold
from edge_runtime.engine.hysteresis import Debouncer, HoldCounter
from edge_runtime.errors import TrainingError, UsageError
from edge_runtime.records import Groups

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    # [rows] scores of normal validation rows, and the percentile → the factor for the score there.
    MarginRule = Callable[[NDArray[np.float32], float], float]

__all__ = [
    "ThresholdMethod",
    "best_f1_threshold",
    "calibrate",
    "limits",
    "percentile_threshold",
    "short_margin",
    "verdicts",
]

ThresholdMethod = Literal["percentile", "best-f1"]
HOLDS_NOTHING = Hold()
CANDIDATES = 512
# Of all rows, the part above the highest candidate; the lowest flags all but this part of the normal rows.
MIN_FLAGGED = 1e-5


def calibrate(
    method: ThresholdMethod,
    scores: NDArray[np.float32],
    labels: NDArray[np.bool_] | None,
    *,
    machines: NDArray[np.str_] | None = None,
    percentile: float = 99.0,
    margin: float | MarginRule | None = 1.0,
    hold: Hold = HOLDS_NOTHING,
    counted: NDArray[np.bool_] | None = None,
) -> Threshold:
    """The threshold by one of the methods.

    Args:
        method: "percentile" or "best-f1".
        scores: [rows] of validation, all finite, each machine's in time order.
        labels: [rows] True where anomalous; None where nothing is labelled.
        machines: [rows] machine ids; None for one machine.
        percentile: For "percentile", which one of the normal rows' scores.
        margin: For "percentile", what it is multiplied with: above 1 where validation is too short to have
            seen all that is normal; or what finds that from these scores and the percentile, such as
            `TrainingScores.margin`. None for `short_margin`.
        hold: The verdict's: goes into the threshold, and the best F1 is that of the held verdict.
        counted: [rows] False where a row says nothing, and is but passed by a hold; None where all count.

    Raises:
        TrainingError: The rows do not allow it.
        UsageError: The percentile is out of range.
    """
    if method == "best-f1":
        if labels is None or not (labels if counted is None else labels & counted).any():
            raise TrainingError(
                "the best F1 needs labelled anomalies, and validation has none",
                where="--threshold best-f1",
                hint="use --threshold percentile, or label some in the val table",
            )
        return best_f1_threshold(scores, labels, machines=machines, hold=hold, counted=counted)
    normal = np.ones(len(scores), np.bool_) if labels is None else ~labels
    if counted is not None:
        normal &= counted
    return percentile_threshold(scores[normal], percentile, margin=margin, hold=hold)


def verdicts(
    scores: NDArray[np.floating],
    threshold: Threshold,
    times: NDArray[np.int64],
    machines: NDArray[np.str_],
) -> NDArray[np.bool_]:
    """[rows] which are anomalous, by threshold, debounce and hold as the gateway applies them.

    Rows in any order.
    """
    order = np.lexsort((times, machines))
    above = scores > limits(threshold, machines)
    flagged = np.empty(len(scores), np.bool_)
    groups = Groups.of(machines[order])
    passed = Debouncer(threshold.debounce).apply(groups, above[order])
    flagged[order] = HoldCounter(threshold.hold).apply(groups, passed)
    return flagged


def limits(threshold: Threshold, machines: NDArray[np.str_]) -> NDArray[np.float64]:
    """[rows] each row's threshold, as its machine has it."""
    found = np.full(len(machines), threshold.value)
    for machine, value in threshold.per_machine.items():
        found[machines == machine] = value
    return found


def percentile_threshold(
    normal_scores: NDArray[np.float32],
    percentile: float,
    *,
    margin: float | MarginRule | None = 1.0,
    hold: Hold = HOLDS_NOTHING,
) -> Threshold:
    """This percentile of the normal rows' scores, times the margin; None for `short_margin`."""
    if margin is None:
        margin = short_margin(len(normal_scores), percentile)
    elif callable(margin):
        margin = margin(normal_scores, percentile)
    if not 0 < margin < np.inf:
        raise UsageError(f"{margin:g} is not a positive factor", where="--margin")
    if not 0 < percentile < 100:  # noqa: PLR2004
        raise UsageError(f"{percentile:g} is not between 0 and 100", where="--percentile")
    if not len(normal_scores):
        raise TrainingError("validation has no normal rows", hint="take a longer history")
    value = margin * float(np.percentile(normal_scores.astype(np.float64), percentile))
    return _threshold(value, "percentile", percentile / 100, None, len(normal_scores), hold)


def short_margin(rows: int, percentile: float) -> float:
    """What so few rows call for: 1 + 1 / (1 + k), where k of them are to be expected above the percentile.

    The fewer rows there are above it, the less is known of where later normal rows will end. With the default
    percentile it is 1.7 for 100 rows, 1.2 for 1,000, and 1.02 for 10,000.
    """
    return 1 + 1 / (1 + rows * (1 - percentile / 100))


def best_f1_threshold(
    scores: NDArray[np.float32],
    labels: NDArray[np.bool_],
    *,
    machines: NDArray[np.str_] | None = None,
    hold: Hold = HOLDS_NOTHING,
    counted: NDArray[np.bool_] | None = None,
) -> Threshold:
    """Where the F1 of the verdict on the counted rows is highest.

    Without a hold that is found exactly, half-way between the two scores around it; with one, among 512
    thresholds that part the rows evenly on a logarithmic scale.
    """
    counted = np.ones(len(scores), np.bool_) if counted is None else counted
    if hold.cap - hold.fall > hold.level:
        one = np.zeros(len(scores), np.str_) if machines is None else machines
        value = _best_held(scores, labels, one, hold, counted)
        return _threshold(value, "best_f1", None, "f1", int(counted.sum()), hold)
    scores, labels = scores[counted], labels[counted]
    order = np.argsort(-scores.astype(np.float64), kind="stable")
    ranked, found = scores[order].astype(np.float64), np.cumsum(labels[order])
    above = np.arange(1, len(ranked) + 1)
    f1 = 2 * found / (above + found[-1])
    # Rows of equal score are on the same side, and a threshold below every score would flag all.
    last_of_equals = np.append(ranked[1:] < ranked[:-1], False)
    if not last_of_equals.any():
        raise TrainingError("every validation row has the same score", hint="check the sensors' columns")
    best = int(np.argmax(np.where(last_of_equals, f1, -1.0)))
    return _threshold((ranked[best] + ranked[best + 1]) / 2, "best_f1", None, "f1", len(scores), hold)


def _best_held(
    scores: NDArray[np.float32],
    labels: NDArray[np.bool_],
    machines: NDArray[np.str_],
    hold: Hold,
    counted: NDArray[np.bool_],
) -> float:
    """The candidate with the best F1: the counters of all of them go through the rows at once."""
    parts = np.geomspace(1.0, MIN_FLAGGED, CANDIDATES)
    candidates = np.unique(np.quantile(scores[counted].astype(np.float64), 1 - parts))
    flagged, hits = np.zeros(len(candidates)), np.zeros(len(candidates))
    for machine in np.unique(machines):
        rows = machines == machine
        counters = np.zeros(len(candidates))
        columns = scores[rows].astype(np.float64), labels[rows].tolist(), counted[rows].tolist()
        for score, label, counts in zip(*columns, strict=True):
            above = score > candidates
            counters = np.where(
                above, np.minimum(hold.cap, counters + hold.rise), np.maximum(0.0, counters - hold.fall)
            )
            if not counts:
                continue
            held = above | (counters > hold.level)
            flagged += held
            if label:
                hits += held
    return float(candidates[np.argmax(2 * hits / (flagged + (labels & counted).sum()))])


def _threshold(
    value: float, method: str, quantile: float | None, metric: str | None, rows: int, hold: Hold
) -> Threshold:
    if not value > 0:
        raise TrainingError(
            "the threshold would be 0: the model reproduces validation exactly, so nothing moves in it",
            hint="check that the sensors' columns change",
        )
    return Threshold(float(value), method, quantile, metric, rows, hold)

"""How good a detector is: its scores and verdicts against labelled rows and events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import TrainingError
from trainer.data.stretches import stretches
from trainer.evaluation.events import false_alarms, match_events
from trainer.evaluation.figures import Evaluation
from trainer.evaluation.intervals import block_intervals
from trainer.evaluation.ranking import ranking
from trainer.evaluation.vus import volume_under_surface

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Evaluation", "evaluate"]


def evaluate(
    scores: NDArray[np.floating[Any]],
    threshold: float,
    labels: NDArray[np.bool_] | None,
    kinds: NDArray[np.str_] | None,
    times: NDArray[np.int64],
    machines: NDArray[np.str_],
    *,
    verdicts: NDArray[np.bool_] | None = None,
) -> Evaluation:
    """Compares a detector with labels.

    Args:
        scores: [rows], higher is worse; NaN where the detector had nothing to say.
        threshold: A row is flagged when its score is above.
        labels: [rows] whether the row is anomalous; None where nobody knows.
        kinds: [rows] kind of anomaly, empty for normal rows; None where nobody knows.
        times: [rows] ns.
        machines: [rows] machine ids.
        verdicts: [rows] flagged or not, in place of the threshold, as from a verdict with a hold.

    Raises:
        TrainingError: The arrays differ in length.
        MissingExtraError: scikit-learn is not installed.
    """
    for name, column in (
        ("labels", labels),
        ("kinds", kinds),
        ("times", times),
        ("machines", machines),
        ("verdicts", verdicts),
    ):
        if column is not None and len(column) != len(scores):
            raise TrainingError(f"{len(scores)} scores, but {len(column)} {name}")
    known = ~np.isnan(scores)
    flags = known & (scores > threshold if verdicts is None else verdicts.astype(np.bool_))
    unknown = int((~known).sum())
    events = None if labels is None else stretches(times, machines, labels.astype(np.bool_), kinds)
    # A row without a score has no verdict: what was up before it and is up after it has not begun in between.
    scores, flags, times, machines = scores[known], flags[known], times[known], machines[known]
    rows, flagged = len(scores), int(flags.sum())
    if labels is None or events is None:
        return Evaluation(rows=rows, unknown=unknown, flagged=flagged, labelled=False, recall_by_kind={})
    truth = labels.astype(np.bool_)[known]
    tp, fp = int((flags & truth).sum()), int((flags & ~truth).sum())
    fn, tn = int((truth & ~flags).sum()), int((~truth & ~flags).sum())
    roc_auc, average_precision = ranking(scores, truth)
    volume = volume_under_surface(scores, truth, times, machines)
    return Evaluation(
        rows=rows,
        unknown=unknown,
        flagged=flagged,
        labelled=True,
        f1=2 * tp / (2 * tp + fp + fn) if tp + fn else None,
        precision=(tp / (tp + fp) if tp + fp else 0.0) if tp + fn else None,
        recall=tp / (tp + fn) if tp + fn else None,
        accuracy=(tp + tn) / rows if rows else None,
        roc_auc=roc_auc,
        average_precision=average_precision,
        vus_pr=None if volume is None else volume.pr,
        vus_roc=None if volume is None else volume.roc,
        tn=tn,
        fp=fp,
        fn=fn,
        tp=tp,
        recall_by_kind={} if kinds is None else _recall_by_kind(flags, truth, kinds[known]),
        events=match_events(events, times, machines, flags),
        intervals=block_intervals(
            scores, flags, truth, times, machines, false_alarms(events, times, machines, flags)
        ),
    )


def _recall_by_kind(
    flags: NDArray[np.bool_], anomalous: NDArray[np.bool_], kinds: NDArray[np.str_]
) -> dict[str, float]:
    of = kinds[anomalous]
    found = flags[anomalous]
    return {str(kind): float(found[of == kind].mean()) for kind in np.unique(of) if kind}

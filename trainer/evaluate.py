"""How good a detector is: its scores and verdicts against labelled rows and events."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import MissingExtraError, TrainingError
from trainer.events import EventReport, match_events, stretches

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a detector's scores are worth; None where a figure is undefined.

    Attributes:
        rows: Rows with a score.
        unknown: Rows without one, left out of every figure on rows.
        flagged: Rows called anomalous.
        labelled: Whether there were labels; without them every figure below is None or 0.
        f1: Harmonic mean of precision and recall; None where no row is labelled anomalous.
        precision: Part of the flagged rows that are anomalous; 0 where nothing was flagged that should be.
        recall: Part of the anomalous rows that are flagged; None where no row is labelled anomalous.
        accuracy: Part of all rows called rightly.
        roc_auc: Area under the ROC curve of the scores; None unless both classes are there.
        average_precision: Of the scores, at every threshold; None unless both classes are there.
        tn: Normal rows that were not flagged.
        fp: Normal rows that were flagged.
        fn: Anomalous rows that were not flagged.
        tp: Anomalous rows that were flagged.
        recall_by_kind: Recall on the rows of each kind of anomaly.
        events: Runs of anomalous rows against runs of flagged rows; None without labels.
    """

    rows: int
    unknown: int
    flagged: int
    labelled: bool
    f1: float | None = None
    precision: float | None = None
    recall: float | None = None
    accuracy: float | None = None
    roc_auc: float | None = None
    average_precision: float | None = None
    tn: int = 0
    fp: int = 0
    fn: int = 0
    tp: int = 0
    recall_by_kind: dict[str, float]
    events: EventReport | None = None

    def metrics(self) -> dict[str, float]:
        """Flat names, defined and finite figures only; such as f1, recall_SPIKE, events_found."""
        figures: dict[str, float | None] = {
            name: getattr(self, name)
            for name in ("f1", "precision", "recall", "accuracy", "roc_auc", "average_precision")
        }
        figures |= {f"recall_{kind}": recall for kind, recall in self.recall_by_kind.items()}
        if self.labelled:
            figures |= {name: getattr(self, name) for name in ("tn", "fp", "fn", "tp")}
        if self.events is not None:
            figures["events_injected"] = self.events.injected
            figures["events_found"] = self.events.found
            figures["false_alarms"] = self.events.false_alarms
            figures["false_alarms_per_day"] = self.events.false_alarms_per_day
            if self.events.delays_s is not None:
                figures["delay_median_s"] = self.events.delays_s.median
                figures["delay_p90_s"] = self.events.delays_s.p90
        return {
            name: float(value)
            for name, value in figures.items()
            if value is not None and math.isfinite(value)
        }

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values, None where undefined."""
        return asdict(self)

    def table(self) -> str:
        """For people."""
        lines = [f"{'rows':<20}{self.rows:>12,}"]
        if self.unknown:
            lines.append(f"{'without a score':<20}{self.unknown:>12,}")
        lines.append(f"{'flagged':<20}{self.flagged:>12,}")
        if not self.labelled:
            return "\n".join([*lines, "no labels, so nothing to compare with"])
        figures = {
            "F1": self.f1,
            "precision": self.precision,
            "recall": self.recall,
            "accuracy": self.accuracy,
            "ROC AUC": self.roc_auc,
            "average precision": self.average_precision,
        }
        figures |= {f"recall {kind}": recall for kind, recall in self.recall_by_kind.items()}
        lines += [
            f"{name:<20}{'undefined' if value is None else f'{value:.3f}':>12}"
            for name, value in figures.items()
        ]
        lines += [
            "",
            f"{'':<20}{'not flagged':>12}{'flagged':>12}",
            f"{'normal rows':<20}{self.tn:>12,}{self.fp:>12,}",
            f"{'anomalous rows':<20}{self.fn:>12,}{self.tp:>12,}",
        ]
        return "\n".join(lines + _event_lines(self.events))


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
    rows, unknown, flagged = int(known.sum()), int((~known).sum()), int(flags.sum())
    if labels is None:
        return Evaluation(rows=rows, unknown=unknown, flagged=flagged, labelled=False, recall_by_kind={})
    truth = labels.astype(np.bool_)
    tp, fp = int((flags & truth).sum()), int((flags & ~truth).sum())
    fn, tn = int((known & truth & ~flags).sum()), int((known & ~truth & ~flags).sum())
    roc_auc, average_precision = _ranking(scores[known], truth[known])
    true = stretches(times, machines, truth, kinds)
    return Evaluation(
        rows=rows,
        unknown=unknown,
        flagged=flagged,
        labelled=True,
        f1=2 * tp / (2 * tp + fp + fn) if tp + fn else None,
        precision=tp / (tp + fp) if tp + fp else (0.0 if fn else None),
        recall=tp / (tp + fn) if tp + fn else None,
        accuracy=(tp + tn) / rows if rows else None,
        roc_auc=roc_auc,
        average_precision=average_precision,
        tn=tn,
        fp=fp,
        fn=fn,
        tp=tp,
        recall_by_kind={} if kinds is None else _recall_by_kind(flags, known & truth, kinds),
        events=match_events(true, times, machines, flags),
    )


def _ranking(
    scores: NDArray[np.floating[Any]], truth: NDArray[np.bool_]
) -> tuple[float | None, float | None]:
    """ROC AUC and average precision, where both classes are there."""
    if not truth.any() or truth.all():
        return None, None
    try:
        from sklearn.metrics import average_precision_score, roc_auc_score  # noqa: PLC0415
    except ImportError:
        raise MissingExtraError("evaluating a detector", "workstation") from None
    # A score may have overflowed to infinity, which scikit-learn refuses; the rank is what counts.
    ranked = np.nan_to_num(scores.astype(np.float64))
    return float(roc_auc_score(truth, ranked)), float(average_precision_score(truth, ranked))


def _recall_by_kind(
    flags: NDArray[np.bool_], anomalous: NDArray[np.bool_], kinds: NDArray[np.str_]
) -> dict[str, float]:
    of = kinds[anomalous]
    found = flags[anomalous]
    return {str(kind): float(found[of == kind].mean()) for kind in np.unique(of) if kind}


def _event_lines(events: EventReport | None) -> list[str]:
    if events is None:
        return []
    lines = ["", f"{'events found':<20}{f'{events.found} of {events.injected}':>12}"]
    lines += [
        f"  {kind:<18}{f'{found} of {injected}':>12}"
        for kind, (injected, found) in events.by_kind.items()
        if kind
    ]
    if events.delays_s is not None:
        delays = f"{events.delays_s.median:.0f} s, p90 {events.delays_s.p90:.0f} s"
        lines.append(f"{'delay, median':<20}{delays:>12}")
    a_day = f"{events.false_alarms_per_day:.1f} a machine and day"
    lines.append(f"{'false alarms':<20}{events.false_alarms:>12}  ({a_day})")
    return lines

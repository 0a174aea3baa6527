"""How well scores tell anomalous rows from normal ones, row by row and event by event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.events import EventReport, label_runs, match_events

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Scores beside labels.

    Attributes:
        true_positives: Anomalous rows above the threshold.
        false_positives: Normal rows above it.
        false_negatives: Anomalous rows that are not.
        true_negatives: Normal rows that are not.
        roc_auc: Area under the ROC curve; None where the rows are all of one class.
        average_precision: Mean precision over recall; None where no row is anomalous.
        recall_by_kind: Kind of anomaly to the part of its rows above the threshold; empty where unknown.
        events: The same rows as events.
    """

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int
    roc_auc: float | None
    average_precision: float | None
    recall_by_kind: dict[str, float]
    events: EventReport

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.true_positives + self.false_positives + self.false_negatives + self.true_negatives

    @property
    def accuracy(self) -> float:
        """Part of the rows that are on their right side of the threshold."""
        return (self.true_positives + self.true_negatives) / self.rows

    @property
    def recall(self) -> float | None:
        """Part of the anomalous rows that are above the threshold; None where no row is anomalous."""
        anomalous = self.true_positives + self.false_negatives
        return self.true_positives / anomalous if anomalous else None

    @property
    def precision(self) -> float | None:
        """Part of the rows above the threshold that are anomalous; 0 where none is above it.

        None where no row is anomalous: any threshold would have precision 0.
        """
        if self.recall is None:
            return None
        above = self.true_positives + self.false_positives
        return self.true_positives / above if above else 0.0

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None where no row is anomalous."""
        if self.recall is None:
            return None
        wrong = self.false_positives + self.false_negatives
        return 2 * self.true_positives / (2 * self.true_positives + wrong)

    def metrics(self) -> dict[str, float]:
        """Every figure by its name; what these rows do not define is left out."""
        found = {
            "f1": self.f1,
            "precision": self.precision,
            "recall": self.recall,
            "accuracy": self.accuracy,
            "roc_auc": self.roc_auc,
            "average_precision": self.average_precision,
            **{f"recall_{kind}": value for kind, value in self.recall_by_kind.items()},
            "event_recall": self.events.found / self.events.injected if self.events.injected else None,
            "median_delay_seconds": self.events.median_delay_seconds,
            "false_alarms_per_day": self.events.false_alarms_per_day,
        }
        return {name: float(value) for name, value in found.items() if value is not None}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values: what `metrics` cannot hold."""
        return {
            "confusion_matrix": {
                "true_positives": self.true_positives,
                "false_positives": self.false_positives,
                "false_negatives": self.false_negatives,
                "true_negatives": self.true_negatives,
            },
            "recall_by_kind": dict(self.recall_by_kind),
            "events": self.events.to_dict(),
        }

    def table(self) -> str:
        """A few lines to read."""
        figures = {
            "F1": self.f1,
            "precision": self.precision,
            "recall": self.recall,
            "accuracy": self.accuracy,
            "ROC AUC": self.roc_auc,
            "average precision": self.average_precision,
        }
        lines = [(name, "-" if value is None else f"{value:.3f}") for name, value in figures.items()]
        kinds = "  ".join(f"{kind} {value:.3f}" for kind, value in self.recall_by_kind.items())
        if kinds:
            lines.append(("recall by kind", kinds))
        lines.append(
            (
                "rows",
                f"{self.true_positives + self.false_negatives:,} anomalous: {self.true_positives:,} found, "
                f"{self.false_negatives:,} missed; {self.false_positives + self.true_negatives:,} normal: "
                f"{self.false_positives:,} false alarms",
            )
        )
        events = self.events
        delay = "" if events.median_delay_seconds is None else f", median delay {events.median_delay_seconds:g} s"
        lines.append(("events", f"{events.found:,} of {events.injected:,} found{delay}"))
        if events.false_alarms_per_day is not None:
            lines.append(("false alarms", f"{events.false_alarms_per_day:.1f} per machine and day"))
        return "\n".join(f"{name:<18} {text}" for name, text in lines)


def evaluate(
    scores: NDArray[np.floating[Any]],
    threshold: float,
    labels: NDArray[np.bool_],
    kinds: NDArray[np.str_] | None,
    times: NDArray[np.int64],
    machines: NDArray[np.str_],
) -> Evaluation:
    """Compares scores with labels.

    Args:
        scores: [rows], all finite, higher is worse.
        threshold: Above it a row counts as anomalous.
        labels: [rows] True where a row is anomalous.
        kinds: [rows] kind of anomaly, empty where unknown; None for no kinds at all.
        times: [rows] int64 nanoseconds.
        machines: [rows] machine ids.

    Raises:
        ValueError: There is no row.
    """
    if not len(scores):
        raise ValueError("no rows to evaluate")
    flags = scores > threshold
    auc, average = _areas(scores, labels)
    return Evaluation(
        true_positives=int((flags & labels).sum()),
        false_positives=int((flags & ~labels).sum()),
        false_negatives=int((~flags & labels).sum()),
        true_negatives=int((~flags & ~labels).sum()),
        roc_auc=auc,
        average_precision=average,
        recall_by_kind={} if kinds is None else _recall_by_kind(flags, labels, kinds),
        events=match_events(label_runs(times, machines, labels, kinds), times, machines, flags),
    )


def _areas(
    scores: NDArray[np.floating[Any]], labels: NDArray[np.bool_]
) -> tuple[float | None, float | None]:
    """ROC AUC and average precision, as far as they are defined."""
    if not labels.any():
        return None, None
    from sklearn.metrics import average_precision_score, roc_auc_score  # noqa: PLC0415 - slow

    auc = None if labels.all() else float(roc_auc_score(labels, scores))
    return auc, float(average_precision_score(labels, scores))


def _recall_by_kind(
    flags: NDArray[np.bool_], labels: NDArray[np.bool_], kinds: NDArray[np.str_]
) -> dict[str, float]:
    names, codes = np.unique(kinds[labels], return_inverse=True)
    rows = np.bincount(codes, minlength=len(names))
    found = np.bincount(codes, weights=flags[labels], minlength=len(names))
    return {str(name): float(f / r) for name, f, r in zip(names, found, rows, strict=True) if name}

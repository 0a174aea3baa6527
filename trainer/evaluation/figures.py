"""What a detector's scores and verdicts are worth, for people, for JSON and for a tracker."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.evaluation.events import EventReport

__all__ = ["NOTHING_COUNTS", "NO_ANOMALIES", "UNLABELLED", "Evaluation"]

UNLABELLED = "unlabelled: only the rate of alarms is known"
NOTHING_COUNTS = "no row counts: each is ignored, or lacks a reading"
NO_ANOMALIES = "no row is labelled anomalous: only the rate of false alarms is known"

# As people read them, and as they are called.
OF_ROWS = {
    "F1": "f1",
    "precision": "precision",
    "recall": "recall",
    "accuracy": "accuracy",
    "ROC AUC": "roc_auc",
    "average precision": "average_precision",
    "VUS-PR": "vus_pr",
    "VUS-ROC": "vus_roc",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a detector's scores are worth; None where a figure is undefined.

    Attributes:
        rows: Rows with a score.
        unknown: Rows without one, left out of every figure on rows.
        flagged: Rows called anomalous.
        labelled: Whether there were labels; without them every figure below is None or 0.
        f1: Harmonic mean of precision and recall; None where no row is labelled anomalous.
        precision: Part of the flagged rows that are anomalous; 0 where nothing was flagged that should be,
            None where no row is labelled anomalous.
        recall: Part of the anomalous rows that are flagged; None where no row is labelled anomalous.
        accuracy: Part of all rows called rightly.
        roc_auc: Area under the ROC curve of the scores; None unless both classes are there.
        average_precision: Of the scores, at every threshold; None unless both classes are there.
        vus_pr: Volume under the precision-recall surface; None unless both classes are there.
        vus_roc: Volume under the ROC surface; None unless both classes are there.
        tn: Normal rows that were not flagged.
        fp: Normal rows that were flagged.
        fn: Anomalous rows that were not flagged.
        tp: Anomalous rows that were flagged.
        recall_by_kind: Recall on the rows of each kind of anomaly.
        events: Runs of anomalous rows against runs of flagged rows; None without labels.
        intervals: Figure to the ends of its 90 % interval, see `trainer.evaluation.intervals`.
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
    vus_pr: float | None = None
    vus_roc: float | None = None
    tn: int = 0
    fp: int = 0
    fn: int = 0
    tp: int = 0
    recall_by_kind: dict[str, float]
    events: EventReport | None = None
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def alarm_rate(self) -> float:
        """Part of the rows that are flagged."""
        return self.flagged / self.rows if self.rows else 0.0

    @property
    def has_anomalies(self) -> bool:
        """Whether a row is labelled anomalous."""
        return self.tp + self.fn > 0

    def metrics(self) -> dict[str, float]:
        """Flat names, defined and finite figures only; such as f1, f1_low, recall_SPIKE, events_found."""
        figures: dict[str, float | None] = {name: getattr(self, name) for name in OF_ROWS.values()}
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
        for name, (low, high) in self.intervals.items():
            figures |= {f"{name}_low": low, f"{name}_high": high}
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
        lines.append(f"{'flagged':<20}{self.flagged:>12,}  ({self.alarm_rate:.2%})")
        if not self.labelled:
            return "\n".join([*lines, UNLABELLED])
        if not self.has_anomalies:
            return "\n".join([*lines, NO_ANOMALIES, *self._event_lines()])
        lines += [self._line(shown, name) for shown, name in OF_ROWS.items()]
        lines += [f"{f'recall {kind}':<20}{recall:>12.3f}" for kind, recall in self.recall_by_kind.items()]
        lines += [
            "",
            f"{'':<20}{'not flagged':>12}{'flagged':>12}",
            f"{'normal rows':<20}{self.tn:>12,}{self.fp:>12,}",
            f"{'anomalous rows':<20}{self.fn:>12,}{self.tp:>12,}",
        ]
        return "\n".join(lines + self._event_lines())

    def interval(self, name: str, form: str = ".3f") -> str:
        """A figure's interval, as in "0.941 to 0.962"; empty where it has none."""
        if name not in self.intervals:
            return ""
        low, high = self.intervals[name]
        return f"{low:{form}} to {high:{form}}"

    def _line(self, shown: str, name: str) -> str:
        value, interval = getattr(self, name), self.interval(name)
        cell = "undefined" if value is None else f"{value:.3f}"
        return f"{shown:<20}{cell:>12}" + (f"  ({interval})" if interval else "")

    def _event_lines(self) -> list[str]:
        events = self.events
        if events is None:
            return []
        lines = [""]
        if events.injected:
            lines += [f"{'events found':<20}{f'{events.found} of {events.injected}':>12}"]
        lines += [
            f"  {kind:<18}{f'{found} of {injected}':>12}"
            for kind, (injected, found) in events.by_kind.items()
            if kind
        ]
        if events.delays_s is not None:
            delays = f"{events.delays_s.median:.0f} s, p90 {events.delays_s.p90:.0f} s"
            lines.append(f"{'delay, median':<20}{delays:>12}")
        interval = self.interval("false_alarms_per_day", ".1f")
        a_day = f"{events.false_alarms_per_day:.1f} per machine and day" + (
            f", {interval}" if interval else ""
        )
        lines.append(f"{'false alarms':<20}{events.false_alarms:>12}  ({a_day})")
        return lines

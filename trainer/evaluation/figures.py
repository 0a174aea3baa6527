"""What a detector's scores and verdicts are worth, for people, for JSON and for a tracker."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from trainer.evaluation.wording import chance_line, event_lines

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
        events: Runs of anomalous rows against alarms; None without labels.
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

    @property
    def always_anomalous(self) -> tuple[float, float] | None:
        """F1 and precision of calling every row anomalous; None where no row is labelled anomalous.

        That finds no event, since such an alarm never begins.
        """
        if not self.has_anomalies:
            return None
        anomalous = (self.tp + self.fn) / self.rows
        return 2 * anomalous / (1 + anomalous), anomalous

    def metrics(self) -> dict[str, float]:
        """Flat names, defined and finite figures only; such as f1, f1_low, recall_SPIKE, events_found."""
        figures: dict[str, float | None] = {name: getattr(self, name) for name in OF_ROWS.values()}
        figures |= {f"recall_{kind}": recall for kind, recall in self.recall_by_kind.items()}
        if self.labelled:
            figures |= {name: getattr(self, name) for name in ("tn", "fp", "fn", "tp")}
        figures |= {} if self.events is None else _of_events(self.events)
        if self.always_anomalous is not None:
            figures["f1_always_anomalous"], figures["precision_always_anomalous"] = self.always_anomalous
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
        return "\n".join([*lines, *self._event_lines(), "", *self.beside()])

    def beside(self) -> list[str]:
        """Sentences on what the figures are to be held against: the same alarms at random, and every row."""
        return [*filter(None, ["" if self.events is None else chance_line(self.events), self.always_line])]

    @property
    def always_line(self) -> str:
        """What calling every row anomalous comes to, for people; empty where no row is labelled so."""
        if self.always_anomalous is None:
            return ""
        f1, precision = self.always_anomalous
        return (
            f"Every row called anomalous: F1 {f1:.3f}, precision {precision:.3f}, but no event found, since "
            "that alarm never begins."
        )

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
        interval = self.interval("false_alarms_per_day", ".1f")
        return [] if self.events is None else event_lines(self.events, interval)


def _of_events(events: EventReport) -> dict[str, float | None]:
    figures: dict[str, float | None] = {
        "events_injected": events.injected,
        "events_found": events.found,
        "events_in_alarm_since_before": events.in_alarm_since_before,
        "alarms": events.alarms,
        "alarm_precision": events.alarm_precision,
        "false_alarms": events.false_alarms,
        "false_alarms_per_day": events.false_alarms_per_day,
        "false_alarm_rate": events.false_alarm_rate,
        "alarm_minutes_per_day": events.alarm_minutes_per_day,
    }
    if events.delays_s is not None:
        figures |= {"delay_median_s": events.delays_s.median, "delay_p90_s": events.delays_s.p90}
    if events.random_alarms is not None:
        figures["events_found_by_random_alarms"] = events.random_alarms.events_found
        figures["f1_of_random_alarms"] = events.random_alarms.f1
        figures["precision_of_random_alarms"] = events.random_alarms.precision
    return figures

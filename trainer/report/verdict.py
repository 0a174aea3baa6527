"""The head of the report: the figures that decide, and where the detector comes from."""

from __future__ import annotations

from dataclasses import astuple
from html import escape
from typing import TYPE_CHECKING

from edge_runtime.errors import counted, listed
from trainer.data.machines import rows_of, unseen
from trainer.evaluation.wording import ABOUT, FOUND, MINUTES
from trainer.experiment.provenance import data_digest
from trainer.experiment.results import how_chosen
from trainer.report.tables import facts, kinds_table, tiles

if TYPE_CHECKING:
    from trainer.calibration.assess import Assessment
    from trainer.data.training_data import TrainingData
    from trainer.evaluation.events import EventReport
    from trainer.report.run import Run

__all__ = ["origin_html", "verdict_html"]

NO_LABELS = (
    '<p class="note">Unlabelled: only the rate of alarms is known, and not which were right. What needs '
    "labels is left out: F1 and AUC, the comparison with simple detectors, ROC and precision-recall, and "
    "missed events. Every alarm is listed instead.</p>"
)
NO_ROWS = '<p class="note">No test row counts: each is ignored, or lacks a reading.</p>'
NO_ANOMALY = (
    '<p class="note">No test row is labelled anomalous: only the rate of false alarms is known. Precision, '
    "recall, F1 and AUC are undefined.</p>"
)
OTHER_DATA = (
    '<p class="note">The files of this data folder are not those that the detector was trained with: the '
    "figures here are of this folder's test rows.</p>"
)


def verdict_html(run: Run, data: TrainingData, test: Assessment) -> str:
    """The figures on the test rows, and notes on what they are worth."""
    threshold, evaluation = run.checkpoint.threshold, test.evaluation
    pairs: dict[str, tuple[str, str]] = {}
    if evaluation is not None:
        if evaluation.has_anomalies:
            pairs["F1"] = _figure(evaluation.f1), "of rows"
            pairs["ROC AUC"] = _figure(evaluation.roc_auc), "of the scores, at every threshold"
            pairs["precision"] = _figure(evaluation.precision), "flagged rows that are anomalous"
            pairs["recall"] = _figure(evaluation.recall), "anomalous rows that are flagged"
        events = evaluation.events
        if events is not None:
            pairs |= _of_events(events)
    pairs["threshold"] = f"{threshold.value:.4g}", how_chosen(threshold)
    pairs["flagged"] = f"{test.alarm_rate:.2%}", f"of {test.rows:,} test rows"
    notes = _unknown(test)
    trained_with = run.checkpoint.provenance.data_digest
    # A detector may have been trained with more machines than those that are chosen.
    if not data.narrowed and data_digest((data.train, data.val, data.test)) != trained_with:
        notes.append(OTHER_DATA)
    doubts = run.metrics.get("warnings")
    if isinstance(doubts, list):
        notes += [f'<p class="note">{escape(str(doubt))}</p>' for doubt in doubts]
    if found := unseen(data.test, run.checkpoint.provenance.machines):
        which = f"{rows_of(found)} that the detector was not trained on are among them: {listed(found)}."
        notes.append(f'<p class="note">{escape(which)}</p>')
    if test.not_scored:
        notes.append(
            f"<p>{counted(test.not_scored, 'test row is', 'test rows are')} left out: "
            "a reading is missing.</p>"
        )
    kinds = "" if evaluation is None else kinds_table(evaluation)
    beside = [] if evaluation is None else [f"<p>{escape(line)}</p>" for line in evaluation.beside()]
    return "\n".join([*notes, tiles(pairs), *beside, kinds])


def _of_events(events: EventReport) -> dict[str, tuple[str, str]]:
    """The figures of alarms and events."""
    pairs: dict[str, tuple[str, str]] = {}
    if events.injected:
        missed = events.in_alarm_since_before
        more = f"; {missed} missed as the alarm was up since before" if missed else ""
        pairs["events found"] = f"{events.found} of {events.injected}", f"{FOUND}{more}"
        if events.delays_s is not None:
            note = f"median; 90 % within {events.delays_s.p90:.0f} s"
            pairs["delay"] = f"{events.delays_s.median:.0f} s", note
    if events.alarm_precision is not None:
        note = f"{events.alarms - events.false_alarms:,} of {counted(events.alarms, 'alarm')} {ABOUT}"
        pairs["alarm precision"] = f"{events.alarm_precision:.3f}", note
    note = f"of a machine; {events.false_alarms:,} in {events.machine_days:.3g} machine-days"
    pairs["false alarms a day"] = f"{events.false_alarms_per_day:,.1f}", note
    if events.alarm_minutes_per_day is not None:
        pairs["alarm minutes a day"] = f"{events.alarm_minutes_per_day:,.1f}", MINUTES
    if events.false_alarm_rate is not None:
        pairs["normal rows flagged"] = f"{events.false_alarm_rate:.2%}", "of the test rows outside events"
    return pairs


def _unknown(test: Assessment) -> list[str]:
    """What cannot be known of the test."""
    if not test.rows:
        return [NO_ROWS]
    if test.evaluation is None:
        return [NO_LABELS]
    return [] if test.evaluation.has_anomalies else [NO_ANOMALY]


def origin_html(run: Run, data: TrainingData) -> str:
    """Digests, model, time range, versions."""
    checkpoint, metrics = run.checkpoint, run.metrics
    origin = checkpoint.provenance
    hold = ", ".join(f"{part:g}" for part in astuple(checkpoint.threshold.hold))
    pairs = {
        "bundle digest": str(metrics.get("digest") or "unknown: no metrics.json beside the checkpoint"),
        "data digest": origin.data_digest,
        "model": f"{checkpoint.parts.network.parameter_count:,} parameters, seed {origin.seed}",
        "sensors": ", ".join(f"{s.name} [{s.unit}]" if s.unit else s.name for s in checkpoint.sensors),
        "hold": f"{hold} (rise, fall, cap, level)",
        "trained on": f"{origin.time_start} to {origin.time_stop}, {', '.join(origin.machines)}",
        "rows": f"{len(data.train):,} train, {len(data.val):,} validation, {len(data.test):,} test",
        "cadence": f"{checkpoint.cadence_seconds:g} s",
        "versions": ", ".join(f"{name} {version}" for name, version in origin.versions.items()),
        "code": origin.git_revision or "outside a checkout",
        "MLflow run": str(metrics.get("mlflow_run_id") or "not tracked"),
    }
    if metrics.get("best_epoch") is not None:
        pairs["best epoch"] = f"{metrics['best_epoch']} of {metrics.get('epochs')}"
    if checkpoint.threshold.per_machine:
        pairs["thresholds of their own"] = ", ".join(
            f"{machine}: {value:.4g}" for machine, value in checkpoint.threshold.per_machine.items()
        )
    return facts(pairs)


def _figure(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"

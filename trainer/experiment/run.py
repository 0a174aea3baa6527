"""One training run from data to bundle: fit, threshold, evaluation, checkpoint, export, plots, tracking."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edge_runtime.bundle.metadata import Metrics
from trainer.calibration.absence import calibrate_absences
from trainer.calibration.alarm_delays import measure_alarm_delays
from trainer.calibration.assess import assess, choose_threshold, keep_budget
from trainer.calibration.contamination import find_contamination
from trainer.calibration.debounce import ScoredRows
from trainer.calibration.expected import expected_share
from trainer.calibration.promise import refuse_short
from trainer.calibration.standing import measure_standing
from trainer.experiment.checkpoint import Checkpoint
from trainer.experiment.exporter import find_exporter, make_folder
from trainer.experiment.golden import golden_rows
from trainer.experiment.outcome import doubts_about_fit, doubts_about_size
from trainer.experiment.plan import Plan, params, refuse_options, sensors
from trainer.experiment.provenance import provenance
from trainer.experiment.results import Results
from trainer.fitting.fit import Epoch, fit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_runtime.bundle.metadata import Provenance
    from trainer.data.training_data import TrainingData
    from trainer.fitting.fit import Fitted
    from trainer.tracking import NoTracker, Tracker

__all__ = ["Plan", "conclude", "run_fit"]


def run_fit(
    data: TrainingData,
    plan: Plan,
    tracker: Tracker | NoTracker,
    on_epoch: Callable[[Epoch], None] = lambda _epoch: None,
    on_bundle: Callable[[Results], None] = lambda _results: None,
    on_sensor: Callable[[int, int], None] = lambda _done, _all: None,
    *,
    doubts: tuple[str, ...] = (),
) -> Results:
    """Trains, evaluates and exports.

    The bundle holds neither the time nor the tracker's run id, so that equal data and settings give equal
    files; the run gets the bundle's digest as a tag instead.

    Args:
        data: As `read_training_data` gave it.
        plan: What to make of it.
        tracker: Where to record the run.
        on_epoch: Called after each epoch.
        on_bundle: Called once the bundle is written, before it is drawn and recorded.
        on_sensor: Called after each sensor that was tried as missing, with the number of these, and of all.
        doubts: What speaks against the data, for the record.

    Raises:
        UsageError: A unit or range is of no sensor, or the folder cannot be written.
        TrainingError: The data does not allow it, as where it is too short for the budget, or the tracker's
            store fails.
        ExportError: The network cannot be exported.
    """
    refuse_options(data, plan)
    if plan.budget is not None:
        refuse_short(data.val, plan.budget)
    export = find_exporter()
    make_folder(plan.output / "plots" if plan.plots else plan.output)
    tracker.log_params(params(data, plan))
    if plan.register is not None:
        tracker.expect(plan.register)

    before = 0  # epochs of a training that was done again

    def epoch_done(epoch: Epoch) -> None:
        losses = {"train_loss": epoch.train_loss, "val_loss": epoch.val_loss}
        tracker.log_epoch(before + epoch.number, {**losses, "learning_rate": epoch.learning_rate})
        on_epoch(epoch)

    fitted = fit(data, plan.settings, epoch_done)
    origin = provenance(data, seed=plan.settings.seed, revision=plan.revision)
    found, cleaned = find_contamination(data, fitted.detector), 0
    if plan.clean and found.in_training:
        cleaned = found.rows
        data, before = found.cleaned(data), len(fitted.history)
        fitted = fit(data, plan.settings, epoch_done)
        found = find_contamination(data, fitted.detector)
    results = conclude(data, plan, fitted, export, origin, on_sensor)
    results = replace(
        results,
        run_id=tracker.run_id,
        doubts=(*doubts, *found.doubts(cleaned=cleaned), *results.doubts),
        contamination=found,
        cleaned_rows=cleaned,
    )
    on_bundle(results)
    results.write(plan.output / "metrics.json")
    results.draw(plan.output / "plots", data, fitted.detector)
    _track(tracker, results, plan, fitted)
    return results


def conclude(
    data: TrainingData,
    plan: Plan,
    fitted: Fitted,
    export: Callable[[Path, Path], str],
    origin: Provenance,
    on_sensor: Callable[[int, int], None] = lambda _done, _all: None,
) -> Results:
    """Chooses the threshold, tests, and writes checkpoint and bundle.

    Args:
        data: As for `run_fit`.
        plan: What to make of it.
        fitted: The trained detector.
        export: As `find_exporter` found it.
        origin: Where it comes from.
        on_sensor: As for `run_fit`.

    Raises:
        TrainingError: There is no such threshold.
        ExportError: The network cannot be exported.
    """
    detector = fitted.detector
    training, kept = ScoredRows.of(data.train, detector), None
    if plan.budget is None:
        threshold = choose_threshold(
            data.val,
            detector,
            plan.method,
            percentile=plan.percentile,
            margin=plan.margin,
            hold=plan.hold,
            per_machine=plan.per_machine,
            training=training,
        )
    else:
        threshold, kept = keep_budget(
            data.val,
            detector,
            plan.budget,
            hold=plan.hold,
            seed=plan.settings.seed,
            debounce=plan.debounce,
            per_machine=plan.per_machine,
            train=data.train,
        )
    expected = expected_share(ScoredRows.of(data.val, detector), training, threshold)
    validation = assess(data.val, detector, threshold)
    test = assess(data.test, detector, threshold)

    described, absences = sensors(data, plan), None
    if plan.degraded:
        absences = calibrate_absences(data, detector, threshold, described, on_sensor)
    standing = None
    if plan.sensor_status or plan.max_rates:
        standing = measure_standing(data, flat=plan.sensor_status, max_rates=plan.max_rates)
    delays = measure_alarm_delays(data, detector, threshold) if plan.alarm_delays else None

    folder = plan.output / "checkpoint"
    Checkpoint(
        fitted.parts,
        sensors=described,
        threshold=threshold,
        cadence_seconds=plan.cadence_seconds or data.cadence_seconds,
        metrics=Metrics(validation.metrics, test.metrics),
        provenance=origin,
        golden=golden_rows(data.val),
        degraded=None if absences is None else absences.degraded,
        sensor_status=None if standing is None else standing.status,
        alarms=None if delays is None else delays.alarms,
    ).save(folder)
    bundle = plan.output / "bundle.onnx"
    digest = export(folder, bundle)
    most_epochs = plan.settings.epochs * plan.settings.members

    return Results(
        output=plan.output,
        bundle=bundle,
        digest=digest,
        threshold=threshold,
        validation=validation,
        test=test,
        history=fitted.history,
        batch_size=fitted.batch_size,
        parameters=fitted.parts.network.parameter_count,
        seed=plan.settings.seed,
        run_id=None,
        budget=kept,
        latent_deviation=fitted.latent_deviation,
        expected=expected,
        absences=absences,
        standing=standing,
        alarm_delays=delays,
        plots=plan.plots,
        doubts=(
            *doubts_about_size(data, fitted.parts.network.parameter_count, expected),
            *doubts_about_fit(fitted.history, most_epochs, validation, test),
            *(standing.doubts if standing is not None else ()),
        ),
    )


def _track(tracker: Tracker | NoTracker, results: Results, plan: Plan, fitted: Fitted) -> None:
    """Everything that was found and written."""
    tracker.log_metrics({f"val_{name}": value for name, value in results.validation.metrics.items()})
    tracker.log_metrics({f"test_{name}": value for name, value in results.test.metrics.items()})
    if (found := results.contamination) is not None:
        tracker.log_metrics({"train_ratio": found.train_ratio, "tail_ratio": found.tail_ratio})
    if results.absences is not None:
        tracker.log_metrics(results.absences.metrics)
    if results.alarm_delays is not None:
        tracker.log_metrics(results.alarm_delays.metrics)
    tracker.log_metrics({"threshold": results.threshold.value, **results.promises})
    if fitted.best is not None:
        tracker.log_metrics({"best_epoch": fitted.best.number})
    tracker.set_tag("bundle_digest", results.digest)
    tracker.log_folder(plan.output / "checkpoint", "checkpoint")
    if plan.plots:
        tracker.log_folder(plan.output / "plots", "plots")
    tracker.log_file(results.bundle)
    tracker.log_file(plan.output / "metrics.json")
    if plan.register is not None:
        tracker.register(plan.register, champion=plan.champion)

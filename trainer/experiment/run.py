"""One training run from data to bundle: fit, threshold, evaluation, checkpoint, export, plots, tracking."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field, replace
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.bundle.agreement import check_ranges
from edge_runtime.bundle.metadata import Metrics, Sensor
from edge_runtime.errors import BundleFormatError, MissingExtraError, UsageError
from trainer.calibration.assess import assess, choose_threshold, keep_budget
from trainer.experiment.checkpoint import Checkpoint
from trainer.experiment.golden import golden_rows
from trainer.experiment.outcome import doubts_about_fit
from trainer.experiment.provenance import provenance
from trainer.experiment.results import Results
from trainer.fitting.fit import Epoch, Settings, fit
from trainer.fitting.recipes import DEFAULT_HOLD, DEFAULT_PERCENTILE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edge_runtime.bundle.metadata import Debounce, Hold, Provenance
    from trainer.calibration.budget import AlarmBudget
    from trainer.calibration.calibrate import ThresholdMethod
    from trainer.data.training_data import TrainingData
    from trainer.fitting.fit import Fitted
    from trainer.tracking import NoTracker, Tracker

__all__ = ["Plan", "conclude", "find_exporter", "make_folder", "refuse_options", "run_fit"]

EXPORTERS = "edge_detect.export"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to make of the data.

    Attributes:
        output: Folder of checkpoint/, plots/, bundle.onnx and metrics.json.
        settings: How to train.
        method: How to choose the threshold.
        percentile: For the threshold by percentile.
        margin: What the percentile is multiplied with.
        hold: The verdict's.
        debounce: To keep a budget with, 1 of 1 for none; None to choose one.
        per_machine: Whether each machine with enough rows in validation gets a threshold of its own.
        budget: False alarms that a machine may raise, instead of method and percentile; None for those.
        recipe: Name of the recipe that the settings began with, for the record.
        units: Sensor to its unit, before what the data says.
        physical_ranges: Sensor to the lowest and highest reading it can give, before what the data says.
        cadence_seconds: Time between two rows of one machine; None for what the data says.
        revision: Of the code, as `git_revision` finds it.
        plots: Whether to draw.
        champion: Whether the registered version becomes the model's champion.
        register: Name under which to register the bundle's run; None for no registration.
    """

    output: Path
    settings: Settings = field(default_factory=Settings)
    method: ThresholdMethod = "percentile"
    percentile: float = DEFAULT_PERCENTILE
    margin: float = 1.0
    hold: Hold = DEFAULT_HOLD
    debounce: Debounce | None = None
    per_machine: bool = False
    budget: AlarmBudget | None = None
    recipe: str = "best"
    units: Mapping[str, str] = field(default_factory=dict)
    physical_ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    cadence_seconds: float | None = None
    revision: str | None = None
    plots: bool = True
    register: str | None = None
    champion: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.percentile < 100:  # noqa: PLR2004
            raise UsageError(f"{self.percentile:g} is not between 0 and 100", where="--percentile")
        if not 0 < self.margin < np.inf:
            raise UsageError(f"{self.margin:g} is not a positive factor", where="--margin")
        if self.cadence_seconds is not None and not 0 < self.cadence_seconds < np.inf:
            raise UsageError(
                f"{self.cadence_seconds:g} is not a positive number of seconds", where="--cadence"
            )


def run_fit(
    data: TrainingData,
    plan: Plan,
    tracker: Tracker | NoTracker,
    on_epoch: Callable[[Epoch], None] = lambda _epoch: None,
    on_bundle: Callable[[Results], None] = lambda _results: None,
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
        doubts: What speaks against the data, for the record.

    Raises:
        UsageError: A unit or range is of no sensor, or the folder cannot be written.
        TrainingError: The data does not allow it, or the tracker's store fails.
        ExportError: The network cannot be exported.
    """
    refuse_options(data, plan)
    export = find_exporter()
    make_folder(plan.output / "plots")
    tracker.log_params(_params(data, plan))
    if plan.register is not None:
        tracker.expect(plan.register)

    def epoch_done(epoch: Epoch) -> None:
        losses = {"train_loss": epoch.train_loss, "val_loss": epoch.val_loss}
        tracker.log_epoch(epoch.number, {**losses, "learning_rate": epoch.learning_rate})
        on_epoch(epoch)

    fitted = fit(data, plan.settings, epoch_done)
    origin = provenance(data, seed=plan.settings.seed, revision=plan.revision)
    results = conclude(data, plan, fitted, export, origin)
    results = replace(results, run_id=tracker.run_id, doubts=(*doubts, *results.doubts))
    on_bundle(results)
    results.write(plan.output / "metrics.json")
    if plan.plots:
        results.draw(plan.output / "plots", data, fitted.detector)
    _track(tracker, results, plan, fitted)
    return results


def conclude(
    data: TrainingData, plan: Plan, fitted: Fitted, export: Callable[[Path, Path], str], origin: Provenance
) -> Results:
    """Chooses the threshold, tests, and writes checkpoint and bundle.

    Args:
        data: As for `run_fit`.
        plan: What to make of it.
        fitted: The trained detector.
        export: As `find_exporter` found it.
        origin: Where it comes from.

    Raises:
        TrainingError: There is no such threshold.
        ExportError: The network cannot be exported.
    """
    detector = fitted.detector
    kept = None
    if plan.budget is None:
        threshold = choose_threshold(
            data.val,
            detector,
            plan.method,
            percentile=plan.percentile,
            margin=plan.margin,
            hold=plan.hold,
            per_machine=plan.per_machine,
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
        )
    validation = assess(data.val, detector, threshold)
    test = assess(data.test, detector, threshold)

    folder = plan.output / "checkpoint"
    Checkpoint(
        network=fitted.network,
        scaler=fitted.scaler,
        whitening=fitted.whitening,
        smoothing=fitted.smoothing,
        average=fitted.average,
        features=fitted.features,
        sensors=_sensors(data, plan),
        threshold=threshold,
        cadence_seconds=plan.cadence_seconds or data.cadence_seconds,
        metrics=Metrics(validation.metrics, test.metrics),
        provenance=origin,
        golden=golden_rows(data.val),
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
        parameters=fitted.network.parameter_count,
        seed=plan.settings.seed,
        run_id=None,
        budget=kept,
        latent_deviation=fitted.latent_deviation,
        doubts=tuple(doubts_about_fit(fitted.history, most_epochs, validation, test)),
    )


def find_exporter() -> Callable[[Path, Path], str]:
    """What turns a checkpoint folder into a bundle: an entry point, since `export` builds on this package.

    Raises:
        UsageError: None is installed.
    """
    for point in entry_points(group=EXPORTERS, name="checkpoint"):
        try:
            exporter: Callable[[Path, Path], str] = point.load()
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] in {"edge_runtime", "export", "trainer"}:
                break
            raise MissingExtraError("exporting a bundle", "workstation") from None
        return exporter
    raise UsageError(
        "no exporter is installed, and every fit ends with an export",
        where=f"entry point group {EXPORTERS}",
        hint="pip install 'edge-detect[workstation]'",
    )


def _params(data: TrainingData, plan: Plan) -> dict[str, Any]:
    settings = plan.settings
    return {
        **{name: getattr(settings, name) for name in settings.__dataclass_fields__},
        "widths": ",".join(map(str, settings.widths)),
        "kernels": ",".join(map(str, settings.kernels)),
        "sensors": ",".join(data.sensors),
        "recipe": plan.recipe,
        "threshold_method": plan.method,
        "percentile": plan.percentile,
        "margin": plan.margin,
        "per_machine": plan.per_machine,
        "false_alarms": str(plan.budget or ""),
        "hold": ",".join(f"{part:g}" for part in astuple(plan.hold)),
        "train_rows": len(data.train),
        "val_rows": len(data.val),
        "test_rows": len(data.test),
    }


def _sensors(data: TrainingData, plan: Plan) -> tuple[Sensor, ...]:
    normal = data.train.normal_values
    ranges = {**data.physical_ranges, **plan.physical_ranges}
    units = {**data.units, **plan.units}
    return tuple(
        Sensor(
            name,
            units.get(name, ""),
            ranges.get(name),
            (float(normal[:, i].min()), float(normal[:, i].max())),
        )
        for i, name in enumerate(data.sensors)
    )


def refuse_options(data: TrainingData, plan: Plan) -> None:
    """Refuses what a plan says of sensors that are not there, and ranges in which no row would be judged.

    Raises:
        UsageError: It says such.
    """
    _refuse_unknown(plan.units, data, "--unit")
    _refuse_unknown(plan.physical_ranges, data, "--physical-range")
    _refuse_ranges(data, plan)


def _refuse_unknown(named: Mapping[str, object], data: TrainingData, option: str) -> None:
    """Refuses an option for what is no sensor.

    Raises:
        UsageError: Such is named.
    """
    for name in named:
        if name not in data.sensors:
            raise UsageError(
                f"'{name}' is not a sensor", where=option, hint=f"the sensors are {', '.join(data.sensors)}"
            )


def _refuse_ranges(data: TrainingData, plan: Plan) -> None:
    """Refuses ranges in which no row would be judged; the export would say so only when all is trained.

    Raises:
        UsageError: A sensor has such.
    """
    for sensor in _sensors(data, plan) if data.train.normal.any() else ():
        try:
            check_ranges(sensor)
        except BundleFormatError as error:
            raise UsageError(f"{sensor.name}: {error.what}", where="--physical-range") from None


def make_folder(folder: Path) -> None:
    """Makes a folder where it is missing.

    Raises:
        UsageError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot write here ({error.strerror})",
            where=str(folder),
            hint="name a folder that you can write to with -o",
        ) from None


def _track(tracker: Tracker | NoTracker, results: Results, plan: Plan, fitted: Fitted) -> None:
    """Everything that was found and written."""
    tracker.log_metrics({f"val_{name}": value for name, value in results.validation.metrics.items()})
    tracker.log_metrics({f"test_{name}": value for name, value in results.test.metrics.items()})
    tracker.log_metrics({"threshold": results.threshold.value})
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

"""What to make of training data: the settings and all that goes beyond them, checked against the data."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.bundle.agreement import check_ranges
from edge_runtime.bundle.metadata import Sensor
from edge_runtime.bundle.needs import COLUMN, STATUS_COLUMN
from edge_runtime.errors import BundleFormatError, UsageError
from trainer.fitting.recipes import DEFAULT_HOLD, DEFAULT_PERCENTILE
from trainer.fitting.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge_runtime.bundle.metadata import Debounce, Hold
    from trainer.calibration.budget import AlarmBudget
    from trainer.calibration.calibrate import ThresholdMethod
    from trainer.data.training_data import TrainingData

__all__ = ["Plan", "params", "refuse_options", "sensors"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to make of the data.

    Attributes:
        output: Folder of checkpoint/, plots/, bundle.onnx and metrics.json.
        settings: How to train.
        method: How to choose the threshold.
        percentile: For the threshold by percentile.
        margin: What the percentile's score is multiplied with; None for what so few rows call for, as
            `short_margin` has it.
        hold: The verdict's.
        debounce: To keep a budget with, 1 of 1 for none; None to choose one.
        per_machine: Whether each machine with enough rows in validation gets a threshold of its own.
        degraded: Whether rows that lack one sensor are judged without it; not where there is but one sensor.
        sensor_status: Whether sensors that stand still for longer than they ever did are found.
        alarm_delays: Whether the bundle says when alarms are raised and return.
        max_rates: Sensor to the fastest that it can change, in raw units a second.
        clean: Whether to train again without the stretches of training that seem to be faults, if there are
            any.
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
    margin: float | None = None
    hold: Hold = DEFAULT_HOLD
    debounce: Debounce | None = None
    per_machine: bool = False
    degraded: bool = False
    sensor_status: bool = False
    alarm_delays: bool = False
    max_rates: Mapping[str, float] = field(default_factory=dict)
    clean: bool = False
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
        if self.margin is not None and not 0 < self.margin < np.inf:
            raise UsageError(f"{self.margin:g} is not a positive factor", where="--margin")
        if self.cadence_seconds is not None and not 0 < self.cadence_seconds < np.inf:
            raise UsageError(
                f"{self.cadence_seconds:g} is not a positive number of seconds", where="--cadence"
            )


def params(data: TrainingData, plan: Plan) -> dict[str, Any]:
    """What is recorded of a run before it begins."""
    settings = plan.settings
    return {
        **{name: getattr(settings, name) for name in settings.__dataclass_fields__},
        "widths": ",".join(map(str, settings.widths)) if settings.widths else "auto",
        "kernels": ",".join(map(str, settings.kernels)),
        "sensors": ",".join(data.sensors),
        "label_column": data.label or "",
        "recipe": plan.recipe,
        "threshold_method": plan.method,
        "percentile": plan.percentile,
        "margin": "auto" if plan.margin is None else plan.margin,
        "per_machine": plan.per_machine,
        "degraded": plan.degraded,
        "sensor_status": plan.sensor_status,
        "alarm_delays": plan.alarm_delays,
        "max_rates": ",".join(f"{name}={rate:g}" for name, rate in sorted(plan.max_rates.items())),
        "clean": plan.clean,
        "false_alarms": str(plan.budget or ""),
        "hold": ",".join(f"{part:g}" for part in astuple(plan.hold)),
        "train_rows": len(data.train),
        "val_rows": len(data.val),
        "test_rows": len(data.test),
    }


def sensors(data: TrainingData, plan: Plan) -> tuple[Sensor, ...]:
    """The sensors as a bundle describes them."""
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
    _refuse_unknown(plan.max_rates, data, "--max-rate")
    _refuse_ranges(data, plan)
    if plan.degraded and COLUMN in data.sensors:
        raise UsageError(
            f"a sensor is called '{COLUMN}', which is also what results call a row that lacks a sensor",
            where="--degraded",
            hint="rename the sensor, or add --no-degraded",
        )
    if (plan.sensor_status or plan.max_rates) and STATUS_COLUMN in data.sensors:
        raise UsageError(
            f"a sensor is called '{STATUS_COLUMN}', which is also what results call the state of the sensors",
            where="--sensor-status",
            hint="rename the sensor, or use 'edge-train fit --no-sensor-status' without --max-rate",
        )


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
    for sensor in sensors(data, plan) if data.train.normal.any() else ():
        try:
            check_ranges(sensor)
        except BundleFormatError as error:
            raise UsageError(f"{sensor.name}: {error.what}", where="--physical-range") from None

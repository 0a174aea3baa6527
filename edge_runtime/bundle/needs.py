"""What a bundle says beside its graph: slow baseline, rows that lack one sensor, sensor status, alarms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edge_runtime.bundle.caps import LARGEST, LONGEST_BASELINE_STEP, SMALLEST
from edge_runtime.bundle.judging import LONGEST_ALARM_DELAY_S
from edge_runtime.errors import BundleFormatError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge_runtime.bundle.judging import (
        Absence,
        Alarms,
        Baseline,
        BaselineState,
        Degraded,
        SensorLimit,
        SensorStatus,
    )
    from edge_runtime.bundle.metadata import Metadata

__all__ = [
    "COLUMN",
    "FEWEST_FLAT_ROWS",
    "FEWEST_SENSORS",
    "INJECTED",
    "LABELS",
    "STATUS_COLUMN",
    "check_alarms",
    "check_baseline",
    "check_degraded",
    "check_sensor_status",
    "misfit",
]

# Sums of bounded numbers may be beyond the sum of their bounds, as much as rounding does.
ROUNDED = 1 + 1e-6
AFTER = "golden.baseline_after"
LISTS = ("values", "persistence", "near", "far", "beyond")
# What results call it, so that no sensor of such a bundle can have this name.
COLUMN, STATUS_COLUMN = "degraded", "sensor_status"
LABELS, INJECTED = MEASURED_ON = ("labels", "injected")
# As of the golden rows: so large a part of the highest score proves nothing.
MAX_RELATIVE_TOLERANCE = 0.01
FEWEST_SENSORS = 2
# Two readings that are alike say nothing yet.
FEWEST_FLAT_ROWS = 3


def misfit(state: BaselineState, baseline: Baseline) -> tuple[str, str] | None:
    """The first field that no baseline can have in its state, and what is wrong with it; None for none."""
    columns, rows = len(baseline.spread), state.rows
    if not 0 <= rows < baseline.rows:
        return "rows", f"is {rows}, which is not 0 to {baseline.rows - 1}"
    near, far = (ROUNDED * rows * bound for bound in (baseline.near, baseline.far))
    for name in LISTS:
        numbers = getattr(state, name)
        if len(numbers) != columns:
            return name, f"has {len(numbers)} numbers, but the baseline has {columns} columns"
        most: Iterable[float] = {
            "values": (LARGEST,) * columns,
            "persistence": (ROUNDED,) * columns,
            "near": (near * part for part in baseline.spread),
            "far": (far * part for part in baseline.spread),
            "beyond": (rows,) * columns,
        }[name]
        # Written so that a NaN is out of range.
        if not all(abs(number) <= bound for number, bound in zip(numbers, most, strict=True)):
            return name, "is out of range"
    return None


def check_baseline(baseline: Baseline | None, after: BaselineState | None, columns: int) -> None:
    """A baseline that moves slowly, and does not run away.

    Args:
        baseline: What the bundle says of it; None where it says nothing.
        after: Where it stands after the golden rows.
        columns: Of the graph's baseline; 0 for a graph without one.

    Raises:
        BundleFormatError: It does not fit the graph, or would jump about.
    """
    if (baseline is None) != (after is None):
        raise BundleFormatError(
            "is there without a baseline, or missing beside one", where=f"metadata: {AFTER}"
        )
    if baseline is None or not columns:
        if baseline is not None or columns:
            raise BundleFormatError(
                "disagrees with the graph about whether there is one", where="metadata: baseline"
            )
        return
    if len(baseline.spread) != columns:
        raise BundleFormatError(
            f"has {len(baseline.spread)} numbers, but the graph's baseline has {columns} columns",
            where="metadata: baseline.spread",
        )
    for name, fine in (
        ("rows", 1 <= baseline.rows <= LONGEST_BASELINE_STEP),
        ("horizon", baseline.rows * max(1.0, baseline.gain) <= baseline.horizon <= LARGEST),
        ("spread", all(SMALLEST <= part <= LARGEST for part in baseline.spread)),
        ("near", 0 < baseline.near <= baseline.far),
        ("far", baseline.far * max(baseline.spread) <= LARGEST),
        ("gain", baseline.gain > 0),
        ("persistent", 0 <= baseline.persistent <= 1),
        ("doubtful", 0 <= baseline.doubtful <= 1),
        ("bound", baseline.bound > 0 and baseline.bound * max(baseline.spread) <= LARGEST),
    ):
        if not fine:
            raise BundleFormatError("is out of range", where=f"metadata: baseline.{name}")
    for where, state in (("baseline.golden", baseline.golden), (AFTER, after)):
        if state is not None and (found := misfit(state, baseline)):
            raise BundleFormatError(found[1], where=f"metadata: {where}.{found[0]}")


def check_degraded(degraded: Degraded, metadata: Metadata) -> None:
    """A regression for each sensor that leaves the sensor itself out, and a threshold that means something.

    Args:
        degraded: What the bundle says of it.
        metadata: Of the same bundle.

    Raises:
        BundleFormatError: It does not fit the sensors, or a number is out of range.
    """
    names = metadata.sensor_names
    if len(names) < FEWEST_SENSORS:
        raise BundleFormatError("needs two sensors or more", where="metadata: degraded")
    _check_name(COLUMN, names)
    if len(degraded.absent) != len(names):
        raise _wrong("absent", f"has {len(degraded.absent)} entries, but there are {len(names)} sensors")
    for place, absence in enumerate(degraded.absent):
        _check_absence(absence, place, len(names), measured=degraded.measured_on is not None)
    if degraded.rows < 0:
        raise _wrong("rows", f"must not be negative, and is {degraded.rows}")
    if degraded.measured_on not in (None, *MEASURED_ON):
        raise _wrong("measured_on", f"is neither {' nor '.join(MEASURED_ON)}")
    _check_auc(degraded.auc, "auc", measured=degraded.measured_on is not None)
    _check_golden(degraded, metadata)


def check_sensor_status(status: SensorStatus, metadata: Metadata) -> None:
    """A limit for each sensor, with numbers that readings can have.

    Args:
        status: What the bundle says of it.
        metadata: Of the same bundle.

    Raises:
        BundleFormatError: It does not fit the sensors, or a number is out of range.
    """
    _check_name(STATUS_COLUMN, metadata.sensor_names)
    if len(status.limits) != len(metadata.sensors):
        raise BundleFormatError(
            f"has {len(status.limits)} entries, but there are {len(metadata.sensors)} sensors",
            where="metadata: sensor_status.limits",
        )
    for place, limit in enumerate(status.limits):
        for name, fine in _limits(limit):
            if not fine:
                raise BundleFormatError(
                    "is out of range", where=f"metadata: sensor_status.limits[{place}].{name}"
                )
    if status.rows < 0:
        raise BundleFormatError("must not be negative", where="metadata: sensor_status.rows")


def check_alarms(alarms: Alarms) -> None:
    """Delays of a day at most, and a severity that an alarm need not reach.

    Args:
        alarms: What the bundle says of them.

    Raises:
        BundleFormatError: A number is out of range.
    """
    high = alarms.high_severity
    for name, fine in (
        ("on_delay_s", 0 <= alarms.on_delay_s <= LONGEST_ALARM_DELAY_S),
        ("off_delay_s", 0 <= alarms.off_delay_s <= LONGEST_ALARM_DELAY_S),
        ("high_severity", high is None or 1 < high < math.inf),
        ("rows", alarms.rows >= 0),
    ):
        if not fine:
            raise BundleFormatError("is out of range", where=f"metadata: alarms.{name}")


def _limits(limit: SensorLimit) -> tuple[tuple[str, bool], ...]:
    return (
        ("flat_rows", limit.flat_rows is None or limit.flat_rows >= FEWEST_FLAT_ROWS),
        ("within", 0 <= limit.within <= LARGEST),
        ("max_rate", limit.max_rate is None or SMALLEST <= limit.max_rate <= LARGEST),
    )


def _check_name(column: str, sensors: tuple[str, ...]) -> None:
    if column in sensors:
        raise BundleFormatError(
            f"'{column}' is the name of a column that the results of this bundle have themselves",
            where="metadata: sensors",
            hint=f"rename it, or export without {column}",
        )


def _check_absence(absence: Absence, place: int, sensors: int, *, measured: bool) -> None:
    where, coefficients = f"absent[{place}]", absence.coefficients
    if len(coefficients) != sensors:
        raise _wrong(
            f"{where}.coefficients", f"has {len(coefficients)} numbers, but there are {sensors} sensors"
        )
    if coefficients[place]:
        raise _wrong(f"{where}.coefficients[{place}]", "is the sensor's own, and not 0")
    if not all(abs(number) <= LARGEST for number in (absence.intercept, *coefficients)):
        raise _wrong(where, "has a coefficient or an intercept that is out of range")
    if not SMALLEST <= absence.threshold <= LARGEST:
        raise _wrong(f"{where}.threshold", f"{absence.threshold:g} is no score that float32 holds")
    _check_auc(absence.auc_loss, f"{where}.auc_loss", measured=measured, least=-1)


def _check_auc(auc: float | None, where: str, *, measured: bool, least: int = 0) -> None:
    if (auc is not None) != measured:
        raise _wrong(where, "is there without measured_on, or missing beside it")
    if auc is not None and not least <= auc <= 1:
        raise _wrong(where, f"must be {least} to 1, not {auc:g}")


def _check_golden(degraded: Degraded, metadata: Metadata) -> None:
    wanted = max(len(metadata.golden.readings), len(metadata.sensors))
    if len(degraded.golden) != wanted:
        raise _wrong("golden", f"has {len(degraded.golden)} scores, and needs {wanted}")
    lowest = min(absence.threshold for absence in degraded.absent)
    most = max(lowest, MAX_RELATIVE_TOLERANCE * max(degraded.golden))
    if not 0 <= degraded.absolute_tolerance < most:
        raise _wrong("absolute_tolerance", "is negative, or so large that it proves nothing")


def _wrong(field: str, what: str) -> BundleFormatError:
    return BundleFormatError(what, where=f"metadata: degraded.{field}")

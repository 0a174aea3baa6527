"""What a bundle says of rows that lack one sensor: a regression and a threshold for each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.bundle.caps import LARGEST, SMALLEST
from edge_runtime.errors import BundleFormatError

if TYPE_CHECKING:
    from edge_runtime.bundle.judging import Absence, Degraded
    from edge_runtime.bundle.metadata import Metadata

__all__ = ["COLUMN", "FEWEST_SENSORS", "INJECTED", "LABELS", "check_degraded"]

# What results call it, so that no sensor of such a bundle can have this name.
COLUMN = "degraded"
LABELS, INJECTED = MEASURED_ON = ("labels", "injected")
# As of the golden rows: so large a part of the highest score proves nothing.
MAX_RELATIVE_TOLERANCE = 0.01
FEWEST_SENSORS = 2


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
    if COLUMN in names:
        raise BundleFormatError(
            f"'{COLUMN}' is the name of a column that the results of this bundle have themselves",
            where="metadata: sensors",
            hint="rename it, or export without degraded",
        )
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

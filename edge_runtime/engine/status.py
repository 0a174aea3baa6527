"""Sensor status by NAMUR NE 107, in words: what is wrong with which sensor, for results in text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.records import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["by_sensor", "in_one_text", "status_of", "texts_of_rows"]

FAILURE, OUT_OF_SPECIFICATION = "failure", "out of specification"
# NE 107's status signal for each thing that can be wrong with a reading.
SIGNALS = {
    Reason.MISSING: FAILURE,
    Reason.NOT_FINITE: FAILURE,
    Reason.FLAT: FAILURE,
    Reason.OUT_OF_RANGE: OUT_OF_SPECIFICATION,
    Reason.TOO_STEEP: OUT_OF_SPECIFICATION,
}


def status_of(fault: int) -> str:
    """The status signal and its reason, such as "failure: flat"; empty for a sensor that is good.

    Args:
        fault: A code of `Reason`.
    """
    reason = Reason(fault)
    return f"{SIGNALS[reason]}: {reason.label}" if reason else ""


def by_sensor(faults: NDArray[np.int8], sensors: Sequence[str]) -> dict[str, str]:
    """Sensor to its status, of those that are not good.

    Args:
        faults: [sensors] codes of `Reason`.
        sensors: Their names.
    """
    return {sensors[place]: status_of(faults.item(place)) for place in np.flatnonzero(faults).tolist()}


def in_one_text(statuses: dict[str, str]) -> str:
    """The same in a single cell or field, such as "temperature failure: flat; power failure: missing"."""
    return "; ".join(f"{sensor} {status}" for sensor, status in statuses.items())


def texts_of_rows(
    faults: NDArray[np.int8] | None, rows: int, sensors: Sequence[str]
) -> tuple[list[str], NDArray[np.intp]]:
    """What `in_one_text` makes of each row: the texts that there are, and each row's place among them.

    Args:
        faults: [rows, sensors] codes of `Reason`; None where all sensors are good.
        rows: How many.
        sensors: Their names.
    """
    if faults is None:
        return [""], np.zeros(rows, np.intp)
    different, codes = np.unique(faults, axis=0, return_inverse=True)
    return [in_one_text(by_sensor(row, sensors)) for row in different], codes.reshape(-1)

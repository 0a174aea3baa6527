"""Which fields of a measurement are sensors, and which are left out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edge_runtime.errors import listed
from trainer.prepare.origin import LABEL_NAMES

if TYPE_CHECKING:
    from edge_runtime.influxdb import Reader, ReadingsQuery

__all__ = ["fields_of_numbers", "without_readings"]


def fields_of_numbers(
    reader: Reader, measurement: str, start_ns: int, stop_ns: int
) -> tuple[tuple[str, ...], list[str]]:
    """The fields that hold numbers and are no labels; and what is left out, in sentences for people."""
    numbers = reader.number_fields(measurement, start_ns, stop_ns)
    found = tuple(name for name in numbers if name not in LABEL_NAMES)
    remarks = []
    if labels := [name for name in numbers if name in LABEL_NAMES]:
        remarks.append(
            f"left out, as their names are those of labels: {listed(labels)}; they label no row, which a "
            "measurement of events does (--labels-measurement)"
        )
    others = [
        f"{name} ({' and '.join(sorted(kinds))})" if kinds else name
        for name, kinds in sorted(reader.fields(measurement).items())
        if name not in numbers
    ]
    if others and found:
        remarks.append(f"fields that hold no numbers in the range were left out: {listed(others)}")
    return found, remarks


def without_readings(reader: Reader, wanted: ReadingsQuery, start_ns: int, stop_ns: int) -> list[str]:
    """The sensors that no row of a range has; none where there is no row at all."""
    # Not from the start again for each sensor: where no index helps, that takes a question an hour.
    first = reader.first(wanted, start_ns, stop_ns)
    if first is None:
        return []
    return [
        sensor
        for sensor in wanted.sensors
        if reader.first(replace(wanted, sensors=(sensor,)), first, stop_ns) is None
    ]

"""Which sensors an alarm names, in the order in which they came to the fore, and what is said of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.engine.status import status_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.bundle.metadata import Metadata
    from edge_runtime.engine.alarms import Alarm
    from edge_runtime.records import Results

__all__ = ["Naming", "shortest"]


class Naming:
    """Names and describes sensors.

    Args:
        metadata: The bundle's.
    """

    def __init__(self, metadata: Metadata) -> None:
        self._sensors = metadata.sensor_names
        self._units = [sensor.unit for sensor in metadata.sensors]
        self._places = {name: place for place, name in enumerate(self._sensors)}

    def name(self, alarm: Alarm, results: Results, row: int, places: Sequence[int]) -> None:
        """Adds sensors that come to the fore in a row, the one with the greatest share first.

        Args:
            alarm: Which names them.
            results: Rows.
            row: Which of them.
            places: The sensors', among the bundle's.
        """
        known = {sensor["name"] for sensor in alarm.sensors}
        new = [place for place in places if self._sensors[place] not in known]
        if len(new) > 1:
            new.sort(key=lambda place: -results.scores.errors.item(row, place))
        for place in new:
            sensor: dict[str, Any] = {"name": self._sensors[place]}
            self.describe(sensor, results, row, place)
            alarm.sensors.append(sensor)

    def describe_fault(self, alarm: Alarm, results: Results, row: int, place: int) -> None:
        """Says of the one sensor that an alarm is about what is wrong with its reading in a row."""
        if not alarm.sensors:
            alarm.sensors.append({"name": self._sensors[place]})
        self.describe(alarm.sensors[0], results, row, place)
        if results.faults is not None:
            alarm.sensors[0]["status"] = status_of(results.faults.item(row, place))

    def describe_all(self, alarm: Alarm, results: Results, row: int) -> None:
        """Says of each named sensor what a row shows; one that this bundle does not have stays as it was."""
        for sensor in alarm.sensors:
            place = self._places.get(sensor["name"])
            if place is not None:
                self.describe(sensor, results, row, place)

    def describe(self, sensor: dict[str, Any], results: Results, row: int, place: int) -> None:
        """Says of one sensor what a row shows.

        Args:
            sensor: What is said, which is added to.
            results: Rows.
            row: Which of them.
            place: The sensor's, among the bundle's.
        """
        errors = results.scores.errors[row].astype(np.float64)
        total = errors.sum()
        sensor["share"] = round(float(errors[place] / total), 3) if 0 < total < np.inf else None
        sensor["actual"] = shortest(results.readings.values[row, place])
        sensor["expected"] = shortest(results.scores.expected[row, place])
        sensor["unit"] = self._units[place]


def shortest(number: np.float32) -> float | None:
    """A number with the shortest decimals that give the float32 back; None for one that is not finite."""
    return float(str(number)) if np.isfinite(number) else None

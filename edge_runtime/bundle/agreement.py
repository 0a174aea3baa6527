"""Whether the metadata and the graph of one bundle are of one mind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.errors import BundleFormatError

if TYPE_CHECKING:
    from edge_runtime.bundle.gate import Graph
    from edge_runtime.bundle.metadata import Metadata

__all__ = ["check_agreement"]

# A self-test that lets a score be off by more than this would pass a wrong model.
MAX_RELATIVE_TOLERANCE = 0.01


def check_agreement(metadata: Metadata, graph: Graph) -> None:
    """What the metadata says of the graph must be so, and its parts must fit together.

    Raises:
        BundleFormatError: Something does not fit, named by its path.
    """
    sensors = metadata.sensor_names
    if len(sensors) != graph.sensors:
        raise BundleFormatError(
            f"names {len(sensors)} sensors, but the graph takes {graph.sensors}", where="metadata: sensors"
        )
    if len(set(sensors)) != len(sensors) or not all(sensors):
        raise BundleFormatError(
            "contains a sensor without a name, or the same sensor twice", where="metadata: sensors"
        )
    for sensor in metadata.sensors:
        for low, high in filter(None, (sensor.physical_range, sensor.training_range)):
            if low > high:
                raise BundleFormatError(
                    "the lower end of a range is above its upper end", where=f"metadata: sensor {sensor.name}"
                )
    if metadata.model.state_shape != graph.state_shape:
        raise BundleFormatError(
            f"declares a memory of shape {metadata.model.state_shape}, "
            f"but the graph's is {graph.state_shape}",
            where="metadata: model.state_shape",
        )
    if metadata.model.time_of_day != graph.time_of_day:
        raise BundleFormatError(
            "disagrees with the graph about whether the model needs the time of day",
            where="metadata: model.time_of_day",
        )
    if metadata.warm_up_rows:
        raise BundleFormatError(
            "the model needs warm-up rows, which this edge-detect does not support",
            where="metadata: warm_up_rows",
            hint="install a newer edge-detect",
        )
    _check_numbers(metadata)
    _check_golden(metadata)


def _check_numbers(metadata: Metadata) -> None:
    if metadata.cadence_seconds <= 0:
        raise BundleFormatError("must be above zero", where="metadata: cadence_seconds")
    for name, value in (
        ("p99_latency_us", metadata.limits.p99_latency_us),
        ("memory_mb", metadata.limits.memory_mb),
    ):
        if value is not None and value <= 0:
            raise BundleFormatError("must be above zero", where=f"metadata: limits.{name}")


def _check_golden(metadata: Metadata) -> None:
    golden, sensors = metadata.golden, len(metadata.sensors)
    times = len(golden.time_of_day) if golden.time_of_day is not None else 0
    fits = all(len(row) == sensors for row in golden.readings)
    fits &= times == (len(golden.readings) if metadata.model.time_of_day else 0)
    if not golden.readings or len(golden.scores) != len(golden.readings) or not fits:
        raise BundleFormatError("are missing, or do not fit the graph", where="metadata: golden rows")
    # A row that scores far above the threshold needs, and proves, less.
    most = max(metadata.threshold.value, MAX_RELATIVE_TOLERANCE * max(golden.scores))
    if not (
        0 <= golden.relative_tolerance <= MAX_RELATIVE_TOLERANCE and 0 <= golden.absolute_tolerance < most
    ):
        raise BundleFormatError(
            "is negative, or so large that it proves nothing", where="metadata: golden tolerance"
        )

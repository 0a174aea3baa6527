"""Whether the metadata and the graph of one bundle are of one mind, and what they say makes sense."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from edge_runtime.bundle.caps import LARGEST, MAX_NAME, MAX_SENSORS, OF_A_SENSOR, RESERVED, SMALLEST
from edge_runtime.errors import BundleFormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.bundle.gate import Graph
    from edge_runtime.bundle.metadata import Metadata, Sensor

__all__ = ["check_agreement", "check_ranges"]

# A self-test that lets a score be off by more than this would pass a wrong model.
MAX_RELATIVE_TOLERANCE = 0.01
SHORTEST_CADENCE_S, LONGEST_CADENCE_S = 1e-6, 366 * 86_400.0
DAY_S = 86_400.0
# Names that need no closer look, which most have.
PLAIN = re.compile(r"[A-Za-z0-9_.-]+")
OTHER_ALPHABETS = "\u0180"  # begin there; before it are Latin letters and signs


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
    after = metadata.golden.baseline_after
    if metadata.baseline is not None or after is not None or graph.baseline:
        from edge_runtime.bundle.needs import check_baseline  # noqa: PLC0415 - for the bundles that have one

        check_baseline(metadata.baseline, after, graph.baseline)
    if metadata.degraded is not None:
        from edge_runtime.bundle.needs import check_degraded  # noqa: PLC0415 - for the bundles that have it

        check_degraded(metadata.degraded, metadata)
    if metadata.sensor_status is not None:
        from edge_runtime.bundle.needs import check_sensor_status  # noqa: PLC0415 - for the bundles that have it

        check_sensor_status(metadata.sensor_status, metadata)
    if metadata.alarms is not None:
        from edge_runtime.bundle.needs import check_alarms  # noqa: PLC0415 - for the bundles that have them

        check_alarms(metadata.alarms)
    if metadata.warm_up_rows:
        raise BundleFormatError(
            "the model needs warm-up rows, which this edge-detect does not support",
            where="metadata: warm_up_rows",
            hint="install a newer edge-detect",
        )
    _check_sense(metadata)
    _check_golden(metadata)


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


def _check_sense(metadata: Metadata) -> None:
    """Names that can be told apart, ranges in which rows are judged, numbers that mean something.

    Raises:
        BundleFormatError: Something does not make sense, named by its path.
    """
    _check_names(metadata)
    for sensor in metadata.sensors:
        check_ranges(sensor)
    _check_numbers(metadata)
    _check_times(metadata)


def _check_names(metadata: Metadata) -> None:
    sensors = metadata.sensor_names
    if len(set(sensors)) != len(sensors) or not all(sensors):
        raise BundleFormatError(
            "contains a sensor without a name, or the same sensor twice", where="metadata: sensors"
        )
    if len(sensors) > MAX_SENSORS or not all(map(_is_plain, sensors)):
        from edge_runtime.bundle.names import wrong_sensors  # noqa: PLC0415 - for few

        if wrong := wrong_sensors(sensors):
            name, what, hint = wrong
            raise BundleFormatError(
                f"'{name}' {what}" if name else what, where="metadata: sensors", hint=hint
            )
    texts = dict(_texts(metadata))
    if any(max(text, default="") >= OTHER_ALPHABETS for text in texts.values()):
        from edge_runtime.bundle.names import wrong_text  # noqa: PLC0415 - for few

        for where, text in texts.items():
            if found := wrong_text(text):
                raise BundleFormatError(f"'{text}' {found[0]}", where=f"metadata: {where}", hint=found[1])


def _is_plain(name: str) -> bool:
    fits = len(name) <= MAX_NAME and name not in RESERVED and not name.startswith(OF_A_SENSOR)
    return fits and PLAIN.fullmatch(name) is not None


def _texts(metadata: Metadata) -> Iterator[tuple[str, str]]:
    """What people read beside sensors' names, by its path."""
    for sensor in metadata.sensors:
        yield f"sensors: unit of {sensor.name}", sensor.unit
    for number, machine in enumerate(metadata.provenance.machines):
        yield f"provenance.machines[{number}]", machine
    for number, machine in enumerate(metadata.threshold.per_machine):
        yield f"threshold.per_machine: name {number}", machine


def check_ranges(sensor: Sensor) -> None:
    """The ranges of a sensor, in which some rows must be judged.

    Raises:
        BundleFormatError: None would be, or a range is none.
    """
    where = f"metadata: sensor {sensor.name}"
    for low, high in filter(None, (sensor.physical_range, sensor.training_range)):
        if low > high:
            raise BundleFormatError("the lower end of a range is above its upper end", where=where)
        if max(abs(low), abs(high)) > LARGEST:
            raise BundleFormatError("a range is wider than float32, in which readings are", where=where)
    if sensor.physical_range is None:
        return
    (low, high), (first, last) = sensor.physical_range, sensor.training_range
    if low == high or high < first or last < low:
        raise BundleFormatError(
            "its physical range is empty, or holds none of its training range: no row would be judged",
            where=where,
            hint="name the range that the sensor can give, and export again",
        )


def _check_numbers(metadata: Metadata) -> None:
    threshold = metadata.threshold
    _check_counts(metadata)
    if not SHORTEST_CADENCE_S <= metadata.cadence_seconds <= LONGEST_CADENCE_S:
        few = "must be above zero" if metadata.cadence_seconds <= 0 else "must be a microsecond to a year"
        raise BundleFormatError(few, where="metadata: cadence_seconds")
    for name, value in (
        ("p99_latency_us", metadata.limits.p99_latency_us),
        ("memory_mb", metadata.limits.memory_mb),
    ):
        if value is not None and value <= 0:
            raise BundleFormatError("must be above zero", where=f"metadata: limits.{name}")
    for name, value in (
        ("value", threshold.value),
        *((f"per_machine.{machine}", value) for machine, value in threshold.per_machine.items()),
    ):
        if not SMALLEST <= value <= LARGEST:
            raise BundleFormatError(
                f"{value:g} is no score that float32 holds", where=f"metadata: threshold.{name}"
            )
    if threshold.quantile is not None and not 0 <= threshold.quantile <= 1:
        raise BundleFormatError(
            f"must be 0 to 1, not {threshold.quantile:g}", where="metadata: threshold.quantile"
        )
    for second in metadata.golden.time_of_day or ():
        if not 0 <= second <= DAY_S:
            raise BundleFormatError(f"{second:g} is no second of a day", where="metadata: golden.time_of_day")


def _check_counts(metadata: Metadata) -> None:
    for name, count in (
        ("threshold.rows", metadata.threshold.rows),
        ("model.parameters", metadata.model.parameters),
        ("provenance.seed", metadata.provenance.seed),
    ):
        if count < 0:
            raise BundleFormatError(f"must not be negative, and is {count}", where=f"metadata: {name}")


def _check_times(metadata: Metadata) -> None:
    origin = metadata.provenance
    moments = {}
    for name in ("time_start", "time_stop", "created"):
        text = getattr(origin, name)
        if text is None:
            continue
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise BundleFormatError(
                f"'{text[:40]}' is no time as in ISO 8601, such as 2026-01-31T08:00:00Z",
                where=f"metadata: provenance.{name}",
            ) from None
        moments[name] = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moments["time_start"] > moments["time_stop"]:
        raise BundleFormatError(
            "the training data begins after its end", where="metadata: provenance.time_start"
        )

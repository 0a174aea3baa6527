"""Sensor faults: no row with one is ever scored as normal."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.bundle.load import load_bundle
from edge_runtime.quality import QualityCheck
from edge_runtime.records import Readings, Reason

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.bundle.metadata import Metadata


def check_of(bundle: Path, **ranges: tuple[float, float]) -> QualityCheck:
    metadata: Metadata = load_bundle(bundle).metadata
    sensors = tuple(
        dataclasses.replace(sensor, physical_range=ranges.get(sensor.name)) for sensor in metadata.sensors
    )
    return QualityCheck(dataclasses.replace(metadata, sensors=sensors))


def rows(*values: list[float], times: list[int] | None = None, machines: list[str] | None = None) -> Readings:
    return Readings(
        np.asarray(machines or ["m"] * len(values), np.str_),
        np.asarray(times or range(len(values)), np.int64),
        np.asarray(values, np.float32),
    )


GOOD = [50.0, 1.0, 50.0, 200.0]


def test_each_fault_has_its_reason(bundle: Path) -> None:
    check = check_of(bundle, temperature=(-40.0, 200.0))
    nan, inf = float("nan"), float("inf")
    block = rows(
        GOOD,
        [nan, 1, 1, 1],
        [inf, 1, 1, 1],
        [201, 1, 1, 1],
        [-40.5, 1, 1, 1],
        [nan, inf, 1, 1],
        [200, 1, 1, 1],
    )
    assert [Reason(code).label for code in check.check(block)] == [
        *("", "missing", "not finite", "out of range", "out of range", "missing", ""),
    ]


def test_time_must_rise_for_each_machine_across_blocks(bundle: Path) -> None:
    check = check_of(bundle)
    first = rows(*[GOOD] * 6, times=[5, 1, 6, 6, 4, 2], machines=["a", "b", "a", "a", "a", "b"])
    backwards = int(Reason.TIME_BACKWARDS)
    assert check.check(first).tolist() == [0, 0, 0, backwards, backwards, 0]
    second = rows(*[GOOD] * 3, times=[6, 3, 7], machines=["a", "b", "a"])
    assert check.check(second).tolist() == [backwards, 0, 0]


def test_a_later_process_goes_on_from_the_state(bundle: Path) -> None:
    check = check_of(bundle)
    check.check(rows(GOOD, times=[10]))
    later = check_of(bundle)
    later.restore(check.state())
    assert later.check(rows(GOOD, GOOD, times=[10, 11])).tolist() == [Reason.TIME_BACKWARDS, 0]


def test_an_empty_block_is_fine(bundle: Path) -> None:
    assert check_of(bundle).check(Readings.empty(4)).tolist() == []

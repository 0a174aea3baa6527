"""Sensor faults: no row with one is ever scored as normal."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.engine.quality import Quality, row_reasons
from edge_runtime.loading.load import load_bundle
from edge_runtime.records import Reason

if TYPE_CHECKING:
    from pathlib import Path

GOOD = [50.0, 1.0, 50.0, 200.0]


def quality_of(bundle: Path, **ranges: tuple[float, float]) -> Quality:
    metadata = load_bundle(bundle).metadata
    sensors = tuple(
        dataclasses.replace(sensor, physical_range=ranges.get(sensor.name)) for sensor in metadata.sensors
    )
    return Quality(dataclasses.replace(metadata, sensors=sensors))


def test_each_fault_has_its_reason(bundle: Path) -> None:
    quality = quality_of(bundle, temperature=(-40.0, 200.0))
    nan, inf = float("nan"), float("inf")
    values = np.array(
        [
            GOOD,
            [nan, 1, 1, 1],
            [inf, 1, 1, 1],
            [201, 1, 1, 1],
            [-40.5, 1, 1, 1],
            [nan, inf, 1, 1],
            [200, 1, 1, 1],
        ],
        np.float32,
    )
    found = quality.check(values)
    assert found is not None
    assert [Reason(code).label for code in row_reasons(found)] == [
        *("", "missing", "not finite", "out of range", "out of range", "missing", ""),
    ]
    assert [Reason(code).label for code in found[5]] == ["missing", "not finite", "", ""]


def test_good_rows_and_no_rows_have_none(bundle: Path) -> None:
    quality = quality_of(bundle)
    assert quality.check(np.array([GOOD, GOOD], np.float32)) is None
    assert quality.check(np.empty((0, 4), np.float32)) is None


def test_a_fault_is_found_wherever_it_is_in_a_block_of_any_size(bundle: Path) -> None:
    quality = quality_of(bundle, temperature=(-40.0, 200.0), power=(0.0, 5000.0))
    for rows in (1, 16, 17, 64, 18, 4096, 16_384, 16_385):
        values = np.tile(np.array(GOOD, np.float32), (rows, 1))
        assert quality.check(values) is None
        assert quality.check(np.asfortranarray(values)) is None
        for row, column, reading, reason in (
            (0, 0, 201.0, Reason.OUT_OF_RANGE),
            (rows - 1, 3, -1.0, Reason.OUT_OF_RANGE),
            (rows // 2, 1, np.nan, Reason.MISSING),
        ):
            faulty = values.copy()
            faulty[row, column] = reading
            found = quality.check(faulty)
            assert found is not None
            assert np.argwhere(found).tolist() == [[row, column]]
            assert found[row, column] == reason

"""Minutes and hours as bytes: whatever their counts, they come back, and what is none is refused."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.history.rollups import Rollups, rollups_read

SENSORS = 3
COUNTS = [1, 60, 255, 256, 3600, 65_535, 65_536, 2**32 - 1]


def rollups(rows: list[int]) -> Rollups:
    """Spans of so many rows, of which some have no number in a column."""
    numbers, count = np.random.default_rng(1), len(rows)
    most = np.array(rows, np.uint32)
    counts = (most[:, None] * numbers.random((count, SENSORS + 1))).astype(np.uint32)
    counts[:, 0] = most
    counts[:, 1] = 0
    readings = [numbers.normal(size=counts.shape).astype(np.float32) for _ in range(3)]
    for column in readings:
        column[counts == 0] = np.nan
    return Rollups(60 * np.arange(count), most, most // 3, most - most // 3, counts, *readings)


@pytest.mark.parametrize("rows", [COUNTS, COUNTS[::-1], [60] * 5, [256, 1, 70_000, 1, 256]])
def test_spans_of_any_number_of_rows_come_back(rows: list[int]) -> None:
    ours = rollups(rows)
    found = rollups_read(ours.starts.tolist(), ours.written(), SENSORS)
    for name in Rollups.__slots__:
        wanted, read = getattr(ours, name), getattr(found, name)
        assert wanted.dtype == read.dtype, name
        np.testing.assert_array_equal(read, wanted, name)


def test_a_minute_at_a_row_a_second_takes_few_bytes() -> None:
    assert [len(data) for data in rollups([60, 3600]).written()] == [1 + 7 + 4 * 12, 1 + 2 * 7 + 4 * 12]


@pytest.mark.parametrize("data", [b"", b"\0" * 56, b"\3" + b"\0" * 55, b"\1" + b"\0" * 54, b"\1" * 112])
def test_what_is_no_span_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="rollup"):
        rollups_read([0], [data], SENSORS)

"""Columns of integers: any come back, regular ones take next to nothing, and forged ones are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from edge_runtime.history.integers import Reader, Writer
from edge_runtime.history.plan import FRAME, Way, planned

if TYPE_CHECKING:
    from numpy.typing import NDArray

START, MS = 1_750_000_000 * 10**9, 10**6
LOWEST, HIGHEST = -(2**63), 2**63 - 1
INT64 = st.integers(LOWEST, HIGHEST)
economical = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)


def assert_comes_back(numbers: NDArray[np.int64]) -> int:
    """Within the bounds that a reader has for a column with frames; returns the number of bytes."""
    writer = Writer()
    writer.integers(planned(numbers))
    data = writer.finished()
    reader = Reader(data, 200 + 16 * len(numbers), len(numbers) * (FRAME + 2) // FRAME)
    np.testing.assert_array_equal(reader.integers(len(numbers)), numbers)
    reader.finish()
    return len(data)


@given(
    st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=300),
    st.sampled_from([1, 3, 10**6, 2**40]),
    st.lists(st.tuples(st.integers(0, 299), INT64), max_size=3),
    INT64,
    st.booleans(),
)
@economical
def test_any_integers_come_back(
    small: list[int],
    divisor: int,
    odd: list[tuple[int, int]],
    first: int,
    summed: bool,  # noqa: FBT001
) -> None:
    numbers = np.array(small, np.int64) * divisor
    for place, number in odd:
        numbers[place % len(numbers)] = number
    if summed:
        numbers = np.cumsum(numbers)
    numbers += first
    assert_comes_back(numbers)


@pytest.mark.parametrize(
    ("numbers", "way", "bits"),
    [
        (np.full(4096, 7), Way.LINE, 0.1),
        (START + 1000 * MS * np.arange(4096), Way.LINE, 0.1),
        (np.random.default_rng(1).integers(-8, 8, 4096), Way.MEDIAN, 5.1),
        (np.random.default_rng(1).integers(-8, 8, 4096) * 625, Way.MEDIAN, 5.1),
        (np.cumsum(np.random.default_rng(1).integers(-8, 8, 4096)), Way.STEPS, 5.1),
        (
            np.random.default_rng(1).integers(-8, 8, 4096) + 10**6 * (np.arange(4096) // 256 % 2),
            Way.FRAMES,
            5.6,
        ),
        # A line with one gap: a unary bit for each, and a whole distance for the gap.
        (np.arange(4096) + 10**12 * (np.arange(4096) > 1000), Way.STEPS, 1.1),
    ],
)
def test_columns_are_stored_as_suits_them(numbers: NDArray[np.int64], way: Way, bits: float) -> None:
    plan = planned(numbers.astype(np.int64))
    assert plan.way is way
    assert plan.bits / len(numbers) <= bits
    assert 8 * assert_comes_back(numbers.astype(np.int64)) / len(numbers) <= bits


@pytest.mark.parametrize(
    "numbers",
    [
        [],
        [LOWEST],
        [0, LOWEST],
        [HIGHEST, LOWEST],
        [LOWEST, HIGHEST, 0],
        [LOWEST, 0, 2**62, -(2**62)],
        [5, 4, 3, 2],
        [0, 1, 2, 4],
    ],
)
def test_the_ends_of_the_range_come_back(numbers: list[int]) -> None:
    assert_comes_back(np.array(numbers, np.int64))


def test_unary_codes_stay_short_where_the_choice_did_not_see_the_large_numbers() -> None:
    count, stride = 4096, 4096 // 1024 | 1
    far = np.random.default_rng(1).integers(-(10**9), 10**9, count)
    numbers = np.where(np.arange(count) % stride == 0, 0, far)
    assert planned(numbers).low == 0
    # 31 bits and one in unary, and the facts.
    assert assert_comes_back(numbers) <= count * 32 / 8 + 30


def test_one_number_far_from_the_others_costs_a_word() -> None:
    numbers = np.zeros(200, np.int64)
    numbers[100] = 10**15 + 1
    numbers[101] = 1
    assert assert_comes_back(numbers) <= 50


def test_frames_of_a_column_shorter_than_one_are_refused() -> None:
    writer = Writer()
    for number in (Way.FRAMES, 0, 1, 0, Way.LINE, 0, 0):
        writer.number(number)
    with pytest.raises(ValueError, match="a frame is incomplete"):
        Reader(writer.finished(), 100, 100).integers(10)


def test_data_left_over_is_refused() -> None:
    writer = Writer()
    writer.integers(planned(np.arange(10)))
    writer.number(1)
    reader = Reader(writer.finished(), 100, 100)
    reader.integers(10)
    with pytest.raises(ValueError, match="more data than rows"):
        reader.finish()


def test_longer_unary_codes_than_a_writer_makes_are_refused() -> None:
    writer = Writer()
    writer.integers(planned(np.random.default_rng(1).integers(0, 9, 1000)))
    with pytest.raises(ValueError, match="the sizes of the parts do not fit"):
        Reader(writer.finished(), 10_000, 100)

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge_runtime.errors import InputError, UsageError
from trainer.data.rows import LabelledRows
from trainer.prepare.origin import distinct
from trainer.prepare.splits import Shares, Stretch, cut

NS = 10**9


@pytest.mark.parametrize("text", ["70/15", "70/15/14", "100/0/0", "a/b/c", "", "70/15/15/0"])
def test_what_is_no_split_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a split"):
        Shares.parse(text)


def test_shares_are_read() -> None:
    assert Shares.parse("80/10/10") == Shares(0.8, 0.1, 0.1)


def test_a_range_too_short_for_its_gaps_is_refused() -> None:
    with pytest.raises(InputError, match="too short for a val split"):
        cut(0, 100 * NS, Shares(0.7, 0.15, 0.15), 60 * NS)
    assert cut(0, 99, Shares(0.7, 0.15, 0.15), 0) == (
        Stretch("train", 0, 70),
        Stretch("val", 70, 85),
        Stretch("test", 85, 100),
    )


def test_distinct_sorts_by_time_and_machine_and_keeps_the_first_of_each() -> None:
    rows = LabelledRows(
        np.array([2, 1, 1, 1, 2], np.int64),
        np.array(["b", "b", "a", "b", "a"]),
        np.arange(5, dtype=np.float64)[:, None],
        np.zeros(5, np.bool_),
        np.full(5, ""),
    )
    kept, repeated, conflicting = distinct(rows)
    assert (repeated, conflicting) == (0, 1)
    assert kept.machines.tolist() == ["a", "b", "a", "b"]
    assert kept.values[:, 0].tolist() == [2.0, 1.0, 4.0, 0.0]
    alike = replace(rows, values=np.array([1, np.nan, 3, np.nan, 4])[:, None])
    assert distinct(alike)[1:] == (1, 0)

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_runtime.errors import InputError, UsageError
from trainer.data.rows import LabelledRows
from trainer.labels.events import EventLabels, LabelledEvent, events_from_file
from trainer.labels.methods import (
    DEFAULT_LIMITS,
    Moments,
    NoLabels,
    StatisticalLabels,
    ThresholdLabels,
    parse_limit,
)

if TYPE_CHECKING:
    from pathlib import Path

SENSORS = ("temperature", "vibration", "pressure", "power")


def rows_of(values: list[list[float]], machines: list[str] | None = None) -> LabelledRows:
    count = len(values)
    return LabelledRows(
        np.arange(count, dtype=np.int64),
        np.array(machines or ["m"] * count),
        np.array(values, np.float64),
        np.zeros(count, np.bool_),
        np.full(count, ""),
    )


def test_fixed_limits_mark_what_is_outside_and_leave_a_missing_reading_alone() -> None:
    rows = rows_of(
        [
            [85.0, 2.5, 30.0, 400.0],
            [85.1, 1.0, 50.0, 200.0],
            [50.0, 2.6, 50.0, 200.0],
            [50.0, 1.0, 29.9, 200.0],
            [50.0, 1.0, 70.1, 200.0],
            [50.0, 1.0, 50.0, 400.1],
            [math.nan, 1.0, 50.0, 200.0],
        ]
    )
    labelled = ThresholdLabels(DEFAULT_LIMITS, SENSORS).label(rows)
    assert labelled.anomaly.tolist() == [False, True, True, True, True, True, False]
    assert labelled.kinds.tolist() == ["", *["THRESHOLD"] * 5, ""]


def test_limits_apply_to_the_sensors_that_are_there() -> None:
    labeller = ThresholdLabels({"level": (1.0, math.inf)}, ("flow", "level"))
    assert labeller.label(rows_of([[9.0, 0.5], [9.0, 1.5]])).anomaly.tolist() == [True, False]
    assert labeller.describe() == {"method": "threshold", "limits": {"level": [1.0, None]}}
    with pytest.raises(UsageError, match="no limits for flow"):
        ThresholdLabels(DEFAULT_LIMITS, ("flow",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("temperature=:85", ("temperature", (-math.inf, 85.0))),
        ("pressure=30:70", ("pressure", (30.0, 70.0))),
        ("level=-5:", ("level", (-5.0, math.inf))),
    ],
)
def test_a_limit_is_read(text: str, expected: tuple[str, tuple[float, float]]) -> None:
    assert parse_limit(text) == expected


@pytest.mark.parametrize(
    "text", ["temperature", "temperature=85", "=1:2", "a=2:1", "a=:", "a=x:1", "a=nan:1"]
)
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a limit"):
        parse_limit(text)


def test_moments_page_by_page_are_those_of_the_whole() -> None:
    values = np.random.default_rng(0).normal([50, 1000], [3, 0.1], (10_000, 2))
    values[5, 0] = np.nan
    moments = Moments(2)
    for page in np.array_split(values, 7):
        moments.add(page)
    np.testing.assert_allclose(moments.mean, np.nanmean(values, 0), rtol=1e-12)
    np.testing.assert_allclose(moments.deviation, np.nanstd(values, 0), rtol=1e-9)


def test_three_sigma_marks_what_is_far_from_training() -> None:
    moments = Moments(1)
    moments.add(np.array([[-1.0], [1.0]]))
    labelled = StatisticalLabels(moments, 3.0, ("a",)).label(rows_of([[3.0], [3.1], [-3.1], [math.nan]]))
    assert labelled.anomaly.tolist() == [False, True, True, False]


def test_events_label_their_machine_from_start_to_before_stop() -> None:
    events = [
        LabelledEvent("a", "DRIFT", 2, 6),
        LabelledEvent("a", "SPIKE", 4, 5),
        LabelledEvent("b", "CYCLIC", -10, 1),
        LabelledEvent("c", "SPIKE", 0, 100),
    ]
    machines = ["a", "b"] * 5
    labelled = EventLabels(events, {}).label(rows_of([[0.0]] * 10, machines))
    assert labelled.kinds.tolist() == ["", "", "DRIFT", "", "SPIKE", "", "", "", "", ""]
    assert labelled.anomaly.tolist() == [False, False, True, False, True] + [False] * 5
    first_of_b = EventLabels([LabelledEvent("b", "CYCLIC", -10, 2)], {}).label(
        rows_of([[0.0]] * 4, ["a", "b"] * 2)
    )
    assert first_of_b.kinds.tolist() == ["", "CYCLIC", "", ""]


def test_a_long_event_reaches_over_later_short_ones() -> None:
    events = [
        LabelledEvent("m", "DRIFT", 0, 1000),
        *(LabelledEvent("m", "SPIKE", i, i + 1) for i in range(1, 900)),
    ]
    rows = rows_of([[0.0]] * 1000)
    labelled = EventLabels(events, {}).label(rows.take(slice(950, 1000)))
    assert set(labelled.kinds.tolist()) == {"DRIFT"}


def test_no_labels_say_nothing_of_a_row() -> None:
    rows = ThresholdLabels(DEFAULT_LIMITS, SENSORS).label(rows_of([[99.0, 9.0, 9.0, 999.0]]))
    assert NoLabels().label(rows).anomaly.tolist() == [False]
    assert not NoLabels().labelled


def test_events_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(
        "machine_id,kind,sensors,start,stop\n"
        "7,SPIKE,power,1970-01-01T00:00:01Z,1970-01-01T00:00:02.5Z\n"
        "8,,power vibration,1970-01-01T00:00:03Z,1970-01-01T00:00:04Z\n"
    )
    assert events_from_file(path) == [
        LabelledEvent("7", "SPIKE", 10**9, 2_500_000_000),
        LabelledEvent("8", "", 3 * 10**9, 4 * 10**9),
    ]


def test_a_file_without_events_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("machine_id,kind,sensors,start,stop\n")
    assert events_from_file(path) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("machine_id,start,stop\na,1,2\n", "no column 'kind'"),
        (
            "machine_id,kind,start,stop\na,X,1700000000,1600000000\n",
            "line 2: an event stops before it starts",
        ),
    ],
)
def test_an_events_file_that_cannot_be_used_says_why(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "events.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        events_from_file(path)

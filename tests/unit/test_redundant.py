"""Sensors that never move, and copies of others, are named before anything is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trainer.data.redundant import doubts_about_sensors
from trainer.data.split import Split


def table(**columns: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[Split, list[str]]:
    rows = len(next(iter(columns.values())))
    values = np.column_stack(list(columns.values())).astype(np.float32)
    times = np.arange(rows, dtype=np.int64) * 10**9
    return Split(Path("train.csv"), times, np.full(rows, "m"), values, None, None), list(columns)


random = np.random.default_rng(5)
MOVES, OTHER = random.normal(50, 2, 500), random.normal(1, 0.1, 500)


def test_sensors_of_their_own_give_no_reason_to_doubt() -> None:
    assert doubts_about_sensors(*table(a=MOVES, b=OTHER, c=MOVES + 20 * OTHER)) == []


def test_a_sensor_that_never_moves_is_named() -> None:
    (said,) = doubts_about_sensors(*table(a=MOVES, stuck=np.full(500, 7.25)))
    assert said.startswith("stuck never moves in training and will have no part in the score")
    (said,) = doubts_about_sensors(*table(a=MOVES, stuck=np.full(500, 7.25), off=np.zeros(500)))
    assert said.startswith("stuck, off never move in training")


def test_copies_are_named_with_what_they_repeat() -> None:
    (said,) = doubts_about_sensors(*table(a=MOVES, b=OTHER, fahrenheit=1.8 * MOVES + 32, minus=-OTHER))
    assert said.startswith("fahrenheit repeats a, minus repeats b but for scale and offset")


def test_movement_in_anomalous_rows_alone_is_none() -> None:
    stuck = np.full(500, 3.0)
    stuck[100:110] = 9
    split, names = table(a=MOVES, stuck=stuck)
    labels = np.zeros(500, np.bool_)
    labels[100:110] = True
    labelled = Split(split.path, split.times, split.machines, split.values, labels, None)
    assert doubts_about_sensors(split, names) == []
    (said,) = doubts_about_sensors(labelled, names)
    assert said.startswith("stuck never moves")


def test_too_few_rows_say_nothing() -> None:
    assert doubts_about_sensors(*table(a=MOVES[:10], stuck=np.zeros(10))) == []

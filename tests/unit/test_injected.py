"""Faults put into normal rows: of one sensor at a time, where the labels say so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.history import write_history

from edge_runtime.errors import TrainingError
from trainer.data.choice import Columns
from trainer.data.split import Split
from trainer.data.training_data import TrainingData, read_training_data
from trainer.evaluation.injected import APART, FAULTS, LENGTH, inject


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    folder = write_history(tmp_path_factory.mktemp("history"), train=1000, val=400, test=400)
    return read_training_data(folder, Columns())


@pytest.mark.parametrize("fault", [*FAULTS, None])
def test_a_fault_is_of_one_sensor_and_of_the_rows_that_say_so(data: TrainingData, fault: str | None) -> None:
    made = inject(data.test, data.train.normal_values, fault)
    order = np.lexsort((data.test.times, data.test.machines))
    before = data.test.values[order]
    changed = made.split.values != before
    assert made.split.labels is not None
    assert made.split.kinds is not None
    for start, sensor in zip(made.starts, made.sensors, strict=True):
        rows = slice(start, start + LENGTH)
        others = np.delete(changed[rows], sensor, axis=1)
        assert not others.any()
        assert changed[rows, sensor].mean() > 0.8
        assert made.split.labels[rows].all()
        assert fault is None or set(made.split.kinds[rows]) == {fault}
        changed[rows, sensor] = False
    assert not changed.any()


@pytest.mark.parametrize("sensors", [1, 4, 5, 6, 8])
def test_all_kinds_come_early_and_each_sensor_has_all(sensors: int) -> None:
    rows = len(FAULTS) * sensors * APART + 1
    times = np.arange(rows, dtype=np.int64) * 10**9
    values = np.random.default_rng(0).normal(5.0, 1.0, (rows, sensors)).astype(np.float32)
    split = Split(Path("val.csv"), times, np.full(rows, "m"), values, None, None)
    made = inject(split, values, None)
    assert made.split.kinds is not None
    kinds = made.split.kinds[made.starts].tolist()
    pairs = list(zip(made.sensors.tolist(), kinds, strict=True))
    assert len(set(pairs)) == len(pairs) == len(FAULTS) * sensors
    # In the first turn of the sensors, as many kinds as there is room for.
    assert len(set(kinds[:sensors])) == min(sensors, len(FAULTS))


def test_too_short_a_history_has_no_room_for_faults(data: TrainingData) -> None:
    broken = replace(data.test, labels=np.ones(len(data.test), np.bool_))
    with pytest.raises(TrainingError, match="no fault can be put into them"):
        inject(broken, data.train.normal_values, None)

"""What the quality page says of faulty sensors: measured through the engine, and told apart as it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import page
import pytest
import sensor_faults
from tables import in_memory, split

KNOWN_AT_ONCE = ("missing", "out of range")


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, dict[str, float]]]:
    return sensor_faults.measure_sensor_faults(lambda _: None, faults=1)


def test_each_row_of_a_fault_is_called_one_thing(found: dict[str, dict[str, dict[str, float]]]) -> None:
    assert set(found) == {
        *(f"{name}: {kind}" for name in ("default", "rounded") for kind in sensor_faults.KINDS),
        *(f"{name}: {sensor_faults.HEALTHY}" for name in ("default", "rates", "rounded")),
        *(f"rates: {kind}" for kind in ("at 0", "one row's jump")),
        *(f"default: the machine's own faults, severity {severity}" for severity in ("2", "1.5", "1")),
    }
    for figures in found.values():
        assert sum(figures[name]["mean"] for name in ("normal", "machine", "sensor")) == pytest.approx(1)


@pytest.mark.parametrize("bundle", ["default", "rounded"])
def test_sensors_that_fail_are_called_so_and_others_are_not(
    found: dict[str, dict[str, dict[str, float]]], bundle: str
) -> None:
    for kind in (*KNOWN_AT_ONCE, *sensor_faults.FROZEN):
        figures = found[f"{bundle}: {kind}"]
        assert figures["sensor"]["mean"] == figures["right"]["mean"] == 1
        assert (figures["until"]["mean"] == 0) == (kind in KNOWN_AT_ONCE)
        assert figures["until"]["mean"] <= sensor_faults.GRACE_ROWS
    assert found[f"{bundle}: {sensor_faults.HEALTHY}"]["sensor"]["mean"] == 0
    assert found[f"{bundle}: bias"]["sensor"]["mean"] == 0


def test_faults_of_the_machine_are_not_called_a_sensors(
    found: dict[str, dict[str, dict[str, float]]],
) -> None:
    for severity in ("2", "1.5", "1"):
        own = found[f"default: the machine's own faults, severity {severity}"]
        assert own["machine"]["mean"] > 0.6
        assert own["sensor"]["mean"] < 0.1


def test_a_jump_is_the_sensors_where_its_rate_is_stated(
    found: dict[str, dict[str, dict[str, float]]],
) -> None:
    assert found["default: one row's jump"]["machine"]["mean"] == 1
    assert found["rates: one row's jump"]["sensor"]["mean"] == 1


def test_the_page_has_a_place_for_both_tables(found: dict[str, dict[str, dict[str, float]]]) -> None:
    of_data: dict[str, Any] = {
        "pump": {
            name: {"mean": value, "sd": 0.0}
            for name, value in (
                *(("rows", 1234.0), ("normal out", 0.0125)),
                *(("anomalous out", 0.5), ("can be flat", 0.75)),
            )
        }
    }
    made = page.sensors_tables(found) | page.labelled_tables(of_data)
    assert "| default | one row's jump | 0.00 % | 100.00 % | 0.00 % | - | - |" in made["sensors"]
    assert "| pump | 1,234 | 1.25 % | 50.00 % | 75.0 % |" in made["labelled"]
    written = page.filled(page.PAGE.read_text(encoding="utf-8"), made)
    assert made["labelled"] in written


def test_rows_with_a_sensor_that_is_flat_are_counted_by_their_label() -> None:
    random = np.random.default_rng(1)
    train, val, test = (random.normal(size=(400, 2)) for _ in range(3))
    test[100:150, 1] = test[100, 1]
    labels = np.zeros(400, np.bool_)
    labels[120:200] = True
    data = in_memory(("a", "b"), split(train), split(val), split(test, labels))
    out, same, sensors, can = sensor_faults._out(data)
    assert np.flatnonzero(out).tolist() == list(range(109, 150))
    assert same.tolist() == labels.tolist()
    assert (sensors, can) == (2, 2)

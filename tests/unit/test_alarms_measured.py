"""What the quality page says of alarms: measured as it says, and written into its table."""

from __future__ import annotations

import alarms
import numpy as np
import page
import pytest
from hydraulic import Rig
from tables import in_memory, split

from edge_runtime.bundle.metadata import Alarms
from edge_runtime.simulation import SENSORS, Simulator
from trainer.fitting.recipes import RECIPES
from trainer.fitting.settings import Settings


def test_a_data_set_is_calibrated_on_validation_and_measured_on_each_test() -> None:
    blocks = [
        Simulator("m", seed=3, severity=severity, start_ns=day * 86_400 * 10**9).block(rows)
        for day, (rows, severity) in enumerate(((6000, 0.0), (3000, 0.0), (6000, 2.0)))
    ]
    train, val = (split(block.values) for block in blocks[:2])
    test = split(blocks[2].values, blocks[2].kinds != 0)
    data = in_memory(SENSORS, train, val, test)
    settings = Settings(**RECIPES["linear"].settings)
    delays, pairs = alarms._counts(data, {"faulty": test, "healthy": val}, settings, 99.5)
    again, _ = alarms._counts(data, {"healthy": val}, settings, 99.5)
    assert again == delays  # whatever the tests are
    figures = alarms._figures([pairs["faulty"]], [delays])
    assert figures["faults"] == len(pairs["faulty"][0].found) > 10
    assert figures["found with"] + figures["up with"] + figures["lost"] >= figures["found without"]
    assert figures["off"] == delays.off_delay_s > 0
    assert figures["days"] == pytest.approx((~(blocks[2].kinds != 0)).sum() / 86_400)
    twice = alarms._figures([pairs["faulty"]] * 2, [delays, Alarms(2.0, 0.0, None, 1)])
    assert twice["faults"] == 2 * figures["faults"]
    assert twice["delay with"] == figures["delay with"]
    assert twice["off"] == figures["off"] / 2


def test_the_page_has_a_place_for_the_table() -> None:
    values = {"false without": 26.0, "false with": 1.0, "found without": 0.0, "found with": 0.0}
    values |= {"up without": 0.0, "up with": 0.0, "delay without": -1.0, "delay with": -1.0}
    values |= {"faults": 0.0, "lost": 0.0, "days": 30 / 1440, "on": 0.0, "off": 60.0}
    other = values | {"faults": 9.0, "found without": 8.0, "found with": 7.0, "up with": 1.0}
    other |= {"delay without": 35.0, "delay with": 65.5}
    found = {
        name: {figure: {"mean": value, "sd": 0.0} for figure, value in each.items()}
        for name, each in (("rig, 30 healthy minutes", values), ("pump", other))
    }
    made = page.alarms_tables(found)["alarms"]
    healthy = (
        "| rig, 30 healthy minutes | 0 s, 60 s | 30 min | 26.0 → 1.0 | ≤ 1 | 1,248 → 48 | 0 | - | - | - | - |"
    )
    assert healthy in made
    assert "| 9 | 8 → 7 | 0 → 1 | 0.0 | 35.0 → 65.5 |" in made
    written = page.filled(page.PAGE.read_text(encoding="utf-8"), {"alarms": made})
    assert made in written


def test_the_healthy_minutes_of_the_rig_are_none_that_it_learnt() -> None:
    normal = np.array([*range(10, 95), *range(97, 100)])
    faulty = np.setdiff1d(np.arange(100), normal)
    values = np.arange(100 * 60 * 4, dtype=np.float32).reshape(-1, 4)
    rig = Rig(values, normal, {"all": faulty}, np.zeros(100, np.int64))
    data, tests = alarms._of_rig(rig)
    healthy, everything = tests.values()
    learnt = np.concatenate([data.train.times, data.val.times])
    assert not np.isin(healthy.times, learnt).any()
    assert (healthy.times[0], len(healthy)) == (63 * 60 * 10**9, 30 * 60)
    assert not np.isin(everything.times, learnt).any()
    assert len(everything) + len(learnt) == 100 * 60
    assert everything.labels is not None
    assert everything.labels.sum() == len(faulty) * 60

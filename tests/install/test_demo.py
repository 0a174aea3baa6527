"""The demo reads back what the sink writes; under another name of a column it would end after minutes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from plants import InfluxPlant
from report import matched_events
from support.bundles import normal_rows

from edge_runtime import Engine, Readings, load_bundle
from edge_runtime.simulation.events import Event, Kind
from edge_runtime.sinks.influx import InfluxSink
from trainer.evaluation.events import Delays
from trainer.simulate.influx import InfluxTarget

if TYPE_CHECKING:
    from pathlib import Path

    from influxd import Influxd

    from edge_runtime.influxdb import InfluxClient

SECOND = 1_000_000_000


def test_what_was_found_is_read_back_as_the_report_wants_it(
    influxd: Influxd, database: InfluxClient, bundle: Path, tmp_path: Path
) -> None:
    loaded = load_bundle(bundle)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    times = int(start.timestamp() * 1e9) + np.arange(4, dtype=np.int64) * 10**9
    results = Engine(loaded).feed(Readings(np.array(["m1", "m2"] * 2), times, normal_rows(4, seed=1))).results
    sink = InfluxSink(database.settings, loaded.metadata.sensor_names, loaded.digest)
    sink.deliver([sink.encode(results)])
    plant = InfluxPlant(tmp_path, influxd)
    plant.client = database
    found = plant.found(start, datetime(2026, 1, 2, tzinfo=UTC))
    assert sorted(found.columns) == ["machine_id", "severity", "time", "verdict"]
    assert found.sort_values("time")["machine_id"].tolist() == ["m1", "m2", "m1", "m2"]
    assert set(found["verdict"]) == {"normal"}


def test_a_drift_is_found_from_its_onset_on_and_unknown_rows_begin_no_alarm(
    influxd: Influxd, database: InfluxClient, tmp_path: Path
) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    first = int(start.timestamp()) * SECOND
    target = InfluxTarget(database)
    target.events(
        [
            Event("m1", Kind.DRIFT, ("vibration",), *(first + s * SECOND for s in (200, 260, 100))),
            Event("m1", Kind.SPIKE, ("power",), *(first + s * SECOND for s in (400, 403, 400))),
        ]
    )
    target.flush()
    plant = InfluxPlant(tmp_path, influxd)
    plant.client = database
    injected = plant.injected(start, datetime(2026, 1, 2, tzinfo=UTC))
    rows = np.arange(600)
    # Up from 40 s after the onset until after the spike, but for a row that nothing is known of.
    verdict = np.where((rows >= 140) & (rows < 500), "anomaly", "normal")
    verdict[399] = "unknown"
    found = pd.DataFrame(
        {"time": first + rows * SECOND, "machine_id": "m1", "severity": 1.0, "verdict": verdict}
    )
    matched = matched_events(found, injected)
    assert matched.by_kind == {"DRIFT": (1, 1), "SPIKE": (1, 0)}
    assert matched.delays_s == Delays(40.0, 40.0)
    assert matched.in_alarm_since_before == 1

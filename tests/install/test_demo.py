"""The demo reads back what the sink writes; under another name of a column it would end after minutes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from plants import InfluxPlant
from support.bundles import normal_rows

from edge_runtime import Engine, Readings, load_bundle
from edge_runtime.sinks.influx import InfluxSink

if TYPE_CHECKING:
    from pathlib import Path

    from influxd import Influxd

    from edge_runtime.influxdb import InfluxClient


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

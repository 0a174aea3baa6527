"""`edge-detect run` from InfluxDB to InfluxDB, killed again and again: no row lost, none there twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.engine.engine import Engine
from edge_runtime.influxdb import InfluxClient, encode_lines, query, write
from edge_runtime.loading.load import load_bundle
from edge_runtime.records import Readings

if TYPE_CHECKING:
    from collections.abc import Iterator

T0 = 1_760_000_000_000_000_000
SECOND = 1_000_000_000
ROWS = 20_000
MACHINES = ("m1", "m2", "m3")
KILLS = 7


def history(bundle: Path) -> Readings:
    metadata = load_bundle(bundle).metadata
    low, high = np.asarray([sensor.training_range for sensor in metadata.sensors], np.float64).T
    random_rows = np.random.default_rng(7).uniform(low, high + (high - low), (ROWS * len(MACHINES), len(low)))
    times = np.repeat(T0 + np.arange(ROWS, dtype=np.int64) * SECOND, len(MACHINES))
    return Readings(np.tile(MACHINES, ROWS), times, random_rows.round(3).astype(np.float32))


def feed(client: InfluxClient, rows: Readings, sensors: tuple[str, ...], part: slice) -> None:
    chosen = rows.take(part)
    fields = {sensor: chosen.values[:, i] for i, sensor in enumerate(sensors)}
    write(client, encode_lines("sensors", chosen.times, tags={"machine_id": chosen.machines}, fields=fields))


def parts(count: int) -> Iterator[slice]:
    total = ROWS * len(MACHINES)
    for i in range(count):
        yield slice(i * total // count, (i + 1) * total // count)


def count(client: InfluxClient) -> int:
    return sum(int(s.values[0][1]) for s in query(client, "SELECT COUNT(verdict) FROM anomaly"))


def test_killed_at_any_moment_every_row_is_scored_exactly_once(
    database: InfluxClient, bundle: Path, tmp_path: Path
) -> None:
    rows = history(bundle)
    loaded = load_bundle(bundle)
    sensors = loaded.metadata.sensor_names
    words = [
        *(
            str(Path(sys.executable).parent / "edge-detect"),
            "run",
            "--bundle",
            str(bundle),
            "--source",
            "influx",
        ),
        *("--url", database.settings.url, "--database", database.settings.database, "--sink", "influx"),
        *(
            "--start",
            str(T0),
            "--lateness",
            "5",
            "--poll",
            "0.05",
            "--state",
            str(tmp_path / "ledger.sqlite"),
        ),
    ]
    feed(database, rows, sensors, slice(0, 3))  # so that the measurement is there
    moments = random.Random(3)  # noqa: S311 - for moments, not for secrets
    log = (tmp_path / "log").open("wb")
    *killed, last = parts(KILLS + 1)
    for part in killed:
        process = subprocess.Popen(words, stdout=log, stderr=log)
        before = count(database)
        feed(database, rows, sensors, part)
        until = time.monotonic() + 30
        # Once it has begun to deliver, at some moment of its work.
        while count(database) <= before and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(moments.uniform(0.0, 0.1))
        process.kill()
        assert process.wait() == -signal.SIGKILL

    process = subprocess.Popen(words, stdout=log, stderr=log)
    feed(database, rows, sensors, last)
    until = time.monotonic() + 60
    while count(database) < len(rows) and time.monotonic() < until:
        time.sleep(0.1)
    process.terminate()
    assert process.wait(20) == 0, (tmp_path / "log").read_text()

    found: dict[tuple[str, int], list[float | str]] = {}
    repeats = 0
    for series in query(database, "SELECT score, severity, verdict, machine_id FROM anomaly"):
        for moment, score, severity, verdict, machine in series.values:
            repeats += (machine, moment) in found
            found[machine, moment] = [score, severity, verdict]
    assert repeats == 0
    results = Engine(loaded).feed(rows).results
    assert len(found) == len(rows)
    for i, key in enumerate(zip(rows.machines.tolist(), rows.times.tolist(), strict=True)):
        score, severity, verdict = found[key]
        assert np.float32(score) == results.scores.score[i]
        assert np.float32(severity) == results.severity[i]
        assert verdict == ("anomaly" if results.verdicts[i] else "normal")

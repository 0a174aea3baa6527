"""A plant with clocks that are off, outages, repeats, contradictions, and a gateway that is killed meanwhile.

What is scored is exactly what the script's own order of times allows, and every row is accounted for.
`make soak` runs it with 200 machines and 50 kills a route.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from support.bundles import SENSORS, normal_rows

from edge_runtime.influxdb import InfluxClient, encode_lines, query, write
from edge_runtime.timeparse import parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mosquitto import Mosquitto

SOAK = bool(os.environ.get("EDGE_DETECT_SOAK"))
MACHINES, KILLS, STEPS = (200, 50, 400) if SOAK else (8, 2, 120)
NAMES = [sensor[0] for sensor in SENSORS]
SECOND = 10**9
STEP_NS = 300 * SECOND  # of data time
PATIENCE_S = 900.0 if SOAK else 100.0

Row = tuple[str, int, tuple[float, ...]]


@dataclass
class Plant:
    """Machines, each with a clock of its own, and what a gateway should make of their rows."""

    start_ns: int
    seed: int = 1
    newest: dict[str, int] = field(default_factory=dict)
    judged: list[Row] = field(default_factory=list)
    future: list[Row] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311 - a script, no secret
        self.names = [f"press-{i}" for i in range(MACHINES)]
        self.offset = {name: self.random.randint(-60, 30) * SECOND for name in self.names}
        day = 86_400 * SECOND // STEP_NS
        self.outage = {
            name: (begin := self.random.randrange(STEPS), begin + self.random.randrange(min(day, STEPS)))
            for name in self.names[::3]
        }
        self.values = normal_rows(4096, seed=self.seed).tolist()
        self.kept: dict[str, list[Row]] = {}

    def step(self, number: int) -> Iterator[Row]:
        """The rows that arrive in this step, in the order in which they are sent."""
        for name in self.names:
            begin, end = self.outage.get(name, (0, 0))
            moment = self.start_ns + number * STEP_NS + self.offset[name]
            row = name, moment, tuple(self.random.choice(self.values))
            waiting = self.kept.setdefault(name, [])
            waiting.append(row)
            if not begin <= number < end or number == STEPS - 1:
                sent = len(waiting) if number == STEPS - 1 else 20
                yield from waiting[:sent]
                del waiting[:sent]

    def disturbed(self, row: Row) -> Iterator[Row]:
        """A row, and now and then after it: the same again, another of its time, an old one, one of 2136."""
        yield row
        name, moment, values = row
        chance = self.random.random()
        if chance < 0.05:
            yield row
        elif chance < 0.08:
            yield name, moment, (values[0] + 1.0, *values[1:])
        elif chance < 0.11:
            yield name, moment - STEP_NS // 2 - 1, values
        elif chance < 0.12:
            yield name, moment + 110 * 366 * 86_400 * SECOND, values

    def expect(self, row: Row, last: dict[tuple[str, int], tuple[float, ...]], now: int) -> None:
        """What must become of a row that comes now."""
        name, moment, values = row
        if moment > now + 60 * SECOND:
            self.future.append(row)
        elif moment > self.newest.get(name, -1):
            self.newest[name] = moment
            self.judged.append(row)
            last[name, moment] = values
        elif (name, moment) in last:
            self.skipped["repeated" if last[name, moment] == values else "conflicting"] += 1
        else:
            self.skipped["too late"] += 1


class Gateway:
    """`edge-detect run`, killed and started again."""

    def __init__(self, folder: Path, bundle: Path, *words: str) -> None:
        script = str(Path(sys.executable).parent / "edge-detect")
        self.folder = folder
        self._words = [script, "run", "--bundle", str(bundle), "--state", "ledger.sqlite", *words]
        self._environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state")}
        self._log = (folder / "log").open("ab")
        self._delivered = 0
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._words, cwd=self.folder, env=self._environment, stdout=self._log, stderr=self._log
        )

    def kill(self, delivered: Callable[[], int], moment: float) -> None:
        """Kills it some seconds after it has begun to deliver, and starts it again."""
        wait_until(lambda: delivered() > self._delivered)
        time.sleep(moment)
        self._delivered = delivered()
        assert self._process.poll() is None, (self.folder / "log").read_text()
        self._process.kill()
        assert self._process.wait() == -signal.SIGKILL
        self.start()

    def stop(self) -> Counter[str]:
        """Ends it; what all its lives together counted."""
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(60) == 0, (self.folder / "log").read_text()
        with sqlite3.connect(self.folder / "ledger.sqlite") as ledger:
            return Counter(dict(ledger.execute("SELECT name, value FROM counters").fetchall()))


def wait_until(condition: Any) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < until:
        time.sleep(0.1)


def kill_steps(plant: Plant) -> set[int]:
    return set(plant.random.sample(range(5, STEPS - 5), KILLS))


def test_over_mqtt_what_is_scored_is_what_the_order_of_times_allows(
    mosquitto: Mosquitto, bundle: Path, tmp_path: Path
) -> None:
    root = f"t{uuid.uuid4().hex[:8]}"
    words = ("--source", "mqtt", "--broker", mosquitto.url, "--topic", f"{root}/{{machine}}")
    gateway = Gateway(tmp_path, bundle, *words, "--sink", "jsonl", "--output", "out.jsonl")
    publisher = paho.Client(CallbackAPIVersion.VERSION2)
    publisher.connect("127.0.0.1", mosquitto.port)
    publisher.loop_start()

    def send(payload: list[dict[str, Any]], machine: str) -> None:
        publisher.publish(f"{root}/{machine}", json.dumps(payload), qos=1).wait_for_publish(30)

    out = tmp_path / "out.jsonl"
    until = time.monotonic() + PATIENCE_S
    while not (out.exists() and out.stat().st_size) and time.monotonic() < until:
        readings = dict(zip(NAMES, normal_rows(1)[0].tolist(), strict=True))
        send([{"time": 1_767_225_600.0, **readings}], "first")
        time.sleep(0.2)
    plant = Plant(time.time_ns() - STEPS * STEP_NS)
    kills, last = kill_steps(plant), dict[tuple[str, int], tuple[float, ...]]()
    sent = 0
    for number in range(STEPS):
        for row in plant.step(number):
            rows = list(plant.disturbed(row))
            for one in rows:
                plant.expect(one, last, time.time_ns())
            payload = [{"time": t, **dict(zip(NAMES, values, strict=True))} for _, t, values in rows]
            send(payload, row[0])
            sent += len(rows)
        if number in kills:
            gateway.kill(lambda: out.read_bytes().count(b"\n"), plant.random.uniform(0.0, 0.1))
    wanted = len(plant.judged) + len(plant.future)

    def lines() -> list[dict[str, Any]]:
        found = [json.loads(line) for line in out.read_text().splitlines()]
        return [line for line in found if line["machine_id"] != "first"]

    wait_until(lambda: len(out.read_text().splitlines()) > wanted)
    counted = gateway.stop()
    publisher.disconnect()
    publisher.loop_stop()

    def key(row: Row) -> Row:
        return row[0], row[1], tuple(np.asarray(row[2], np.float32).tolist())

    found = [
        (line["machine_id"], parse_time(line["time"], 0), tuple(line["readings"][name] for name in NAMES))
        for line in lines()
    ]
    unknown = [line.get("reason") for line in lines()]
    assert sorted(map(key, found)) == sorted(map(key, [*plant.judged, *plant.future]))
    for name in plant.names:
        times = [t for (m, t, _), reason in zip(found, unknown, strict=True) if m == name and not reason]
        assert times == sorted(times)
    assert Counter(unknown) == {None: len(plant.judged), "time in the future": len(plant.future)}
    # Every row is accounted for: what came again after a kill beside what was sent.
    again = counted["skipped.delivered before"]
    skipped = sum(number for name, number in counted.items() if name.startswith("skipped."))
    firsts = counted["read"] - sent - again
    assert min(plant.skipped.values()) > 0
    assert 1 <= firsts <= 1000
    assert skipped == again + plant.skipped.total() + firsts - 1  # those of the first machine have one time
    judged = counted["normal"] + counted["anomaly"] + counted["unknown.time in the future"]
    assert judged + skipped == counted["read"]


def test_out_of_influxdb_every_row_is_scored_once(
    database: InfluxClient, bundle: Path, tmp_path: Path
) -> None:
    plant = Plant(time.time_ns() - (STEPS + 1) * STEP_NS, seed=2)
    kills = kill_steps(plant)

    def put(rows: list[Row]) -> None:
        values = np.array([values for _, _, values in rows])
        fields = {name: values[:, i] for i, name in enumerate(NAMES)}
        machines = np.array([name for name, _, _ in rows])
        times = np.array([moment for _, moment, _ in rows], np.int64)
        write(database, encode_lines("sensors", times, tags={"machine_id": machines}, fields=fields))

    def scored() -> int:
        return sum(int(s.values[0][1]) for s in query(database, "SELECT COUNT(verdict) FROM anomaly"))

    rows = list(plant.step(0))
    put(rows)
    words = ("--source", "influx", "--url", database.settings.url, "--poll", "0.05", "--start", "-3d")
    gateway = Gateway(
        tmp_path, bundle, *words, "--database", str(database.settings.database), "--sink", "influx"
    )
    for number in range(1, STEPS):
        arrived = list(plant.step(number))
        if arrived:
            put(arrived)
            rows += arrived
        if number in kills:
            gateway.kill(scored, plant.random.uniform(0.0, 0.1))

    wait_until(lambda: scored() >= len(rows))
    counted = gateway.stop()
    found = {
        (row[series.columns.index("machine_id")], row[series.columns.index("time")])
        for series in query(database, "SELECT score, machine_id FROM anomaly")
        for row in series.values
    }
    assert found == {(name, moment) for name, moment, _ in rows}
    assert counted["read"] == len(rows)
    assert counted["normal"] + counted["anomaly"] == len(rows)

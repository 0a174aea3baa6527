"""Ways from a source to a sink, each with the same rows, and what must be at their end."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from support.bundles import SENSORS, normal_rows
from support.lives import Ending, Life, Lives
from support.pastfiles import assert_whole, rows_in, table
from support.points import SMALL

from edge_runtime.history.schema import history_file
from edge_runtime.influxdb import InfluxClient, InfluxSettings, create_database, encode_lines, query, write
from edge_runtime.records import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from influxd import Influxd
    from mosquitto import Mosquitto

__all__ = ["ROUTES", "ROWS", "Plants", "Route", "begin_session"]

MACHINES, STEPS = 3, 100
ROWS = MACHINES * STEPS
T0 = 1_760_000_000  # seconds; an hour between two rows of a machine, so that a database is read in many parts
STEP_S = 3600
NAMES = [sensor[0] for sensor in SENSORS]
VALUES = normal_rows(ROWS).round(3).tolist()
SOURCES = ("csv", "stdin", "influx", "mqtt", "mqtt without times")
ROUTES = [(source, sink) for source in SOURCES for sink in ("jsonl", "influx")]
ROUTES.append(("csv", "jsonl, rotated"))
ROTATED = '[jsonl]\noutput = "out.jsonl"\nmax_mb = 0.02\nkeep = 50\n'
LAST = "last-"  # what the machine is called whose row comes after all others


def moment(number: int) -> int:
    """The time of a row, seconds; the rows of all machines come in turns."""
    return T0 + number // MACHINES * STEP_S


def readings(number: int) -> dict[str, float]:
    """Of a row, by sensor."""
    return dict(zip(NAMES, VALUES[number], strict=True))


class Plants:
    """Where rows come from and go to: files, a server, a broker.

    Args:
        folder: For files.
        influxd: The server.
        mosquitto: The broker.
        lives: Of the gateway.
    """

    def __init__(self, folder: Path, influxd: Influxd, mosquitto: Mosquitto, lives: Lives) -> None:
        self.lives, self.mosquitto, self.influxd = lives, mosquitto, influxd
        self.publisher = paho.Client(CallbackAPIVersion.VERSION2)
        self.publisher.connect("127.0.0.1", mosquitto.port)
        self.publisher.loop_start()
        self.csv = folder / "in.csv"
        lines = (f"{moment(i)},m{i % MACHINES}," + ",".join(map(str, VALUES[i])) for i in range(ROWS))
        self.csv.write_text("\n".join([",".join(["time", "machine_id", *NAMES]), *lines, ""]))
        self.source = self.database()
        values, times = np.array(VALUES), np.array([moment(i) for i in range(ROWS)], np.int64) * 10**9
        write(
            self.source,
            encode_lines(
                "sensors",
                times,
                tags={"machine_id": np.array([f"m{i % MACHINES}" for i in range(ROWS)])},
                fields={name: values[:, i] for i, name in enumerate(NAMES)},
            ),
        )
        self.wanted: dict[str, Counter[str]] = {}
        for sink in ("jsonl", "influx"):
            (folder / sink).mkdir()
            route = Route(self, "csv", sink, folder / sink)
            assert route.live().code == 0
            self.wanted[sink] = route.arrived()

    def close(self) -> None:
        """Ends what it started."""
        self.publisher.disconnect()
        self.publisher.loop_stop()

    def database(self) -> InfluxClient:
        """A fresh one."""
        settings = InfluxSettings(self.influxd.url, database=f"db_{uuid.uuid4().hex[:8]}", timeout=10.0)
        create_database(InfluxClient(settings))
        return InfluxClient(settings)


class Route:
    """One source into one sink, with a ledger of its own.

    Args:
        plants: Where rows come from.
        source: One of `SOURCES`.
        sink: "jsonl", or "jsonl, rotated" when it is large, or "influx".
        folder: For ledger, log and output.
    """

    def __init__(self, plants: Plants, source: str, sink: str, folder: Path) -> None:
        rotated = sink.endswith("rotated")
        self.folder, self.source, self.sink = folder, source, "influx" if sink == "influx" else "jsonl"
        self._plants = plants
        self._ended = 0  # rows that came after all others
        self.output = folder / "out.jsonl"
        self._results = plants.database() if sink == "influx" else None
        words: list[object] = ["run", "--bundle", "default", "--state", "l", "--sink", self.sink]
        words += ["--source", source.split(maxsplit=1)[0]]
        if source == "csv":
            words += ["--input", plants.csv]
        elif source == "influx":
            words += ["--poll", 0.05, "--start", T0, "--until", moment(ROWS), "--url", plants.influxd.url]
            words += ["--database", plants.source.settings.database]
        elif source.startswith("mqtt"):
            self._topic = f"t{uuid.uuid4().hex[:8]}"
            words += ["--broker", plants.mosquitto.url, "--topic", self._topic, "--client-id", self._topic]
            begin_session(plants.mosquitto.port, self._topic)
            for number in range(0, ROWS, MACHINES):
                self._publish([self._message(number + i) for i in range(MACHINES)])
        if rotated:
            (folder / "edge-detect.toml").write_text(ROTATED)
            words += ["--config", "edge-detect.toml"]
        elif self._results is None:
            words += ["--output", self.output.name]
        elif source == "influx":
            words += ["--sink-database", self._results.settings.database]
        else:
            words += ["--url", plants.influxd.url, "--database", self._results.settings.database]
        self.words = words

    def live(self, *, at: int | None = None, after_s: float | None = None) -> Life:
        """One life: to the point `at`, for so many seconds, or until everything has arrived."""
        when = None
        if self.source.startswith("mqtt"):
            self._ended += 1
            self._publish([{**readings(0), "machine_id": f"{LAST}{self._ended}", "time": T0}])
            when = self._last_has_come
        return self._plants.lives.live(
            self.folder,
            self.words,
            Ending(at=at, after_s=after_s, when=when),
            stdin=self._plants.csv,
            numbers=SMALL,
        )

    def arrived(self) -> Counter[str]:
        """What is in the sink, without those rows that came last, and how often."""
        rows = self._lines() if self._results is None else self._points()
        return Counter(rows)

    def check(self) -> None:
        """Each row is in the sink exactly once, as it would be had nobody been killed."""
        arrived, wanted = self.arrived(), self._plants.wanted[self.sink]
        if self.source == "mqtt without times":
            wanted = Counter({_timeless(line): number for line, number in wanted.items()})
        assert arrived - wanted == Counter()
        assert wanted - arrived == Counter()
        with closing(sqlite3.connect(self.folder / "l")) as ledger:
            counted = dict(ledger.execute("SELECT name, value FROM counters").fetchall())
        names = (*("normal", "anomaly"), *(name for name in counted if name.startswith("unknown")))
        assert sum(counted.get(name, 0) for name in names) == ROWS + self._ended
        sent = ROWS + self._ended + self._changes_of_alarms()
        assert counted[f"encoded.{self.sink}"] == counted[f"delivered.{self.sink}"] == sent
        self._check_history(arrived)

    def _check_history(self, arrived: Counter[str]) -> None:
        """It has the rows that arrived, each once."""
        path = history_file(self.folder / "l")
        assert_whole(path)
        found = Counter[tuple[str, str]]()
        for name, rows in rows_in(path).items():
            if not name.startswith(LAST):
                found.update((name, Verdict(code).label) for code in rows.verdicts.tolist())
        documents = [json.loads(line) for line in arrived.elements()]
        assert found == Counter((each["machine_id"], each["verdict"]) for each in documents)
        assert not table(path, "SELECT * FROM gaps")

    def _changes_of_alarms(self) -> int:
        """Changes of alarms in the sink, each of which is there once, if it takes any."""
        if self._results is None:
            return 0
        found = Counter[tuple[Any, ...]]()
        for series in query(self._results, "SELECT event_id, revision FROM alarms"):
            found.update(tuple(row[1:]) for row in series.values)
        assert found
        assert max(found.values()) == 1
        return found.total()

    def _lines(self) -> list[str]:
        text = "".join(path.read_text() for path in self.folder.glob("out.jsonl*"))
        assert text.endswith("\n")
        documents = [json.loads(line) for line in text.splitlines()]
        return self._without_last(documents)

    def _points(self) -> list[str]:
        assert self._results is not None
        documents: list[dict[str, Any]] = []
        for series in query(self._results, "SELECT * FROM anomaly"):
            documents += [dict(zip(series.columns, row, strict=True)) for row in series.values]
        return self._without_last(documents)

    def _without_last(self, documents: list[dict[str, Any]]) -> list[str]:
        last = [each["machine_id"] for each in documents if each["machine_id"].startswith(LAST)]
        assert sorted(last) == sorted(f"{LAST}{i + 1}" for i in range(self._ended))
        rest = [each for each in documents if not each["machine_id"].startswith(LAST)]
        dump = [json.dumps(each, sort_keys=True) for each in rest]
        return [_timeless(line) for line in dump] if self.source == "mqtt without times" else dump

    def _last_has_come(self) -> bool:
        name = f"{LAST}{self._ended}"
        if self._results is None:
            return self.output.exists() and f'"{name}"'.encode() in self.output.read_bytes()
        return any(query(self._results, f"SELECT verdict FROM anomaly WHERE machine_id = '{name}'"))  # noqa: S608

    def _message(self, number: int) -> dict[str, Any]:
        row = {"machine_id": f"m{number % MACHINES}", **readings(number)}
        return row if self.source == "mqtt without times" else {"time": moment(number), **row}

    def _publish(self, rows: list[dict[str, Any]]) -> None:
        self._plants.publisher.publish(self._topic, json.dumps(rows), qos=1).wait_for_publish(30)


def begin_session(port: int, name: str) -> None:
    """Makes the broker keep what comes from now on for a gateway that has not been there yet.

    Args:
        port: Of the broker, on loopback.
        name: Of the topic, and of the gateway.
    """
    client = paho.Client(CallbackAPIVersion.VERSION2, name, clean_session=False)
    subscribed: list[int] = []

    def subscribe(*_: object) -> None:
        client.subscribe(name, qos=1)

    client.on_connect = subscribe
    client.on_subscribe = lambda *_: subscribed.append(1)
    client.connect("127.0.0.1", port)
    while not subscribed:
        client.loop(0.1)
    client.disconnect()


def _timeless(line: str) -> str:
    document = json.loads(line)
    document.pop("time")
    return json.dumps(document, sort_keys=True)

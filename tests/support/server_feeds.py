"""Benches of sources that read from a server: an InfluxDB and an MQTT broker, both real ones on loopback."""

from __future__ import annotations

import json
import re
import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import paho.mqtt.client as paho
from influxd import free_ports
from paho.mqtt.enums import CallbackAPIVersion
from support.feeds import LIMIT_S, SECOND, SENSORS, T0, Bench, Broken, Document, Row

from edge_runtime.errors import SourceError, SourceUnavailableError, UsageError
from edge_runtime.influxdb import InfluxClient, create_database, encode_lines, write

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mosquitto import Mosquitto

    from edge_runtime.sources.base import Batch, Source

__all__ = ["InfluxBench", "MqttBench"]

BLOCK_ROWS = 50
DISCONNECTED = re.compile(r"Client (?!publisher-)\S+ disconnected")


class InfluxBench(Bench):
    """A measurement of a fresh database."""

    live = True

    @property
    def _database(self) -> InfluxClient:
        client: InfluxClient = self.request.getfixturevalue("database")
        return client

    def put(self, rows: Sequence[Row]) -> None:
        lines = encode_lines(
            "sensors",
            np.array([row.time for row in rows], np.int64),
            tags={"machine_id": [row.machine for row in rows]},
            fields={name: np.array([getattr(row, name) for row in rows]) for name in ("power", "vibration")},
        )
        write(self._database, lines)

    def document(self, **changed: Any) -> Document:
        until = "2026-01-01T06:00:00Z"
        settings = self._database.settings
        table = {"url": settings.url, "database": settings.database, "timeout": 60.0}
        return {"influx": {**table, "start": "2026-01-01T00:00:00Z", "until": until, **changed}}

    def waiting(self) -> Document:
        document = self.document(poll=600.0)
        del document["influx"]["until"]
        return document

    def same_feed(self) -> list[Document]:
        local = self._database.settings.url.replace("127.0.0.1", "localhost")
        changes: list[dict[str, Any]] = [
            {"url": local},
            {"url": f"{local}/"},
            {"machines": ["Press-1"]},
            {"machines": ["Press-1", "another"], "poll": 5.0, "start": "now", "lateness": 1.0},
        ]
        return [self.document(**change) for change in changes]

    def other_feeds(self) -> list[Document]:
        url = f"http://127.0.0.1:{free_ports(1)[0]}"
        return [self.document(**change) for change in ({"measurement": "x"}, {"database": "x"}, {"url": url})]

    def broken(self) -> Broken:
        nobody, broker = free_ports(1)[0], self.request.getfixturevalue("mosquitto").port
        empty = InfluxClient(replace(self._database.settings, database=f"empty_{uuid.uuid4().hex[:8]}"))
        create_database(empty)
        makes: dict[str, tuple[type[SourceError | UsageError], dict[str, Any]]] = {
            "nobody listens": (SourceUnavailableError, {"url": f"http://127.0.0.1:{nobody}"}),
            "another server": (SourceError, {"url": f"http://127.0.0.1:{broker}", "timeout": 5.0}),
            "no database named": (UsageError, {"database": ""}),
            "no such database": (SourceError, {"database": "none"}),
            "no such measurement": (SourceError, {"measurement": "none"}),
            "nothing in it yet": (SourceUnavailableError, {"database": empty.settings.database}),
            "no address": (UsageError, {"url": "127.0.0.1:8086"}),
            "no time": (UsageError, {"start": "soon"}),
            "no query": (UsageError, {"flux_file": str(self.folder / "none.flux")}),
        }
        return {
            label: (error, self.with_tables(self.document(**change)))
            for label, (error, change) in makes.items()
        }


class MqttBench(Bench):
    """A topic of its own, to which the source's session is subscribed before the first row is published."""

    ends = False
    acknowledges = True
    live = True
    least_batches = 1
    _root = ""
    _subscribed = False

    @property
    def _broker(self) -> Mosquitto:
        broker: Mosquitto = self.request.getfixturevalue("mosquitto")
        return broker

    def document(self, **changed: Any) -> Document:
        self._root = self._root or f"contract-{uuid.uuid4().hex}"
        return {"mqtt": {"url": self._broker.url, "topic": f"{self._root}/{{machine}}", **changed}}

    def put(self, rows: Sequence[Row]) -> None:
        subscribed, self._subscribed = self._subscribed, True
        if not subscribed:
            self._subscribe()
        for start in range(0, len(rows), BLOCK_ROWS):
            block = rows[start : start + BLOCK_ROWS]
            self._publish(
                [
                    {
                        "power": row.power,
                        "vibration": row.vibration,
                        "time": row.time // SECOND,
                        "machine_id": row.machine,
                    }
                    for row in block
                ]
            )

    def end(self, source: Source, batches: Iterator[Batch]) -> None:
        """Until the broker has read everything that the source said: only then may another take over."""
        before = self._disconnected()
        super().end(source, batches)
        until = time.monotonic() + LIMIT_S
        while self._disconnected() <= before:
            assert time.monotonic() < until, "the broker still has the connection"
            time.sleep(0.01)

    def same_feed(self) -> list[Document]:
        local = self._broker.url.replace("127.0.0.1", "localhost")
        return [self.document(url=local), self.document(url=f"{local}/", client_id="another")]

    def other_feeds(self) -> list[Document]:
        port = free_ports(1)[0]
        return [self.document(topic="other/+"), self.document(url=f"mqtt://127.0.0.1:{port}")]

    def broken(self) -> Broken:
        makes: dict[str, tuple[type[SourceError | UsageError], dict[str, Any]]] = {
            "nobody listens": (SourceUnavailableError, {"url": f"mqtt://127.0.0.1:{free_ports(1)[0]}"}),
            "no address": (UsageError, {"url": "127.0.0.1:1883"}),
            "no topic": (UsageError, {"topic": "#/x"}),
            "no password": (UsageError, {"username": "u", "password_file": str(self.folder / "none")}),
        }
        return {
            label: (error, self.with_tables(self.document(**change)))
            for label, (error, change) in makes.items()
        }

    def _subscribe(self) -> None:
        """Until the session is there: a first row has arrived, and all that was tried is acknowledged."""
        source = self.open()
        batches = source.batches(None)
        tries, last, until = 0, -1.0, time.monotonic() + LIMIT_S
        while last < tries or not tries:
            assert time.monotonic() < until, "the source does not subscribe"
            if last < 0:
                tries += 1
                self._publish([{"power": tries, "vibration": 0, "time": T0 // SECOND, "machine_id": "try"}])
            found = next(batches).readings
            last = found.values[-1, SENSORS.index("power")].item() if len(found) else last
        source.acknowledge()
        self.end(source, batches)

    def _publish(self, document: object) -> None:
        """It is with the broker when this returns."""
        client = paho.Client(CallbackAPIVersion.VERSION2, f"publisher-{uuid.uuid4().hex}")
        client.connect("127.0.0.1", self._broker.port)
        client.loop_start()
        client.publish(f"{self._root}/any", json.dumps(document).encode(), qos=1).wait_for_publish(LIMIT_S)
        client.disconnect()
        client.loop_stop()

    def _disconnected(self) -> int:
        """How many sessions but those of publishers were left so far."""
        return len(DISCONNECTED.findall((self._broker._folder / "mosquitto.log").read_text("utf-8")))

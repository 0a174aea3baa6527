"""Where each kind of sink delivers to: a target for each, under the contract that all of them keep."""

from __future__ import annotations

import io
import json
import sys
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from influxd import free_ports
from support.bundles import normal_rows
from support.feeds import MACHINES, T0
from support.subscriber import Subscriber
from support.target import DIGEST, SENSORS, Broken, Target, flat_row
from support.webhooktargets import WebhookTarget

from edge_runtime.engine.engine import Engine
from edge_runtime.errors import EdgeDetectError, SinkError, SinkUnavailableError, UsageError
from edge_runtime.influxdb import query
from edge_runtime.loading.load import load_bundle
from edge_runtime.records import Readings

if TYPE_CHECKING:
    from pathlib import Path

    from support.feeds import Document

    from edge_runtime.influxdb import InfluxClient
    from edge_runtime.records import Results
    from edge_runtime.sinks.base import Sink, SinkKind

__all__ = ["DIGEST", "SENSORS", "TARGETS", "Broken", "Target", "flat_row", "some_results", "target_of"]


def _lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    assert not text or text.endswith("\n")
    rows = [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]
    return [flat_row(row) for row in rows]


class StdoutTarget(Target):
    """A file in the place of standard output, which is looked at before anything is closed."""

    direct = True
    undoes = False

    def document(self) -> Document:
        path = self.folder / "printed"
        self.patch.setattr(sys, "stdout", io.TextIOWrapper(path.open("ab"), encoding="utf-8"))
        return {}

    def rows(self) -> list[dict[str, Any]]:
        return _lines(self.folder / "printed")

    def broken(self) -> Broken:
        def closed() -> Sink:
            self.patch.setattr(sys, "stdout", None)  # as it is after `>&-`
            return self.open({})

        return {"closed": (EdgeDetectError, closed)}


class JsonlTarget(Target):
    """A file of JSON lines."""

    def document(self) -> Document:
        return {"jsonl": {"output": str(self.folder / "out.jsonl")}}

    def rows(self) -> list[dict[str, Any]]:
        return _lines(self.folder / "out.jsonl")

    def broken(self) -> Broken:
        nowhere = str(self.folder / "nowhere" / "out.jsonl")
        return {
            "no file named": (UsageError, self.with_tables({})),
            "no such folder": (SinkError, self.with_tables({"jsonl": {"output": nowhere}})),
            "a folder": (SinkError, self.with_tables({"jsonl": {"output": str(self.folder)}})),
        }

    def away(self) -> Document:
        return {"jsonl": {"output": "/dev/full"}}


class HornTarget(Target):
    """The file of a package of somebody else's."""

    def document(self) -> Document:
        return {"horn": {"log": str(self.folder / "horn.log")}}

    def rows(self) -> list[dict[str, Any]]:
        return _lines(self.folder / "horn.log")

    def broken(self) -> Broken:
        return {
            "no file named": (UsageError, self.with_tables({})),
            "a folder": (SinkError, self.with_tables({"horn": {"log": str(self.folder)}})),
        }

    def away(self) -> Document:
        return {"horn": {"log": "/dev/full"}}


class InfluxTarget(Target):
    """A measurement of a fresh database."""

    undoes = False
    readings = False

    @property
    def _database(self) -> InfluxClient:
        client: InfluxClient = self.request.getfixturevalue("database")
        return client

    def document(self, **changed: Any) -> Document:
        settings = self._database.settings
        server = {"url": settings.url, "database": settings.database, "timeout": 60.0}
        return {"influx": server, "influx_sink": changed}

    def rows(self) -> list[dict[str, Any]]:
        return [
            dict(zip(series.columns, row, strict=True))
            for series in query(self._database, "SELECT * FROM anomaly")
            for row in series.values
        ]

    def broken(self) -> Broken:
        broker = self.request.getfixturevalue("mosquitto").port
        makes: dict[str, tuple[type[EdgeDetectError], Document]] = {
            "nobody listens": (SinkUnavailableError, self.away()),
            "another server": (SinkError, self.document(url=f"http://127.0.0.1:{broker}")),
            "no database named": (UsageError, {}),
            "no such database": (SinkError, self.document(database="none")),
            "no address": (UsageError, self.document(url="127.0.0.1:8086")),
            "no tag": (UsageError, self.document(machine_tag="")),
            "a tag that is taken": (UsageError, self.document(machine_tag="bundle")),
        }
        return {label: (error, self.with_tables(document)) for label, (error, document) in makes.items()}

    def away(self) -> Document:
        return self.document(url=f"http://127.0.0.1:{free_ports(1)[0]}")


class MqttTarget(Target):
    """A topic of a real broker; whoever listens replaces a row that comes again, by its machine and time."""

    undoes = False

    def __init__(
        self, kind: SinkKind, folder: Path, patch: pytest.MonkeyPatch, request: pytest.FixtureRequest
    ) -> None:
        super().__init__(kind, folder, patch, request)
        self._root, self._sent = uuid.uuid4().hex, 0
        self._port = request.getfixturevalue("mosquitto").port
        self._listener = Subscriber(self._port, f"{self._root}/#")
        self._listener.__enter__()
        request.addfinalizer(lambda: self._listener.__exit__(None, None, None))

    def document(self, **changed: Any) -> Document:
        topics = {"row_topic": f"{self._root}/{{machine_id}}", "status_topic": ""}
        settings = {"url": f"mqtt://127.0.0.1:{self._port}", "takes": ["rows"], **topics, **changed}
        return {"mqtt_sink": settings}

    def rows(self) -> list[dict[str, Any]]:
        # What was published before this is there once this is.
        self._sent += 1
        mark = str(self._sent).encode()
        self._listener.publish(f"{self._root}/mark", mark)
        heard = self._listener.wait(lambda heard: any(one.payload == mark for one in heard))
        rows = [flat_row(one.content) for one in heard if not one.topic.endswith("/mark")]
        return [*{(row["machine_id"], row["time"]): row for row in rows}.values()]

    def broken(self) -> Broken:
        return {
            "nobody listens": (SinkUnavailableError, self.with_tables(self.away())),
            "no address": (UsageError, self.with_tables(self.document(url="127.0.0.1:1883"))),
            "no topic": (UsageError, self.with_tables(self.document(row_topic="rows/+"))),
            "nothing to publish": (UsageError, self.with_tables(self.document(row_topic=""))),
        }

    def away(self) -> Document:
        return self.document(url=f"mqtt://127.0.0.1:{free_ports(1)[0]}")


TARGETS: dict[str, type[Target]] = {
    "stdout": StdoutTarget,
    "jsonl": JsonlTarget,
    "influx": InfluxTarget,
    "mqtt": MqttTarget,
    "horn": HornTarget,
    "webhook": WebhookTarget,
}


def some_results(bundle: Path) -> Results:
    """Six rows of two machines: normal, an anomaly, one without a reading."""
    values = normal_rows(6, seed=1)
    values[2] *= 3
    values[4, 1] = np.nan
    machines = np.array([MACHINES[1], MACHINES[2]] * 3)
    times = T0 + np.repeat(np.arange(3, dtype=np.int64), 2) * 10**9
    return Engine(load_bundle(bundle)).feed(Readings(machines, times, values)).results


def target_of(name: str) -> type[Target]:
    """The target of this sink; the contract fails where there is none."""
    assert name in TARGETS, (
        f"the sink {name} is not under contract: add a target for it to TARGETS in tests/support/targets.py"
    )
    return TARGETS[name]

"""`edge-detect check` over a real broker: what comes while it listens, and what is kept for the gateway."""

from __future__ import annotations

import json
import re
import socket
import time
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from support.bundles import normal_rows
from support.checking import NAMES, check, each_second
from support.running import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from influxd import Influxd
    from mosquitto import Mosquitto
    from support.commands import Command

VALUES = normal_rows(40)
QUEUED = 20


class Publisher:
    """A machine's controller."""

    def __init__(self, broker: Mosquitto) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        self._retained: list[str] = []

    def send(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """The broker has it when this returns."""
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(30)
        if retain:
            self._retained.append(topic)

    def measure(self, topic: str, i: int = 0, *, behind: float | None = 0.0) -> None:
        """A row of now, by a clock that is so many seconds behind; None for a row without a time."""
        row: dict[str, float] = dict(zip(NAMES, VALUES[i % len(VALUES)].tolist(), strict=True))
        self.send(
            topic, json.dumps(row if behind is None else {"time": time.time() - behind, **row}).encode()
        )

    def close(self) -> None:
        for topic in tuple(self._retained):
            self.send(topic, b"", retain=True)
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def publisher(mosquitto: Mosquitto) -> Iterator[Publisher]:
    made = Publisher(mosquitto)
    yield made
    made.close()


@pytest.fixture
def root() -> str:
    """A topic of the test's own."""
    return f"c{uuid.uuid4().hex[:8]}"


@pytest.fixture
def words(mosquitto: Mosquitto, bundle: Path, root: str) -> tuple[object, ...]:
    where = ("--broker", mosquitto.url, "--topic", f"{root}/{{machine}}")
    return ("--bundle", bundle, "--source", "mqtt", *where)


def test_what_comes_while_it_listens_is_judged(
    command: Command, publisher: Publisher, root: str, words: tuple[object, ...], mosquitto: Mosquitto
) -> None:
    behind = {"m1": 0.0, "m2": 90.0, "m3": -20.0, "m4": None}

    def measure() -> None:
        for machine, seconds in behind.items():
            publisher.measure(f"{root}/{machine}", behind=seconds)

    with each_second(measure):
        found = check(command, *words, seconds=4)
    assert found.wrong == []
    assert found.fact("broker") == mosquitto.url
    assert found.fact("subscription") == f"{root}/+"
    assert list(found.machines) == list(behind)
    for machine, seconds in behind.items():
        seen = found.machines[machine]
        assert seen["rows"] >= 2
        assert seen["seconds_between_rows"] == pytest.approx(1, abs=0.4)
        assert seen["clock_behind_s"] == pytest.approx(seconds or 0, abs=2)
        assert sum(seen["verdicts"].values()) == seen["rows"]
    assert len(found.first) == 10
    assert {one["machine_id"] for one in found.first} == set(behind)


def test_local_times_without_a_zone_are_recognised(
    command: Command, publisher: Publisher, root: str, words: tuple[object, ...]
) -> None:
    with each_second(lambda: publisher.measure(f"{root}/m1", behind=7200.0), period=0.1):
        found = check(command, *words, seconds=2)
    text = dict(found.wrong)["clock"]
    assert text.startswith("m1: its times are 2 h behind this gateway's clock: they may be local times")


def test_the_topics_that_there_are_where_nothing_comes(
    command: Command, publisher: Publisher, root: str, words: tuple[object, ...]
) -> None:
    publisher.send(f"{root}/plant/old", b"1", retain=True)
    with each_second(lambda: publisher.send(f"{root}/plant/press", b"{}"), period=0.2):
        found = check(command, *words)
    assert [name for name, _ in found.wrong] == ["rows", "instead"]
    assert dict(found.wrong)["instead"] == f"no message with readings has come on {root}/+ so far"
    topics = found.fact("topics")
    assert f"{root}/plant/old" in topics
    assert f"{root}/plant/press" in topics
    assert topics.endswith(" (3 s of everything, retained messages too)")


def test_messages_without_the_sensors(
    command: Command, publisher: Publisher, root: str, words: tuple[object, ...]
) -> None:
    payload = b'{"temp_c":21.5,"rpm":900}'
    with each_second(lambda: publisher.send(f"{root}/press", payload), period=0.1):
        found = check(command, *words)
    sensors = ", ".join(NAMES)
    assert dict(found.wrong)["instead"] == (
        f"no message has one of the sensors {sensors}; there are: temp_c, rpm"
    )
    assert f"{root}/press" in found.fact("topics")


def test_no_message_that_is_kept_for_the_gateway_is_lost(
    command: Command,
    publisher: Publisher,
    root: str,
    words: tuple[object, ...],
    mosquitto: Mosquitto,
    tmp_path: Path,
) -> None:
    log = mosquitto._folder / "mosquitto.log"
    with running(tmp_path / "state", "edge-detect", "run", *words) as service:
        # Rows come out when it has subscribed.
        with each_second(lambda: publisher.measure(f"{root}/m0", behind=60), period=0.1):
            assert json.loads(service.prints())["machine_id"] == "m0"
        assert service.stop() == 0
    for i in range(QUEUED):
        publisher.measure(f"{root}/m1", i, behind=QUEUED - i)
    known = len(log.read_text())
    found = check(command, *words)
    assert found.rows.get("read", 0) == 0  # they are the gateway's, and not delivered to others
    beside = re.findall(r"as (edge-detect-check-\S+) \(p2, c(\d)", log.read_text()[known:])
    assert len(beside) == 2  # one listens, the other looks for topics
    assert {clean for _, clean in beside} == {"1"}
    assert not any(left_at(mosquitto, client) for client, _ in beside)
    rows: list[dict[str, Any]] = []
    with running(tmp_path / "state", "edge-detect", "run", *words) as service:
        while len(rows) < QUEUED:
            row = json.loads(service.prints())
            rows += [row] if row["machine_id"] == "m1" else []
        assert service.stop() == 0
    read = np.array([[row["readings"][name] for name in NAMES] for row in rows], np.float32)
    np.testing.assert_array_equal(read, VALUES[:QUEUED])


def left_at(broker: Mosquitto, client_id: str) -> bool:
    """Whether the broker has a session of this name; takes it away."""
    present: list[bool] = []
    for clean in (False, True):
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id, clean_session=clean)
        client.on_connect = lambda _client, _data, flags, _reason, _properties: present.append(
            flags.session_present
        )
        client.connect("127.0.0.1", broker.port)
        number = len(present)
        stop = time.monotonic() + 60
        while len(present) == number and time.monotonic() < stop:
            client.loop(0.1)
        client.disconnect()
    assert len(present) == 2
    return present[0]


def test_another_server_is_named(command: Command, influxd: Influxd, bundle: Path) -> None:
    url = f"mqtt://127.0.0.1:{influxd.port}"
    text = check(command, "--bundle", bundle, "--source", "mqtt", "--broker", url).only_wrong("source")
    assert text == f"{url}: an HTTP server answers there, not an MQTT broker; check the address and the port"


def test_the_gateways_first_word_names_another_server(influxd: Influxd, bundle: Path, tmp_path: Path) -> None:
    url = f"mqtt://127.0.0.1:{influxd.port}"
    run = ("edge-detect", "run", "--bundle", bundle, "--source", "mqtt", "--broker", url)
    with running(tmp_path / "state", *run) as service:
        assert service.says() == (
            f"edge-detect: mqtt: {url}: an HTTP server answers there, not an MQTT broker; trying again\n"
        )
        assert service.stop() == 0


def test_nobody_listens(command: Command, bundle: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"mqtt://127.0.0.1:{taken.getsockname()[1]}"
        found = check(command, "--bundle", bundle, "--source", "mqtt", "--broker", url)
    assert "the broker cannot be reached (connection refused)" in found.only_wrong("source")

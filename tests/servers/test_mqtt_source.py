"""The source mqtt with a real broker: nothing is acknowledged that is not committed, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import paho.mqtt.client as paho
import pytest
from mosquitto import Mosquitto
from paho.mqtt.enums import CallbackAPIVersion
from support.bundles import SENSORS, normal_rows
from support.commands import assert_one_clear_line

from edge_runtime.errors import MissingExtraError, SourceError, SourceUnavailableError, UsageError
from edge_runtime.mapping.form import Columns
from edge_runtime.mqtt.broker import Broker, Topic
from edge_runtime.records import NO_TIME
from edge_runtime.sources.mqtt_feed import MqttSource
from edge_runtime.timeparse import parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.commands import Command

    from edge_runtime.checkpoint import Checkpoint
    from edge_runtime.sources.base import Batch

COLUMNS = Columns(("a", "b"))
NAMES = [sensor[0] for sensor in SENSORS]
T0 = 1_767_225_600
KILLS = 25 if os.environ.get("EDGE_DETECT_SOAK") else 3
ROWS = 300 * KILLS


@pytest.fixture
def root() -> str:
    """A topic of the test's own."""
    return f"t{uuid.uuid4().hex[:8]}"


class Feed:
    """A source and what it gave."""

    def __init__(
        self,
        broker: Mosquitto,
        root: str,
        *,
        client: str | None = None,
        checkpoint: Checkpoint | None = None,
        **options: Any,
    ) -> None:
        self.client = client or uuid.uuid4().hex
        self.said: list[str] = []
        where = Broker.of(broker.url, self.client, username=None, password_file=None)
        topic = Topic(f"{root}/{{machine}}")
        self.source = MqttSource(where, topic, COLUMNS, report=self.said.append, **options)
        self.batches = self.source.batches(checkpoint)
        self._first = [next(self.batches)]  # connected, and subscribed: with what the broker had kept

    def rows(self, number: int) -> list[Batch]:
        """Batches until so many rows or left-out messages have come."""
        found, self._first = self._first, []
        until = time.monotonic() + 20
        while sum(len(b.readings) + sum(b.skipped.values()) for b in found) < number:
            assert time.monotonic() < until, found
            found.append(next(self.batches))
        return found

    def end(self) -> None:
        self.source.close()
        list(self.batches)
        # The broker reads the last acknowledgements before another client takes the session over.
        time.sleep(0.1)


def publish(broker: Mosquitto, *messages: tuple[str, bytes]) -> None:
    """Each is with the broker when this returns."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    for topic, payload in messages:
        client.publish(topic, payload, qos=1).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def message(i: int) -> bytes:
    return json.dumps({"time": T0 + i, "a": i, "b": 2 * i}).encode()


def values(batches: list[Batch]) -> list[list[float]]:
    return [row for batch in batches for row in batch.readings.values.tolist()]


def test_objects_arrays_and_line_protocol_become_rows(mosquitto: Mosquitto, root: str) -> None:
    feed = Feed(mosquitto, root)
    publish(
        mosquitto,
        (f"{root}/press", message(1)),
        (
            f"{root}/press",
            b'[{"time":"2026-01-01T00:00:02Z","a":2,"b":4,"machine_id":"lathe"},{"a":3,"b":6}]',
        ),
        (
            f"{root}/x",
            b"sensors,machine_id=mill a=4,b=8 1767225604000000000\nsensors,machine_id=mill a=5,b=10",
        ),
        (f"{root}/saw", b"sensors,host=telegraf a=6,b=12 1767225606000000000"),
    )
    batches = feed.rows(6)
    rows = {
        (machine, moment, *row)
        for batch in batches
        for machine, moment, row in zip(
            batch.readings.machines.tolist(),
            batch.readings.times.tolist(),
            batch.readings.values.tolist(),
            strict=True,
        )
    }
    assert rows == {
        ("press", (T0 + 1) * 10**9, 1.0, 2.0),
        ("lathe", (T0 + 2) * 10**9, 2.0, 4.0),
        ("press", NO_TIME, 3.0, 6.0),
        ("mill", (T0 + 4) * 10**9, 4.0, 8.0),
        ("mill", NO_TIME, 5.0, 10.0),
        ("saw", (T0 + 6) * 10**9, 6.0, 12.0),
    }
    feed.end()


def test_what_was_not_acknowledged_comes_again_and_what_was_does_not(mosquitto: Mosquitto, root: str) -> None:
    first = Feed(mosquitto, root)
    publish(mosquitto, *((f"{root}/m", message(i)) for i in range(20)))
    first.rows(20)
    first.end()
    again = Feed(mosquitto, root, client=first.client)
    assert len(values(again.rows(20))) == 20
    again.source.acknowledge()
    publish(mosquitto, (f"{root}/m", message(99)))
    assert values(again.rows(1)) == [[99.0, 198.0]]
    again.source.acknowledge()
    again.end()
    third = Feed(mosquitto, root, client=first.client)
    publish(mosquitto, (f"{root}/m", message(100)))
    assert values(third.rows(1)) == [[100.0, 200.0]]
    third.end()


@pytest.mark.parametrize("timed", [True, False])
def test_rows_whose_acknowledgement_was_lost_are_left_out(
    mosquitto: Mosquitto, root: str, *, timed: bool
) -> None:
    payloads = [message(i) if timed else json.dumps({"a": i, "b": 2 * i}).encode() for i in range(5)]
    first = Feed(mosquitto, root)
    publish(mosquitto, *((f"{root}/m", payload) for payload in payloads))
    checkpoint = first.rows(5)[-1].checkpoint
    first.end()
    second = Feed(mosquitto, root, client=first.client, checkpoint=checkpoint)
    publish(mosquitto, (f"{root}/m", payloads[4]), (f"{root}/m", message(6)))
    found = second.rows(7)
    # The same text in a new message is another row.
    assert values(found) == [[4.0, 8.0], [6.0, 12.0]]
    assert sum(batch.skipped.get("delivered before", 0) for batch in found) == 5
    second.end()


def test_what_has_none_of_the_sensors_is_counted_and_named_when_nothing_fits(
    mosquitto: Mosquitto, root: str
) -> None:
    feed = Feed(mosquitto, root)
    assert feed.source.what_came() == f"no message with readings has come on {root}/+ so far"
    publish(mosquitto, (f"{root}/m", b'{"temp_c":1}'), (f"{root}/m", b"cpu load=1,idle=2"))
    found = feed.rows(2)
    assert values(found) == []
    assert sum(batch.skipped.get("none of the sensors in it", 0) for batch in found) == 2
    assert feed.said == []
    wanted = "no message has one of the sensors a, b; there are: temp_c, load, idle"
    assert feed.source.what_came() == wanted
    feed.end()


def test_what_another_session_delivered_says_nothing_about_this_one(mosquitto: Mosquitto, root: str) -> None:
    first = Feed(mosquitto, root)
    publish(mosquitto, *((f"{root}/m", message(i)) for i in range(5)))
    checkpoint = first.rows(5)[-1].checkpoint
    first.end()
    other = Feed(mosquitto, root, checkpoint=checkpoint)
    assert other.source._redelivery._known == {}
    other.end()


def retain(broker: Mosquitto, *messages: tuple[str, bytes]) -> None:
    """For whoever subscribes later; nothing for nobody."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    for topic, payload in messages:
        client.publish(topic, payload, qos=1, retain=True).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def test_a_retained_message_without_a_time_is_not_live(mosquitto: Mosquitto, root: str) -> None:
    retain(mosquitto, (f"{root}/old", b'[{"a":1,"b":2},{"a":2,"b":3}]'), (f"{root}/dated", message(3)))
    feed = Feed(mosquitto, root)
    publish(mosquitto, (f"{root}/old", b'{"a":7,"b":8}'))
    found = feed.rows(4)
    assert sorted(values(found)) == [[3.0, 6.0], [7.0, 8.0]]
    assert sum(batch.skipped.get("retained, without a time", 0) for batch in found) == 2
    feed.end()
    retain(mosquitto, (f"{root}/old", b""), (f"{root}/dated", b""))


def test_what_cannot_be_read_is_counted_said_and_acknowledged(mosquitto: Mosquitto, root: str) -> None:
    feed = Feed(mosquitto, root)
    bad = [b"", b"{", b"[1]", b"[]", b'{"a":"x"}', b"\xff\xfe", b"# a=1"]
    bad.append(b'{"a":1,"b":2,"time":"yesterday"}')
    publish(mosquitto, (f"{root}/m", message(1)), *((f"{root}/m", payload) for payload in bad))
    batches = feed.rows(1 + len(bad))
    assert values(batches) == [[1.0, 2.0]]
    assert sum(batch.skipped.get("unreadable message", 0) for batch in batches) == len(bad)
    assert len(feed.said) == len(bad) - 1  # an empty message and an empty array are one kind
    feed.source.acknowledge()
    feed.end()
    again = Feed(mosquitto, root, client=feed.client)
    publish(mosquitto, (f"{root}/m", message(2)))
    assert values(again.rows(1)) == [[2.0, 4.0]]
    again.end()


def test_a_backlog_comes_in_blocks_and_a_message_alone_at_once(mosquitto: Mosquitto, root: str) -> None:
    feed = Feed(mosquitto, root)
    publish(mosquitto, *((f"{root}/m", message(i)) for i in range(600)))
    time.sleep(0.3)
    batches = feed.rows(600)
    assert len([batch for batch in batches if len(batch.readings)]) < 60
    feed.source.acknowledge()
    publish(mosquitto, (f"{root}/m", message(601)))
    started = time.monotonic()
    feed.rows(1)
    assert time.monotonic() - started < 0.4
    feed.end()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that a test may stop, with a login."""
    unpacked = Path(__file__).parents[2] / "build" / "mosquitto-package"
    with Mosquitto(tmp_path / "broker", unpack_into=unpacked, login=("gateway", "secret")) as server:
        yield server


def test_a_wrong_login_is_final_and_a_broker_that_is_away_is_not(
    own: Mosquitto, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def source(password: str) -> MqttSource:
        monkeypatch.setenv("EDGE_DETECT_MQTT_PASSWORD", password)
        where = Broker.of(own.url, "c1", username="gateway", password_file=None)
        return MqttSource(where, Topic(f"{root}/#"), COLUMNS)

    with pytest.raises(SourceError, match="refuses the login.*EDGE_DETECT_MQTT_PASSWORD"):
        next(source("wrong").batches(None))
    good = source("secret").batches(None)
    next(good)
    own.stop()
    with pytest.raises(SourceUnavailableError, match="went away"):
        next(good)
    with pytest.raises(SourceUnavailableError, match="cannot be reached"):
        next(source("secret").batches(None))


@pytest.mark.parametrize("url", ["127.0.0.1:1883", "http://h", "mqtt://", "mqtt://h:x", "mqtt://h/path"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="not the address of an MQTT broker"):
        Broker.of(url, "c", username=None, password_file=None)


def test_a_topic_names_the_machine_wherever_it_stands() -> None:
    topic = Topic("plant/+/{machine}/readings/#")
    assert topic.subscription == "plant/+/+/readings/#"
    assert topic.machine("plant/hall 1/press.2/readings/a/b") == "press.2"
    assert topic.machine("other") == ""
    assert Topic("plain").machine("plain") == ""
    shared = Topic("$share/group/plant/{machine}")
    assert (shared.subscription, shared.alone) == ("$share/group/plant/+", "plant/{machine}")
    assert shared.machine("plant/m1") == "m1"
    with pytest.raises(UsageError, match="not a topic"):
        Topic("#/x")


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    where = Broker("h", 1, tls=False, client_id="c")
    with pytest.raises(MissingExtraError, match=r"edge-detect\[mqtt\]"):
        MqttSource(where, Topic("t"), COLUMNS).check()


def start(folder: Path, bundle: Path, broker: Mosquitto, root: str) -> subprocess.Popen[bytes]:
    script = Path(sys.executable).parent / "edge-detect"
    words = ["run", "--source", "mqtt", "--broker", broker.url, "--topic", f"{root}/{{machine}}"]
    words += ["--sink", "jsonl", "--output", "out.jsonl", "--state", "ledger.sqlite", "--bundle", str(bundle)]
    environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state")}
    return subprocess.Popen([script, *words], cwd=folder, env=environment, stderr=subprocess.PIPE)


def delivered(folder: Path) -> list[dict[str, Any]]:
    path = folder / "out.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("timed", [True, False])
def test_a_runtime_that_is_killed_again_and_again_delivers_every_row_once(
    mosquitto: Mosquitto, root: str, bundle: Path, tmp_path: Path, *, timed: bool
) -> None:
    rows = normal_rows(ROWS, seed=1)
    random = np.random.default_rng(5)
    process = start(tmp_path, bundle, mosquitto, root)
    until = time.monotonic() + 100 + 10 * KILLS
    publish(mosquitto, (f"{root}/warm-up", b"{}"))
    while not (tmp_path / "ledger.sqlite").exists() and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(1.0)  # subscribed
    for part in np.array_split(np.arange(ROWS), KILLS):
        documents = [
            {**({"time": T0 + i} if timed else {}), **dict(zip(NAMES, rows[i].tolist(), strict=True))}
            for i in part.tolist()
        ]
        # Ten in one array, the next ten by themselves, and so on.
        payloads: list[list[dict[str, float]]] = []
        for at in range(0, len(documents), 10):
            ten = documents[at : at + 10]
            payloads += [[one] for one in ten] if at // 10 % 2 else [ten]
        publish(mosquitto, *((f"{root}/press", json.dumps(payload).encode()) for payload in payloads))
        time.sleep(float(random.uniform(0.0, 0.3)))
        process.kill()
        process.communicate()
        process = start(tmp_path, bundle, mosquitto, root)
    while len(delivered(tmp_path)) < ROWS and time.monotonic() < until:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    found = delivered(tmp_path)
    times = [row["time"] for row in found]
    assert len(times) == len(set(times)) == ROWS
    # Each row once, in the order in which it was sent, and each with a time of its own.
    read = np.array([[row["readings"][name] for name in NAMES] for row in found], np.float32)
    np.testing.assert_array_equal(read, rows)
    assert times == sorted(times, key=lambda text: parse_time(text, 0))


def test_an_option_that_is_wrong_is_one_clear_line(command: Command, bundle: Path) -> None:
    done = command("edge-detect", "run", "--source", "mqtt", "--broker", "nonsense", "--bundle", bundle)
    assert_one_clear_line(done, 2, "not the address of an MQTT broker")

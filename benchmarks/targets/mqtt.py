"""What a broker kept for us, received, scored and committed, beside a bare loop that only acknowledges.

The broker is a real mosquitto on loopback. A round: both clients' sessions are filled with the same messages
while they are away, a row each, QoS 1; then each connects and takes them, acknowledging by hand.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.figures import Figure, paired
from benchmarks.workloads import BUILD, MESSAGES, QUICK_ROUNDS, ROOT, ROUNDS, STREAM_MACHINES, load, plant
from edge_runtime.delivery.ledger import Ledger
from edge_runtime.engine.engine import Engine
from edge_runtime.gateway.pipeline import Pipeline
from edge_runtime.mapping.form import Columns
from edge_runtime.mqtt.broker import Broker, Topic
from edge_runtime.simulation import SENSORS
from edge_runtime.sources.mqtt_feed import MqttSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_runtime import Bundle

__all__ = ["measure"]

WITHIN_S = 120.0


def measure(*, quick: bool) -> Iterator[Figure]:
    """Messages a second, from the connection on until the last one is acknowledged."""
    sys.path.insert(0, str(ROOT / "packaging" / "demo"))  # no package: it would shadow PyPI's `packaging`
    from mosquitto import Mosquitto  # noqa: PLC0415

    bundle = load("default")
    messages = _messages(MESSAGES // 5 if quick else MESSAGES)
    ours, theirs = [], []
    BUILD.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=BUILD) as scratch,
        Mosquitto(Path(scratch, "broker"), unpack_into=ROOT / "build" / "mosquitto-package") as broker,
    ):
        for _ in range(QUICK_ROUNDS if quick else ROUNDS):
            root, names = uuid.uuid4().hex, ("ours", "theirs")
            for name in names:
                _subscribe(broker.port, f"{root}-{name}", f"{root}/+")
            _publish(broker.port, [(f"{root}/{machine}", payload) for machine, payload in messages])
            where = Broker("127.0.0.1", broker.port, tls=False, client_id=f"{root}-ours")
            ours.append(len(messages) / _scored(where, root, bundle, len(messages), Path(scratch, root)))
            theirs.append(len(messages) / _received(broker.port, f"{root}-theirs", len(messages)))
    target = f"{len(messages):,} messages over MQTT, QoS 1"
    yield paired(
        target, "scored, committed", "bare loop, manual ack", "messages/s", ours, theirs, at_least=0.7
    )


def _messages(rows: int) -> list[tuple[str, bytes]]:
    """Machine and payload, a row each."""
    readings = plant(rows, machines=STREAM_MACHINES)
    found = []
    columns = readings.machines.tolist(), readings.times.tolist(), readings.values.round(4).tolist()
    for machine, moment, row in zip(*columns, strict=True):
        values = {name: round(value, 4) for name, value in zip(SENSORS, row, strict=True)}
        found.append((machine, json.dumps({"time": moment / 1e9, **values}).encode()))
    return found


def _scored(where: Broker, root: str, bundle: Bundle, messages: int, state: Path) -> float:
    """Seconds in which the runtime's pipeline takes so many messages, its ledger on disk."""
    ledger = Ledger(state, root)
    source = MqttSource(where, Topic(f"{root}/{{machine}}"), Columns(tuple(SENSORS)))
    pipeline = Pipeline(source, Engine(bundle), ledger=ledger, report=print, max_rows=messages)
    started = time.perf_counter()
    pipeline.run()
    seconds = time.perf_counter() - started
    ledger.close()
    if pipeline.accounts.counters["read"] != messages:
        raise RuntimeError(f"{pipeline.accounts.counters} of {messages} messages")
    return seconds


def _received(port: int, client_id: str, messages: int) -> float:
    """Seconds of the loop that a user would write, without any work."""
    client = _client(client_id, manual_ack=True)
    left = messages

    def on_message(client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        nonlocal left
        client.ack(message.mid, message.qos)
        left -= 1

    client.on_message = on_message
    started = time.perf_counter()
    client.connect("127.0.0.1", port)
    while left and time.perf_counter() < started + WITHIN_S:
        client.loop()
    seconds = time.perf_counter() - started
    client.disconnect()
    if left:
        raise RuntimeError(f"{left} of {messages} messages did not come")
    return seconds


def _client(client_id: str, *, manual_ack: bool = False) -> paho.Client:
    return paho.Client(CallbackAPIVersion.VERSION2, client_id, clean_session=False, manual_ack=manual_ack)


def _subscribe(port: int, client_id: str, topic: str) -> None:
    """Makes the session for which the broker keeps the messages."""
    client = _client(client_id)
    done: list[bool] = []
    client.on_subscribe = lambda *_: done.append(True)
    client.connect("127.0.0.1", port)
    client.subscribe(topic, qos=1)
    while not done:
        client.loop()
    client.disconnect()


def _publish(port: int, messages: Sequence[tuple[str, bytes]]) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.max_inflight_messages_set(1000)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for sent in [client.publish(topic, payload, qos=1) for topic, payload in messages]:
        sent.wait_for_publish(WITHIN_S)
    client.disconnect()
    client.loop_stop()

"""An MQTT broker that hands on anything: what is too long, broken, or comes slowly."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as paho
import pytest
from fuzz.lines import MESSAGES, Mutator
from paho.mqtt.enums import CallbackAPIVersion
from support.bundles import SENSORS, normal_rows
from support.commands import unmeasured
from support.measured import MOST_MB, Peak
from support.speaker import Speaker, sent

from edge_runtime.errors import SourceUnavailableError
from edge_runtime.mapping.form import Columns
from edge_runtime.mqtt.broker import Broker, Topic
from edge_runtime.mqtt.messages import MessageRows
from edge_runtime.sources.mqtt_feed import MqttSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mosquitto import Mosquitto

    from edge_runtime.sources.base import Batch

COLUMNS = Columns(("a", "b"))
NAMES = [sensor[0] for sensor in SENSORS]
T0 = 1_767_225_600
MIB = 1 << 20
LIMIT_S = 240.0
TOO_LONG, UNREADABLE = "longer than 1 MiB", "unreadable message"


@pytest.fixture
def root() -> str:
    """A topic of the test's own."""
    return f"h{uuid.uuid4().hex[:8]}"


def publish(broker: Mosquitto, *messages: tuple[str, bytes]) -> None:
    """Each is with the broker when this returns."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    for topic, payload in messages:
        client.publish(topic, payload, qos=1).wait_for_publish(60)
    client.disconnect()
    client.loop_stop()


def source(url: str, root: str, said: list[str], client: str = "") -> MqttSource:
    where = Broker.of(url, client or uuid.uuid4().hex, username=None, password_file=None)
    return MqttSource(where, Topic(f"{root}/{{machine}}"), COLUMNS, report=said.append)


def until(batches: Iterator[Batch], enough: Callable[[list[Batch]], bool]) -> list[Batch]:
    found, limit = list[Any](), time.monotonic() + LIMIT_S
    while not enough(found):
        assert time.monotonic() < limit, found
        found.append(next(batches))
    return found


def values(batches: list[Batch]) -> list[list[float]]:
    return [row for batch in batches for row in batch.readings.values.tolist()]


def skipped(batches: list[Batch]) -> Counter[str]:
    return sum((Counter(batch.skipped) for batch in batches), Counter())


def start(folder: Path, bundle: Path, broker: Mosquitto, root: str) -> subprocess.Popen[bytes]:
    words = ["run", "--source", "mqtt", "--broker", broker.url, "--topic", f"{root}/{{machine}}"]
    words += ["--sink", "jsonl", "--output", "out.jsonl", "--state", "ledger.sqlite", "--bundle", str(bundle)]
    return subprocess.Popen(
        [Path(sys.executable).parent / "edge-detect", *words],
        cwd=folder,
        env={**unmeasured(), "XDG_STATE_HOME": str(folder / "state")},
        stderr=subprocess.PIPE,
    )


def scored(folder: Path) -> int:
    path = folder / "out.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0


def wait(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.05)


def stop(process: subprocess.Popen[bytes]) -> str:
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=LIMIT_S)[1].decode()
    assert process.returncode == 0, said
    return said


def test_a_message_of_forty_megabytes_is_counted_and_acknowledged_in_little_memory(
    mosquitto: Mosquitto, root: str, bundle: Path, tmp_path: Path
) -> None:
    good = [
        (f"{root}/m", json.dumps({"time": T0 + at, **dict(zip(NAMES, row.tolist(), strict=True))}).encode())
        for at, row in enumerate(normal_rows(40, seed=1))
    ]
    process = start(tmp_path, bundle, mosquitto, root)
    peak = Peak(process.pid)
    wait((tmp_path / "ledger.sqlite").exists)
    time.sleep(1.0)  # subscribed
    long = (f"{root}/m", b"[" + good[0][1] + b"," + b" " * 40 * MIB + good[1][1] + b"]")
    publish(mosquitto, *good[:10], long, *good[10:20])
    wait(lambda: scored(tmp_path) == 20)
    said = stop(process)
    assert "it is longer than 1 MiB" in said
    assert "longer than 1 MiB: 1" in said
    assert peak.peak_mb() < MOST_MB
    # It is in the broker's session while nobody listens, and must not stop the next start.
    publish(mosquitto, long, *good[20:30])
    for again in range(2):
        process = start(tmp_path, bundle, mosquitto, root)
        peak = Peak(process.pid)
        wait(lambda: scored(tmp_path) == 30)
        time.sleep(1.5)  # committed, and acknowledged
        said = stop(process)
        assert ("longer than 1 MiB: 1" in said) is (again == 0), said
        assert peak.peak_mb() < MOST_MB


def test_mutated_messages_are_rows_or_counted_and_all_are_acknowledged(
    mosquitto: Mosquitto, root: str
) -> None:
    mutator = Mutator(0, MESSAGES)
    payloads = [mutator.mutated() for _ in range(2000)]
    offline = MessageRows(Topic(f"{root}/{{machine}}"), COLUMNS, "test", report=lambda _: None)
    wanted = [offline.readings([SimpleNamespace(topic=f"{root}/m", payload=one)]) for one in payloads]
    rows = [str(row) for readings, _ in wanted for row in readings.values.tolist()]
    counts: Counter[str] = sum((left_out for _, left_out in wanted), Counter())
    assert len(rows) > 200
    assert counts[UNREADABLE] > 200
    said: list[str] = []
    client = uuid.uuid4().hex
    feed = source(mosquitto.url, root, said, client)
    batches = feed.batches(None)
    first = [next(batches)]
    publish(mosquitto, *((f"{root}/m", payload) for payload in payloads))
    number = len(rows) + counts.total()

    def enough(found: list[Batch]) -> bool:
        feed.acknowledge()  # without which the broker stops after a thousand
        return len(values(found)) + skipped(found).total() >= number

    found = first + until(batches, enough)
    assert sorted(map(str, values(found))) == sorted(rows)
    assert skipped(found) == counts
    assert len(said) <= 30
    feed.acknowledge()
    feed.close()
    list(batches)
    again = source(mosquitto.url, root, said, client)
    batches = again.batches(None)
    next(batches)
    publish(mosquitto, (f"{root}/m", b'{"a":1,"b":2}'))
    assert values(until(batches, lambda found: bool(values(found)))) == [[1.0, 2.0]]
    again.close()


def test_a_long_message_that_comes_slowly_is_no_broker_that_has_gone_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge_runtime.mqtt.client.KEEP_ALIVE_S", 1)
    long = sent(b"x" * 2 * MIB, 7)
    step = len(long) // 24
    pieces = [long[at : at + step] for at in range(0, len(long), step)]
    # Six times as long as a broker may be silent.
    speaker = Speaker([*pieces, sent(b'{"a":1,"b":2}', 8)], pause_s=0.25)
    speaker.start()
    said: list[str] = []
    feed = source(f"mqtt://127.0.0.1:{speaker.port}", "t", said)
    batches = feed.batches(None)
    found = until(batches, lambda found: bool(values(found)))
    assert values(found) == [[1.0, 2.0]]
    assert skipped(found) == {TOO_LONG: 1}
    assert said == ["t/m: it is longer than 1 MiB"]
    feed.acknowledge()
    feed.close()
    list(batches)
    assert speaker.over.wait(LIMIT_S)
    assert speaker.acknowledged == [7, 8]


@pytest.mark.parametrize("command", [b"\x20", b"\x90", b"\xd0"])
def test_another_packet_that_is_too_long_is_a_broker_that_went_away(command: bytes) -> None:
    speaker = Speaker([command + b"\xff\xff\xff\x7f" + b"x" * 100_000])
    speaker.start()
    feed = source(f"mqtt://127.0.0.1:{speaker.port}", "t", [])
    with pytest.raises(SourceUnavailableError, match="the broker went away"):
        until(feed.batches(None), lambda _: False)


def test_what_tls_has_read_already_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=plant"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"),
        ],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    # In one record with the subscription's acknowledgement: after it the socket is silent.
    messages = b"".join(sent(b'{"a":%d,"b":2}' % at, at + 1) for at in range(20))
    speaker = Speaker([messages], context=context, at_once=True)
    speaker.start()
    feed = source(f"mqtts://127.0.0.1:{speaker.port}", "t", [])
    batches = feed.batches(None)
    found = until(batches, lambda found: len(found) == 12 or len(values(found)) == 20)
    assert [row[0] for row in values(found)] == list(range(20))
    feed.close()
    list(batches)

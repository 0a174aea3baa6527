"""The sink mqtt with a real broker: what arrives there, what stays there, and who is told what."""

from __future__ import annotations

import json
import signal
import socketserver
import subprocess
import sys
import time
import uuid
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from mosquitto import Mosquitto
from support.alarmtargets import some_changes
from support.authority import Authority
from support.mqttsink import DIGEST, change, made_sink, numbers, outlet_of, payloads, settings
from support.subscriber import Heard, Subscriber, forget, until
from support.targets import SENSORS, some_results

from edge_runtime.delivery.handling import as_text
from edge_runtime.delivery.ledger import Ledger
from edge_runtime.delivery.sender import Sender
from edge_runtime.errors import MissingExtraError, SinkError, SinkUnavailableError, UsageError
from edge_runtime.mqtt.topics import escaped
from edge_runtime.sinks.base import AlarmSink, StateSink, TendedSink, Verdicts
from edge_runtime.sinks.mqtt import MQTT, _own_id
from edge_runtime.sinks.rows import json_lines
from edge_runtime.timeparse import parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator

UNPACKED = Path(__file__).parents[2] / "build" / "mosquitto-package"
CHILD = """
import sys, time
sys.path[:0] = sys.argv[1].split(":")
from support.mqttsink import made_sink
sink = made_sink(sys.argv[2], sys.argv[3])
sink.check()
print("there", flush=True)
time.sleep(600)
"""


@pytest.fixture
def root(mosquitto: Mosquitto) -> Iterator[str]:
    """A topic of the test's own."""
    made = f"s{uuid.uuid4().hex[:8]}"
    yield made
    forget(mosquitto.port, made)


def retained(broker: Mosquitto, topic: str, number: int = 1) -> list[Heard]:
    """What a broker has for somebody who subscribes now."""
    with Subscriber(broker.port, topic) as newcomer:
        return newcomer.wait_for(number)


def test_each_change_arrives_once_in_order_with_all_of_its_fields(
    mosquitto: Mosquitto, root: str, tmp_path: Path
) -> None:
    sink = made_sink(mosquitto.url, root)
    assert isinstance(sink, AlarmSink)
    assert isinstance(sink, StateSink)
    assert isinstance(sink, TendedSink)
    changes, outlet = some_changes(), outlet_of(sink)
    entries = [("mqtt", payload, rows) for payload, rows in outlet.entries(None, changes, lambda _: [])]
    ledger = Ledger(tmp_path / "ledger.sqlite", "none")
    ledger.commit(checkpoint=None, states=[], payloads=entries, counters={})
    sender = Sender(outlet, ledger, pytest.fail)
    with Subscriber(mosquitto.port, f"{root}/+/alarm") as subscriber:
        sender.check()
        sender.start()
        until(lambda: not ledger.waiting("mqtt"))
        sender.stop(60)
        told = [one for one in changes if one.told or one.change in ("shelved", "out of service")]
        assert len(told) > 10
        heard = subscriber.wait_for(len(told))
    ledger.close()
    assert [one.content for one in heard] == [{**one.to_dict(), "told": one.told} for one in told]
    assert {(one.retained, one.qos) for one in heard} == {(False, 1)}
    assert [one.topic for one in heard] == [f"{root}/{one.fields['machine_id']}/alarm" for one in told]
    assert {one.content["told"] for one in heard} == {True, False}


def test_the_open_alarms_of_a_machine_are_retained_and_so_is_that_there_are_none(
    mosquitto: Mosquitto, root: str
) -> None:
    sink, fields = made_sink(mosquitto.url, root), some_changes()[0].fields
    sink.deliver([sink.encode_state("press-1", [fields, fields]), sink.encode_state("a/b", [])])
    sink.close()
    heard = {one.topic: one for one in retained(mosquitto, f"{root}/+/state", 2)}
    assert heard[f"{root}/press-1/state"].content == {"machine_id": "press-1", "alarms": [fields, fields]}
    assert heard[f"{root}/a%2Fb/state"].content == {"machine_id": "a/b", "alarms": []}
    assert all(one.retained for one in heard.values())
    again = made_sink(mosquitto.url, root)
    again.deliver([again.encode_state("press-1", [])])
    again.close()
    heard = {one.topic: one for one in retained(mosquitto, f"{root}/+/state", 2)}
    assert heard[f"{root}/press-1/state"].content == {"machine_id": "press-1", "alarms": []}


def test_rows_arrive_as_json_each_on_the_topic_of_its_machine(
    mosquitto: Mosquitto, root: str, bundle: Path
) -> None:
    results = some_results(bundle)
    sink = made_sink(mosquitto.url, root, takes=["rows"])
    ((payload, rows),) = outlet_of(sink, takes=["rows"]).entries(results, some_changes(), lambda _: [])
    with Subscriber(mosquitto.port, f"{root}/#") as subscriber:
        sink.deliver([payload])
        heard = subscriber.wait(lambda heard: len(heard) == rows + 1)[1:]
    sink.close()
    lines = [json.loads(line) for line in json_lines(results, SENSORS).splitlines()]
    assert [one.content for one in heard] == lines
    machines = [line["machine_id"] for line in lines]
    assert [one.topic for one in heard] == [f"{root}/{escaped(machine)}/row" for machine in machines]
    assert len(set(machines)) == 2


def test_what_waits_can_be_read_by_people(root: str, bundle: Path) -> None:
    sink = made_sink("mqtt://h", root, takes=["rows", "alarms"])
    results = some_results(bundle)
    for payload, count in ((payloads(sink, [change(1)])[0], 1), (sink.encode(results), len(results))):
        lines = [json.loads(line) for line in as_text(payload).splitlines()]
        assert len(lines) == count
        assert all([*line] == ["topic", "retain", "payload"] for line in lines)
        assert all(line["payload"]["machine_id"] in line["topic"] for line in lines)


def test_who_subscribes_learns_that_the_gateway_is_online_and_that_it_was_stopped(
    mosquitto: Mosquitto, root: str
) -> None:
    before = time.time_ns()
    sink = made_sink(mosquitto.url, root)
    sink.check()
    until(lambda: sink._presence._link.greeting.is_done)
    (online,) = retained(mosquitto, f"{root}/status")
    assert online.retained
    since = online.content.pop("since")
    assert before <= parse_time(since, 0) <= time.time_ns()
    assert json.loads(online.payload) == {"status": "online", "since": since, "bundle": DIGEST}
    sink.close()
    sink.close()
    (stopped,) = retained(mosquitto, f"{root}/status")
    assert (stopped.content["status"], stopped.content["reason"]) == ("offline", "stopped")


def test_the_broker_says_so_when_the_process_is_killed(mosquitto: Mosquitto, root: str) -> None:
    paths = ":".join(str(Path(__file__).parents[1] / one) for one in ("", "../packaging/demo"))
    words = [sys.executable, "-c", CHILD, paths, mosquitto.url, root]
    with (
        Subscriber(mosquitto.port, f"{root}/status") as subscriber,
        subprocess.Popen(words, stdout=subprocess.PIPE) as process,
    ):
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"there\n"
            subscriber.wait_for(1)
        finally:
            process.send_signal(signal.SIGKILL)
        heard = subscriber.wait_for(2)
    assert [one.content["status"] for one in heard] == ["online", "offline"]
    assert heard[1].content == {"status": "offline"}
    assert [one.content for one in retained(mosquitto, f"{root}/status")] == [{"status": "offline"}]


def test_a_topic_that_is_empty_switches_its_messages_off(mosquitto: Mosquitto, root: str) -> None:
    off: dict[str, Any] = {"state_topic": "", "status_topic": "", "row_topic": ""}
    sink = made_sink(mosquitto.url, root, **off)
    outlet = outlet_of(sink, **off)
    entries = [payload for payload, _ in outlet.entries(None, [change(1)], lambda _: [])]
    with Subscriber(mosquitto.port, f"{root}/#") as subscriber:
        assert sink.deliver(entries) == 1
        sink.close()
        other = made_sink(mosquitto.url, root)
        other.check()  # whose status comes last
        heard = subscriber.wait_for(2)
    other.close()
    assert [one.topic for one in heard] == [f"{root}/press-1/alarm", f"{root}/status"]


def test_what_can_never_be_published_is_refused_alone(
    mosquitto: Mosquitto, root: str, tmp_path: Path
) -> None:
    said: list[str] = []
    sink = made_sink(mosquitto.url, root, said.append)
    long = change(1, machine="x" * 66_000)
    broken = [b"{", b"no json", b'{"topic":"a/+","retain":false,"payload":{}}\n', sink.encode_alarm(long)]
    broken += [
        b'{"topic":"a","retain":0,"payload":{}}\n',
        b'{"topic":"a","retain":false,"payload":{"a":1',
        b"x\x9c",
    ]
    good = payloads(sink, [change(number) for number in range(len(broken) + 1)])
    mixed = [one for pair in zip(good, [*broken, b""], strict=True) for one in pair if one]
    ledger = Ledger(tmp_path / "ledger.sqlite", "none")
    entries = [("mqtt", payload, 1) for payload in mixed]
    ledger.commit(checkpoint=None, states=[], payloads=entries, counters={})
    sender = Sender(sink, ledger, said.append)
    with Subscriber(mosquitto.port, f"{root}/+/alarm") as subscriber:
        assert sender.drain() is None
        assert numbers(subscriber.wait_for(len(good))) == [*range(len(good))]
    assert ledger.sums("mqtt").dead == len(broken)
    assert "longer than 65,535 bytes" in "".join(said)
    sink.close()
    ledger.close()


def test_a_login_is_taken_from_a_variable_of_its_own(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Mosquitto(tmp_path / "broker", unpack_into=UNPACKED, login=("gateway", "secret")) as broker:
        monkeypatch.setenv("EDGE_DETECT_MQTT_PASSWORD", "secret")  # which is the source's
        for user, words in (
            (None, r"refuses the login .*; set username in \[mqtt_sink\], and its password"),
            ("gateway", r"refuses the login .*; check username and password_file in \[mqtt_sink\]"),
        ):
            with pytest.raises(SinkUnavailableError, match=words) as found:
                made_sink(broker.url, root, username=user).check()
            assert "secret" not in str(found.value)
        monkeypatch.setenv("EDGE_DETECT_MQTT_SINK_PASSWORD", "secret")
        sink = made_sink(broker.url, root, username="gateway")
        assert sink.deliver(payloads(sink, [change(1)])) == 1
        sink.close()


def test_a_password_that_was_replaced_is_read_again(root: str, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.touch(mode=0o600)
    with pytest.raises(UsageError, match="must hold one line"):
        made_sink("mqtt://h", root, username="gateway", password_file=str(file))
    file.write_text("before\n")
    with Mosquitto(tmp_path / "broker", unpack_into=UNPACKED, login=("gateway", "after")) as broker:
        sink = made_sink(broker.url, root, username="gateway", password_file=str(file))
        with pytest.raises(SinkUnavailableError, match="refuses the login"):
            sink.check()
        file.write_text("after\n")
        assert sink.deliver(payloads(sink, [change(1)])) == 1
        sink.close()
        file.unlink()
        assert sink.deliver(payloads(sink, [change(1)])) == 1
        sink.close()


def test_tls_goes_by_the_files_of_its_table(root: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    tls = (authority.cert, *authority.server)
    with Mosquitto(tmp_path / "broker", unpack_into=UNPACKED, tls=tls) as broker:
        sink = made_sink(broker.url, root, tls=authority.tables)
        assert sink.deliver(payloads(sink, [change(number) for number in range(300)])) == 300
        sink.close()
        stranger = made_sink(broker.url, root, tls={"ca_file": str(authority.cert)})
        with pytest.raises(SinkUnavailableError, match=r"set cert_file in \[tls\]"):
            stranger.deliver(payloads(stranger, [change(1)]))
        with pytest.raises(SinkUnavailableError, match=r"not trusted .*ca_file in \[tls\]"):
            made_sink(broker.url, root).check()
    with pytest.raises(UsageError, match="cannot read certificates"):
        made_sink("mqtts://127.0.0.1:1", root, tls={"ca_file": str(tmp_path / "none")})


def test_a_check_leaves_the_gateway_connected_and_nothing_behind(mosquitto: Mosquitto, root: str) -> None:
    sink = made_sink(mosquitto.url, root)
    verdicts = Verdicts(sensors=SENSORS, digest=DIGEST, report=pytest.fail)
    with Subscriber(mosquitto.port, f"{root}/#") as subscriber:
        sink.check()
        MQTT.probed(settings(mosquitto.url, root), verdicts)
        sink.deliver(payloads(sink, [change(1)]))
        heard = subscriber.wait_for(2)
    sink.close()
    assert [one.content.get("status") for one in heard] == ["online", None]


def test_another_server_is_named_by_check_and_by_the_sink(root: str) -> None:
    class Page(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(100)
            self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Page)
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"mqtt://127.0.0.1:{server.server_address[1]}"
    verdicts = Verdicts(sensors=SENSORS, digest=DIGEST, report=pytest.fail)
    for attempt in (made_sink(url, root).check, lambda: MQTT.probed(settings(url, root), verdicts)):
        with pytest.raises(SinkUnavailableError, match="HTTP server answers there, not an MQTT broker"):
            attempt()
    server.shutdown()
    server.server_close()


def test_an_id_is_the_gateways_and_no_sources() -> None:
    assert _own_id("host /a/ledger") == _own_id("host /a/ledger") != _own_id("host /b/ledger")
    assert _own_id("x").startswith("edge-detect-")
    assert len(_own_id("x").split("-")) > 3  # that of a source has two of them
    made = made_sink("mqtt://h", "r", client_id=None)
    assert made._presence._broker.client_id == _own_id("test")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"state_topic": "x/state"}, "put {machine_id} into it"),
        ({"state_topic": "x/{machine_id}/{kind}"}, "no placeholder {kind}"),
        ({"status_topic": "x/{machine_id}"}, "no placeholder {machine_id}"),
        ({"alarm_topic": "x/#"}, "those who subscribe"),
        ({"alarm_topic": "a/{machine_id}/{kind}", "state_topic": "a/{machine_id}/machine"}, "same topic as"),
        ({"alarm_topic": "", "state_topic": ""}, "what it takes has no topic"),
        ({"takes": ["rows"], "row_topic": ""}, "what it takes has no topic"),
        ({"client_id": ""}, "1 to 200 letters"),
        ({"client_id": "a\nb"}, "1 to 200 letters"),
        ({"timeout": 0.0}, "more than 0"),
        ({"url": "mqtt://ada:geheim@h"}, "has a login in it"),
        ({"url": "http://h"}, "not the address of an MQTT broker"),
        ({"only.priority": "urgent"}, "no priority"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as found:
        made_sink(**{"url": "mqtt://h", "root": "r", **changed})
    assert words in str(found.value)
    assert "geheim" not in str(found.value)


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(MissingExtraError, match=r"edge-detect\[mqtt\]"):
        made_sink("mqtt://127.0.0.1:1", "r").check()


def test_a_payload_that_is_none_is_no_error_of_the_broker(mosquitto: Mosquitto, root: str) -> None:
    sink = made_sink(mosquitto.url, root)
    assert sink.deliver([]) == 0
    with pytest.raises(SinkError, match="it is no message"):
        sink.deliver([b"{}"])
    sink.close()

"""The sink mqtt while lines break, brokers die, hang and refuse, and it is killed itself: nothing is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import uuid
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from influxd import free_ports
from mosquitto import Mosquitto
from support.brokerline import BrokerLine
from support.commands import unmeasured
from support.hanging import Silent
from support.mqttsink import change, made_sink, numbers, payloads, settings, with_clock
from support.postbox import Playing
from support.subscriber import Subscriber, forget, until

from edge_runtime.delivery.backoff import Backoff
from edge_runtime.delivery.ledger import Ledger
from edge_runtime.delivery.sender import Sender
from edge_runtime.errors import SinkUnavailableError
from edge_runtime.mqtt.broker import Broker
from edge_runtime.mqtt.link import Link
from edge_runtime.mqtt.outgoing import Message
from edge_runtime.sinks.base import Verdicts
from edge_runtime.sinks.mqtt import MQTT

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Sequence

TESTS = Path(__file__).parents[1]
UNPACKED = TESTS.parent / "build" / "mosquitto-package"
SOAK = bool(os.environ.get("EDGE_DETECT_SOAK"))
CUTS, RESTARTS, KILLS = (300, 10, 60) if SOAK else (15, 2, 4)
MANY = 40 * CUTS
CONNACK, DISCONNECT = b"\x20\x03\x00\x00\x00", b"\xe0\x00"
CHILD = """
import sys, time
sys.path[:0] = sys.argv[1].split(":")
from pathlib import Path
from edge_runtime.delivery.ledger import Ledger
from edge_runtime.delivery.sender import Sender
from support.mqttsink import made_sink
ledger = Ledger(Path(sys.argv[2]), "none")
sender = Sender(made_sink(sys.argv[3], sys.argv[4]), ledger, print)
sender.check()
sender.start()
while ledger.waiting("mqtt"):
    time.sleep(0.01)
sender.stop(60)
"""

pytestmark = pytest.mark.timeout(3000 if SOAK else 600)


@pytest.fixture
def root(mosquitto: Mosquitto) -> Iterator[str]:
    """A topic of the test's own."""
    made = f"t{uuid.uuid4().hex[:8]}"
    yield made
    forget(mosquitto.port, made)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that a test may stop."""
    with Mosquitto(tmp_path / "broker", unpack_into=UNPACKED) as server:
        yield server


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path / "ledger.sqlite", "none")
    yield made
    made.close()


def fill(ledger: Ledger, sink: Any, count: int) -> None:
    """Changes of two machines, and after each the state of its machine, which says how many there were."""
    entries = []
    for number in range(count):
        machine = f"press-{number % 2}"
        entries.append(sink.encode_alarm(change(number, machine)))
        entries.append(sink.encode_state(machine, [{"number": number}]))
    payloads = [("mqtt", payload, 1) for payload in entries]
    ledger.commit(checkpoint=None, states=[], payloads=payloads, counters={})


def assert_all_is_there(subscriber: Subscriber, broker: Mosquitto, root: str, count: int) -> int:
    """Each change came, the first time in its order, and the last state stays; how many came again."""
    subscriber.wait(lambda heard: len({*numbers(heard)}) == count)
    found = numbers(subscriber.heard)
    assert list(dict.fromkeys(found)) == [*range(count)]
    with Subscriber(broker.port, f"{root}/+/state") as newcomer:
        states = {one.topic: one.content["alarms"] for one in newcomer.wait_for(2)}
    assert sorted(one["number"] for (one,) in states.values()) == [count - 2, count - 1]
    return len(found) - count


def patient(sink: Any, ledger: Ledger, said: list[str]) -> Sender:
    return Sender(sink, ledger, said.append, backoff=Backoff(0.01, 0.05))


def test_a_line_that_is_cut_again_and_again_loses_nothing(
    mosquitto: Mosquitto, root: str, ledger: Ledger
) -> None:
    chosen = random.Random(7)  # noqa: S311 - where it is cut
    with BrokerLine(mosquitto.port) as line, Subscriber(mosquitto.port, f"{root}/+/alarm") as subscriber:
        line.cuts = [chosen.randrange(1, 30_000) for _ in range(CUTS)]
        sink, said = made_sink(line.url, root), list[str]()
        fill(ledger, sink, MANY)
        sender = patient(sink, ledger, said)
        sender.check()
        sender.start()
        until(lambda: not ledger.waiting("mqtt"))
        sender.stop(60)
        assert sender.failure is None
        again = assert_all_is_there(subscriber, mosquitto, root, MANY)
        assert not line.cuts
    assert again > 0
    assert ledger.sums("mqtt").delivered == 2 * MANY


def test_a_broker_that_is_restarted_again_and_again_gets_everything(
    own: Mosquitto, root: str, ledger: Ledger
) -> None:
    sink, said = made_sink(own.url, root), list[str]()
    fill(ledger, sink, MANY)
    sender = patient(sink, ledger, said)
    with Subscriber(own.port, f"{root}/+/alarm") as subscriber:
        sender.start()
        for restart in range(1, RESTARTS + 1):
            subscriber.wait_for(restart * MANY // (RESTARTS + 2))
            own.stop()
            own.start()
        until(lambda: not ledger.waiting("mqtt"))
        sender.stop(60)
        assert_all_is_there(subscriber, own, root, MANY)


def test_a_process_that_is_killed_again_and_again_delivers_everything(
    mosquitto: Mosquitto, root: str, tmp_path: Path
) -> None:
    path, count = tmp_path / "ledger.sqlite", 300 * KILLS
    ledger = Ledger(path, "none")
    fill(ledger, made_sink(mosquitto.url, root), count)
    ledger.close()
    folders = ":".join(map(str, (TESTS, TESTS.parent / "packaging" / "demo")))
    words = [sys.executable, "-c", CHILD, folders, str(path), mosquitto.url, root]
    with Subscriber(mosquitto.port, f"{root}/+/alarm") as subscriber:
        for kill in range(KILLS):
            with subprocess.Popen(words, env=unmeasured(), stdout=subprocess.DEVNULL) as process:
                reached = len(subscriber.heard) + 1 + 7 * kill
                until(lambda: len(subscriber.heard) >= reached or process.poll() is not None)  # noqa: B023
                process.send_signal(signal.SIGKILL)
        subprocess.run(words, env=unmeasured(), stdout=subprocess.DEVNULL, check=True, timeout=600)
        assert_all_is_there(subscriber, mosquitto, root, count)


class Clock:
    """Stands still until it is moved, or runs fast."""

    def __init__(self) -> None:
        self.now, self.runs = 1000.0, False

    def __call__(self) -> float:
        self.now += self.runs
        return self.now


def test_a_lost_connection_is_made_again_though_nothing_is_delivered(own: Mosquitto, root: str) -> None:
    said, clock = list[str](), Clock()
    sink = with_clock(own.url, root, said.append, clock)
    presence = sink._presence
    sink.tend()  # before it was ever connected
    sink.deliver([sink.encode_state("press-1", [{"number": 1}]), *payloads(sink, [change(1)])])
    clock.now += 100.0
    sink.tend()
    assert said == []
    own.kill()  # which has written nothing down
    until(lambda: presence._link.why_lost)
    waits, last = [], clock.now
    for _ in range(10):
        link = presence._link
        for _ in range(1000):
            sink.tend()
            clock.now += 0.25
            if presence._link is not link:
                break
        waits.append(clock.now - last)
        last = clock.now
        until(lambda: presence._link.why_lost)
    assert waits[1] < 1.5
    assert all(later > 1.3 * earlier for earlier, later in pairwise(waits[1:7]))
    assert 30 <= waits[-1] < 61
    assert len(said) == 1
    assert said[0].startswith("mqtt: ")
    assert "the broker went away" in said[0]
    own.start()
    clock.now += 61.0
    sink.tend()
    until(lambda: presence._link.is_open)
    sink.tend()
    sink.tend()
    assert said[1:] == ["mqtt: is connected again"]
    with Subscriber(own.port, f"{root}/#") as subscriber:
        heard = {one.topic: one for one in subscriber.wait_for(2)}
    assert heard[f"{root}/status"].content["status"] == "online"
    assert heard[f"{root}/press-1/state"].content == {"machine_id": "press-1", "alarms": [{"number": 1}]}
    sink.close()


def test_a_delivery_does_not_wait_for_the_next_try(own: Mosquitto, root: str) -> None:
    sink = with_clock(own.url, root, pytest.fail, Clock())
    sink.check()
    own.stop()
    until(lambda: sink._presence._link.why_lost)
    with pytest.raises(SinkUnavailableError, match="cannot be reached"):
        sink.deliver(payloads(sink, [change(1)]))
    sink.tend()  # which says nothing: it was said
    own.start()
    assert sink.deliver(payloads(sink, [change(1)])) == 1
    sink.close()


def test_a_broker_that_is_away_is_unavailable(root: str) -> None:
    sink = made_sink(f"mqtt://127.0.0.1:{free_ports(1)[0]}", root)
    for attempt in (sink.check, lambda: sink.deliver(payloads(sink, [change(1)]))):
        with pytest.raises(SinkUnavailableError, match="cannot be reached .*check that it runs"):
            attempt()
    sink.close()


def test_a_broker_that_hangs_before_it_accepts_holds_nobody_up(root: str) -> None:
    with Silent() as server:
        sink = made_sink(f"mqtt://127.0.0.1:{server.port}", root, pytest.fail, timeout=0.2)
        for _ in range(2):
            with pytest.raises(SinkUnavailableError, match=r"does not answer within 0.2 s; check that"):
                sink.deliver(payloads(sink, [change(1)]))
            sink.tend()
        sink.close()
        until(lambda: not threads_of(server.port))


def test_a_broker_that_acknowledges_nothing_is_given_up_and_gets_all_again(
    mosquitto: Mosquitto, root: str
) -> None:
    with BrokerLine(mosquitto.port) as line, Subscriber(mosquitto.port, f"{root}/+/alarm") as subscriber:
        clock = Clock()
        sink = with_clock(line.url, root, pytest.fail, clock, timeout=0.2)
        entries = payloads(sink, [change(number) for number in range(700)])
        connect(sink)
        assert sum(deliver_all(sink, entries[:100])) == 100
        line.mute, clock.runs = True, True
        with pytest.raises(SinkUnavailableError, match=r"acknowledged nothing for 0.2 s; .*raise timeout in"):
            sink.deliver(entries[100:])
        with pytest.raises(SinkUnavailableError, match="does not answer"):
            sink.deliver(entries[100:])
        sink.tend()
        until(lambda: sink._presence._link.why_lost)  # or it might wait for good for what was kept back
        line.mute, clock.runs = False, False
        connect(sink)
        taken = deliver_all(sink, entries[100:])
        assert taken[0] == 1  # alone, for it might be what the broker does not take
        assert sum(taken) == 600
        assert {*numbers(subscriber.wait(lambda heard: 699 in numbers(heard)))} == {*range(700)}
        line.mute, clock.runs = True, True
        sink.close()
        until(lambda: not threads_of(line.port))


def connect(sink: Any) -> None:
    """However long it takes."""

    def connected() -> bool:
        with suppress(SinkUnavailableError):
            sink.check()
            return True
        return False

    until(connected)


def deliver_all(sink: Any, entries: Sequence[bytes]) -> list[int]:
    """How many it took each time."""
    taken = list[int]()
    while sum(taken) < len(entries):
        taken.append(sink.deliver(entries[sum(taken) :]))
    return taken


def sockets() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def threads_of(port: int) -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.endswith(f":{port}")]


def with_a_long_one(sink: Any, ledger: Ledger) -> None:
    """Six changes, and a long state after three of them."""
    entries = payloads(sink, [change(number) for number in range(6)])
    long = sink.encode_state("long", [{"text": "x" * 3000}])
    waiting = [("mqtt", payload, 1) for payload in [*entries[:3], long, *entries[3:]]]
    ledger.commit(checkpoint=None, states=[], payloads=waiting, counters={})


def test_what_is_longer_than_the_broker_says_is_a_dead_letter(
    tmp_path: Path, root: str, ledger: Ledger
) -> None:
    said: list[str] = []
    with Mosquitto(tmp_path / "broker", unpack_into=UNPACKED, more=["max_packet_size 2000"]) as broker:
        sink = made_sink(broker.url, root, said.append)
        with_a_long_one(sink, ledger)
        with Subscriber(broker.port, f"{root}/+/alarm") as subscriber:
            assert patient(sink, ledger, said).drain() is None
            assert numbers(subscriber.wait_for(6)) == [*range(6)]
        sink.close()
    assert ledger.sums("mqtt").dead == 1
    assert "longer than the broker takes, which is 2,000 bytes" in said[0]
    assert "outbox send-again" in said[0]


def test_a_message_on_which_an_older_broker_hangs_up_is_named_and_waits_for_a_greater_limit(
    tmp_path: Path, root: str, ledger: Ledger
) -> None:
    said: list[str] = []
    with (
        Mosquitto(tmp_path / "broker", unpack_into=UNPACKED, more=["max_packet_size 2000"]) as broker,
        BrokerLine(broker.port) as line,
    ):
        line.knows_5 = False
        sink = made_sink(line.url, root, said.append)
        with_a_long_one(sink, ledger)
        sender = patient(sink, ledger, said)
        with Subscriber(broker.port, f"{root}/+/alarm") as subscriber:
            sender.start()
            until(lambda: any("lost again" in line for line in said))
            assert numbers(subscriber.wait_for(3))[:3] == [0, 1, 2]
            assert ledger.sums("mqtt").dead == 0
            assert 3 not in numbers(subscriber.heard)
            (found,) = [line for line in said if "lost again" in line]
            assert f"over a message of 3,044 bytes on {root}/long/state; the broker's log says" in found
            broker.stop()
            broker._more = ()
            broker.start()
            until(lambda: not ledger.waiting("mqtt"))
            assert {*numbers(subscriber.wait(lambda heard: 5 in numbers(heard)))} == {*range(6)}
        sender.stop(60)


def test_what_the_broker_does_not_allow_is_named_and_waits_until_it_does(
    tmp_path: Path, root: str, ledger: Ledger
) -> None:
    access, said = tmp_path / "access", list[str]()

    def allow(*topics: str) -> None:
        access.write_text("topic read #\n" + "".join(f"topic write {topic}\n" for topic in topics))

    allow()
    with Mosquitto(tmp_path / "broker", unpack_into=UNPACKED, more=[f"acl_file {access}"]) as broker:
        sink = made_sink(broker.url, root, said.append)
        entries = payloads(sink, [change(number) for number in range(9)])
        waiting = [("mqtt", payload, 1) for payload in entries]
        ledger.commit(checkpoint=None, states=[], payloads=waiting, counters={})
        sender = patient(sink, ledger, said)
        sender.start()
        mend = f"(not authorized); let the client '{root}-gateway' publish there"
        for allowed, refused in ((f"{root}/status", "status"), ("#", "press-1/alarm")):
            until(lambda: any(f"bytes on {root}/{refused} {mend}" in line for line in said))  # noqa: B023
            assert ledger.waiting("mqtt") == 9
            broker.stop()
            allow(allowed)
            broker.start()
        with Subscriber(broker.port, f"{root}/+/alarm") as subscriber:
            until(lambda: not ledger.waiting("mqtt"))
        sender.stop(60)
    assert ledger.sums("mqtt").delivered == 9
    assert len(subscriber.heard) < 30
    assert len(said) < 12


@pytest.mark.parametrize("polite", [True, False])
def test_a_broker_that_knows_only_an_older_version_gets_that(
    mosquitto: Mosquitto, root: str, *, polite: bool
) -> None:
    with BrokerLine(mosquitto.port) as line, Subscriber(mosquitto.port, f"{root}/#") as subscriber:
        line.knows_5, line.polite = False, polite
        sink = made_sink(line.url, root, pytest.fail)
        MQTT.probed(settings(line.url, root), Verdicts(sensors=(), digest="", report=pytest.fail))
        sink.deliver(payloads(sink, [change(1)]))
        made = line.made
        assert made == 5  # one of `check` asks what answers there, and then each tries two versions
        line.cut()
        until(lambda: sink._presence._link.why_lost)
        sink.deliver(payloads(sink, [change(2)]))
        assert line.made == made + 1
        # Another broker may be there after a while in which none was.
        line.knows_5, line.cuts = True, [1]
        line.cut()
        until(lambda: sink._presence._link.why_lost)
        with suppress(SinkUnavailableError):
            sink.check()
        sink.deliver(payloads(sink, [change(3)]))
        assert sink._presence._version == 5
        sink.close()
        subscriber.wait(lambda heard: heard[-1:] and heard[-1].content.get("reason") == "stopped")
        assert list(dict.fromkeys(numbers(subscriber.heard))) == [1, 2, 3]


def test_what_is_retained_does_not_keep_anything_else_from_getting_through(
    mosquitto: Mosquitto, root: str
) -> None:
    with BrokerLine(mosquitto.port) as line:
        sink = made_sink(line.url, root)
        states = [sink.encode_state(f"m{number}", [{"text": "x" * 9000}]) for number in range(3)]
        sink.deliver(states)
        for cuts, greets in (([5000], 4), ([], 1), ([], 4)):
            line.cuts = [*cuts]
            line.cut()
            until(lambda: sink._presence._link.why_lost)
            with suppress(SinkUnavailableError):
                sink.check()
            link = sink._presence._link
            (greeting,) = link.greeting._groups
            assert len(greeting) == greets
            assert greeting[0].topic == f"{root}/status"
            assert [one.topic for one in greeting[1:]] == [f"{root}/m{number}/state" for number in range(3)][
                : greets - 1
            ]
            until(lambda: link.greeting.is_done or link.why_lost)  # noqa: B023
            assert link.greeting.is_done is not bool(cuts)
        sink.close()


def test_a_farewell_that_does_not_get_through_leaves_it_to_the_will(root: str) -> None:
    got = bytearray()

    def play(connection: socket.socket) -> None:
        got.extend(connection.recv(1 << 16))
        connection.sendall(CONNACK)  # and nothing is acknowledged
        while data := connection.recv(1 << 16):
            got.extend(data)
        over.set()

    over = threading.Event()
    with Playing(play) as server:
        broker = Broker.of(f"mqtt://127.0.0.1:{server.port}", root, username=None, password_file=None)
        link = Link(broker, None, timeout=240.0, will=Message(root, b"offline", retain=True), table="here")
        link.wait_open()
        link.close(Message(root, b"stopped", retain=True), 0.5)
        assert over.wait(240)
    assert got[:1] == b"\x10"
    assert not got.endswith(DISCONNECT)
    assert "closed" in str(link.why_lost)


def test_another_client_with_the_same_id_is_hinted_at(mosquitto: Mosquitto, root: str) -> None:
    first, second = made_sink(mosquitto.url, root), made_sink(mosquitto.url, root)
    first.check()
    second.check()
    until(lambda: first._presence._link.why_lost)
    assert f"another client with the id '{root}-gateway'" in str(first._presence._link.why_lost)
    second.close()


def test_a_gateway_that_comes_back_before_the_broker_misses_it_is_online(
    mosquitto: Mosquitto, root: str
) -> None:
    with BrokerLine(mosquitto.port) as line, Subscriber(mosquitto.port, f"{root}/status") as subscriber:
        sink = made_sink(line.url, root)
        sink.check()
        subscriber.wait_for(1)
        line.hang_up()  # and the broker's end stays open
        until(lambda: sink._presence._link.why_lost)
        sink.check()
        heard = subscriber.wait_for(3)
        assert [one.content["status"] for one in heard] == ["online", "offline", "online"]
        with Subscriber(mosquitto.port, f"{root}/status") as newcomer:
            assert newcomer.wait_for(1)[0].content["status"] == "online"
        sink.close()


def test_connections_that_are_lost_leave_neither_threads_nor_sockets(mosquitto: Mosquitto, root: str) -> None:
    with BrokerLine(mosquitto.port) as line:
        sink = made_sink(line.url, root)
        sink.check()
        before = 0
        for lost in range(25):
            line.cut()
            until(lambda: sink._presence._link.why_lost)
            assert sink.deliver(payloads(sink, [change(lost)])) == 1
            line_ends = len(line._ends)
            until(lambda: len(threads_of(line.port)) == 1)
            assert line_ends == 2
            before = before or sockets()
        until(lambda: sockets() <= before)
        assert line.made == 26
        sink.close()
        until(lambda: not threads_of(line.port))

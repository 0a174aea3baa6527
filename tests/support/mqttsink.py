"""Sinks to a broker, and numbered changes of alarms to deliver there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_runtime.connector import Given
from edge_runtime.engine.alarms import Change
from edge_runtime.mqtt.broker import Broker
from edge_runtime.sinks.base import Verdicts
from edge_runtime.sinks.mqtt import MQTT
from edge_runtime.sinks.outlet import Outlet
from edge_runtime.sinks.publishing.sink import MqttSink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["DIGEST", "change", "made_sink", "numbers", "outlet_of", "payloads", "settings", "with_clock"]

SENSORS = ("temperature", "vibration", "pressure", "power")
DIGEST = "sha256:" + "ab" * 32
SECOND = 1_000_000_000
START = 1_790_000_000 * SECOND


def settings(url: str, root: str, tls: dict[str, str] | None = None, **changed: Any) -> Given:
    """Topics of the test's own, below a root."""
    own: dict[str, Any] = {
        "url": url,
        "client_id": f"{root}-gateway",
        "timeout": 60.0,
        **{f"{what}_topic": f"{root}/{{machine_id}}/{what}" for what in ("alarm", "state", "row")},
        "status_topic": f"{root}/status",
        **changed,
    }
    given = {name: value for name, value in own.items() if value is not None}
    return Given.of(MQTT, {"mqtt_sink": given, "tls": tls or {}}, "here")


def made_sink(url: str, root: str, said: Callable[[str], None] = print, **changed: Any) -> Any:
    """A sink that is not connected yet."""
    verdicts = Verdicts(sensors=SENSORS, digest=DIGEST, report=said, owner="test")
    return MQTT.made(settings(url, root, **changed), verdicts)


def with_clock(
    url: str, root: str, said: Callable[[str], None], clock: Callable[[], float], timeout: float = 60.0
) -> Any:
    """The same by a clock of the test's own."""
    given = settings(url, root)
    verdicts = Verdicts(sensors=SENSORS, digest=DIGEST, report=said)
    broker = Broker.of(url, f"{root}-gateway", username=None, password_file=None)
    made = MQTT.made(given, verdicts)
    assert isinstance(made, MqttSink)
    return MqttSink(lambda: (broker, None), made._topics, verdicts, timeout=timeout, clock=clock)


def outlet_of(sink: Any, **changed: Any) -> Outlet:
    """The sink with what goes there, by its settings."""
    takes, only = MQTT.chosen(settings("mqtt://h", "r", **changed))
    return Outlet(sink, takes, only, MQTT.tells)


def change(number: int, machine: str = "press-1") -> Change:
    """The change of an alarm with this number."""
    fields = {"event_id": f"{number:016x}", "revision": 1, "machine_id": machine, "kind": "machine"}
    fields |= {"subject": "", "priority": "low"}
    return Change("raised", START + number * SECOND, told=True, fields=fields)


def payloads(sink: Any, changes: Sequence[Change]) -> list[bytes]:
    """An entry of the outbox for each change."""
    return [sink.encode_alarm(one) for one in changes]


def numbers(heard: Sequence[Any]) -> list[int]:
    """The numbers of changes that came, in their order."""
    return [int(one.content["event_id"], 16) for one in heard if "event_id" in one.content]

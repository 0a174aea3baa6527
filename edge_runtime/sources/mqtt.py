"""The source `mqtt`: its settings, and what is made of them. `mqtt_feed.py` listens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.addresses import identity, same_server
from edge_runtime.config import setting
from edge_runtime.mapping.form import Columns, DefaultMachine, RecordForm
from edge_runtime.mqtt.broker import PASSWORD_VARIABLE, Broker, Topic
from edge_runtime.sources.base import Feed, Probe, SourceKind
from edge_runtime.sources.mqtt_feed import MqttSource
from edge_runtime.tls import TlsSettings

if TYPE_CHECKING:
    import ssl

    from edge_runtime.connector import Given

__all__ = ["MQTT", "MqttSettings", "context_of"]


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """Which broker, what on it, and as whom."""

    url: str = setting(
        "mqtt://127.0.0.1:1883",
        "Address of the broker; use mqtts:// for TLS, by what is in [tls].",
        flag="--broker",
    )
    topic: str = setting(
        "sensors/{machine}",
        "Topic to subscribe to; {machine} stands for the machine's id, + and # are the usual MQTT wildcards.",
        flag="--topic",
    )
    client_id: str | None = setting(
        None,
        "MQTT client id, under which the broker keeps messages while edge-detect is stopped. By default it "
        "is unique to this gateway and feed.",
        flag="--client-id",
    )
    username: str | None = setting(None, "User to log in as.")
    password_file: Path | None = setting(
        None, f"Private file with the user's password, instead of {PASSWORD_VARIABLE}."
    )


def _make(given: Given, feed: Feed) -> MqttSource:
    import hashlib  # noqa: PLC0415 - for this alone

    part = given[MqttSettings]
    own = hashlib.sha256(feed.owner.encode()).hexdigest()[:12]
    broker = Broker.of(
        part.url,
        part.client_id or f"edge-detect-{own}",
        username=part.username,
        password_file=part.password_file,
    )
    columns = Columns.of(feed.sensors, given[RecordForm], given[DefaultMachine].machine)
    return MqttSource(broker, Topic(part.topic), columns, report=feed.report, context=context_of(given))


def _probe(given: Given, feed: Feed) -> Probe:
    from edge_runtime.sources.mqtt_probe import MqttProbe  # noqa: PLC0415 - for `check` alone

    part = given[MqttSettings]
    columns = Columns.of(feed.sensors, given[RecordForm], given[DefaultMachine].machine)
    context = context_of(given)
    return MqttProbe(part.url, part.topic, columns, part.username, part.password_file, feed.report, context)


def context_of(given: Given) -> ssl.SSLContext | None:
    """What a client goes by; None where the broker does not talk TLS.

    Raises:
        UsageError: The broker has no address, or a file of [tls] cannot be used.
    """
    broker = Broker.of(given[MqttSettings].url, "", username=None, password_file=None)
    return given[TlsSettings].context() if broker.tls else None


def _identity(given: Given) -> str:
    part = given[MqttSettings]
    return identity("mqtt", part.url, topic=part.topic)


def _earlier_identity(given: Given) -> str:
    """Before, address and topic were stored as they were written."""
    part = given[MqttSettings]
    return f"mqtt {part.url} {part.topic}"


def _has_earlier(stored: str, given: Given) -> bool:
    """Whether a line as `_earlier_identity` made it differs in the address's spelling alone."""
    part = given[MqttSettings]
    kind, _, rest = stored.partition(" ")
    url, _, topic = rest.partition(" ")
    return (kind, same_server(url), topic) == ("mqtt", same_server(part.url), part.topic)


MQTT = SourceKind(
    name="mqtt",
    summary="Subscribes to a topic of an MQTT broker: JSON objects, arrays of them, or line protocol.",
    guarantee=(
        "Each message once: it is acknowledged when its rows are committed, and one that comes again is left "
        "out. That holds for messages of QoS 1 and a broker that keeps its sessions."
    ),
    tables={"mqtt": MqttSettings, "tls": TlsSettings, "map": RecordForm, "data": DefaultMachine},
    make=_make,
    identity=_identity,
    earlier_identity=_earlier_identity,
    has_earlier=_has_earlier,
    needs_ledger=True,
    probe=_probe,
)

"""The sink `mqtt`: its settings, and what is made of them. `publishing/sink.py` delivers."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.config import setting
from edge_runtime.errors import UsageError
from edge_runtime.mqtt.broker import Broker
from edge_runtime.mqtt.topics import TopicTemplate
from edge_runtime.sinks.base import ALARMS, EVERYTHING, ROWS, TAKES, Only, SinkKind, Verdicts
from edge_runtime.sinks.publishing.sink import TABLE, MqttSink, Topics, probe_broker
from edge_runtime.tls import TlsSettings

if TYPE_CHECKING:
    import ssl

    from edge_runtime.connector import Given

__all__ = ["MQTT", "MqttSinkSettings"]

PASSWORD_VARIABLE = "EDGE_DETECT_MQTT_SINK_PASSWORD"  # noqa: S105 - the variable's name
LONGEST_TIMEOUT_S = 3600.0
LONGEST_ID = 200  # letters; many a broker takes fewer, and says so
OTHER_THAN_HOST = re.compile(r"[^A-Za-z0-9-]+")
LONGEST_HOST = 40


@dataclass(frozen=True, slots=True)
class MqttSinkSettings:
    """Which broker, as whom, and on which topics."""

    url: str = setting(
        "mqtt://127.0.0.1:1883",
        "Address of the broker that alarms go to; use mqtts:// for TLS, by what is in [tls].",
    )
    client_id: str | None = setting(
        None,
        "MQTT client id, which no other client of the broker may have. By default it is made of this "
        "gateway's host name and ledger.",
    )
    username: str | None = setting(None, "User to log in as.")
    password_file: Path | None = setting(
        None, f"Private file with the user's password, instead of {PASSWORD_VARIABLE}."
    )
    timeout: float = setting(
        10.0, "Time within which the broker has to answer, and to acknowledge a message.", unit="s"
    )
    alarm_topic: str = setting(
        "edge-detect/{machine_id}/alarm",
        "Topic of the changes of alarms, in which {machine_id}, {kind}, {subject} and {client_id} may stand; "
        "empty for none.",
    )
    state_topic: str = setting(
        "edge-detect/{machine_id}/state",
        "Topic of the retained list of a machine's open alarms, in which {machine_id} must stand and "
        "{client_id} may; empty for none.",
    )
    row_topic: str = setting(
        "edge-detect/{machine_id}/row",
        "Topic of rows, in which {machine_id} and {client_id} may stand; empty for none.",
    )
    status_topic: str = setting(
        "edge-detect/status/{client_id}",
        "Topic of the retained message that says whether this gateway is online, in which {client_id} may "
        "stand; empty for none.",
    )
    takes: tuple[str, ...] = setting((ALARMS,), TAKES)
    only: Only = EVERYTHING

    def __post_init__(self) -> None:
        if not 0 < self.timeout <= LONGEST_TIMEOUT_S:  # which no NaN is
            raise UsageError(
                "the timeout must be more than 0 and at most an hour", where=f"[{TABLE}] timeout"
            )
        if self.client_id is not None and not (
            self.client_id.isprintable() and 0 < len(self.client_id) <= LONGEST_ID
        ):
            raise UsageError(
                "a client id has 1 to 200 letters, and no control codes", where=f"[{TABLE}] client_id"
            )


def _make(given: Given, verdicts: Verdicts) -> MqttSink:
    part = given[MqttSinkSettings]
    client_id = part.client_id or _own_id(verdicts.owner)
    topics = _topics(part, client_id)
    return MqttSink(lambda: _where(given, client_id), topics, verdicts, timeout=part.timeout)


def _probe(given: Given, verdicts: Verdicts) -> None:
    """Under an id of its own: a gateway that runs keeps its connection."""
    part = given[MqttSinkSettings]
    _make(given, verdicts)
    broker, context = _where(given, f"edge-detect-check-{uuid.uuid4().hex[:12]}")
    probe_broker(broker, context, part.timeout)


def _where(given: Given, client_id: str) -> tuple[Broker, ssl.SSLContext | None]:
    """The broker, and what TLS goes by where it talks that.

    Raises:
        UsageError: The settings are wrong, or a file of theirs cannot be used.
    """
    part = given[MqttSinkSettings]
    broker = Broker.of(
        part.url,
        client_id,
        username=part.username,
        password_file=part.password_file,
        variable=PASSWORD_VARIABLE,
    )
    return broker, given[TlsSettings].context() if broker.tls else None


def _own_id(owner: str) -> str:
    """An id that tells a person which gateway it is, and that no other feed has, nor a source."""
    import hashlib  # noqa: PLC0415 - for this alone
    import socket  # noqa: PLC0415 - the same

    host = OTHER_THAN_HOST.sub("-", socket.gethostname())[:LONGEST_HOST].strip("-")
    return f"edge-detect-{host or 'gateway'}-{hashlib.sha256(owner.encode()).hexdigest()[:8]}"


def _topics(part: MqttSinkSettings, client_id: str) -> Topics:
    """The topics of what is published.

    Raises:
        UsageError: One is none, two could be the same, or nothing would be published.
    """
    made: dict[str, TopicTemplate] = {}
    for what, template, names, needs in (
        ("alarm", part.alarm_topic, ("machine_id", "kind", "subject"), ()),
        ("state", part.state_topic, ("machine_id",), ("machine_id",)),
        ("row", part.row_topic, ("machine_id",), ()),
        ("status", part.status_topic, (), ()),
    ):
        if template and (what == "status" or (ROWS if what == "row" else ALARMS) in part.takes):
            where = f"[{TABLE}] {what}_topic"
            known = {"client_id": client_id}
            made[what] = TopicTemplate(template, names, where=where, needs=needs, known=known)
            for other in (other for other in made if other != what and made[other].may_meet(made[what])):
                raise UsageError(
                    f"it could be the same topic as {other}_topic",
                    where=where,
                    hint="give them different words at the same place",
                )
    if (ROWS in part.takes and "row" not in made) or (
        ALARMS in part.takes and not {"alarm", "state"} & {*made}
    ):
        raise UsageError(
            "what it takes has no topic",
            where=f"[{TABLE}] takes",
            hint="set the topic, or take the other alone",
        )
    return Topics(**{what: made.get(what) for what in ("alarm", "state", "row", "status")})


MQTT = SinkKind(
    name="mqtt",
    summary="Publishes alarms at an MQTT broker, each machine's open ones retained, and rows where asked to.",
    guarantee=(
        "At least once, in order: a message stays in the ledger until the broker has acknowledged it. After "
        "a lost connection some come twice."
    ),
    tables={"mqtt_sink": MqttSinkSettings, "tls": TlsSettings},
    make=_make,
    takes=(ROWS, ALARMS),
    settings=MqttSinkSettings,
    tells="told",
    probe=_probe,
)

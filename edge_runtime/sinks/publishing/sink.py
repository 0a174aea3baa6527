"""Publishes alarms and rows at an MQTT broker, and there says whether this gateway is online."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import SinkUnavailableError, printable
from edge_runtime.mqtt.client import MQTT_3, MQTT_5, require_paho
from edge_runtime.mqtt.link import Link
from edge_runtime.mqtt.losses import Losses
from edge_runtime.mqtt.presence import CLOSES_WITHIN_S, Presence
from edge_runtime.sinks.publishing.lines import check_sizes, packed, packed_rows, unpacked

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from edge_runtime.engine.alarms import Change
    from edge_runtime.errors import EdgeDetectError
    from edge_runtime.mqtt.broker import Broker
    from edge_runtime.mqtt.outgoing import Message
    from edge_runtime.mqtt.presence import Where
    from edge_runtime.mqtt.topics import TopicTemplate
    from edge_runtime.records import Results
    from edge_runtime.sinks.base import Verdicts

__all__ = ["TABLE", "MqttSink", "Topics", "probe_broker"]

TABLE = "mqtt_sink"
# Messages that are in memory together, except where one payload has more.
MAX_TOGETHER = 2000
MAX_TOPIC_LETTERS = 200


@dataclass(frozen=True, slots=True)
class Topics:
    """Where what is published; None for nowhere.

    Attributes:
        alarm: Each change of an alarm.
        state: A machine's open alarms, retained.
        row: Each row.
        status: Whether this gateway is online, retained.
    """

    alarm: TopicTemplate | None = None
    state: TopicTemplate | None = None
    row: TopicTemplate | None = None
    status: TopicTemplate | None = None


class MqttSink:
    """One broker.

    Args:
        where: Gives the broker, and the context of TLS where it talks that.
        topics: What goes where.
        verdicts: What the sink is made for.
        timeout: Seconds within which the broker has to answer.
        clock: Monotonic clock, in seconds.
    """

    name = "mqtt"

    def __init__(
        self,
        where: Callable[[], Where],
        topics: Topics,
        verdicts: Verdicts,
        *,
        timeout: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topics, self._sensors, self._report = topics, verdicts.sensors, verdicts.report
        self._presence = Presence(
            where,
            timeout=timeout,
            table=TABLE,
            status_topic=None if topics.status is None else topics.status.of(),
            bundle=verdicts.digest,
            report=self._say,
            clock=clock,
        )
        self._one_by_one = False
        # Which message the broker may not take, and whether that was said of a connection that was lost.
        self._suspect: Message | None = None
        self._suspected = set[bool]()

    def check(self) -> None:
        """Connects.

        Raises:
            MissingExtraError: The extra is not installed.
            SinkUnavailableError: The broker cannot be reached, or refuses.
        """
        require_paho()
        self._presence.opened()

    def resume(self, position: str | None, waiting: Sequence[bytes] = ()) -> None:
        """What comes again is published again."""

    def position(self) -> str | None:
        """Not needed."""
        return None

    def encode(self, results: Results) -> bytes:
        """A message for each row."""
        topic = self._topics.row
        if topic is None:
            return b""
        return packed_rows(results, self._sensors, lambda machine: topic.of(machine_id=machine))

    def encode_alarm(self, change: Change) -> bytes:
        """A message with the alarm's fields."""
        if self._topics.alarm is None:
            return b""
        fields = {**change.to_dict(), "told": change.told}
        names = {name: fields[name] for name in ("machine_id", "kind", "subject")}
        return packed(self._topics.alarm.of(**names), fields, retain=False)

    def encode_state(self, machine_id: str, alarms: Sequence[dict[str, Any]]) -> bytes:
        """A retained message; one without alarms says that there are none, and stays."""
        if self._topics.state is None:
            return b""
        content = {"machine_id": machine_id, "alarms": [*alarms]}
        return packed(self._topics.state.of(machine_id=machine_id), content, retain=True)

    def deliver(self, payloads: Sequence[bytes]) -> int:
        """Publishes payloads; returns how many the broker has acknowledged in full.

        Raises:
            SinkUnavailableError: It acknowledged none; a later try is made over another connection.
            SinkError: One of them can never be published, or is longer than this broker takes.
        """
        if not payloads:
            return 0
        groups = self._groups(payloads)
        link = self._presence.opened()
        check_sizes(groups, link.max_packet)
        arrived, error = link.send(groups)
        for group in groups[:arrived]:
            self._presence.remember(group)
        was_alone, self._one_by_one = self._one_by_one, error is not None
        if arrived or error is None:
            return arrived
        self._presence.was_told()
        if was_alone:
            self._tell_of(groups[0], error, lost=link.why_lost is not None)
        raise error

    def tend(self) -> None:
        """Connects again where the connection is lost, so that the broker knows that this gateway lives."""
        self._presence.tend()

    def close(self) -> None:
        """Says that this gateway stops, and hangs up; within seconds."""
        self._presence.close()

    def _groups(self, payloads: Sequence[bytes]) -> list[list[Message]]:
        """The messages of some of the first payloads: of one, if the connection was lost over several.

        Raises:
            SinkError: One of them could not be published anywhere.
        """
        groups: list[list[Message]] = []
        count = 0
        for payload in payloads[:1] if self._one_by_one else payloads:
            group = unpacked(payload)
            if count and count + len(group) > MAX_TOGETHER:
                break
            groups.append(group)
            count += len(group)
        return groups

    def _say(self, text: str) -> None:
        self._report(f"{self.name}: {text}")

    def _tell_of(self, group: Sequence[Message], error: EdgeDetectError, *, lost: bool) -> None:
        """Says once which message did not get through again, though it went alone, and once why."""
        longest = max(group, key=lambda one: len(one.payload))
        if longest != self._suspect:
            self._suspect, self._suspected = longest, set()
        if lost in self._suspected:
            return
        self._suspected.add(lost)
        if not lost:
            self._say(str(error))
            return
        self._say(
            f"the connection was lost again over a message of {len(longest.payload):,} bytes on "
            f"{printable(longest.topic, MAX_TOPIC_LETTERS)}; the broker's log says whether it takes none "
            "that long, or none there"
        )


def probe_broker(broker: Broker, context: ssl.SSLContext | None, timeout: float) -> None:
    """Connects, and leaves nothing behind.

    Raises:
        MissingExtraError: The extra is not installed.
        SinkUnavailableError: The broker cannot be reached, or refuses, or another server answers there.
    """
    require_paho()
    if (another := Losses(broker, timeout, TABLE).another_server()) is not None:
        raise another
    for version in (MQTT_5, MQTT_3):
        link = Link(broker, context, timeout=timeout, table=TABLE, version=version)
        try:
            link.wait_open()
        except SinkUnavailableError:
            if not link.wants_older:
                raise
        else:
            return
        finally:
            link.close(None, CLOSES_WITHIN_S)

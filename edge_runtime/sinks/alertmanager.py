"""Alarms as alerts of a Prometheus Alertmanager, by version 2 of its API.

To an Alertmanager, an alert is its labels, and its end tells whether it is over. It resolves an alert by
itself that is not sent again within its `resolve_timeout`, unless the alert has an end of its own: that of an
alarm which is active lies far ahead.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edge_runtime.config import setting
from edge_runtime.engine.alarms import PRIORITIES
from edge_runtime.engine.alarmtext import described, sentence, title
from edge_runtime.errors import UsageError, printable
from edge_runtime.sinks.base import ALARMS, SinkKind, Verdicts
from edge_runtime.sinks.posting.sink import Message, PostingSink, change_of, together
from edge_runtime.sinks.posting.target import PostSettings, variable_of
from edge_runtime.timeparse import format_time, parse_time
from edge_runtime.tls import TlsSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edge_runtime.connector import Given
    from edge_runtime.engine.alarms import Change
    from edge_runtime.sinks.posting.http import Answer
    from edge_runtime.sinks.posting.target import Target

__all__ = ["ALERTMANAGER", "AlertmanagerSettings", "AlertmanagerSink"]

PATH = "/api/v2/alerts"
NAMES = {"machine": "EdgeDetectMachine", "sensor": "EdgeDetectSensor"}
FAR_AHEAD = parse_time("2199-12-31T00:00:00Z", 0)
MAX_LETTERS = 1000


@dataclass(frozen=True, slots=True, repr=False)
class AlertmanagerSettings(PostSettings):
    """Which Alertmanager."""

    url: str | None = setting(
        None, "Address of the Alertmanager, such as http://127.0.0.1:9093, without a login."
    )
    url_file: Path | None = setting(
        None,
        "Private file with that address, where it is a secret, "
        f"instead of {variable_of('alertmanager', 'url')}.",
    )
    token_file: Path | None = setting(
        None,
        "Private file with a token to send as Authorization: Bearer, "
        f"instead of {variable_of('alertmanager', 'token')}.",
    )

    def __post_init__(self) -> None:
        PostSettings.__post_init__(self)
        if self.only.changes:
            raise UsageError(
                "an Alertmanager needs every change to know which alarms are over",
                where="[alertmanager] only.changes",
                hint="leave it out; choose by machines, kinds and priority",
            )


class Alert(NamedTuple):
    """An alert.

    Attributes:
        labels: What it is.
        annotations: What is said of it.
        starts: When it began, nanoseconds since the epoch.
        ends: When it ended or will, nanoseconds since the epoch.
    """

    labels: dict[str, str]
    annotations: dict[str, str]
    starts: int
    ends: int

    def to_dict(self) -> dict[str, Any]:
        """As the API has it."""
        times = {"startsAt": format_time(self.starts), "endsAt": format_time(self.ends)}
        return {"labels": self.labels, "annotations": self.annotations, **times}


class AlertmanagerSink(PostingSink):
    """Posts what became of alarms together, each alert once.

    Args:
        settings: Which Alertmanager.
        tls: By what TLS knows it, and it us.

    Raises:
        UsageError: The settings are wrong or incomplete, or a file cannot be read.
    """

    name = "alertmanager"

    def __init__(self, settings: AlertmanagerSettings, tls: TlsSettings) -> None:
        super().__init__(settings, tls)
        self._least = settings.only.priority

    def deliver(self, payloads: Sequence[bytes]) -> int:
        """Posts what all of them lead to; returns their number.

        Raises:
            SinkUnavailableError: Try again later.
            SinkError: The Alertmanager will never take them.
        """
        newest: dict[tuple[tuple[str, str], ...], Alert] = {}
        for payload in payloads:
            for alert in _alerts(change_of(payload), self._least):
                newest[tuple(sorted(alert.labels.items()))] = alert
        if newest:
            with self._posting() as poster:
                answer = self._post(poster, _message(newest.values()))
                # An end that is still to come by the Alertmanager's own clock gives way to the one far ahead
                # that it has already, and the alert would never be over.
                late = list(_ended_by(newest.values(), _time_of(answer)))
                if late:
                    self._post(poster, _message(late))
        return len(payloads)

    def _path(self, target: Target) -> str:
        path, mark, query = target.path.partition("?")
        path = path.rstrip("/")
        return f"{path if path.endswith(PATH) else path + PATH}{mark}{query}"


def _message(alerts: Iterable[Alert]) -> Message:
    body = json.dumps([alert.to_dict() for alert in alerts]).encode()
    return Message(body, together(body))


def _alerts(change: Change, least: str) -> Iterator[Alert]:
    """What a change leads to: an alert, and the end of the one under each priority that the alarm had before.

    Args:
        change: The change.
        least: The least priority of what goes there.
    """
    fields = change.fields
    raised = parse_time(fields["raised"], 0)
    suspended = fields["shelved_until"] is not None or fields["out_of_service"]
    ends = FAR_AHEAD
    if suspended or not fields["active"]:
        ends = change.time if fields["returned"] is None else parse_time(fields["returned"], 0)
    notes = _annotations(change)
    yield Alert(_labels(fields, fields["priority"]), notes, raised, max(raised, ends))
    if change.change == "priority":
        for priority in PRIORITIES[PRIORITIES.index(least) : PRIORITIES.index(fields["priority"])]:
            yield Alert(_labels(fields, priority), notes, raised, max(raised, change.time))


def _labels(fields: dict[str, Any], priority: str) -> dict[str, str]:
    labels = {
        "alertname": NAMES.get(fields["kind"], "EdgeDetect"),
        "machine_id": fields["machine_id"],
        "kind": fields["kind"],
        "subject": fields["subject"],
        "priority": priority,
    }
    return {name: value for name, value in labels.items() if value}  # an empty one is none


def _annotations(change: Change) -> dict[str, str]:
    fields = change.fields
    notes = {
        "summary": title(change),
        "description": sentence(change),
        "event_id": fields["event_id"],
        "severity": "" if fields["severity"] is None else f"{fields['severity']:.3g}",
        "sensors": ", ".join(described(sensor) for sensor in fields["sensors"]),
        "acknowledged_by": fields["acknowledged_by"] if fields["acked"] else "",
        "comment": fields["comment"],
    }
    return {name: printable(value, MAX_LETTERS) for name, value in notes.items() if value}


def _time_of(answer: Answer) -> int:
    """The Alertmanager's time, nanoseconds since the epoch; far ahead where it does not say."""
    try:
        return int(parsedate_to_datetime(answer.date or "").timestamp()) * 1_000_000_000
    except (ValueError, TypeError, OverflowError):
        return FAR_AHEAD


def _ended_by(alerts: Iterable[Alert], now: int) -> Iterator[Alert]:
    """Those that are over, and whose end is still to come by this time; they end, and began, by then."""
    for alert in alerts:
        if now < alert.ends < FAR_AHEAD:
            yield alert._replace(starts=min(alert.starts, now), ends=now)


def _make(given: Given, _: Verdicts) -> AlertmanagerSink:
    return AlertmanagerSink(given[AlertmanagerSettings], given[TlsSettings])


ALERTMANAGER = SinkKind(
    name="alertmanager",
    summary="Shows alarms as alerts of a Prometheus Alertmanager.",
    guarantee=(
        "At least once, and an alert that comes again replaces itself. An Alertmanager forgets its alerts "
        "when it is restarted, of which nothing is known here: they are shown again with their next change."
    ),
    tables={"alertmanager": AlertmanagerSettings, "tls": TlsSettings},
    make=_make,
    takes=(ALARMS,),
    settings=AlertmanagerSettings,
    tells="told",
)

"""Where the sinks deliver to that post: a receiver that knows a post again by its Idempotency-Key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from influxd import free_ports
from support.target import AlarmTarget, flat_row

from edge_runtime.engine.alarmtext import sentence
from edge_runtime.errors import EdgeDetectError, SinkUnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.feeds import Document
    from support.receiving import Receiver
    from support.target import Broken

    from edge_runtime.engine.alarms import Change

__all__ = ["AlertmanagerTarget", "NtfyTarget", "SlackTarget", "TeamsTarget", "WebhookTarget"]

PRIORITIES = ("low", "medium", "high")


class PostTarget(AlarmTarget):
    """A receiver of posts.

    Attributes:
        path: Of its address.
    """

    undoes = False
    path = "/hooks/plant"
    whole = False

    @property
    def receiver(self) -> Receiver:
        found: Receiver = self.request.getfixturevalue("receiver")
        return found

    def document(self, **changed: Any) -> Document:
        return {self.kind.name: {"url": f"{self.receiver.url}{self.path}", "timeout": 60.0, **changed}}

    def posted(self) -> list[Any]:
        """What the receiver has, each thing once."""
        return [one.document for one in self.receiver.taken.values()]

    def rows(self) -> list[dict[str, Any]]:
        return [flat_row(row) for post in self.posted() for row in post]

    def wanted(self, changes: Sequence[Change]) -> list[Any]:
        return [sentence(change) for change in changes]

    def broken(self) -> Broken:
        empty, open_to_all = self.folder / "empty", self.folder / "open"
        empty.write_text("")
        empty.chmod(0o600)
        open_to_all.write_text("token")
        open_to_all.chmod(0o644)
        url = f"{self.receiver.url}{self.path}"
        makes: dict[str, tuple[type[EdgeDetectError], Document]] = {
            "nobody listens": (SinkUnavailableError, self.away()),
            "no address": (UsageError, {}),
            "not http": (UsageError, self.document(url=f"ftp://127.0.0.1{self.path}")),
            "a login": (UsageError, self.document(url=url.replace("//", "//ada:secret@"))),
            "two addresses": (UsageError, self.document(url_file=str(empty))),
            "an empty file": (UsageError, self.document(token_file=str(empty))),
            "a file that others may read": (UsageError, self.document(token_file=str(open_to_all))),
            "no file": (UsageError, self.document(token_file=str(self.folder / "none"))),
            "no time": (UsageError, self.document(timeout=0.0)),
        }
        return {label: (error, self.with_tables(document)) for label, (error, document) in makes.items()}

    def away(self) -> Document:
        return self.document(url=f"http://127.0.0.1:{free_ports(1)[0]}{self.path}")


class WebhookTarget(PostTarget):
    """A receiver of one's own, of alarms or of rows."""

    whole = True

    def document(self, **changed: Any) -> Document:
        takes = ["rows"] if self.takes_rows else ["alarms"]
        return super().document(takes=takes, **changed)

    # The contract of rows has other tests than that of alarms, and each asks for what it is about.
    @property
    def takes_rows(self) -> bool:
        return bool(self.request.node.path.name == "test_every_sink.py")

    def changes(self) -> list[Any]:
        found = self.posted()
        for one in found:
            assert one.pop("text").startswith(f"alarm {one['event_id']} ")
        return found

    def wanted(self, changes: Sequence[Change]) -> list[Any]:
        return [change.to_dict() for change in changes]


class AlertmanagerTarget(PostTarget):
    """What an Alertmanager would show: for each alert whether it is active, as the newest post has it."""

    path = "/alerting"

    def changes(self) -> list[Any]:
        newest = {}
        for post in self.receiver.posts:
            assert post.path == "/alerting/api/v2/alerts"
            for alert in post.document:
                newest[json.dumps(alert["labels"], sort_keys=True)] = alert["endsAt"] > "2100"
        return sorted(newest.items())

    def wanted(self, changes: Sequence[Change]) -> list[Any]:
        newest = {}
        for change in changes:
            fields = change.fields
            labels = {name: fields[name] for name in ("machine_id", "kind", "priority")}
            labels["alertname"] = f"EdgeDetect{fields['kind'].capitalize()}"
            if fields["subject"]:
                labels["subject"] = fields["subject"]
            told = fields["shelved_until"] is None and not fields["out_of_service"]
            newest[json.dumps(labels, sort_keys=True)] = fields["active"] and told
            if change.change == "priority":
                for lower in PRIORITIES[: PRIORITIES.index(fields["priority"])]:
                    newest[json.dumps({**labels, "priority": lower}, sort_keys=True)] = False
        return sorted(newest.items())


class PeopleTarget(PostTarget):
    """A service that shows people a message for each change."""

    def document(self, **changed: Any) -> Document:
        return super().document(at_once=1000, **changed)


class NtfyTarget(PeopleTarget):
    """A topic."""

    def changes(self) -> list[Any]:
        assert {(one.path, one.document["topic"]) for one in self.receiver.posts} <= {("/hooks/", "plant")}
        return [one["message"] for one in self.posted()]


class SlackTarget(PeopleTarget):
    """A channel."""

    def changes(self) -> list[Any]:
        texts = [one["text"].partition("\n")[2] for one in self.posted()]
        return [text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") for text in texts]


class TeamsTarget(PeopleTarget):
    """A channel's workflow."""

    def changes(self) -> list[Any]:
        cards = [one["attachments"][0]["content"] for one in self.posted()]
        return [card["body"][1]["inlines"][0]["text"] for card in cards]

"""Where mails are delivered to: a mail box, in which a mail that comes again is known by its Message-ID."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from influxd import free_ports
from support.postbox import PostBox
from support.target import AlarmTarget

from edge_runtime.errors import EdgeDetectError, SinkUnavailableError, UsageError

if TYPE_CHECKING:
    from support.feeds import Document
    from support.target import Broken

__all__ = ["MailTarget"]


class MailTarget(AlarmTarget):
    """A mail server, whose mails have their changes attached."""

    undoes = False
    _box: PostBox | None = None

    @property
    def box(self) -> PostBox:
        """The server, which is started when it is needed."""
        if self._box is None:
            self._box = PostBox().__enter__()
            self.request.addfinalizer(self._box.stop)
        return self._box

    def document(self, **changed: Any) -> Document:
        own = {"port": self.box.port, "security": "none", "attach": True, "at_once": 1000}
        people = {"sender": "edge@plant.example", "to": ["ada@plant.example"]}
        return {"email": {**own, **people, **changed}}

    def changes(self) -> list[Any]:
        mails = {mail["Message-ID"]: mail for mail in self.box.mails}
        found: list[Any] = []
        for mail in mails.values():
            (attached,) = mail.iter_attachments()
            found += json.loads(attached.get_content(), parse_constant=pytest.fail)
        return found

    def broken(self) -> Broken:
        makes: dict[str, tuple[type[EdgeDetectError], Document]] = {
            "nobody to write to": (UsageError, self.document(to=[])),
            "nobody who writes": (UsageError, self.document(sender="")),
            "no such protection": (UsageError, self.document(security="ssl")),
            "no time": (UsageError, self.document(timeout=0.0)),
            "nobody listens": (SinkUnavailableError, self.away()),
            "no TLS": (SinkUnavailableError, self.document(security="tls")),
        }
        return {label: (error, self.with_tables(document)) for label, (error, document) in makes.items()}

    def away(self) -> Document:
        return self.document(port=free_ports(1)[0])

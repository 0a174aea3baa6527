"""Alarms as mails: one for each change and, in a flood, one about all that gathered."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

from edge_runtime.errors import SinkError, printable
from edge_runtime.sinks.base import ALARMS, SinkKind, Verdicts
from edge_runtime.sinks.mailing.settings import MailSettings, people_of, server_of
from edge_runtime.sinks.pace import Pace
from edge_runtime.sinks.posting.sink import change_of
from edge_runtime.tls import TlsSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime.connector import Given
    from edge_runtime.engine.alarms import Change
    from edge_runtime.records import Results
    from edge_runtime.sinks.mailing.message import Address
    from edge_runtime.sinks.mailing.server import MailServer, Session
    from edge_runtime.sinks.mailing.text import Gateway

__all__ = ["EMAIL", "MailSink"]

MAX_MAILS = 20  # over one connection
EVENT = re.compile(r"[0-9A-Za-z]{1,64}")


class MailSink:
    """Sends alarms as mails.

    Args:
        server: The mail server.
        sender: From whom.
        recipients: To whom.
        gateway: Where people would answer.
        pace: How often.
        report: Takes one line for a person.
        prefix: What subjects begin with.
        attached: Whether changes are attached as JSON.

    Attributes:
        pace: As above.
    """

    name = "email"

    def __init__(
        self,
        server: MailServer,
        sender: Address,
        recipients: Sequence[Address],
        gateway: Gateway,
        pace: Pace,
        report: Callable[[str], None],
        *,
        prefix: str = "[edge-detect]",
        attached: bool = False,
    ) -> None:
        self.pace = pace
        self._server = server
        self._sender = sender
        self._recipients = recipients
        self._gateway = gateway
        self._report = report
        self._prefix = prefix
        self._attached = attached
        self._refused: set[str] = set()  # recipients, at the last mail

    def check(self) -> None:
        """Connects, begins TLS and logs in, and sends nothing.

        Raises:
            SinkUnavailableError: One of these does not work.
        """
        with self._server.session():
            pass

    def resume(self, position: str | None, waiting: Sequence[bytes] = ()) -> None:
        """A mail that was sent cannot be undone."""

    def position(self) -> str | None:
        """Not needed."""
        return None

    def encode(self, results: Results) -> bytes:  # noqa: ARG002 - it takes alarms alone
        """Nothing: rows do not go here."""
        return b""

    def encode_alarm(self, change: Change) -> bytes:
        """The change as JSON: it becomes a mail when it is clear whether others come with it."""
        return change.to_line()

    def deliver(self, payloads: Sequence[bytes]) -> int:
        """Sends a mail for each change; where there are more than may go at once, one about all of them.

        Returns:
            How many changes the server has taken, in one mail or in several.

        Raises:
            SinkUnavailableError: It took none, and may take them later.
            SinkError: It will never take the first mail.
        """
        changes = [_change(payload) for payload in payloads]
        single = self.pace.singles(len(changes))
        mails = [[change] for change in changes[:MAX_MAILS]] if single else [changes]
        taken = 0
        if not changes:
            return taken
        try:
            with self._server.session() as session:
                for mail in mails:
                    self._send(session, mail)
                    self.pace.spent(digest=not single)
                    taken += len(mail)
        except SinkError:
            if not taken:
                raise  # otherwise it is raised when what is left is tried
        return taken

    def close(self) -> None:
        """Nothing is kept open between mails."""

    def _send(self, session: Session, changes: Sequence[Change]) -> None:
        people = [self._sender, *self._recipients]
        refused = session.submit(
            str(self._sender),
            [str(address) for address in self._recipients],
            self._mail(changes),
            utf8=any(address.needs_utf8 for address in people),
        )
        for recipient in refused.keys() - self._refused:
            said = f"refuses {recipient} ({refused[recipient]}); mails go to the others alone"
            self._report(f"{self.name}: {self._server.place}: {said}")
        self._refused = {*refused}

    def _mail(self, changes: Sequence[Change]) -> bytes:
        from edge_runtime.sinks.mailing.message import message  # noqa: PLC0415 - where a mail is sent
        from edge_runtime.sinks.mailing.text import about_many, about_one  # noqa: PLC0415

        try:
            if len(changes) == 1:
                letter = about_one(changes[0], self._gateway, self._prefix)
            else:
                letter = about_many(changes, self._gateway, self._prefix)
            return message(letter, changes, self._sender, self._recipients, attached=self._attached)
        except (LookupError, TypeError, ValueError, AttributeError) as error:  # of another version's making
            raise SinkError(f"a change that cannot be put into words ({type(error).__name__})") from None


def _change(payload: bytes) -> Change:
    """A change as it was encoded; headers name its id and revision."""
    change = change_of(payload)
    event, revision = change.fields["event_id"], change.fields["revision"]
    if not isinstance(event, str) or not EVENT.fullmatch(event) or type(revision) is not int:
        raise SinkError("what waited in the ledger is no change of an alarm")
    return change


def _make(given: Given, verdicts: Verdicts) -> MailSink:
    from edge_runtime.sinks.mailing.text import Gateway  # noqa: PLC0415 - where mails are sent

    own = given[MailSettings]
    sender, recipients = people_of(own)
    return MailSink(
        server_of(own, given[TlsSettings]),
        sender,
        recipients,
        Gateway(printable(socket.gethostname()), verdicts.state or "ledger.sqlite"),
        Pace(own.at_once, own.gather_s),
        verdicts.report,
        prefix=own.subject_prefix,
        attached=own.attach,
    )


EMAIL = SinkKind(
    name="email",
    summary="Sends alarms as mails; in a flood, one mail about all that came together.",
    guarantee="At least once: a mail that a crash lets go out twice has the same Message-ID both times.",
    tables={"email": MailSettings, "tls": TlsSettings},
    make=_make,
    takes=(ALARMS,),
    settings=MailSettings,
    tells="people",
)

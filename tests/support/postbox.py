"""A mail server of one's own on the loopback, and servers that play what a bad one does."""

from __future__ import annotations

import email.policy
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from influxd import free_ports

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from email.message import EmailMessage

    from aiosmtpd.smtp import SMTP, Envelope, Session

__all__ = ["LOGIN", "Playing", "PostBox"]

LOGIN = ("edge", "s3cret-ünd lang")


class PostBox:
    """Takes mails, or answers as told; a `with` block.

    Args:
        tls: For TLS from the start.
        starttls: For STARTTLS, without which no mail is taken then.
        logins: Whether only `LOGIN` is let in.
        options: Of aiosmtpd.

    Attributes:
        port: Where it listens.
        mails: What it took, oldest first.
        envelopes: Of each, from whom and to whom.
        connections: How often somebody began a session.
        answers: Command, or address of a recipient, to what is answered instead of 250.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        starttls: ssl.SSLContext | None = None,
        logins: bool = False,
        **options: Any,
    ) -> None:
        self.port: int = free_ports(1)[0]
        self.mails: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.envelopes: list[tuple[str, list[str]]] = []
        self.connections = 0
        self.answers: dict[str, str] = {}
        self.logged_in: list[bytes] = []
        if starttls is not None:
            options |= {"tls_context": starttls, "require_starttls": True}
        if logins:
            options |= {"auth_required": True, "authenticator": self._is_known}
        self._controller = Controller(
            self, hostname="127.0.0.1", port=self.port, ssl_context=tls, ready_timeout=300, **options
        )

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends it."""
        self._controller.stop(no_assert=True)

    def _is_known(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _how: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logged_in.append(data.login)
        known = (data.login.decode(), data.password.decode()) == LOGIN
        return AuthResult(success=known, handled=known, message=self.answers.get("AUTH"))

    async def handle_EHLO(  # noqa: N802
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return [self.answers["EHLO"]] if "EHLO" in self.answers else responses

    async def handle_MAIL(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if "MAIL" in self.answers:
            return self.answers["MAIL"]
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.answers:
            return self.answers[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        mail = email.message_from_bytes(content, policy=email.policy.default)
        answer = next(
            (self.answers[key] for key in ("DATA", str(mail["Subject"])) if key in self.answers), None
        )
        if answer is not None:
            return answer
        self.raw.append(content)
        self.mails.append(mail)
        self.envelopes.append((str(envelope.mail_from), list(envelope.rcpt_tos)))
        return "250 OK"


class Playing:
    """A server that does with each connection as told; a `with` block.

    Args:
        play: What it does, with the connection; it is closed afterwards.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, play: Callable[[socket.socket], None]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._play = play
        self._kept: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._kept:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _accept(self) -> None:
        with suppress(OSError):  # the block ended
            while True:
                connection, _ = self._listener.accept()
                self._kept.append(connection)
                with connection, suppress(OSError):
                    self._play(connection)

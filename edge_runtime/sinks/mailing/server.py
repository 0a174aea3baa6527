"""A mail server: how a session with it begins, how it gets a mail, and what its answers mean."""

from __future__ import annotations

import base64
import smtplib
import socket
import ssl
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.errors import SinkError, SinkUnavailableError, UsageError, printable
from edge_runtime.secrets import read_secret
from edge_runtime.sinks.mailing.wire import Wire, own_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge_runtime.tls import TlsSettings

__all__ = ["PASSWORD_VARIABLE", "STARTTLS", "TLS", "MailServer", "Session"]

PASSWORD_VARIABLE = "EDGE_DETECT_SMTP_PASSWORD"  # noqa: S105 - the variable's name
STARTTLS, TLS = "starttls", "tls"
WITHOUT_STARTTLS = (
    'check port in [email]; security = "tls" is for a server with TLS from the start, as at port 465'
)
# So many times the timeout may opening a session last, and so may a mail, however lively the server is.
PATIENCE, QUIT_S = 4, 5.0
READY, OK, CLOSING, GO_AHEAD, LOGGED_IN = 220, 250, 421, 334, 235
TOO_LARGE, LOGIN_FIRST, REFUSING, LASTING = 552, 530, 400, 500
# What some servers say of the sender only when they have the whole mail.
OF_SENDER = ("sendasdenied", "send as", "5.7.60")


@dataclass(frozen=True, slots=True)
class MailServer:
    """Which server, and as whom.

    Attributes:
        host: Name or address.
        port: Port.
        security: `STARTTLS`, `TLS` or anything else for neither.
        tls: Which authorities to trust.
        timeout: Seconds for which it may be silent.
        username: None for nobody.
        password_file: Where the password is; None for the environment.
    """

    host: str
    port: int
    security: str
    tls: TlsSettings
    timeout: float
    username: str | None = None
    password_file: Path | None = None

    @property
    def place(self) -> str:
        """The server, for messages."""
        return f"mail server {self.host}:{self.port}"

    def password(self) -> str | None:
        """What its file, or the environment, holds now.

        Raises:
            UsageError: The file cannot be read, or may be read by others.
        """
        return read_secret(self.password_file, PASSWORD_VARIABLE) if self.username else None

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A connection that is ready to send mails.

        Raises:
            SinkUnavailableError: There is none now; or what was done with it failed for now.
            SinkError: What was done with it failed for good.
        """
        session = Session(self)
        try:
            with self._explained():
                session.open()
                yield session
            with suppress(OSError, ValueError, SinkError):
                session.leave()
        finally:
            session.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What goes wrong with a connection, as an error of this project."""
        what, hint = "", "check host, port and security in [email], and that the server runs"
        try:
            yield
        except UsageError as error:  # a file is not what it was at the start
            raise SinkUnavailableError(error.what, where=error.where, hint=error.hint) from None
        except smtplib.SMTPServerDisconnected:
            what = "it hung up"
        except ssl.SSLCertVerificationError as error:
            what = f"its certificate is not trusted ({error.verify_message})"
            hint = "set ca_file in [tls] to its authority's certificate, and host to a name that it is for"
        except ssl.SSLError as error:
            what = f"cannot be reached (TLS: {error.reason or error})"
            hint = 'check security in [email]: it is usually "starttls" at port 587, and "tls" at port 465'
        except TimeoutError:
            what = "no answer in time"
        except socket.gaierror:
            what, hint = "there is no such host", "check host in [email]"
        except (OSError, ValueError) as error:  # a name that no resolver takes is a ValueError
            what = f"cannot be reached ({getattr(error, 'strerror', None) or type(error).__name__})".lower()
        if what:
            raise SinkUnavailableError(what, where=self.place, hint=hint)


class Session(Wire):
    """A connection to a mail server.

    Args:
        server: The server.
    """

    def __init__(self, server: MailServer) -> None:
        super().__init__(server.place, server.timeout)
        self._server = server

    def open(self) -> None:
        """Connects, begins TLS and logs in, as the settings say."""
        server = self._server
        self.begin(PATIENCE * server.timeout)
        context = server.tls.context() if server.security in (STARTTLS, TLS) else None
        self.sock = socket.create_connection((server.host, server.port), self.left())
        if context is not None and server.security == TLS:
            self._wrap(context)
        self._expect(READY, *self.getreply(), "does not take connections now")
        self.local_hostname = own_name(self.sock)
        self._greet()
        if context is not None and server.security == STARTTLS:
            if not self.has_extn("starttls"):
                raise self.away("offers no STARTTLS", WITHOUT_STARTTLS)
            self._expect(READY, *self.docmd("STARTTLS"), "does not begin TLS now")
            if self.unread:  # sent before TLS by somebody who wants it to be read as if it came with it
                raise self.away("says more than was asked before TLS begins", "it is not to be trusted")
            self._wrap(context)
            self._greet()
        if server.username and (password := server.password()):
            self._log_in(server.username, password)

    def submit(
        self, sender: str, recipients: Sequence[str], mail: bytes, *, utf8: bool = False
    ) -> dict[str, str]:
        """Sends a mail.

        Args:
            sender: Its address.
            recipients: Addresses, each with letters that the server takes.
            mail: Header lines and text.
            utf8: Whether addresses have letters that only some servers take.

        Returns:
            The recipients that the server refuses, with what it says; never all of them.

        Raises:
            SinkUnavailableError: Nobody gets it, and it may be tried again later.
            SinkError: The server will never take this mail.
        """
        self.begin(PATIENCE * self._server.timeout)
        if utf8 and not self.has_extn("smtputf8"):
            raise self.away("takes only addresses of ASCII letters", "use others in [email]")
        most = self.esmtp_features.get("size", "")
        if most.isdigit() and 0 < int(most) < len(mail):
            raise SinkError(f"takes {int(most):,} bytes, and the mail has {len(mail):,}", where=self.place)
        options = [f"size={len(mail)}"] if self.has_extn("size") else []
        code, words = self.mail(sender, [*options, "SMTPUTF8", "BODY=8BITMIME"] if utf8 else options)
        if code == TOO_LARGE:
            raise SinkError(f"refuses the mail ({self.said(code, words)})", where=self.place)
        self._expect(OK, code, words, f"refuses mails from {sender}", "check sender in [email]")
        refused = {}
        for recipient in recipients:
            code, words = self.rcpt(recipient)
            if code == CLOSING:
                self._expect(OK, code, words, "ends the session")
            if not _is_ok(code):
                refused[recipient] = self.said(code, words)
        if len(refused) == len(recipients):
            recipient, said = next(iter(refused.items()))
            raise self.away(f"refuses every recipient, such as {recipient} ({said})", "check to in [email]")
        try:
            code, words = self.data(mail)
        except smtplib.SMTPDataError as error:
            code, words = error.smtp_code, bytes(error.smtp_error)  # type: ignore[arg-type]
            if code < REFUSING:  # it took nothing
                raise self.away(f"does not take the mail ({self.said(code, words)})") from None
        self._judge(code, words)
        return refused

    def leave(self) -> None:
        """Says goodbye."""
        self.begin(min(QUIT_S, self._server.timeout))
        self.quit()

    def _wrap(self, context: ssl.SSLContext) -> None:
        assert self.sock is not None  # noqa: S101 - it was connected
        self.sock.settimeout(self.left())
        self.sock = context.wrap_socket(self.sock, server_hostname=self._server.host)

    def _greet(self) -> None:
        self._expect(OK, *self.ehlo(), "does not greet")

    def _log_in(self, username: str, password: str) -> None:
        both, user, secret = (_packed(text) for text in (f"\0{username}\0{password}", username, password))
        self.secrets = (both, secret, password)
        offered = self.esmtp_features.get("auth", "").upper().split()
        if "PLAIN" in offered:
            code, words = self.docmd("AUTH", f"PLAIN {both}")
            answers = [both]
        elif "LOGIN" in offered:
            code, words = self.docmd("AUTH", "LOGIN")
            answers = [user, secret]
        else:
            listed = printable(", ".join(offered)) or "none"
            raise self.away(
                f"offers no login by password that is known here ({listed})",
                "check port and security in [email], or leave username out if the server needs no login",
            )
        while code == GO_AHEAD and answers:
            code, words = self.docmd(answers.pop(0))
        hint = f"check username, and password_file or {PASSWORD_VARIABLE}"
        self._expect(LOGGED_IN, code, words, "refuses the login", hint)

    def _judge(self, code: int, words: bytes) -> None:
        """What the server says of a whole mail."""
        if _is_ok(code):
            return
        said = self.said(code, words)
        if code < LASTING:
            raise self.away(f"does not take the mail now ({said})")
        if code == LOGIN_FIRST:
            raise self.away(f"wants a login ({said})", "set username and password_file in [email]")
        if any(word in said.lower() for word in OF_SENDER):
            raise self.away(f"refuses the sender ({said})", "check sender in [email]")
        raise SinkError(f"refuses the mail ({said})", where=self.place)

    def _expect(self, wanted: int, code: int, words: bytes, what: str, hint: str | None = None) -> None:
        """That the server answered so; whatever else it says may be mended, there or in the settings."""
        if code == wanted or (wanted == OK and _is_ok(code)):
            return
        if code == LOGIN_FIRST:
            hint = "set username and password_file in [email]"
        raise self.away(f"{what} ({self.said(code, words)})", hint if code >= LASTING else None)


def _is_ok(code: int) -> bool:
    return OK <= code < OK + 10


def _packed(text: str) -> str:
    return base64.b64encode(text.encode()).decode()

"""The table `[email]`: which mail server, from whom, to whom, and how often."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.config import setting
from edge_runtime.errors import UsageError, printable
from edge_runtime.sinks.base import ALL_ALARMS, OnlyAlarms

if TYPE_CHECKING:
    from edge_runtime.sinks.mailing.message import Address
    from edge_runtime.sinks.mailing.server import MailServer
    from edge_runtime.tls import TlsSettings

__all__ = ["MailSettings", "people_of", "server_of"]

PORTS = {"starttls": 587, "tls": 465, "none": 25}
MAX_PORT, LONGEST_S = 65_535, 86_400.0
MOST_AT_ONCE, LONGEST_GATHER_S = 10_000, 3600.0
# So many mailboxes any server takes at once.
MAX_RECIPIENTS = 100


@dataclass(frozen=True, slots=True)
class MailSettings:
    """Which server, from whom, to whom, and how often."""

    host: str = setting("127.0.0.1", "Name or address of the mail server.")
    port: int | None = setting(None, "Its port; 587, 465 or 25 unless given, depending on security.")
    security: str = setting(
        "starttls",
        'How the connection is protected: "starttls", "tls" from the start, or "none". What is asked for is '
        "never left out.",
    )
    username: str | None = setting(None, "User to log in as, if the server wants a login.")
    password_file: Path | None = setting(
        None, "Private file with the user's password, instead of EDGE_DETECT_SMTP_PASSWORD."
    )
    sender: str = setting("", "Address that mails come from, such as edge-detect@plant.example.")
    to: tuple[str, ...] = setting((), 'Addresses that mails go to, such as "Ada <ada@plant.example>".')
    subject_prefix: str = setting("[edge-detect]", "What each subject begins with.")
    attach: bool = setting(
        False, "Whether changes are also attached as JSON, for programs that read such mails."
    )
    timeout: float = setting(30.0, "Time for which the server may be silent.", unit="s")
    at_once: int = setting(5, "Number of mails that are sent at once; more changes are gathered into one.")
    gather_s: float = setting(60.0, "Time for which more changes than that are gathered.", unit="s")
    only: OnlyAlarms = ALL_ALARMS

    def __post_init__(self) -> None:
        if not 0 < self.timeout <= LONGEST_S:
            raise UsageError("timeout must be above 0 and at most a day", where="[email] timeout")
        if not 0 <= self.gather_s <= LONGEST_GATHER_S:
            raise UsageError("gather_s must be 0 to an hour", where="[email] gather_s")
        if not 1 <= self.at_once <= MOST_AT_ONCE:
            raise UsageError(f"at_once must be 1 to {MOST_AT_ONCE:,}", where="[email] at_once")
        if self.port is not None and not 0 < self.port <= MAX_PORT:
            raise UsageError(f"port must be 1 to {MAX_PORT}", where="[email] port")
        if self.security not in PORTS:
            raise UsageError(
                f"'{printable(self.security)}' is no protection",
                where="[email] security",
                hint=f"it is one of: {', '.join(PORTS)}",
            )


def people_of(own: MailSettings) -> tuple[Address, list[Address]]:
    """From whom, and to whom.

    Raises:
        UsageError: One of them is missing, or is no address.
    """
    from edge_runtime.sinks.mailing.message import Address  # noqa: PLC0415 - where mails are sent

    if not own.sender:
        raise UsageError(
            "mails need a sender", where="[email] sender", hint='such as sender = "edge-detect@plant.example"'
        )
    if not own.to:
        raise UsageError(
            "mails need recipients", where="[email] to", hint='such as to = ["ada@plant.example"]'
        )
    recipients = {str(one): one for one in (Address.of(text, "[email] to") for text in own.to)}
    if len(recipients) > MAX_RECIPIENTS:
        raise UsageError(
            f"more than {MAX_RECIPIENTS} recipients", where="[email] to", hint="use that of a mailing list"
        )
    return Address.of(own.sender, "[email] sender"), list(recipients.values())


def server_of(own: MailSettings, tls: TlsSettings) -> MailServer:
    """The mail server, of which it is certain that its secret and certificates can be read.

    Raises:
        UsageError: They cannot, or the settings do not fit together.
    """
    from edge_runtime.sinks.mailing.server import PASSWORD_VARIABLE, MailServer  # noqa: PLC0415

    if not own.host or not own.host.isprintable() or set(own.host) & set(" /@[]"):
        raise UsageError(
            f"'{printable(own.host)}' is not the name of a mail server",
            where="[email] host",
            hint="write for instance mail.plant.example",
        )
    server = MailServer(
        host=own.host,
        port=own.port or PORTS[own.security],
        security=own.security,
        tls=tls,
        timeout=own.timeout,
        username=own.username or None,
        password_file=own.password_file,
    )
    if own.password_file is not None and not own.username:
        raise UsageError("a password without its user", where="[email] password_file", hint="set username")
    if own.username and not server.password():
        raise UsageError(
            "a user without a password",
            where="[email] username",
            hint=f"set password_file, or {PASSWORD_VARIABLE} in the environment",
        )
    if own.security != "none":
        tls.context()
    elif own.username and not _is_here(own.host):
        raise UsageError(
            "a password would go over the network as anybody can read it",
            where="[email] security",
            hint='set security = "starttls" or "tls", or leave username out',
        )
    return server


def _is_here(host: str) -> bool:
    """Whether it is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

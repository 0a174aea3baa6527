"""Where to listen: the broker with its login, and the topic with the machine's id in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edge_runtime.errors import UsageError
from edge_runtime.secrets import read_secret

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PASSWORD_VARIABLE", "Broker", "Topic"]

PASSWORD_VARIABLE = "EDGE_DETECT_MQTT_PASSWORD"  # noqa: S105 - the variable's name


@dataclass(frozen=True, slots=True)
class Broker:
    """Where, and as whom.

    Attributes:
        host: Name or address.
        port: Port.
        tls: Whether to talk TLS.
        client_id: Under which the broker keeps the session.
        username: None for nobody.
        password: Its password.
    """

    host: str
    port: int
    tls: bool
    client_id: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def place(self) -> str:
        """The server, for messages."""
        return f"mqtt{'s' * self.tls}://{self.host}:{self.port}"

    @staticmethod
    def of(
        url: str,
        client_id: str,
        *,
        username: str | None,
        password_file: Path | None,
        variable: str = PASSWORD_VARIABLE,
    ) -> Broker:
        """A broker out of its address; the password comes from a private file or the environment.

        Args:
            url: The address.
            client_id: As whom to connect.
            username: None for nobody.
            password_file: None for the environment.
            variable: Of the environment.

        Raises:
            UsageError: That is no address, it has a login in it, or the file may be read by others.
        """
        shown = url.rpartition("@")[2]  # a password would stand before it
        try:
            parts = urlsplit(url)
            fits = parts.scheme in ("mqtt", "mqtts") and bool(parts.hostname) and parts.path in ("", "/")
            port = parts.port
        except ValueError:
            fits, port = False, None
        if not fits:
            raise UsageError(
                f"'{shown}' is not the address of an MQTT broker",
                hint="write for instance mqtt://127.0.0.1:1883",
            )
        if "@" in parts.netloc:
            raise UsageError(
                f"the address of the broker {shown} has a login in it",
                hint="set username, and keep the password in password_file",
            )
        tls = parts.scheme == "mqtts"
        password = read_secret(password_file, variable) if username else None
        return Broker(
            str(parts.hostname), port or (8883 if tls else 1883), tls, client_id, username, password
        )


class Topic:
    """A topic with "{machine}" where the machine's id stands, or without.

    Raises:
        UsageError: It is no topic.
    """

    def __init__(self, topic: str) -> None:
        levels = topic.split("/")
        if not topic or "#" in topic[:-1] or levels.count("{machine}") > 1:
            raise UsageError(f"'{topic}' is not a topic", hint="write for instance plant/{machine}/readings")
        self.subscription = topic.replace("{machine}", "+")
        if (
            levels[0] == "$share"
        ):  # a subscription shared by a group: its messages' topics begin after the group
            levels = levels[2:]
        self.alone = "/".join(levels)
        parts = {"{machine}": "(?P<machine>[^/]+)", "+": "[^/]*", "#": ".*"}
        self._pattern = re.compile("/".join(parts.get(level, re.escape(level)) for level in levels))

    def machine(self, topic: str) -> str:
        """The id in a message's topic; empty where there is none."""
        found = self._pattern.fullmatch(topic)
        return (found and found.groupdict().get("machine")) or ""

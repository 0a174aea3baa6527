"""Where posts go: an address and what a receiver knows us by, out of settings and private files."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from edge_runtime.addresses import PORTS
from edge_runtime.config import setting
from edge_runtime.errors import UsageError
from edge_runtime.secrets import read_secret
from edge_runtime.sinks.base import ALL_ALARMS, OnlyAlarms

__all__ = ["PostSettings", "Target", "target_of", "variable_of"]

LONGEST_TIMEOUT_S = 3600.0
PREFIX = "whsec_"  # of a secret that is written as the Standard Webhooks specification has it
# A shorter part of an address is no secret that anybody would have to guess.
SHORTEST_SECRET = 4


def variable_of(kind: str, what: str) -> str:
    """The environment variable of a secret, such as "EDGE_DETECT_SLACK_URL"."""
    return f"EDGE_DETECT_{kind}_{what}".upper()


# Settings whose values may hold what nobody else should see have no representation.
@dataclass(frozen=True, slots=True, repr=False)
class PostSettings:
    """What all sinks have that post to a server; each kind says in its own words what is posted where."""

    url: str | None = setting(None, "Address of the receiver.")
    url_file: Path | None = setting(None, "Private file with that address.")
    token_file: Path | None = setting(None, "Private file with a token.")
    timeout: float = setting(15.0, "Time within which a post must be answered.", unit="s")
    only: OnlyAlarms = ALL_ALARMS

    def __post_init__(self) -> None:
        if not 0 < self.timeout <= LONGEST_TIMEOUT_S:
            raise UsageError("timeout must be more than 0, and at most an hour", where=self.table)

    @property
    def table(self) -> str:
        """The table's name in its brackets, for messages."""
        return f"[{type(self).__name__.removesuffix('Settings').lower()}]"


@dataclass(frozen=True, slots=True)
class Target:
    """An address, and what a receiver knows us by.

    Attributes:
        kind: Of which sink, which is also the name of its table.
        url: The address; never shown.
        token: Sent as `Authorization: Bearer`; None for none. Never shown.
        secret: The key of signatures; None for none. Never shown.
    """

    kind: str
    url: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    secret: bytes | None = field(default=None, repr=False)

    @property
    def is_tls(self) -> bool:
        """Whether the address begins with https."""
        return self._parts.scheme == "https"

    @property
    def host(self) -> str:
        """The server's name or number."""
        return self._parts.hostname or ""

    @property
    def port(self) -> int:
        """The server's port."""
        return self._parts.port or PORTS[self._parts.scheme]

    @property
    def host_header(self) -> str:
        """Host and port as HTTP has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self._parts.port}" if self._parts.port else host

    @property
    def path(self) -> str:
        """The path, with the query."""
        parts = self._parts
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    @property
    def place(self) -> str:
        """What messages show of it."""
        return f"{self._parts.scheme}://{self.host_header}"

    @property
    def secrets(self) -> list[str]:
        """What must not be shown, though a server's answer may repeat it; the longest first."""
        parts = self._parts
        found = {*parts.path.split("/"), *parts.query.replace("=", "&").split("&"), parts.query}
        found |= {unquote(one) for one in found}
        if self.token is not None:
            found.add(self.token)
        if self.secret is not None:
            found |= {self.secret.decode(errors="replace"), base64.b64encode(self.secret).decode()}
        return sorted((one for one in found if len(one) >= SHORTEST_SECRET), key=len, reverse=True)

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.url)


def target_of(kind: str, settings: PostSettings, secret_file: Path | None = None) -> Target:
    """Where a sink posts, as its settings and the files that they name have it now.

    Args:
        kind: Of which sink.
        settings: Its settings.
        secret_file: The file with the key of signatures.

    Raises:
        UsageError: They are wrong or incomplete, or a file cannot be read.
    """
    if settings.url is not None and settings.url_file is not None:
        raise UsageError("url and url_file are both set", where=f"[{kind}]", hint="leave one of them out")
    url = settings.url
    if url is None:
        url = read_secret(settings.url_file, variable_of(kind, "url"))
    if not url:
        raise UsageError(
            f"the sink {kind} needs an address",
            hint=f"set url or url_file in [{kind}], or {variable_of(kind, 'url')}",
        )
    _check_address(url, _origin(kind, settings))
    variable = variable_of(kind, "token")
    token = read_secret(settings.token_file, variable)
    # What no header can carry would come back in http.client's own error, token and all.
    if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
        raise UsageError(
            "the token contains characters that are not allowed in a token",
            where=str(settings.token_file or variable),
            hint="copy it again",
        )
    return Target(kind, url, token, _key(secret_file, kind))


def _origin(kind: str, settings: PostSettings) -> str:
    """Where an address comes from."""
    if settings.url is not None:
        return f"[{kind}] url"
    return str(settings.url_file or variable_of(kind, "url"))


def _check_address(url: str, where: str) -> None:
    """Makes sure that something can be posted there. The address itself may be a secret, and is not shown."""
    hint = "write for instance https://example.org/path"
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise UsageError("this is not an address of http or https", where=where, hint=hint)
    if parts.username is not None or parts.password is not None:
        raise UsageError("the address contains a login", where=where, hint="use token_file for a token")
    if "#" in url:
        raise UsageError("the address contains a #, after which nothing is sent", where=where, hint=hint)


def _key(file: Path | None, kind: str) -> bytes | None:
    """The key of signatures, out of "whsec_…" or of plain text."""
    variable = variable_of(kind, "secret")
    text = read_secret(file, variable) if kind == "webhook" else None
    if text is None:
        return None
    if not text.startswith(PREFIX):
        return text.encode()
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise UsageError(
            f"what follows {PREFIX} is not base64", where=str(file or variable), hint="copy the secret again"
        )
    return key

"""Which server, which database, and as whom. Secrets come from the environment or a private file alone."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from edge_runtime.config import setting
from edge_runtime.errors import UsageError
from edge_runtime.secrets import read_secret
from edge_runtime.tls import SYSTEM, TlsSettings

__all__ = [
    "PASSWORD_VARIABLE",
    "TOKEN_VARIABLE",
    "USERNAME_VARIABLE",
    "InfluxServer",
    "InfluxSettings",
    "influx_settings",
]

TOKEN_VARIABLE = "EDGE_DETECT_INFLUX_TOKEN"  # noqa: S105 - the variable's name
PASSWORD_VARIABLE = "EDGE_DETECT_INFLUX_PASSWORD"  # noqa: S105
LONGEST_TIMEOUT_S = 86_400.0
USERNAME_VARIABLE = "EDGE_DETECT_INFLUX_USERNAME"


@dataclass(frozen=True, slots=True)
class InfluxServer:
    """The table `[influx]`, as far as source and sink share it."""

    url: str = setting("http://127.0.0.1:8086", "Address of the server.", flag="--url")
    database: str | None = setting(
        None,
        "Database of InfluxDB 1.x or 3 Core, or the one that a bucket of 2.x is mapped to.",
        flag="--database",
    )
    org: str | None = setting(None, "Organisation of InfluxDB 2.x, with a bucket.", flag="--org")
    bucket: str | None = setting(None, "Bucket of InfluxDB 2.x, instead of a database.", flag="--bucket")
    username: str | None = setting(
        None, f"User of InfluxDB 1.x to log in as, instead of {USERNAME_VARIABLE}.", flag="--username"
    )
    password_file: Path | None = setting(
        None,
        f"Private file with the user's password, instead of {PASSWORD_VARIABLE}.",
        flag="--password-file",
    )
    token_file: Path | None = setting(
        None,
        f"Private file with the token of InfluxDB 2.x or 3, instead of {TOKEN_VARIABLE}.",
        flag="--token-file",
    )
    timeout: float = setting(30.0, "Time for which the server may be silent.", unit="s")


@dataclass(frozen=True, slots=True)
class InfluxSettings:
    """Where and as whom to read and write.

    Attributes:
        url: Such as "http://127.0.0.1:8086".
        database: Database of 1.x and 3 Core, or of a 2.x database mapping; empty when `bucket` is used.
        retention_policy: Of 1.x; None for the default one.
        org: Organisation of 2.x; with `bucket`.
        bucket: Bucket of 2.x: reads go through its mapping or Flux, writes through /api/v2.
        username: User of 1.x.
        password: Its password; never shown.
        token: Token of 2.x or 3; never shown.
        timeout: Seconds that the server may be silent.
        token_file: Where the token came from, to be read again when the server refuses it.
        password_file: Where the password came from, for the same reason.
        mapped_bucket: The bucket of 2.x that `database` and `retention_policy` are the mapping of.
        tls: Which authorities to trust, and with which certificate to log in, for https.

    Raises:
        UsageError: They do not fit together.
    """

    url: str
    database: str = ""
    retention_policy: str | None = None
    org: str | None = None
    bucket: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    timeout: float = 30.0
    token_file: Path | None = None
    password_file: Path | None = None
    mapped_bucket: str | None = None
    tls: TlsSettings = SYSTEM

    def __post_init__(self) -> None:
        # First of all, for the message below shows the address.
        if "@" in self.url or "?" in self.url:
            raise UsageError(
                "the address of the InfluxDB contains a login or a parameter",
                hint=f"set {TOKEN_VARIABLE}, or {USERNAME_VARIABLE} and {PASSWORD_VARIABLE}",
            )
        try:
            parts = urlsplit(self.url)
            fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            fits = False
        if not fits or not self.url.isprintable() or " " in self.url:
            raise UsageError(
                f"'{self.url}' is not the address of an InfluxDB",
                hint="write for instance http://127.0.0.1:8086",
            )
        # What no header can carry would come back in http.client's own error, token and all.
        if self.token is not None and not (self.token.isascii() and self.token.isprintable()):
            raise UsageError(
                "the InfluxDB's token contains characters that are not allowed in a token",
                hint="copy it again",
            )
        if not 0 < self.timeout <= LONGEST_TIMEOUT_S:
            raise UsageError(
                f"a timeout of {self.timeout:g} seconds is not possible",
                hint="choose a positive number, at most a day",
            )
        if bool(self.database) == bool(self.bucket):
            raise UsageError(
                "InfluxDB needs either a database or a bucket", hint="give --database, or --bucket with --org"
            )
        if self.bucket and not self.org:
            raise UsageError("a bucket needs its organisation", hint="give --org")

    @property
    def place(self) -> str:
        """The server and the database or bucket, for messages."""
        return f"{self.url} ({self.store})"

    @property
    def store(self) -> str:
        """The database or bucket, for messages; a bucket that is read as a database goes by its own name."""
        bucket = self.bucket or self.mapped_bucket
        return f"bucket {bucket}" if bucket else f"database {self.database}"

    def renewed(self) -> InfluxSettings:
        """The same with the secrets that their files hold now.

        Raises:
            UsageError: A file cannot be read.
        """
        return replace(
            self,
            token=read_secret(self.token_file, TOKEN_VARIABLE) if self.token_file else self.token,
            password=read_secret(self.password_file, PASSWORD_VARIABLE)
            if self.password_file
            else self.password,
        )


def influx_settings(  # noqa: PLR0913 - one for each option
    *,
    url: str,
    database: str | None = None,
    retention_policy: str | None = None,
    org: str | None = None,
    bucket: str | None = None,
    username: str | None = None,
    token_file: Path | None = None,
    password_file: Path | None = None,
    timeout: float = 30.0,
    tls: TlsSettings = SYSTEM,
) -> InfluxSettings:
    """Settings from plain options, with the secrets from a private file or, without one, the environment.

    Raises:
        UsageError: The options do not fit together, or a secret's file may be read by others.
    """
    return InfluxSettings(
        url=url,
        database=database or "",
        retention_policy=retention_policy,
        org=org,
        bucket=bucket,
        username=username or os.environ.get(USERNAME_VARIABLE) or None,
        password=read_secret(password_file, PASSWORD_VARIABLE),
        token=read_secret(token_file, TOKEN_VARIABLE),
        timeout=timeout,
        token_file=token_file,
        password_file=password_file,
        tls=tls,
    )

"""Signing a bundle: what its statement says, and the file beside it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from edge_runtime.errors import UsageError
from edge_runtime.files import unwritable, write_whole
from edge_runtime.signing.beside import signature_path
from edge_runtime.signing.envelope import MAX_VERSION, TARGET, Statement, format_moment, sign
from edge_runtime.signing.keys import PrivateKey, read_key
from edge_runtime.signing.trust import DEFAULT_TARGET, EARLIEST
from edge_runtime.timeparse import parse_duration, parse_time

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DEFAULT_EXPIRES", "Terms", "make_terms", "private_key", "sign_bundle"]

DEFAULT_EXPIRES = "365d"
UNITS = ("s", "m", "h", "d", "w")  # with which a duration ends, and no time does


@dataclass(frozen=True, slots=True)
class Terms:
    """For whom and until when a signature is made: `Statement` has the fields' meaning."""

    version: int
    expires: str
    target: str


def private_key(path: Path) -> PrivateKey:
    """The key to sign with.

    Raises:
        MissingExtraError: PyNaCl is not installed.
        UsageError: The file is not a private key, or others may read it.
    """
    key = read_key(path)
    if not isinstance(key, PrivateKey):
        raise UsageError(
            "this is a public key, which cannot sign", where=str(path), hint=f"name {key.name}.key"
        )
    _ = key.public  # before there is anything to sign: PyNaCl is there
    return key


def make_terms(expires: str | None, version: int | None, target: str | None) -> Terms:
    """The terms of a signature from what somebody asked for.

    Args:
        expires: After which time, such as "365d", which None means, or when, such as "2027-12-31".
        version: Higher than that of every bundle before, for this target; None for today's date and time,
            such as 20270131080000.
        target: Which gateways it is for; None for those that were told no target.

    Raises:
        UsageError: A value cannot be signed, or this machine's clock is wrong.
    """
    now_ns = time.time_ns()
    now = datetime.fromtimestamp(now_ns // 10**9, UTC)
    if now < EARLIEST:
        raise UsageError(f"this machine's clock says {format_moment(now)}", hint="set the clock")
    text = expires or DEFAULT_EXPIRES
    try:
        lasts = text[:1].isdigit() and text[-1:] in UNITS
        end_ns = now_ns + parse_duration(text) if lasts else parse_time(text, now_ns)
        end = datetime.fromtimestamp(end_ns // 10**9, UTC)
    except (OverflowError, ValueError, OSError):
        raise UsageError(f"'{text}' is beyond the year 9999", where="--expires") from None
    if end <= now:
        raise UsageError(f"'{text}' is in the past", where="--expires", hint="name a later time")
    number = int(f"{now:%Y%m%d%H%M%S}") if version is None else version
    if not 1 <= number <= MAX_VERSION:
        raise UsageError(f"must be 1 to {MAX_VERSION}", where="--bundle-version")
    target = target or DEFAULT_TARGET
    if not TARGET.fullmatch(target):
        raise UsageError(
            "must be 1 to 100 letters, digits, dots, dashes, underscores and slashes", where="--target"
        )
    return Terms(number, format_moment(end), target)


def sign_bundle(bundle: Path, digest: str, length: int, key: PrivateKey, terms: Terms) -> Path:
    """Writes the signature beside a bundle; one that is there is replaced.

    Args:
        bundle: Its file.
        digest: Of the file as it was checked.
        length: Of the same, in bytes.
        key: Signs.
        terms: For whom and until when.

    Raises:
        UsageError: It cannot be written.
    """
    statement = Statement(digest, length, terms.version, terms.expires, terms.target, key.public.id)
    path = signature_path(bundle)
    try:
        write_whole(path, sign(key, statement))
    except OSError as error:
        raise unwritable(error, path, "cannot write the signature") from None
    return path

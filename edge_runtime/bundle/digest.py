"""The content digest: SHA-256 over the file with the digest's own 64 hexadecimal digits set to zero.

It stands in the metadata, so it tells damage anywhere in the file without any key. It does not tell who wrote
the file: whoever can change the file can stamp it again.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from edge_runtime.errors import BundleFormatError

if TYPE_CHECKING:
    from edge_runtime.bundle.protobuf import Span

__all__ = ["UNSTAMPED", "check_content_digest", "content_digest", "file_digest", "stamp", "stated_digest"]

PREFIX = "sha256:"
DIGITS = 64
UNSTAMPED = PREFIX + "0" * DIGITS
STATED = re.compile(rb'"content_digest"\s*:\s*"(sha256:[0-9a-f]{64})"')


def file_digest(data: bytes) -> str:
    """The bundle's digest, its name in logs and points: "sha256:" and the digits of the whole file."""
    return PREFIX + hashlib.sha256(data).hexdigest()


def content_digest(data: bytes, position: int) -> str:
    """The content digest of a file whose 64 digits lie at `position`, whatever they are."""
    return _digests(data, position)[0]


def _digests(data: bytes, position: int) -> tuple[str, str]:
    """The content digest and the file's, which have what is before the digits in common."""
    view = memoryview(data)
    content = hashlib.sha256(view[:position])
    whole = content.copy()
    content.update(b"0" * DIGITS)
    content.update(view[position + DIGITS :])
    whole.update(view[position:])
    return PREFIX + content.hexdigest(), PREFIX + whole.hexdigest()


def stamp(data: bytes) -> bytes:
    """The file with its content digest in the place of `UNSTAMPED`.

    Raises:
        BundleFormatError: `UNSTAMPED` is not in the file, or more than once.
    """
    position = _only(data, UNSTAMPED) + len(PREFIX)
    digits = content_digest(data, position).removeprefix(PREFIX).encode()
    return data[:position] + digits + data[position + DIGITS :]


def stated_digest(data: bytes, metadata: Span) -> str | None:
    """The content digest that the metadata states, found without reading it; None where there is none.

    It is checked before anything else looks at the file's content: hashing bytes is harmless, whatever they
    are. Whoever reads the metadata afterwards must find the same digest in it.
    """
    found = STATED.search(data, metadata.start, metadata.stop)
    return found[1].decode("ascii") if found else None


def check_content_digest(data: bytes, metadata: Span, stated: str) -> str:
    """Compares the file with what its metadata states.

    Args:
        data: The whole file.
        metadata: Where the metadata lies; the stated digest must be in there, and nowhere else.
        stated: The metadata's `content_digest`.

    Returns:
        The bundle's digest, over the whole file.

    Raises:
        BundleFormatError: They differ.
    """
    if not re.fullmatch(PREFIX + "[0-9a-f]{64}", stated):
        raise BundleFormatError("is not 'sha256:' and 64 lower-case digits", where="metadata: content_digest")
    position = _only(data, stated)
    if not metadata.start <= position < metadata.stop:
        raise BundleFormatError("is not inside the metadata", where="metadata: content_digest")
    content, whole = _digests(data, position + len(PREFIX))
    if content != stated:
        raise BundleFormatError(
            "the content does not match its digest: the file was damaged or changed after it was exported",
            where="metadata: content_digest",
            hint="copy it again from where it was exported",
        )
    return whole


def _only(data: bytes, text: str) -> int:
    """Where a text is that must be in the file exactly once."""
    if data.count(text.encode()) != 1:
        raise BundleFormatError("must be in the file exactly once", where="metadata: content_digest")
    return data.index(text.encode())

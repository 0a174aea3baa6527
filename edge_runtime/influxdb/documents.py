"""An answer of several JSON documents, cut into them as it arrives.

InfluxDB 1.x and 2.x end each document with a line feed, 3 Core up to 3.6 with CR LF, and since 3.7 with
nothing: `…]}]}{"results":[…`. Within a document a `}` is never followed by `{"` and a letter: in a text the
quotation mark would be its end, and after the end of a text no letter comes. So the cut needs no JSON parser.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["MAX_DOCUMENT_BYTES", "documents"]

# Several times what 5,000 rows of 128 sensors need.
MAX_DOCUMENT_BYTES = 32 << 20

_BOUNDARY = re.compile(rb'\}[\r\n]{0,4}(?=\{"[a-zA-Z])')
# What a boundary is at most, less its last byte: so much of it may have come with an earlier block.
_OVERLAP = 7


def documents(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The documents in a stream of bytes, each as soon as the next one has begun.

    Args:
        blocks: The bytes, cut anywhere.

    Yields:
        One document at a time; the last may be cut off, and then is no JSON.

    Raises:
        ValueError: One is longer than `MAX_DOCUMENT_BYTES`.
    """
    held, scanned = bytearray(), 0
    for block in blocks:
        held += block
        start = 0
        for found in _BOUNDARY.finditer(held, max(0, scanned - _OVERLAP)):
            yield bytes(held[start : found.end()])
            start = found.end()
        del held[:start]
        scanned = len(held)
        if scanned > MAX_DOCUMENT_BYTES:
            raise ValueError(f"a document of more than {MAX_DOCUMENT_BYTES >> 20} MiB")
    if held.strip():
        yield bytes(held)

"""Which messages the broker may send again though their rows are committed: by packet id and content."""

from __future__ import annotations

import base64
import json
import struct
import time
import zlib
from collections import deque
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Redelivery"]

# What is kept: the messages of some seconds, so that the broker has had time to read what acknowledges them,
# and no fewer and no more than so many.
KEPT_S = 10.0
FEWEST, MOST = 64, 4096
ENTRY = struct.Struct("<HI")  # packet id, digest


class Redelivery:
    """The messages of the last commits.

    A message is acknowledged after its rows are committed. When the process is killed between the two, or the
    acknowledgement is lost with the connection, the broker sends it once more in the same session, with the
    same packet id and marked as a duplicate. Its rows must not be judged again: one without a time would get
    another one.

    Args:
        clock: Monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[int, int] = {}
        # Blocks of entries with the moment at which they came, oldest first.
        self._blocks: deque[tuple[float, bytes]] = deque()
        self._count = 0

    def knows(self, message: Any) -> bool:
        """Whether this message, with `mid`, `dup`, `topic` and `payload`, was committed before."""
        return bool(message.dup) and self._known.get(message.mid) == _digest(message)

    def add(self, messages: Sequence[Any]) -> None:
        """Takes messages of QoS 1 or 2 that are handed on now; old ones are forgotten."""
        entries = [(message.mid, _digest(message)) for message in messages if message.qos]
        if entries:
            self._take(entries)
        oldest = self._clock() - KEPT_S
        while self._blocks and (self._blocks[0][0] < oldest or self._count > MOST):
            block = self._blocks[0][1]
            left = self._count - len(block) // ENTRY.size
            if left < FEWEST:
                break
            self._blocks.popleft()
            self._count = left
            for mid, digest in ENTRY.iter_unpack(block):
                if self._known.get(mid) == digest:
                    del self._known[mid]

    def forget(self) -> None:
        """The broker has begun another session, whose packet ids mean other messages."""
        self._known.clear()
        self._blocks.clear()
        self._count = 0

    def checkpoint(self) -> str:
        """What `restore` needs, as JSON."""
        packed = b"".join(block for _, block in self._blocks)
        return json.dumps({"messages": base64.b64encode(packed).decode("ascii")}, separators=(",", ":"))

    def restore(self, checkpoint: str) -> None:
        """Goes on from what `checkpoint` gave.

        Raises:
            SourceError: It is the checkpoint of another kind of source.
        """
        self.forget()
        try:
            document = json.loads(checkpoint)
            if all(type(value) is int for value in document.values()):
                return  # of the version before, which kept each machine's newest time
            entries = list(ENTRY.iter_unpack(base64.b64decode(document["messages"], validate=True)))
        except (ValueError, KeyError, TypeError, AttributeError, struct.error):
            raise SourceError(
                "the ledger's checkpoint is not one of an MQTT broker",
                hint="use another --state file for this source",
            ) from None
        if entries:
            self._take(entries)

    def _take(self, entries: Sequence[tuple[int, int]]) -> None:
        self._blocks.append((self._clock(), b"".join([ENTRY.pack(*entry) for entry in entries])))
        self._count += len(entries)
        self._known.update(entries)


def _digest(message: Any) -> int:
    return zlib.crc32(message.payload, zlib.crc32(message.topic.encode()))

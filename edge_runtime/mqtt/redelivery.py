"""Which messages the broker may send again though their rows are committed: by packet id and content."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Redelivery"]

KEPT = 64


class Redelivery:
    """The messages of the last commits.

    A message is acknowledged after its rows are committed. When the process is killed between the two, or the
    acknowledgement is lost with the connection, the broker sends it once more in the same session, with the
    same packet id and marked as a duplicate. Its rows must not be judged again: one without a time would get
    another one.
    """

    def __init__(self) -> None:
        self._known: dict[int, int] = {}

    def knows(self, message: Any) -> bool:
        """Whether this message, with `mid`, `dup`, `topic` and `payload`, was committed before."""
        return bool(message.dup) and self._known.get(message.mid) == _digest(message)

    def add(self, messages: Sequence[Any]) -> None:
        """Takes messages of QoS 1 or 2 that are handed on now; the oldest ones are forgotten."""
        for message in messages:
            if message.qos:
                self._known.pop(message.mid, None)
                self._known[message.mid] = _digest(message)
        for mid in list(self._known)[: -max(KEPT, len(messages))]:
            del self._known[mid]

    def forget(self) -> None:
        """The broker has begun another session, whose packet ids mean other messages."""
        self._known = {}

    def checkpoint(self) -> str:
        """What `restore` needs, as JSON."""
        return json.dumps({"messages": list(self._known.items())}, separators=(",", ":"))

    def restore(self, checkpoint: str) -> None:
        """Goes on from what `checkpoint` gave.

        Raises:
            SourceError: It is the checkpoint of another kind of source.
        """
        try:
            document = json.loads(checkpoint)
            # The version before kept each machine's newest time.
            before = all(type(value) is int for value in document.values())
            messages = [] if before else document["messages"]
            self._known = {int(mid): int(digest) for mid, digest in messages}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise SourceError(
                "the ledger's checkpoint is not one of an MQTT broker",
                mend="use another --state file for this source",
            ) from None


def _digest(message: Any) -> int:
    return zlib.crc32(message.payload, zlib.crc32(message.topic.encode()))

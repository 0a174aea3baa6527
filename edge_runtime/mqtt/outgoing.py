"""Messages on their way to a broker: in groups, which arrive as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Delivery", "Message"]


class Message(NamedTuple):
    """What is published.

    Attributes:
        topic: Where.
        payload: What.
        retain: Whether the broker keeps it for those who subscribe later.
    """

    topic: str
    payload: bytes
    retain: bool


class Delivery:
    """Groups of messages, each of which has arrived when all of its messages are acknowledged.

    Args:
        groups: In the order in which they are sent.
        begin_until: From this moment on no group begins, except the first; in seconds of the link's clock.

    Attributes:
        under_way: Number of messages that are sent and not acknowledged.
        all_sent: Whether no more will be sent.
    """

    def __init__(self, groups: Sequence[Sequence[Message]], begin_until: float = float("inf")) -> None:
        self._groups, self._begin_until = groups, begin_until
        self._group = self._place = 0  # of the next message
        self._left = [len(group) for group in groups]  # messages that are not acknowledged yet
        self.under_way, self.all_sent = 0, False

    @property
    def is_done(self) -> bool:
        """Whether nothing of it is under way, and nothing more of it will be."""
        return self.all_sent and not self.under_way

    def next(self, now: float) -> tuple[int, Message] | None:
        """The next message with the number of its group; None where no more are to be sent."""
        while self._group < len(self._groups):
            group = self._groups[self._group]
            if self._place < len(group):
                if not self._place and self._group and now >= self._begin_until:
                    break
                self._place += 1
                self.under_way += 1
                return self._group, group[self._place - 1]
            self._group, self._place = self._group + 1, 0
        self.all_sent = True
        return None

    def acknowledged(self, group: int) -> None:
        """A message of this group is with the broker."""
        self.under_way -= 1
        self._left[group] -= 1

    def arrived(self) -> int:
        """How many of the first groups have arrived."""
        return next((number for number, left in enumerate(self._left) if left), len(self._left))

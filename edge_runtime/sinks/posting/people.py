"""What the sinks share that post to people: a message for each change, or in a flood one about all."""

from __future__ import annotations

import json
import time
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_runtime.config import setting
from edge_runtime.engine.alarms import HIGH, PRIORITIES
from edge_runtime.engine.alarmtext import sentence, title
from edge_runtime.errors import UsageError, counted
from edge_runtime.sinks.pace import Pace
from edge_runtime.sinks.posting.sink import Message, PostingSink, change_of, key_of, together
from edge_runtime.sinks.posting.target import PostSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge_runtime.engine.alarms import Change
    from edge_runtime.tls import TlsSettings

__all__ = ["Note", "PeopleSettings", "PeopleSink"]

MOST_AT_ONCE, LONGEST_GATHER_S = 1000, 3600.0


@dataclass(frozen=True, slots=True, repr=False)
class PeopleSettings(PostSettings):
    """Where to, and how many messages people get."""

    at_once: int = setting(5, "Number of messages that are sent at once; more are gathered into one.")
    gather_s: float = setting(30.0, "Time for which more changes than that are gathered.", unit="s")

    def __post_init__(self) -> None:
        PostSettings.__post_init__(self)
        if not 1 <= self.at_once <= MOST_AT_ONCE:
            raise UsageError(f"at_once must be 1 to {MOST_AT_ONCE:,}", where=self.table)
        if not 0 <= self.gather_s <= LONGEST_GATHER_S:
            raise UsageError("gather_s must be 0 to an hour", where=self.table)


@dataclass(frozen=True, slots=True)
class Note:
    """What people are told.

    Attributes:
        title: It in a few words.
        lines: A sentence for each change.
        open: Whether an alarm of these, after its last change, is active and neither shelved nor out of
            service.
        priority: The highest of such alarms, or of all where there are none.
    """

    title: str
    lines: tuple[str, ...]
    open: bool
    priority: str

    @classmethod
    def of(cls, changes: Sequence[Change]) -> Note:
        """What is told of these changes, at least one; what matters most comes first."""
        ranked = sorted(changes, key=lambda one: -PRIORITIES.index(one.fields["priority"]))
        if len(changes) == 1:
            about = title(changes[0])
        else:
            machines = len({one.fields["machine_id"] for one in changes})
            about = (
                f"{counted(len(changes), 'change of an alarm', 'changes of alarms')} at "
                f"{counted(machines, 'machine')}"
            )
        last = {one.fields["event_id"]: one.fields for one in changes}
        still_open = [fields for fields in last.values() if _is_open(fields)]
        priorities = [fields["priority"] for fields in still_open or last.values()]
        return cls(
            about,
            tuple(sentence(one) for one in ranked),
            bool(still_open),
            max(priorities, key=PRIORITIES.index),
        )

    @property
    def is_urgent(self) -> bool:
        """Whether an alarm of the highest priority is active."""
        return self.open and self.priority == HIGH

    def fitting(self, most: int, size: Callable[[str], int] = len) -> list[str]:
        """Its lines, as far as so much room has them; the last one says how many more there are.

        Args:
            most: The room.
            size: What a line takes of it, without its end.
        """
        fits, left = list[str](), most
        for number, line in enumerate(self.lines):
            after = len(self.lines) - number - 1
            room = left - (size(_more(after)) + 1 if after else 0)
            if size(line) >= room:
                if fits:
                    return [*fits, _more(after + 1)]
                return [_beginning(line, room, size), *([_more(after)] if after else [])]
            fits.append(line)
            left -= size(line) + 1
        return fits


def _more(count: int) -> str:
    return f"and {counted(count, 'more change')}: `edge-detect alarms list` shows what is open"


def _beginning(line: str, room: int, size: Callable[[str], int]) -> str:
    """As many letters of a line as there is room for."""
    letters = len(line)
    while letters and size(f"{line[:letters]}…") >= room:
        letters = letters * 9 // 10
    return f"{line[:letters]}…"


def _is_open(fields: dict[str, Any]) -> bool:
    return fields["active"] and fields["shelved_until"] is None and not fields["out_of_service"]


class PeopleSink(PostingSink):
    """Posts a message for each change, or one for all that gathered in a flood.

    Args:
        settings: Where to, and how many messages people get.
        tls: By what TLS knows the server, and the server us.
        clock: Monotonic clock, in seconds.

    Attributes:
        pace: How many messages people get.

    Raises:
        UsageError: The settings are wrong or incomplete, or a file cannot be read.
    """

    def __init__(
        self, settings: PeopleSettings, tls: TlsSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(settings, tls, clock=clock)
        self.pace = Pace(settings.at_once, settings.gather_s, clock)

    @abstractmethod
    def document(self, note: Note) -> Any:
        """What is posted, JSON-ready."""

    def deliver(self, payloads: Sequence[bytes]) -> int:
        """Posts a message for each, or one for all; returns how many payloads the server has then.

        Raises:
            SinkUnavailableError: Try again later.
            SinkError: The server will never take the first one, or the message about all.
        """
        if not payloads:
            return 0
        if self.pace.singles(len(payloads)):
            count = 0
            with self._posting() as poster:
                for _ in self._one_by_one(poster, payloads, self._single):
                    self.pace.spent()
                    count += 1
            return count
        message = self._message([change_of(payload) for payload in payloads])
        with self._posting() as poster:
            self._post(poster, message)
        self.pace.spent(digest=True)
        return len(payloads)

    def _single(self, payload: bytes) -> Iterator[Message]:
        yield self._message([change_of(payload)])

    def _message(self, changes: Sequence[Change]) -> Message:
        body = json.dumps(self.document(Note.of(changes))).encode()
        key = key_of(changes[0]) if len(changes) == 1 else together(*map(key_of, changes))
        return Message(body, key)

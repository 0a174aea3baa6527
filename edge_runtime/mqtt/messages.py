"""What messages say: JSON objects, arrays of them, or line protocol; many messages become one block."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import InputError, printable
from edge_runtime.mapping.cells import Place, Unmapped, check_machine
from edge_runtime.mqtt.oversize import OVERSIZE
from edge_runtime.records import Readings
from edge_runtime.text.complaints import Complaints
from edge_runtime.text.cutter import TOO_LONG
from edge_runtime.text.jsonrows import JsonRows
from edge_runtime.text.lineprotocol import LineProtocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime.mapping.form import Columns
    from edge_runtime.mqtt.broker import Topic

__all__ = ["MessageRows"]

UNREADABLE = "unreadable message"
MAX_READERS = 1000
MAX_TOPIC_LETTERS = 200


class MessageRows:
    """Reads messages of one topic.

    Args:
        topic: Where the machine's id stands, for rows that name none.
        columns: Which keys or fields to read.
        place: The broker, for what is said of a bad message.
        report: Called with what was wrong with a message that is skipped.

    Attributes:
        unmapped: What came with none of the sensors.
        complaints: What was wrong with messages that were skipped.
    """

    def __init__(
        self,
        topic: Topic,
        columns: Columns,
        place: str,
        *,
        report: Callable[[str], None],
    ) -> None:
        self._topic = topic
        self._columns = columns
        self._place = place
        self.complaints = Complaints(report)
        self.unmapped = Unmapped((columns.time, columns.machine))
        self._json = JsonRows(columns, place, self.unmapped, report)
        # For each machine that a topic names: what a line without the machine's tag is of.
        self._lines: dict[str, LineProtocol] = {}

    def readings(self, messages: Sequence[Any]) -> tuple[Readings, Counter[str]]:
        """Rows of messages with `topic` and `payload`, and how many of the messages had none."""
        try:
            blocks, skipped = self._parse(messages)
        except InputError:
            blocks, skipped = self._one_by_one(messages)
        return Readings.joined(blocks or [Readings.empty(len(self._columns.sensors))]), skipped

    def _one_by_one(self, messages: Sequence[Any]) -> tuple[list[Readings], Counter[str]]:
        """The good messages among bad ones, which are acknowledged too: they would come again for ever."""
        blocks: list[Readings] = []
        skipped: Counter[str] = Counter()
        for message in messages:
            try:
                of_message, left_out = self._parse([message])
                blocks += of_message
                skipped += left_out
            except InputError as error:
                skipped[TOO_LONG if message.payload == OVERSIZE else UNREADABLE] += 1
                self.complaints.add(error.what, printable(message.topic, MAX_TOPIC_LETTERS), error.hint)
        return blocks, skipped

    def _parse(self, messages: Sequence[Any]) -> tuple[list[Readings], Counter[str]]:
        """Messages to readings, those of a kind at once; and how many rows were left out.

        Raises:
            InputError: One cannot be read.
        """
        documents: list[Any] = []
        lines: dict[str, list[bytes]] = {}
        for message in messages:
            if message.payload == OVERSIZE:
                raise InputError(f"it is {TOO_LONG}")
            payload, machine = message.payload.strip(), self._topic.machine(message.topic)
            check_machine(machine)
            if payload[:1] in (b"{", b"["):
                documents += self._documents(payload, machine)
            elif payload.startswith(b"#") and all(map(_is_comment, payload.split(b"\n"))):
                raise InputError("it has nothing but comments")
            elif payload:
                lines.setdefault(machine, []).append(payload)
            else:
                raise InputError("it is empty")
        blocks, skipped = list[Readings](), Counter[str]()
        parts = [self._json.readings(documents, Place(self._place, 1))] if documents else []
        parts += [self._of_lines(found, machine) for machine, found in lines.items()]
        for readings, left_out in parts:
            blocks.append(readings)
            skipped.update(left_out)
        return blocks, skipped

    def _documents(self, payload: bytes, machine: str) -> list[Any]:
        try:
            found = json.loads(payload)
        except (ValueError, RecursionError) as error:
            raise InputError(f"not JSON ({error})") from None
        documents = found if isinstance(found, list) else [found]
        if not documents:
            raise InputError("it is empty")
        if machine:
            key = self._columns.machine
            for document in documents:
                if isinstance(document, dict):
                    document.setdefault(key, machine)
        return documents

    def _of_lines(self, lines: Sequence[bytes], machine: str) -> tuple[Readings, dict[str, int]]:
        reader = self._lines.get(machine)
        if reader is None:
            if len(self._lines) >= MAX_READERS:
                self._lines.clear()
            columns = replace(self._columns, default_machine=machine or self._columns.default_machine)
            reader = self._lines[machine] = LineProtocol(columns, self._place, self.unmapped)
        return reader.parse(b"\n".join(lines), 1)


def _is_comment(line: bytes) -> bool:
    return line.startswith(b"#") or not line.strip()

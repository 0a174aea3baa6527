"""Messages of the sink mqtt as the outbox keeps them: a line of JSON for each, with its topic."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING

from edge_runtime.errors import SinkError
from edge_runtime.mqtt.outgoing import Message
from edge_runtime.mqtt.topics import is_topic
from edge_runtime.sinks.rows import json_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime.records import Results

__all__ = ["check_sizes", "packed", "packed_rows", "unpacked"]

# Within a string of JSON no quotation mark stands alone, so the first one of these begins the content.
MARK = b',"payload":'
LONGEST_PACKET = 268_435_455
# Bytes in a packet that are neither topic nor payload, after its length; and of those before, the fewest.
AROUND_PAYLOAD, HEADER = 5, 2


def packed(topic: str, content: object, *, retain: bool) -> bytes:
    """A message with some JSON in it."""
    return _head(topic, retain=retain) + _json(content) + b"}\n"


def packed_rows(results: Results, sensors: tuple[str, ...], topic_of: Callable[[str], str]) -> bytes:
    """A message for each row, compressed.

    Args:
        results: The rows.
        sensors: The bundle's.
        topic_of: The topic for a machine's rows.
    """
    names, codes = results.readings.dictionary
    heads = [_head(topic_of(name), retain=False) for name in names]
    lines = json_lines(results, sensors).split(b"\n")
    messages = [heads[code] + line + b"}\n" for code, line in zip(codes.tolist(), lines, strict=False)]
    return zlib.compress(b"".join(messages), 1)


def unpacked(payload: bytes) -> list[Message]:
    """The messages of a payload.

    Raises:
        SinkError: They could not be published anywhere.
    """
    heads: dict[bytes, tuple[str, bool]] = {}
    found, is_whole = [], True
    try:
        text = payload if payload[:1] == b"{" else zlib.decompress(payload)
        for line in text.splitlines():
            head, mark, content = line.partition(MARK)
            if head not in heads:
                about = json.loads(head + b"}")
                heads[head] = about["topic"], about["retain"]
            is_whole = is_whole and bool(mark) and content.endswith(b"}")
            found.append(Message(heads[head][0], content[:-1], heads[head][1]))
    except (ValueError, TypeError, KeyError, zlib.error) as error:
        raise SinkError(f"it is no message ({error})") from None
    if not is_whole or not all(isinstance(retain, bool) for _, retain in heads.values()):
        raise SinkError("it is no message (its end is missing)")
    if not all(isinstance(topic, str) and is_topic(topic) for topic, _ in heads.values()):
        raise SinkError("its topic is none that MQTT knows, or longer than 65,535 bytes")
    check_sizes([found], None)
    return found


def check_sizes(groups: Sequence[Sequence[Message]], max_packet: int | None) -> None:
    """That messages are as short as MQTT asks, and a broker that has said so.

    Raises:
        SinkError: One is not.
    """
    for one in (one for group in groups for one in group):
        size = AROUND_PAYLOAD + len(one.topic.encode()) + len(one.payload)
        if size > LONGEST_PACKET:
            raise SinkError("it is longer than 256 MB, which is as long as a message of MQTT may be")
        if max_packet is not None and size + HEADER > max_packet:
            raise SinkError(
                f"it is longer than the broker takes, which is {max_packet:,} bytes with topic and header",
                hint="raise the broker's limit, and then use edge-detect outbox send-again",
            )


def _head(topic: str, *, retain: bool) -> bytes:
    return f'{{"topic":{json.dumps(topic)},"retain":{json.dumps(retain)}'.encode() + MARK


def _json(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()

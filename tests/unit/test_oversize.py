"""Packets of MQTT pass byte for byte; a message that is too long comes without its content."""

from __future__ import annotations

import random
import tracemalloc
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from edge_runtime.mqtt.oversize import OVERSIZE, PacketFilter

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 200
PUBLISH, CONNACK, SUBACK, PUBACK, PINGRESP = 3, 2, 9, 4, 13


def packet(kind: int, body: bytes, flags: int = 0) -> bytes:
    length, size = bytearray(), len(body)
    while True:
        size, part = size >> 7, size & 0x7F
        length.append(part | (0x80 if size else 0))
        if not size:
            return bytes([kind << 4 | flags]) + bytes(length) + body


def message(topic: bytes, payload: bytes, qos: int, *, dup: bool = False, retain: bool = False) -> bytes:
    packet_id = b"\x12\x34" if qos else b""
    body = len(topic).to_bytes(2, "big") + topic + packet_id + payload
    return packet(PUBLISH, body, dup << 3 | qos << 1 | retain)


class Socket:
    """Bytes that come in pieces; between two of them there are none."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece: bytes | None = b""

    def __call__(self, size: int) -> bytes:
        assert size > 0
        if not self._piece:
            self._piece = next(self._pieces, None)
            if self._piece is None:
                return b""
            raise BlockingIOError
        found, self._piece = self._piece[:size], self._piece[size:]
        return found


def pieces_of(stream: bytes, chance: random.Random, most: int = 50) -> Iterator[bytes]:
    at = 0
    while at < len(stream):
        size = chance.randint(1, most)
        yield stream[at : at + size]
        at += size


def read_as_paho_does(packets: PacketFilter) -> bytes:
    """A command, its length byte by byte, and then whatever there is of the rest, until the end."""
    found = bytearray()

    def take(size: int) -> bytes:
        while True:
            with suppress(BlockingIOError):
                data = packets.read(size)
                found.extend(data)
                return data

    while take(1):
        left = shift = 0
        while byte := take(1):
            left |= (byte[0] & 0x7F) << shift
            shift += 7
            if not byte[0] & 0x80:
                break
        while left:
            data = take(left)
            if not data:
                return bytes(found)
            assert len(data) <= left
            left -= len(data)
    return bytes(found)


def passed(stream: bytes, seed: int = 0, most: int = 50) -> bytes:
    chance = random.Random(seed)  # noqa: S311 - a test's chance
    return read_as_paho_does(PacketFilter(Socket(pieces_of(stream, chance, most)), MOST))


@pytest.mark.parametrize("seed", range(100))
def test_packets_of_all_kinds_and_lengths_pass_byte_for_byte(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a test's chance
    stream = b"".join(
        chance.choice(
            [
                packet(CONNACK, b"\0\0"),
                packet(SUBACK, b"\0\1\1"),
                packet(PUBACK, b"\0\1"),
                packet(PINGRESP, b""),
                packet(chance.randint(0, 15), chance.randbytes(chance.choice([0, 1, 127, 128, MOST]))),
                message(b"a/b", chance.randbytes(chance.randint(0, MOST - 9)), chance.randint(0, 2)),
                message(b"", b"", 0),
            ]
        )
        for _ in range(40)
    )
    assert passed(stream, seed, chance.choice([1, 3, 50, 10_000])) == stream


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("dup", [True, False])
@pytest.mark.parametrize("retain", [True, False])
@pytest.mark.parametrize("topic", [b"t", b"plant/press 1/readings", b"x" * 65_535])
def test_a_message_that_is_too_long_keeps_all_but_its_content(
    qos: int, topic: bytes, *, dup: bool, retain: bool
) -> None:
    around = packet(PINGRESP, b"") + message(b"a", b"good", 1)
    for payload in (b"x" * MOST, b"x" * 300_000):
        long = message(topic, payload, qos, dup=dup, retain=retain)
        wanted = message(topic, OVERSIZE, qos, dup=dup, retain=retain)
        for most in (50, 10_000, 1 << 20):
            assert passed(around + long + around + long, most, most) == around + wanted + around + wanted


def test_the_longest_that_may_come_passes() -> None:
    for length in (MOST - 1, MOST):
        whole = message(b"t", b"x" * (length - 3), 0)
        assert passed(whole) == whole
    assert passed(message(b"t", b"x" * (MOST - 2), 0)) == message(b"t", OVERSIZE, 0)


def test_another_packet_that_is_too_long_ends_the_connection() -> None:
    for kind in set(range(16)) - {PUBLISH}:
        with pytest.raises(ConnectionError, match="a packet of 201 bytes that is not a message"):
            passed(packet(PINGRESP, b"") + packet(kind, b"x" * (MOST + 1)))


def test_an_end_at_any_place_is_an_end() -> None:
    stream = packet(CONNACK, b"\0\0") + message(b"t/u", b"x" * 5 * MOST, 1) + message(b"t", b"good", 1)
    whole = packet(CONNACK, b"\0\0") + message(b"t/u", OVERSIZE, 1) + message(b"t", b"good", 1)
    ends = {passed(stream[:at]) for at in range(len(stream) + 1)}
    assert all(whole.startswith(end) for end in ends)
    assert whole in ends
    assert b"" in ends


def test_a_length_that_has_no_end_is_left_to_the_client() -> None:
    stream = b"\x30\x80\x80\x80\x80\x80"
    packets, found = PacketFilter(Socket(iter([stream])), MOST), b""
    for _ in range(len(stream) + 1):
        with suppress(BlockingIOError):
            found += packets.read(1)
    assert found == stream


def test_a_message_of_forty_megabytes_takes_no_memory() -> None:
    begin, block = message(b"t", b"", 1)[2:], b"x" * 65_536
    size = len(begin) + 640 * len(block)
    length = bytes([(size >> 7 * place) & 0x7F | (0x80 if place < 3 else 0) for place in range(4)])
    tracemalloc.start()
    packets = PacketFilter(Socket(iter([b"\x32" + length + begin, *([block] * 640)])))
    found = read_as_paho_does(packets)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == message(b"t", OVERSIZE, 1)
    assert peak < 1 << 20

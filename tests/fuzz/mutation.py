"""Changes to a file that leave most of it a protocol buffer, so that they reach what lies deep in it."""

from __future__ import annotations

import random

import atheris

__all__ = ["mutate"]

# The part of the changes that libFuzzer makes, to bytes.
AS_BYTES = 0.4
# How often a way down ends at a message instead of in it.
STOP_HERE = 0.3
BYTES = 2  # the wire type of everything that has a length
LONGEST = 10
MAX_IN_A_BYTE = 127


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Half of the time bytes, half of the time fields of a protocol buffer, wherever they are nested."""
    chance = random.Random(seed)  # noqa: S311 - what is wanted is the same again
    if chance.random() < AS_BYTES:
        return bytes(atheris.Mutate(data, max_size))
    changed = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        change_field(changed, chance)
    return bytes(changed[:max_size])


def change_field(data: bytearray, chance: random.Random) -> None:
    """One field's number, length, value or place; the lengths around it follow."""
    path = fields_to_one(data, chance)
    if not path:
        return
    start, value, stop = path[-1]
    piece = bytes(data[start:stop])
    kind = chance.randrange(5)
    if kind == 0:
        new = piece + piece
    elif kind == 1:
        new = b""
    elif kind == 2:
        other = fields_to_one(data, chance)[-1]
        new = bytes(data[other[0] : other[2]])
    elif kind == 3:
        new = bytes([piece[0] ^ (8 << chance.randrange(4))]) + piece[1:]
    else:
        inner = value - start
        new = piece[:inner] + bytes(atheris.Mutate(piece[inner:], max(8, 2 * len(piece))))
        if piece[0] & 7 == BYTES:
            new = piece[:1] + varint(len(new) - inner) + new[inner:]
    replace(data, path, new)


def replace(data: bytearray, path: list[tuple[int, int, int]], new: bytes) -> None:
    start, _, stop = path[-1]
    data[start:stop] = new
    grown = len(new) - (stop - start)
    for start, value, stop in reversed(path[:-1]):
        tag_end = start + len(leading_varint(data, start))
        length = varint(stop - value + grown)
        grown += len(length) - (value - tag_end)
        data[tag_end:value] = length


def fields_to_one(data: bytearray, chance: random.Random) -> list[tuple[int, int, int]]:
    """Where the fields around a random one, and it, begin, have their value, and end."""
    path: list[tuple[int, int, int]] = []
    start, stop = 0, len(data)
    while fields := list(fields_between(data, start, stop)):
        path.append(chance.choice(fields))
        start, value, stop = path[-1]
        if data[start] & 7 != BYTES or chance.random() < STOP_HERE:
            break
        start = value
    return path


def fields_between(data: bytearray, start: int, stop: int) -> list[tuple[int, int, int]]:
    """The fields of a message; none where it is no message."""
    found = []
    while start < stop:
        tag = leading_varint(data, start)
        value = start + len(tag)
        wire = tag[0] & 7 if tag else 7
        if wire == 0:
            end = value + len(leading_varint(data, value))
        elif wire == BYTES:
            length = leading_varint(data, value)
            value += len(length)
            end = value + sum((byte & 127) << 7 * i for i, byte in enumerate(length))
        elif wire in {1, 5}:
            end = value + (8 if wire == 1 else 4)
        else:
            return []
        if end > stop or end <= start:
            return []
        found.append((start, value, end))
        start = end
    return found


def leading_varint(data: bytearray, start: int) -> bytes:
    end = start
    while end < len(data) and end - start < LONGEST and data[end] & 128:
        end += 1
    return bytes(data[start : end + 1])


def varint(number: int) -> bytes:
    out = bytearray()
    while number > MAX_IN_A_BYTE:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])

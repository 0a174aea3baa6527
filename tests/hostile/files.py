"""Files that are broken below the level of a model: cut off, random, of another kind, impossible."""

from __future__ import annotations

import gzip
import pickle
import re
from typing import TYPE_CHECKING

import numpy as np
import onnx
from support.tampering import restamped

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Entry", "broken", "field", "varint"]

# Name, file, pattern of its error.
Entry = tuple[str, bytes, str]

NO_ONNX = "not an ONNX file, or a damaged one"
# What may by chance go on like one.
MAYBE_ONNX = f"{NO_ONNX}|has no place"
DAMAGED = "the content does not match its digest: the file was damaged"


def varint(value: int) -> bytes:
    """A number as protobuf writes it."""
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def field(number: int, value: bytes | int) -> bytes:
    """A field as protobuf writes it: bytes with their length, or a number."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def broken(good: bytes) -> Iterator[Entry]:
    """The files."""
    yield "empty", b"", "the file is empty"
    for length in (1, 2, 3, 9, 17, 64):
        yield f"cut off after {length} bytes", good[:length], f"{NO_ONNX}|not a bundle"
    for part in (10, 25, 50, 75, 90, 99):
        yield f"cut off at {part} percent", good[: len(good) * part // 100], NO_ONNX
    yield "one byte short", good[:-1], NO_ONNX
    yield from _other_kinds(good)
    yield from _impossible(good)
    yield from _damaged(good)


def _other_kinds(good: bytes) -> Iterator[Entry]:
    random = np.random.default_rng(7)
    for seed in range(3):
        yield f"random bytes {seed}", random.bytes(5000), NO_ONNX
    for seed in range(3):
        yield f"random bytes after a good start {seed}", good[:40] + random.bytes(5000), MAYBE_ONNX
    yield "a good IR version and random bytes", good[:2] + random.bytes(5000), MAYBE_ONNX
    yield "zeros", bytes(5000), NO_ONNX
    yield "ones", b"\xff" * 5000, NO_ONNX
    yield "a CSV", b"time,temperature\n2026-01-01,20\n" * 50, NO_ONNX
    yield "a ZIP archive", b"PK\x03\x04" + good, NO_ONNX
    yield "a compressed bundle", gzip.compress(good, mtime=0), NO_ONNX
    yield "a pickle", pickle.dumps({"weights": [1.0] * 100}), NO_ONNX
    yield "JSON", b'{"format_version":1}', NO_ONNX


def _impossible(good: bytes) -> Iterator[Entry]:
    yield "a thousand nested groups", good + b"\xf3\x01" * 1000, NO_ONNX
    yield "a million nested groups", b"\x08\x08" + b"\x0b" * 1_000_000, NO_ONNX
    yield "a number of eleven bytes", b"\x08" + b"\xff" * 10 + b"\x01" + good[2:], NO_ONNX
    yield "a number over 64 bits", b"\x08" + b"\xff" * 9 + b"\x7f" + good[2:], NO_ONNX
    yield "a number written longer than needed", b"\x08\x88\x00" + good[2:], NO_ONNX
    yield "a length of 2^63", good + varint(7 << 3 | 2) + varint(2**63), NO_ONNX
    yield "field number zero", good + b"\x00\x00", NO_ONNX
    yield "an unknown wire type", good + b"\x0f\x00", NO_ONNX
    yield "the file twice", good + good, "holds 'ir_version' twice"
    yield "bytes after the end", good + b"\x08\x08", "holds 'ir_version' twice"
    yield "an unknown field", good + field(99, b"hello"), "holds field 99, which has no place in a bundle"
    yield "an unknown number", good + field(2047, 1), "holds field 2047, which has no place in a bundle"
    yield (
        "40 MB",
        good + field(6, bytes(40 << 20)),
        "larger than any bundle|more than the 33,554,432 that are allowed",
    )
    # With the metadata in front, the digest is right although the graph is cut off.
    for part in (30, 60, 99):
        model = onnx.ModelProto.FromString(good)
        graph = model.graph.SerializeToString()
        model.ClearField("graph")
        cut = field(7, graph[: len(graph) * part // 100])
        yield f"graph cut off at {part} percent", restamped(model.SerializeToString() + cut), NO_ONNX


def _damaged(good: bytes) -> Iterator[Entry]:
    weights = good.index(b"layer0.weight")
    flipped = bytearray(good)
    flipped[weights + 30] ^= 1
    yield "one bit of a weight", bytes(flipped), DAMAGED
    yield "weights of zeros", good[: weights + 20] + bytes(32) + good[weights + 52 :], DAMAGED
    stated = re.search(rb"sha256:[0-9a-f]{64}(?=\",\"format)", good)
    assert stated is not None
    wrong = b"sha256:" + bytes(stated[0][7:]).translate(
        bytes.maketrans(b"0123456789abcdef", b"123456789abcdef0")
    )
    yield "another digest", good.replace(stated[0], wrong), DAMAGED
    yield "a digest of zeros", good.replace(stated[0], b"sha256:" + b"0" * 64), DAMAGED
    upper = b"sha256:" + stated[0][7:].upper()
    yield "a digest in capitals", good.replace(stated[0], upper), "is not 'sha256:' and 64 lower-case digits"
    yield (
        "a digest of another kind",
        good.replace(stated[0], b"sha512:" + stated[0][7:]),
        "is not 'sha256:' and 64 lower-case digits",
    )

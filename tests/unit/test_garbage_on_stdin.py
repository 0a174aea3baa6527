"""Whatever comes down the pipe, each line becomes a row or is counted, and none ends the feed."""

from __future__ import annotations

import os
import random
import threading

import numpy as np
import pytest

from edge_runtime.sources.stdin import StdinSource
from edge_runtime.text.csvrows import Columns

COLUMNS = Columns(("a", "b"))
LETTERS = b"0123456789.,;= \\\"'{}[]:\t\r\x00\xff\xc3\xa9aeEinfNaTZ+-#_m"
FORMATS = {
    "csv": (b"time,machine_id,a,b\n", b"2026-01-01T00:00:%02dZ,m%d,%d.5,1e3\n"),
    "line protocol": (
        b"s,machine_id=m a=1,b=2 1\n",
        b"s,machine_id=m%d%d a=%d.25,b=7i 1767225600000000000\n",
    ),
    "json": (
        b'{"time":"1767225600","a":1,"b":2}\n',
        b'{"time":"17672256%02d","machine_id":"m%d","a":%d.5,"b":2}\n',
    ),
}


def broken(line: bytes, chance: random.Random) -> bytes:
    """A line with some of its letters changed, cut out or put in."""
    letters = bytearray(line[:-1])
    for _ in range(chance.randint(0, 3)):
        at = chance.randint(0, len(letters))
        letters[at : at + chance.randint(0, 4)] = bytes(chance.choices(LETTERS, k=chance.randint(0, 4)))
    return bytes(letters).replace(b"\n", b"") + b"\n"


def feed(stream: bytes) -> tuple[int, int, list[str]]:
    """Rows, lines that were left out, and what was said of them."""
    read, write = os.pipe()
    said: list[str] = []
    source = StdinSource(COLUMNS, descriptor=read, report=said.append)

    def send() -> None:
        with os.fdopen(write, "wb") as pipe:
            pipe.write(stream)

    sender = threading.Thread(target=send)
    sender.start()
    rows = skipped = 0
    for batch in source.batches(None):
        readings = batch.readings
        assert readings.values.dtype == np.float32
        assert readings.times.dtype == np.int64
        assert len(readings.machines) == len(readings.times) == len(readings.values)
        rows += len(readings)
        skipped += sum(batch.skipped.values())
    sender.join()
    os.close(read)
    return rows, skipped, said


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.filterwarnings("error")
def test_each_line_is_a_row_or_is_counted(kind: str, seed: int) -> None:
    first, pattern = FORMATS[kind]
    chance = random.Random(seed)  # noqa: S311 - a test's chance
    good = [pattern % (i % 60, i % 3, i) for i in range(400)]
    lines = [broken(line, chance) if chance.random() < 0.3 else line for line in good]
    rows, skipped, said = feed(first + b"".join(lines))
    # A blank line, and one that became a comment, is nothing at all; a quote may run over a line's end.
    something = [line for line in lines if line.strip() and not line.startswith(b"#")]
    expected = len(something) + (kind != "csv")
    nothing = len(lines) - len(something)
    assert expected - nothing <= rows + skipped <= expected + nothing
    assert rows >= sum(line in good for line in lines)
    assert len(said) <= skipped


def test_a_line_without_an_end_does_not_fill_the_memory() -> None:
    rows, skipped, _ = feed(b"time,a,b\n1767225600,1,2\n" + b"x" * 5_000_000)
    assert rows == 1
    assert skipped >= 1

"""Whole lines out of a stream, however it is cut into reads."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from edge_runtime.text.cutter import MAX_LINE_BYTES, LineCutter

MOST = 16  # bytes of a line, its end included


def cut_up(stream: bytes, sizes: list[int]) -> tuple[list[bytes], int, bytes]:
    """Lines, how many were left out, and what is left at the end, of a stream in pieces of these sizes."""
    cutter, lines, at = LineCutter(MOST), list[bytes](), 0
    while at < len(stream):
        size = sizes.pop() if sizes else MOST
        whole = cutter.feed(stream[at : at + size])
        assert not whole or whole.endswith(b"\n")
        lines += whole.split(b"\n")[:-1]
        at += size
    return lines, cutter.left_out, cutter.end()


@pytest.mark.parametrize("seed", range(300))
def test_any_cut_of_a_stream_gives_the_same_lines(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a test's chance
    lines = [
        bytes(chance.choices(b"ab\r\0", k=chance.choice([0, 1, 5, MOST - 1, MOST, 3 * MOST])))
        for _ in range(chance.randint(0, 30))
    ]
    rest = b"r" * chance.randint(0, MOST)
    stream = b"".join(line + b"\n" for line in lines) + rest
    wanted = ([line for line in lines if len(line) < MOST], sum(len(line) >= MOST for line in lines), rest)
    for _ in range(5):
        assert cut_up(stream, [chance.randint(1, MOST) for _ in range(2000)]) == wanted
    assert cut_up(stream, [1] * 2000) == wanted


@pytest.mark.parametrize("length", [MOST - 2, MOST - 1, MOST, MOST + 1, 10 * MOST])
@pytest.mark.parametrize("before", [0, 3])
@pytest.mark.parametrize("after", [0, 3])
def test_a_line_at_the_limit_is_one_and_a_longer_one_is_left_out(
    length: int, before: int, after: int
) -> None:
    fits = length < MOST  # with its end
    stream = b"a\n" * before + b"x" * length + b"\n" + b"b\n" * after
    wanted = [b"a"] * before + [b"x" * length] * fits + [b"b"] * after
    for size in range(1, MOST + 1):
        assert cut_up(stream, [size] * 2000) == (wanted, int(not fits), b"")


def test_a_last_line_that_is_too_long_is_left_out_once_and_nothing_is_left_of_it() -> None:
    assert cut_up(b"a\n" + b"x" * 100, [7] * 100) == ([b"a"], 1, b"")
    cutter = LineCutter(MOST)
    cutter.feed(b"x" * MOST)
    cutter.feed(b"x")
    assert cutter.end() == b""
    assert cutter.feed(b"next\n") == b"next\n"
    assert cutter.left_out == 1


def test_a_line_without_an_end_takes_no_more_memory_than_the_longest_that_is_held() -> None:
    cutter, block = LineCutter(), b"x" * 65_536
    tracemalloc.start()
    for _ in range(1000):
        assert cutter.feed(block) == b""
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert cutter.left_out == 1
    assert peak < 4 * MAX_LINE_BYTES

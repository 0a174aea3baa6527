"""Mutated lines and messages: none ends a feed, none takes long, and each is a row or is counted."""

from __future__ import annotations

import os
import time
from collections import Counter
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from fuzz.lines import FORMATS, MESSAGES, Mutator
from support.piped import feed

from edge_runtime.errors import InputError
from edge_runtime.mapping.cells import Unmapped
from edge_runtime.mapping.form import Columns
from edge_runtime.mqtt.broker import Topic
from edge_runtime.mqtt.messages import MessageRows
from edge_runtime.records import Readings
from edge_runtime.text.csvrows import CsvLines, CsvRows, read_layout
from edge_runtime.text.jsonrows import JsonRows
from edge_runtime.text.lineprotocol import LineProtocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NUMBER = 1_000_000 if os.environ.get("EDGE_DETECT_SOAK") else 20_000
# Of lines, half go to a parser one by one, and half down a pipe.
HALF = NUMBER // 2
# A seed's part, so that one that fails is found again in seconds.
PART = 5_000
LIMIT_S = 0.05
COLUMNS = Columns(("a", "b"))
Row = tuple[str, int, tuple[str, ...]]

pytestmark = pytest.mark.filterwarnings("error")


def parser(kind: str) -> Any:
    if kind == "line protocol":
        return LineProtocol(COLUMNS, "test", Unmapped())
    if kind == "json":
        return JsonRows(COLUMNS, "test", Unmapped())
    return CsvLines(CsvRows(read_layout(FORMATS["csv"][0].decode(), COLUMNS, "test")))


def rows(readings: Readings) -> list[Row]:
    """Machine, time and values as text, in which one NaN is like another."""
    block = zip(readings.machines.tolist(), readings.times.tolist(), readings.values.tolist(), strict=True)
    return [(machine, moment, tuple(map(str, values))) for machine, moment, values in block]


def seconds_alone(work: Callable[[], object]) -> float:
    """CPU time of the fastest of five."""
    times = []
    for _ in range(5):
        started = time.thread_time()
        work()
        times.append(time.thread_time() - started)
    return min(times)


def test_the_check_for_slow_ones_can_fail() -> None:
    def works_for_long() -> None:
        until = time.thread_time() + 2 * LIMIT_S
        while time.thread_time() < until:
            pass

    assert seconds_alone(works_for_long) > LIMIT_S


@pytest.mark.parametrize("kind", FORMATS)
def test_mutated_lines_are_rows_or_input_errors(kind: str) -> None:
    slow: list[bytes] = []
    seen: Counter[str] = Counter()
    for seed in range(HALF // PART):
        mutator, reader = Mutator(seed, FORMATS[kind][1]), parser(kind)

        def alone(line: bytes, reader: Any = reader) -> tuple[list[Row], int] | None:
            started = time.thread_time()
            try:
                readings, skipped = reader.parse(line, 1)
            except InputError:
                return None
            finally:
                if time.thread_time() - started > LIMIT_S:
                    slow.append(line)
            return rows(readings), sum(skipped.values())

        for at in range(PART):
            line = mutator.mutated().replace(b"\n", b"")
            found = alone(line)
            if found is None:
                seen["refused"] += 1
                continue
            accounted = len(found[0]) + found[1]
            nothing = not line.strip() or (kind == "line protocol" and line.startswith(b"#"))
            assert accounted == (not nothing), line
            seen["row" if found[0] else "left out"] += 1
            if at % 10 == 0:  # among others it is the same row
                others = [mutator.good(), mutator.good()]
                each = [alone(others[0]), found, alone(others[1])]
                readings, skipped = reader.parse(b"\n".join([others[0], line, others[1], b""]), 1)
                assert rows(readings) == [row for one in each if one for row in one[0]], line
                assert sum(skipped.values()) == sum(one[1] for one in each if one), line
    assert sum(seen.values()) == HALF // PART * PART
    assert min(seen["refused"], seen["row"]) > HALF // 20, seen  # they are neither all good nor all bad
    assert_none_takes_long(slow, lambda line: parser(kind).parse(line, 1))


@pytest.mark.parametrize("kind", FORMATS)
def test_mutated_lines_down_a_pipe_are_counted_one_by_one(kind: str) -> None:
    first, good = FORMATS[kind]
    for seed in range(HALF // PART):
        mutator, reader = Mutator(-seed - 1, good), parser(kind)
        # Half of them in stretches without a change, so that blocks are read as blocks, too.
        lines = [
            mutator.mutated().replace(b"\n", b"") if at % 2 or at % 1000 < 500 else mutator.good()
            for at in range(PART)
        ]
        wanted: list[Row] = rows(reader.parse(first, 1)[0]) if kind != "csv" else []
        skipped = 0
        for line in lines:
            try:
                readings, left_out = reader.parse(line, 1) if line else (Readings.empty(2), {})
            except InputError:
                skipped += 1
            else:
                wanted += rows(readings)
                skipped += sum(left_out.values())
        pieces = cut(b"\n".join([first, *lines, b""]), mutator)
        found = feed(pieces, COLUMNS)
        assert rows(found.readings) == wanted, seed
        assert sum(found.skipped.values()) == skipped, seed
        assert len(found.said) <= 100, seed


def cut(stream: bytes, mutator: Mutator) -> list[bytes]:
    """The same in pieces of up to 64 KiB."""
    pieces = []
    while stream:
        size = mutator.chance.choice([1, 10, 1000, 65_536])
        pieces.append(stream[:size])
        stream = stream[size:]
    return pieces


def test_mutated_messages_are_rows_or_counted() -> None:
    slow: list[bytes] = []
    seen: Counter[str] = Counter()
    for seed in range(NUMBER // PART):
        mutator, topics = Mutator(seed, MESSAGES), Mutator(seed, [b"p/press", b"p/lathe 2", b"q"])
        said: list[str] = []
        reader = MessageRows(Topic("p/{machine}"), COLUMNS, "mqtt://test", report=said.append)

        def counted(messages: Sequence[Any], reader: MessageRows = reader) -> tuple[list[Row], Counter[str]]:
            started = time.thread_time()
            readings, skipped = reader.readings(messages)
            if time.thread_time() - started > LIMIT_S:
                slow.extend(message.payload for message in messages)
            return rows(readings), skipped

        for _ in range(PART // 5):
            messages = [
                SimpleNamespace(
                    payload=mutator.mutated(),
                    topic=(topics.mutated() if at == 0 else topics.good()).decode("utf-8", "replace"),
                )
                for at in range(5)
            ]
            each = [counted([message]) for message in messages]
            for message, (found, skipped) in zip(messages, each, strict=True):
                assert len(found) + skipped.total() >= 1, message
                seen["row" if found else "left out"] += 1
            together, skipped = counted(messages)
            assert sorted(together) == sorted(row for found, _ in each for row in found), messages
            assert skipped == sum((left_out for _, left_out in each), Counter()), messages
        assert len(said) <= 100, seed
    assert min(seen.values()) > NUMBER // 10, seen

    def again(payload: bytes) -> object:
        fresh = MessageRows(Topic("p/{machine}"), COLUMNS, "mqtt://test", report=lambda _: None)
        return fresh.readings([SimpleNamespace(payload=payload, topic="p/press")])

    assert_none_takes_long(slow, again)


def assert_none_takes_long(slow: Sequence[bytes], work: Callable[[bytes], object]) -> None:
    """Those that were slow beside whatever else the machine did are measured again, alone."""

    for line in slow:

        def tried(line: bytes = line) -> None:
            with suppress(InputError):
                work(line)

        assert seconds_alone(tried) <= LIMIT_S, line[:200]

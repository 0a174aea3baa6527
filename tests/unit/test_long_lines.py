"""Whatever a line holds, its time grows with its length: CPU time beside a regular expression over it."""

from __future__ import annotations

import ctypes
import re
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from edge_runtime.errors import InputError
from edge_runtime.mapping.cells import Unmapped
from edge_runtime.mapping.form import Columns
from edge_runtime.text.csvrows import CsvLines, CsvRows, read_layout
from edge_runtime.text.cutter import MAX_LINE_BYTES
from edge_runtime.text.jsonrows import JsonRows
from edge_runtime.text.lineprotocol import MAX_PAIRS, LineProtocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COLUMNS = Columns(("a", "b"))
HEADER = "time,machine_id,a,b"
SIZE = MAX_LINE_BYTES
# What 1 MiB takes at most, in scans of it: they are 4 to 8 ms on a machine of 2020. A line that is tried in
# more ways than one takes thousands.
MOST_SCANS = 40
# Twice the length takes about twice the time, and not four times.
MOST_GROWTH = 3.2
ATTEMPTS = 4
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
SCAN = re.compile(rb"(?:[^\\ ]++|\\.)++")

# The beginning of a line, what is repeated until it is long, and its end.
LINE_PROTOCOL = {
    "no end of a key": (b"m,machine_id=m a=1,bb", b"x", b" 1767225600000000000"),
    "nothing but letters": (b"", b"x", b""),
    "nothing but backslashes": (b"", b"\\", b""),
    "nothing but spaces": (b"m", b" ", b"a=1"),
    "nothing but NULs": (b"", b"\0", b""),
    "spaces at the end": (b"m a=1", b" ", b"x"),
    "commas": (b"m", b",", b" a=1"),
    "equal signs": (b"m a=", b"=", b" 1"),
    "digits of a number": (b"m a=", b"1", b""),
    "digits of a time": (b"m a=1 ", b"1", b""),
    "signs and letters of a number": (b"m a=", b"-e", b" 1"),
    "a text without an end": (b'm a="', b'\\"', b""),
    "texts side by side": (b"m a=", b'"x"', b" 1"),
    "fields": (b"m a=1", b",a=1", b",b=1"),
    "fields of length": (b"m a=1", b",field_of_a_machine=12345.678", b",b=1"),
    "fields with escapes": (b"m a=1", b",f\\ \\,\\==12345.678", b",b=1"),
    "tags": (b"m", b",tag_of_a_machine=value", b" a=1"),
    "tags without a value": (b"m", b",tag", b" a=1"),
    "a long measurement": (b"", b"m\\ ", b" a=1"),
    "a long machine": (b"m,machine_id=", b"x", b" a=1 1767225600000000001"),
    "a long machine with escapes": (b"m,machine_id=", b"\\,", b" a=1 1767225600000000001"),
    "a long machine of backslashes": (b"m,machine_id=", b"\\\\", b" a=1 1767225600000000001"),
}
JSON = {
    "arrays": (b'{"a":', b"[", b""),
    "objects": (b"", b'{"a":', b""),
    "keys": (b"{", b'"a":1,', b'"b":2}'),
    "digits": (b'{"a":', b"1", b"}"),
    "decimals": (b'{"a":0.', b"1", b"}"),
    "numbers of thousands of digits": (b'{"a":1,"c":[', b"1" * 4000 + b",", b"1]}"),
    "a long machine": (b'{"a":1,"machine_id":"', b"x", b'"}'),
    "a long time": (b'{"a":1,"time":"', b"1", b'"}'),
    "escapes": (b'{"a":1,"machine_id":"', b"\\u0041", b'"}'),
    "lone surrogates": (b'{"a":1,"machine_id":"', b"\\ud800", b'"}'),
    "elements": (b'{"a":1,"c":[', b"0,", b"0]}"),
    "spaces": (b"{", b" ", b'"a":1}'),
}
CSV = {
    "cells": (b"1", b",1", b""),
    "quotes": (b"", b'"', b""),
    "a quote in quotes": (b'1767225600,"', b'""', b'",1,2'),
    "cells after a quote": (b'1767225600,"m"', b",1", b""),
    "digits": (b"1767225600,m,", b"1", b",2"),
    "a long time": (b"", b"1", b",m,1,2"),
    "a long machine": (b"1767225600,", b"x", b",1,2"),
    "letters": (b"", b"x", b""),
    "NULs": (b"", b"\0", b""),
    "carriage returns": (b"", b"\r", b""),
}
CASES = [
    *(("line protocol", *case) for case in LINE_PROTOCOL.items()),
    *(("json", *case) for case in JSON.items()),
    *(("csv", *case) for case in CSV.items()),
]


def parser(kind: str) -> Any:
    if kind == "line protocol":
        reader = LineProtocol(COLUMNS, "test", Unmapped())
        reader.parse(b"m,machine_id=p a=1,b=2 1767225600000000005", 1)  # a pattern is there
        return reader
    if kind == "json":
        return JsonRows(COLUMNS, "test", Unmapped())
    return CsvLines(CsvRows(read_layout(HEADER, COLUMNS, "test")))


@pytest.fixture(scope="module", autouse=True)
def _memory_is_kept() -> Iterator[None]:
    """Memory that is freed stays with this process meanwhile.

    Some lines of 1 MiB take a hundred times as much for a moment. If the system has to give that anew each
    time, but not what a line of half the length takes, it looks as if the time grew faster than the line.
    """
    library = ctypes.CDLL(None)
    keep = getattr(library, "mallopt", lambda *_: None)
    keep(M_MMAP_THRESHOLD, 1 << 30)
    keep(M_TRIM_THRESHOLD, 1 << 30)
    yield
    keep(M_MMAP_THRESHOLD, 128 << 10)
    keep(M_TRIM_THRESHOLD, 128 << 10)


def seconds(work: Callable[[], object]) -> float:
    """CPU time of the fastest of three, without what measuring the coverage takes: several times as much."""
    times, tracer = [], sys.gettrace()
    sys.settrace(None)
    try:
        for _ in range(3):
            started = time.thread_time()
            work()
            times.append(time.thread_time() - started)
    finally:
        sys.settrace(tracer)
    return min(times)


def figures(kind: str, parts: tuple[bytes, bytes, bytes]) -> tuple[float, float]:
    """In scans of a line of 1 MiB: what it takes, and what a line of half its length takes."""
    begin, middle, end = parts

    def of(size: int) -> float:
        line = begin + middle * (size // len(middle)) + end

        def work() -> None:
            with suppress(InputError):
                reader.parse(line, 1)

        reader = parser(kind)
        return seconds(work)

    scan = seconds(lambda: SCAN.findall(b"x" * SIZE))
    return of(SIZE) / scan, of(SIZE // 2) / scan


@pytest.mark.parametrize(("kind", "what", "parts"), CASES, ids=[f"{kind}, {what}" for kind, what, _ in CASES])
def test_time_grows_with_a_lines_length(kind: str, what: str, parts: tuple[bytes, bytes, bytes]) -> None:
    del what
    found = []
    for _ in range(ATTEMPTS):  # for what else the machine does meanwhile
        whole, half = figures(kind, parts)
        found.append((whole, half))
        # Below a scan it is noise, whatever the quotient.
        if whole <= MOST_SCANS and (whole <= 1 or whole <= MOST_GROWTH * half):
            return
    pytest.fail(f"scans of 1 MiB, and of a line of half the length: {found}")


def test_a_line_with_too_many_fields_is_refused_before_they_are_looked_at() -> None:
    reader = LineProtocol(COLUMNS, "test", Unmapped())
    most = b"m a=1" + b",c=1" * MAX_PAIRS
    assert len(reader.parse(most, 1)[0]) == 1
    with pytest.raises(InputError, match="it has more than 16,384 tags and fields"):
        reader.parse(most + b",b=1", 1)


def test_a_line_with_too_many_quotation_marks_is_refused_before_they_are_matched() -> None:
    reader = LineProtocol(COLUMNS, "test", Unmapped())
    most = b'm,t="%s a=1' % (b'"' * (2 * MAX_PAIRS - 1))
    assert reader.parse(most, 1)[0].values[0, 0] == 1.0
    with pytest.raises(InputError, match="it has more than 32,768 quotation marks"):
        reader.parse(most + b',c="x"', 1)


def test_lines_that_are_all_different_are_not_each_made_a_pattern() -> None:
    made: list[int] = []
    reader = LineProtocol(COLUMNS, "test", Unmapped())
    before = None
    for number in range(3000):
        readings, _ = reader.parse(b"m,t%d=x a=1,f%d=2" % (number, number), 1)
        assert readings.values[0, 0] == 1.0
        if reader._pattern is not before:
            made.append(number)
            before = reader._pattern
    assert made[0] == 0
    assert 3 <= len(made) <= 15
    for number in range(3000):  # and it finds its way back
        reader.parse(b"m,machine_id=p a=%d,b=2 1767225600000000005" % number, 1)
    assert reader._pattern is not None
    assert reader._pattern.fullmatch(b"m,machine_id=p a=7,b=2 1767225600000000005")

"""The longest lines that are taken, as bad as they come, beside one regular expression over as many bytes."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from benchmarks.figures import Figure, in_rounds, paired
from benchmarks.workloads import QUICK_ROUNDS, ROUNDS
from edge_runtime.errors import InputError
from edge_runtime.mapping.cells import Unmapped
from edge_runtime.mapping.form import Columns
from edge_runtime.text.csvrows import CsvLines, CsvRows, read_layout
from edge_runtime.text.cutter import MAX_LINE_BYTES
from edge_runtime.text.jsonrows import JsonRows
from edge_runtime.text.lineprotocol import MAX_PAIRS, LineProtocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["measure"]

COLUMNS = Columns(("a", "b"))
TARGET = "a line of 1 MiB"
MOST_MS = 50.0
SCAN = re.compile(rb"(?:[^\\ ]++|\\.)++")


def measure(*, quick: bool) -> Iterator[Figure]:
    """For each format the lines that take longest."""
    seconds, rounds = (1.0, QUICK_ROUNDS) if quick else (5.0, ROUNDS)
    plain = b"x" * MAX_LINE_BYTES
    for what, (reader, line) in _lines().items():
        ours, theirs = (
            [latency.p50 / 1e3 for latency in each]
            for each in in_rounds(
                [_reading(reader, line), lambda _: SCAN.findall(plain)], rounds=rounds, seconds=seconds
            )
        )
        figure = paired(TARGET, what, "one scan", "ms", ours, theirs, at_most=12.0)
        yield figure
        yield Figure(TARGET, what, "", "ms", figure.ours, at_most=MOST_MS, rounds=rounds)


def _lines() -> dict[str, tuple[Any, bytes]]:
    lines, unmapped = LineProtocol(COLUMNS, "bench", Unmapped()), Unmapped()
    objects = JsonRows(COLUMNS, "bench", unmapped)
    rows = CsvLines(CsvRows(read_layout("time,machine_id,a,b", COLUMNS, "bench")))
    pairs = range(MAX_PAIRS - 2)
    return {
        "line protocol, no end of a key": (lines, _filled(b"m,machine_id=m a=1,bb", b"x", b" 1")),
        "line protocol, 16,384 fields": (lines, b"m a=1" + b"".join(b",field%055d=1" % at for at in pairs)),
        "line protocol, 16,384 tags": (lines, b"m" + b"".join(b",tag%057d=1" % at for at in pairs) + b" a=1"),
        "line protocol, texts": (lines, _filled(b"m a=", b'"x"', b" 1")),
        "JSON, keys": (objects, b"{" + b"".join(b'"f%d":1,' % at for at in range(90_000)) + b'"a":1,"b":2}'),
        "JSON, elements": (objects, _filled(b'{"a":1,"c":[', b"0,", b"0]}")),
        "CSV, cells": (rows, _filled(b"1", b",1", b"")),
        "CSV, cells after a quote": (rows, _filled(b'1767225600,"m"', b",1", b"")),
    }


def _filled(begin: bytes, middle: bytes, end: bytes) -> bytes:
    return begin + middle * ((MAX_LINE_BYTES - len(begin) - len(end)) // len(middle)) + end


def _reading(reader: Any, line: bytes) -> Callable[[int], object]:
    def read(_: int) -> None:
        with suppress(InputError):
            reader.parse(line, 1)

    return read

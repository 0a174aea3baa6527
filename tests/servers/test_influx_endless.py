"""An InfluxDB whose answers have no end, or are long: none fills the memory, and a run can be stopped."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.answering import Answering, answering
from support.commands import unmeasured
from support.influxanswers import (
    DOCUMENT,
    HEADER,
    ROW,
    T0,
    WANTED,
    ask,
    flux,
    influxql,
    questions,
)
from support.measured import MOST_MB, Peak

from edge_runtime.errors import SourceError, SourceUnavailableError
from edge_runtime.influxdb.reader import HOUR_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SOAK = bool(os.environ.get("EDGE_DETECT_SOAK"))
MIB = 1 << 20
LIMIT_S = 240.0


@pytest.fixture(scope="module")
def server() -> Iterator[Answering]:
    with answering() as found:
        yield found


@pytest.fixture(autouse=True)
def _as_at_first(server: Answering) -> None:
    server.raw, server.headers, server.answer = False, {}, lambda _: ()


@contextmanager
def little(most_mib: int = 120) -> Iterator[None]:
    """Nothing within this block may take more memory than that."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most_mib * MIB
    finally:
        tracemalloc.stop()


def endless(piece: bytes, begin: bytes = b"") -> Callable[[str], Iterable[bytes]]:
    def answer(_: str) -> Iterator[bytes]:
        yield begin
        yield from repeat(piece)

    return answer


NAMES = json.dumps(
    {"results": [{"series": [{"name": "s", "columns": ["fieldKey", "fieldType", "value", "tagKey", "name"],
                              "values": [["x" * 20, "float", "y", "z", "n"]] * 500}]}]}
).encode()  # fmt: skip


@pytest.mark.parametrize(
    ("piece", "begin"),
    [
        (b"x" * 60_000, b""),
        (b" " * 60_000, DOCUMENT[:-10]),
        (b"[" * 60_000, b'{"results":'),
        (b'{"results":' * 5000, b""),
        (NAMES + b"\n", b""),
        (b'{"results":[{"statement_id":0,"with":"%s"}]}\n' % (b"x" * 50_000), b""),
    ],
    ids=["letters", "a document", "brackets", "beginnings", "names", "empty documents"],
)
def test_an_answer_without_an_end_is_malformed(piece: bytes, begin: bytes, server: Answering) -> None:
    server.answer = endless(piece, begin)
    for name, question in questions(influxql(server)).items():
        # Rows are read as long as they come, and points are kept on a workstation alone.
        if name == "points" or (name == "rows" and piece.startswith(b'{"results":[')):
            continue
        if SOAK or name in ("rows", "machines", "fields"):
            with little(), pytest.raises(SourceUnavailableError, match="cut off or malformed"):
                question()


def test_rows_that_never_come_are_not_waited_for_any_more(server: Answering) -> None:
    server.answer = endless(b'{"results":[{"statement_id":0}]}\n' * 2000)
    asked: list[int] = []
    reader = influxql(server, stopped=lambda: len(asked) > 3)

    def document(_: str) -> Iterator[bytes]:
        for piece in repeat(b'{"results":[{"statement_id":0}]}\n' * 2000):
            asked.append(1)
            yield piece

    server.answer = document
    assert list(reader.rows(WANTED, T0, T0 + HOUR_NS)) == []


@pytest.mark.parametrize(
    "length", [b"-1", b"-10000000000", b"ffffffffffffffffffff", b"x", b"", b"1" * 70_000]
)
def test_the_length_of_a_chunk_may_be_anything(length: bytes, server: Answering) -> None:
    server.raw = True
    server.answer = endless(b"x" * 60_000, length + b"\r\n")
    for reader in (influxql(server), flux(server)):
        with little(), pytest.raises((SourceError, SourceUnavailableError)):
            list(reader.rows(WANTED, T0, T0 + HOUR_NS))


@pytest.mark.parametrize(
    ("piece", "begin"),
    [
        (b"x" * 60_000, HEADER + ROW % 1),
        (b'"x\n",' * 10_000, HEADER + b',,0,"'),
        (b'\n"' + b"x" * 60_000, HEADER + b',,0,"'),
        (HEADER, b'x"'),
        (b"\xff\n" * 1000, HEADER),
        (b"\0" * 60_000, HEADER),
        ((ROW % 1) * 100 + ROW % 0, HEADER),
    ],
    ids=["a line", "a row", "a cell", "a quote", "no UTF-8", "NULs", "no order"],
)
def test_a_flux_answer_without_an_end_is_an_error_of_the_source(
    piece: bytes, begin: bytes, server: Answering
) -> None:
    server.answer = endless(piece, begin)
    with little(), pytest.raises((SourceError, SourceUnavailableError)):
        list(flux(server).rows(WANTED, T0, T0 + HOUR_NS))


def test_what_flux_lists_has_an_end(server: Answering) -> None:
    server.answer = endless((ROW % 1).replace(b"a\r", b"x" * 500 + b"\r") * 500, HEADER)
    for question in (flux(server).measurements, lambda: flux(server).tags("sensors")):
        with pytest.raises(SourceUnavailableError, match="cut off or malformed"):
            question()


def test_an_answer_that_was_compressed_unasked_is_none(server: Answering) -> None:
    server.headers = {"Content-Encoding": "gzip"}
    content = (
        gzip.compress(HEADER + (ROW % 1) * 10_000_000, 1) if SOAK else gzip.compress(b"x" * 100 * MIB, 1)
    )
    server.says(content)
    for reader in (influxql(server), flux(server)):
        with little(60), pytest.raises((SourceError, SourceUnavailableError)):
            list(reader.rows(WANTED, T0, T0 + HOUR_NS))


def test_a_machine_with_a_long_name_costs_no_more_than_its_name(server: Answering) -> None:
    rows = [ROW % 1, ROW.replace(b"m1", b"m" * 100_000) % 1, *[ROW % 2] * 4000]
    server.says(HEADER, *rows)
    with little(60):
        assert sum(ask(questions(flux(server))["rows"])) == 3


@pytest.mark.parametrize("kind", ["letters", "empty documents"])
def test_a_run_ends_in_little_memory_whatever_the_server_says(
    kind: str, server: Answering, bundle: Path, tmp_path: Path
) -> None:
    pieces = {"letters": b"x" * 60_000, "empty documents": b'{"results":[{"statement_id":0}]}\n' * 2000}
    asked = threading.Event()

    def answer(target: str) -> Iterable[bytes]:
        asked.set()
        return endless(pieces[kind])(target)

    server.answer = answer
    words = ["run", "--source", "influx", "--url", server.url, "--database", "db", "--bundle", str(bundle)]
    with subprocess.Popen(
        [Path(sys.executable).parent / "edge-detect", *words],
        cwd=tmp_path,
        env={**unmeasured(), "XDG_STATE_HOME": str(tmp_path)},
        stderr=subprocess.PIPE,
    ) as process:
        peak = Peak(process.pid)
        assert asked.wait(LIMIT_S)
        time.sleep(5.0 if SOAK else 2.0)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=LIMIT_S)[1].decode()
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert peak.peak_mb() < MOST_MB

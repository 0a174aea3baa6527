"""What single sinks promise beside the contract of all: what is printed, and files that changed meanwhile."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from support.targets import SENSORS, some_results

from edge_runtime.errors import SinkError, SinkUnavailableError
from edge_runtime.sinks.jsonl import JsonlSink
from edge_runtime.sinks.stdout import StdoutSink

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.records import Results


SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def results(bundle: Path) -> Results:
    return some_results(bundle)


def test_standard_output_gets_the_same_lines_as_a_file(results: Results, tmp_path: Path) -> None:
    stream = io.BytesIO()
    sink = StdoutSink(SENSORS, stream)
    sink.check()
    sink.resume(None)
    assert sink.position() is None
    sink.deliver([sink.encode(results)])
    sink.close()
    assert stream.getvalue() == JsonlSink(tmp_path / "x", SENSORS).encode(results)


def test_a_file_that_a_crash_cut_short_loses_its_last_half_line(results: Results, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"a":1}\n{"b":')
    sink = JsonlSink(path, SENSORS)
    sink.resume(None)
    sink.deliver([sink.encode(results)])
    sink.close()
    lines = path.read_text().splitlines()
    assert lines[0] == '{"a":1}'
    assert len(lines) == 7


def test_a_file_that_was_rotated_away_is_begun_anew(results: Results, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    sink = JsonlSink(path, SENSORS)
    sink.deliver([sink.encode(results)])
    known = sink.position()
    sink.close()
    path.rename(tmp_path / "out.jsonl.1")
    again = JsonlSink(path, SENSORS)
    again.resume(known)
    again.deliver([again.encode(results)])
    again.close()
    assert len(path.read_text().splitlines()) == 6


def test_a_file_in_a_folder_that_is_not_there_is_refused_before_a_row_is_read(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="cannot write it"):
        JsonlSink(tmp_path / "nowhere" / "out.jsonl", SENSORS).check()


def test_a_full_disk_leaves_no_half_line(results: Results) -> None:
    from pathlib import Path  # noqa: PLC0415

    sink = JsonlSink(Path("/dev/full"), SENSORS)
    with pytest.raises(SinkUnavailableError, match="No space left"):
        sink.deliver([sink.encode(results)])
    sink.close()

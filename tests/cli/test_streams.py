"""Standard output or error is closed, full, or read by nobody: one line and a code; nothing lost unsaid."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from support.hanging import Freezing
from support.running import WAIT_S, running

if TYPE_CHECKING:
    from edge_runtime.influxdb import InfluxClient

BIN = Path(sys.executable).parent
ROWS = "time,temperature,vibration,pressure,power\n2026-01-01T00:00:00Z,55,1.2,50,235\n"
PRINTING = (
    "edge-detect --version",
    "edge-detect inspect",
    "edge-detect inspect --json",
    "edge-detect verify",
    "edge-detect connectors",
    "edge-detect check --seconds 0.2",
    "edge-detect run --rows 3 --speed 0",
    "edge-detect score in.csv -o -",
    "edge-train --help",
    "edge-export --version",
)
# What they print differs from time to time.
VARYING = ("verify", "check", "run")
OF_ROWS = ("edge-detect: version ", "edge-detect: alarm ", "  ")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "in.csv").write_text(ROWS)
    return tmp_path


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["/bin/bash", "-c", line],
        capture_output=True,
        timeout=WAIT_S,
        check=False,
        cwd=folder,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "XDG_STATE_HOME": str(folder / "state")},
    )


def complaints(done: subprocess.CompletedProcess[bytes]) -> list[str]:
    """What was said, but for what a run says of its rows."""
    return [
        line
        for line in done.stderr.decode().splitlines()
        if " rows read: " not in line and not line.startswith(OF_ROWS)
    ]


@pytest.mark.parametrize("command", PRINTING)
@pytest.mark.parametrize(
    ("how", "reason"),
    [(">/dev/full", "No space left on device"), (">&-", "closed"), ("> >(exec true)", "Broken pipe")],
)
def test_output_that_nobody_takes_is_one_line_and_a_code(
    place: Path, command: str, how: str, reason: str
) -> None:
    # The reader must be gone before the first line is written.
    line = f"exec {command} {how}" if "true" not in how else f"exec 3> >(exec true); wait $!; {command} >&3"
    done = shell(line, place)
    said = complaints(done)
    assert done.returncode in ((1, 2) if reason == "closed" else (1,)), said
    assert len(said) == 1, said
    early = said[0].endswith("another --sink")
    assert ("standard output is closed" if early else "cannot write to standard output") in said[0]
    assert reason in said[0] or reason == "closed"


@pytest.mark.parametrize("command", PRINTING)
@pytest.mark.parametrize("how", ["2>&-", "2>/dev/full", "2>&3"])
def test_what_is_said_to_nobody_does_not_matter(place: Path, command: str, how: str) -> None:
    before = "exec 3> >(exec true); wait $!; " if how == "2>&3" else ""
    done = shell(f"{before}{command} {how}", place)
    assert done.returncode == 0
    assert done.stdout
    if command.split()[1] not in VARYING:
        assert done.stdout == shell(command, place).stdout


def test_all_streams_may_be_closed_at_once(place: Path) -> None:
    done = shell("edge-detect run --rows 3 --speed 0 --sink jsonl --output out.jsonl <&- >&- 2>&-", place)
    assert done.returncode == 0
    rows = (place / "out.jsonl").read_text().splitlines()
    assert len(rows) == 3
    assert all(row.startswith('{"time":') for row in rows)


@pytest.mark.parametrize(
    "command", ["edge-detect run --source stdin --bundle default", "edge-detect score - -o out.csv"]
)
def test_input_that_is_closed_is_one_line(place: Path, command: str) -> None:
    done = shell(f"{command} <&-", place)
    assert (done.returncode, complaints(done)) == (
        2,
        ["edge-detect: standard input is closed; give it a file or a pipe"],
    )


def test_a_name_that_cannot_be_shown_does_not_end_a_command(place: Path, bundle: Path) -> None:
    done = shell(
        f"cp {bundle} $'caf\\xe9.onnx'; PYTHONIOENCODING=utf-8 edge-detect inspect $'caf\\xe9.onnx'", place
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"caf\\udce9.onnx  ")


def test_a_run_goes_on_when_nobody_reads_what_it_says(database: InfluxClient, tmp_path: Path) -> None:
    address = urlsplit(database.settings.url)
    assert address.port
    with Freezing(address.port) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        words = ("--sink", "influx", "--url", url, "--database", database.settings.database)
        with running(tmp_path, "edge-detect", "run", *words, "--set", "influx.timeout=1") as run:
            assert run.process.stderr is not None
            assert b"source simulate" in run.process.stderr.readline()
            run.process.stderr.close()
            proxy.freeze()
            assert proxy.asked.wait(WAIT_S)
            time.sleep(2)  # the sender says that the sink is away
            proxy.thaw()
            before, until = _points(database), time.monotonic() + WAIT_S
            while _points(database) < before + 10:
                assert time.monotonic() < until, "nothing is delivered any more"
                assert run.process.poll() is None
                time.sleep(0.2)
            assert run.stop() == 0


def _points(database: InfluxClient) -> int:
    query = {"db": database.settings.database, "q": "SELECT COUNT(score) FROM anomaly"}
    with database.request("GET", "/query", query) as response:
        results = json.loads(response.read())["results"][0].get("series", [])
    return int(results[0]["values"][0][1]) if results else 0

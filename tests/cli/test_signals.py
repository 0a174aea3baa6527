"""SIGTERM and Ctrl-C end a command whatever it waits for, and SIGHUP ends none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from support.hanging import Freezing, Silent
from support.running import WAIT_S, Running, running

from edge_runtime.bench.child import cpu_seconds
from edge_runtime.influxdb import write

if TYPE_CHECKING:
    from edge_runtime.influxdb import InfluxClient

ROOT = Path(__file__).parents[2]
# Longer than any test waits: whatever ends, it was the signal that ended it.
PATIENT = ("--set", "influx.timeout=600")
DEFAULT = ("--bundle", "default")
OF_INFLUX = ("--source", "influx", *DEFAULT, "--url", "http://127.0.0.1:{port}", "--database", "x", *PATIENT)
OF_MQTT = ("--source", "mqtt", *DEFAULT, "--broker", "mqtt://127.0.0.1:{port}")
INTO_INFLUX = ("--sink", "influx", "--url", "http://127.0.0.1:{port}", "--database", "x", *PATIENT)
# What a resolver does that gets no answer: nothing in Python runs meanwhile.
NO_RESOLVER = """
import hashlib, socket, threading
from edge_runtime.cli import console

def look_up(*_, **__):
    threading.Timer(0.5, print, ["asked"], {"flush": True}).start()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2_000_000_000)

socket.getaddrinfo = look_up
console()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    ("words", "codes"),
    [
        (("run", *OF_INFLUX), (0, 0)),
        (("run", *INTO_INFLUX), (0, 0)),
        (("run", *OF_MQTT), (0, 0)),
        (("run", *OF_MQTT[:-1], "mqtts://127.0.0.1:{port}"), (0, 0)),
        (("check", *OF_INFLUX), (-signal.SIGTERM, 130)),
        (("check", *OF_MQTT, "--seconds", "600"), (-signal.SIGTERM, 130)),
    ],
    ids=["run influx", "run into influx", "run mqtt", "run mqtts", "check influx", "check mqtt"],
)
def test_a_server_that_never_answers_is_not_waited_for(
    tmp_path: Path, words: tuple[str, ...], codes: tuple[int, int], number: signal.Signals
) -> None:
    with (
        Silent() as server,
        running(tmp_path, "edge-detect", *(w.format(port=server.port) for w in words)) as run,
    ):
        assert server.asked.wait(WAIT_S)
        run.process.send_signal(number)
        _, errors = run.process.communicate(timeout=WAIT_S)
    assert run.process.returncode == codes[number == signal.SIGINT], errors
    assert b"Traceback" not in errors


def test_a_database_that_falls_silent_between_two_polls_is_not_waited_for(
    database: InfluxClient, tmp_path: Path
) -> None:
    now = time.time_ns()
    lines = [
        f"sensors,machine_id=m1 temperature=55,vibration=1.2,pressure=50,power=235 {now + i}" for i in (0, 1)
    ]
    write(database, "\n".join(lines).encode())
    with Freezing(_port(database)) as proxy:
        words = [word.format(port=proxy.port) for word in OF_INFLUX]
        words[words.index("x")] = database.settings.database
        with running(tmp_path, "edge-detect", "run", *words, "--set", "influx.start=-1h") as run:
            assert json.loads(run.prints())["machine_id"] == "m1"
            proxy.freeze()
            assert proxy.asked.wait(WAIT_S)
            assert run.stop() == 0
            assert run.process.stderr is not None
            said = run.process.stderr.read().decode().splitlines()
    assert said[-1].startswith("2 rows read: ")
    assert not [line for line in said if "trying again" in line]


def test_a_sink_that_falls_silent_is_not_waited_for_and_its_results_wait(
    database: InfluxClient, tmp_path: Path
) -> None:
    with Freezing(_port(database)) as proxy:
        words = [word.format(port=proxy.port) for word in INTO_INFLUX]
        words[words.index("x")] = database.settings.database
        with running(tmp_path, "edge-detect", "run", *words) as run:
            assert run.process.stderr is not None
            assert b"source simulate" in run.process.stderr.readline()
            proxy.freeze()
            assert proxy.asked.wait(WAIT_S)
            assert run.stop() == 0
            said = run.process.stderr.read().decode().splitlines()
    assert " rows and changes wait in the ledger; of " in said[-1]
    assert not said[-1].startswith("  influx: 0 rows and changes wait")


def test_a_name_that_is_looked_up_for_ever_is_not_waited_for(tmp_path: Path) -> None:
    words = ["run", *(word.format(port=1) for word in OF_INFLUX)]
    with subprocess.Popen(
        [sys.executable, "-c", NO_RESOLVER, *words],
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"asked\n"
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=WAIT_S)
        finally:
            process.kill()
    assert process.returncode == 0
    assert errors == b"edge-detect: it did not end within 5 s of the signal, and was ended\n"


def test_a_reader_that_does_not_read_is_not_waited_for(tmp_path: Path) -> None:
    with running(tmp_path, "edge-detect", "run", "--speed", 0) as run:
        _wait_until_blocked(run)
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(WAIT_S) == 1


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with running(tmp_path, "edge-detect", "run", "--speed", 0) as run:
        _wait_until_blocked(run)
        run.process.send_signal(signal.SIGTERM)
        time.sleep(0.1)  # two signals at one moment are one
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(WAIT_S) in (-signal.SIGTERM, 128 + signal.SIGTERM)


def test_a_lost_terminal_does_not_end_a_run(tmp_path: Path) -> None:
    with running(tmp_path, "edge-detect", "run") as run:
        assert json.loads(run.prints())
        run.process.send_signal(signal.SIGHUP)
        assert run.says().startswith("edge-detect: SIGHUP: an output file that was renamed is begun anew")
        for _ in range(6):
            assert json.loads(run.prints())
        assert run.stop() == 0


@pytest.mark.parametrize("words", [("check", "--seconds", "3"), ("bench", "--quick", "--seconds", "0.5")])
def test_a_lost_terminal_does_not_end_another_command(tmp_path: Path, words: tuple[str, ...]) -> None:
    with running(tmp_path, "edge-detect", *words) as run:
        _wait_until(run.process.pid, "SigIgn", signal.SIGHUP)
        run.process.send_signal(signal.SIGHUP)
        output, errors = run.process.communicate(timeout=WAIT_S)
    assert run.process.returncode == 0, errors
    assert output


def test_score_ends_though_its_pipe_says_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "in.csv")
    output = tmp_path / "out.csv"
    words = ("edge-detect", "score", tmp_path / "in.csv", "-o", output)
    with running(tmp_path / "state", *words) as run, (tmp_path / "in.csv").open("wb") as pipe:
        pipe.write(b"time,temperature,vibration,pressure,power\n")
        pipe.flush()
        _wait_until(run.process.pid, "SigCgt", signal.SIGTERM)
        run.process.send_signal(signal.SIGTERM)
        _, errors = run.process.communicate(timeout=WAIT_S)
    assert run.process.returncode == 130, errors
    assert errors == b"edge-detect: interrupted\n"
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


def _wait_until_blocked(run: Running) -> None:
    """Until its standard output takes no more: it computes no longer."""
    assert run.process.stderr is not None
    assert b"source simulate" in run.process.stderr.readline()
    until, before = time.monotonic() + WAIT_S, -1.0
    while (now := cpu_seconds(run.process.pid)) != before:
        assert time.monotonic() < until
        before = now
        time.sleep(0.5)


def _wait_until(pid: int, what: str, number: signal.Signals) -> None:
    """Until the process takes, or ignores, the signal."""
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        mask = next(int(line.split()[1], 16) for line in lines if line.startswith(f"{what}:"))
        if mask & 1 << (number - 1):
            return
        time.sleep(0.01)
    raise AssertionError("it never did")


def _port(database: InfluxClient) -> int:
    port = urlsplit(database.settings.url).port
    assert port
    return port

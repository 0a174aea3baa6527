"""`edge-detect run`: from a feed to verdicts, stopped cleanly, and one clear line for what is wrong."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.commands import assert_one_clear_line
from support.running import running

from edge_runtime import load_bundle
from edge_runtime.delivery.ledger import Ledger
from edge_runtime.version import __version__

if TYPE_CHECKING:
    from support.commands import Command

    from edge_runtime.influxdb import InfluxClient

DEFAULT = ("--bundle", "default")
PROGRAM = Path(sys.executable).parent / "edge-detect"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def test_a_simulated_feed_gives_json_lines_and_accounts(command: Command, bundle: Path) -> None:
    done = command("edge-detect", "run", "--bundle", bundle, "--rows", 50, "--speed", 0, "--machines", 2)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 50
    assert {row["machine_id"] for row in rows} == {"machine-1", "machine-2"}
    # The simulation begins now, so that an alarm may be among its rows or not.
    start, *alarms, accounts = done.stderr.decode().splitlines()
    assert all(line.startswith("edge-detect: alarm ") for line in alarms), done.stderr
    digest = load_bundle(bundle).short_digest
    assert start == (
        f"edge-detect: version {__version__}; bundle {bundle.name}, {digest}; source simulate; sink stdout"
    )
    assert len(digest) == len("sha256:") + 12
    assert accounts.startswith("50 rows read: ")


def test_without_a_bundle_the_embedded_one_scores(command: Command) -> None:
    done = command("edge-detect", "run", "--rows", 5, "--speed", 0)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 5


def test_a_file_is_followed_into_a_file_and_not_twice(command: Command, bundle: Path, tmp_path: Path) -> None:
    rows = "".join(f"2026-01-01T00:00:{i:02}Z,m1,55,1.2,50,235\n" for i in range(30))
    (tmp_path / "in.csv").write_text("time,machine_id,temperature,vibration,pressure,power\n" + rows)
    words = ("edge-detect", "run", "--bundle", bundle, "--source", "csv", "--input", "in.csv")
    for _ in range(2):
        done = command(*words, "--sink", "jsonl", "--output", "out.jsonl")
        assert done.returncode == 0, done.stderr
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 30
    start, read, sums = done.stderr.decode().splitlines()
    assert f"; source csv {tmp_path}/in.csv; sink jsonl; ledger {tmp_path}/state/edge-detect/csv-" in start
    assert read.startswith("0 rows read")
    assert sums == (
        "  jsonl: 0 rows wait in the ledger; of 30 since it was made 30 were delivered, 0 are dead letters "
        "and 0 were dropped"
    )


def test_lines_on_standard_input_are_scored(command: Command, bundle: Path) -> None:
    feed = b'{"time":1767225600,"temperature":55,"vibration":1.2,"pressure":50,"power":235}\n'
    done = command("edge-detect", "run", "--bundle", bundle, "--source", "stdin", stdin=feed * 3)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= 1


def test_standard_input_has_a_future_and_a_file_has_none(
    command: Command, bundle: Path, tmp_path: Path
) -> None:
    lines = [f"{year}-01-01T00:00:00Z,m1,55,1.2,50,235\n" for year in (2025, 2136, 2026)]
    feed = "time,machine_id,temperature,vibration,pressure,power\n" + "".join(lines)
    done = command("edge-detect", "run", "--bundle", bundle, "--source", "stdin", stdin=feed.encode())
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row.get("reason") for row in rows] == [None, "time in the future", None]
    assert b"unknown, time in the future: 1" in done.stderr
    (tmp_path / "in.csv").write_text(feed)
    done = command("edge-detect", "run", "--bundle", bundle, "--source", "csv", "--input", "in.csv")
    assert len(done.stdout.splitlines()) == 2
    assert b"3 rows read: 2 normal, 0 anomalous, 0 unknown, 1 skipped\n  skipped, too late: 1" in done.stderr


def test_machines_beyond_the_bound_are_unknown_and_a_bound_that_takes_too_much_memory_is_refused(
    command: Command, bundle: Path, tmp_path: Path
) -> None:
    words = ("edge-detect", "run", "--bundle", bundle, "--config", "c.toml", "--rows", 12, "--speed", 0)
    (tmp_path / "c.toml").write_text("[run]\nsource = 'simulate'\nmax_machines = 2\n")
    done = command(*words, "--machines", 3)
    assert b"unknown, too many machines: 4" in done.stderr
    (tmp_path / "c.toml").write_text("[run]\nsource = 'simulate'\nmax_machines = 100_000\n")
    assert_one_clear_line(command(*words), 1, "the states of 100,000 machines may take", "lower max_machines")


def test_the_settings_come_from_a_file_and_options_win(
    command: Command, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "e.toml").write_text(
        f'[run]\nsource = "simulate"\nbundle = "{bundle}"\nrows = 7\n[simulate]\nspeed = 0\n'
    )
    assert len(command("edge-detect", "run", "--config", "e.toml").stdout.splitlines()) == 7
    assert len(command("edge-detect", "run", "--config", "e.toml", "--rows", 3).stdout.splitlines()) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(bundle: Path, tmp_path: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [PROGRAM, "run", "--bundle", bundle],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())
    process.send_signal(number)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert b"rows read" in errors
    assert b"Traceback" not in errors


def test_a_reader_that_goes_away_is_no_traceback(bundle: Path) -> None:
    line = f"{PROGRAM} run --bundle {bundle} --speed 0 | head -2"
    done = subprocess.run(["/bin/bash", "-c", line], capture_output=True, timeout=120, check=False)
    assert len(done.stdout.splitlines()) == 2
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (("--source", "kafka"), 2, ("kafka",)),
        (("--source", "infux"), 2, ("there is no source 'infux'; did you mean influx?",)),
        (("--topic", "x"), 2, ("--topic is an option of the source mqtt", "add --source mqtt")),
        (("--time-column", "x"), 2, ("of the sources csv, stdin, mqtt",)),
        (("--rows", "0"), 2, ("at least one row",)),
        (("--source", ""), 2, ("there is no source ''",)),
        (("--polll", "1"), 2, ("there is no option --polll; did you mean --poll?",)),
        (("--set", "mqtt.topic=x"), 2, ("--set: mqtt.topic belongs to mqtt, which is not used here",)),
        (("--set", "run.rows=x"), 2, ("--set: [run] rows: 'x' is not a whole number",)),
        (("--set", "run.state="), 2, ("--set: [run] state: a path that is empty",)),
        (
            ("--source", "influx", *DEFAULT, "--database", "x", "--poll", "nan"),
            2,
            ("poll must be greater than 0",),
        ),
        (("--set", "simulate"), 2, ("'simulate' is not TABLE.KEY=VALUE", "influx.poll=2")),
        (("--set", "simulate.sped=2"), 2, ("there is no 'sped' in [simulate]; did you mean speed or seed?",)),
        (("--set", "simulat.speed=2"), 2, ("there is no table [simulat]; did you mean simulate?",)),
        (("--set", "simulate.speed=fast"), 2, ("[simulate] speed: 'fast' is not a number",)),
        (("--set", "run.sinks=stdout,stdout"), 2, ("each only once",)),
        (("--sink", "nowhere"), 2, ("nowhere",)),
        (("--source", "csv", "--input", "x"), 2, ("the source csv needs a bundle", "--bundle default")),
        (("--source", "csv", *DEFAULT), 2, ("--input",)),
        (("--source", "csv", *DEFAULT, "--input", "none.csv"), 2, ("none.csv",)),
        (("--sink", "jsonl"), 2, ("--output",)),
        (("--sink", "jsonl", "--output", "no/folder/x"), 1, ("no/folder/x", "cannot write")),
        (("--config", "none.toml"), 2, ("none.toml",)),
        (("--config", "/dev/null"), 2, ("/dev/null: no source is set",)),
        (("--bundle", "none.onnx"), 2, ("none.onnx",)),
        (("--source", "influx", *DEFAULT), 2, ("--database", "--bucket")),
        (("--source", "influx", *DEFAULT, "--url", "ftp://x", "--database", "d"), 2, ("ftp://x",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_what_cannot_be_run_is_one_clear_line(
    command: Command, words: tuple[str, ...], code: int, named: tuple[str, ...]
) -> None:
    assert_one_clear_line(command("edge-detect", "run", *words), code, *named)


@pytest.mark.parametrize("words", [("--help",), ("--source", "csv", "--help"), ("--help", "--topic", "x")])
def test_help_is_shown_wherever_it_is_asked_for(command: Command, words: tuple[str, ...]) -> None:
    done = command("edge-detect", "run", *words)
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode()
    for group in ("[run]:", "[influx] of the source influx and sink influx:", "[csv] of the source csv:"):
        assert f"\n{group}\n" in text
    assert "--topic TEXT" in text
    assert "Also settable: mqtt.username, mqtt.password_file." in " ".join(text.split())


@pytest.mark.parametrize("words", [("--config",), ("--sink",), ("--rows", "3", "--bundle")])
def test_an_option_without_its_value_is_said(command: Command, words: tuple[str, ...]) -> None:
    done = command("edge-detect", "run", *words)
    assert done.returncode == 2
    assert f"Option '{words[-1]}' requires an argument" in done.stderr.decode()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("of another feed", "belongs to another source (csv /elsewhere.csv)"),
        ("of no database", "cannot be read (file is not a database)"),
        ("of a later version", "has version 99, and this edge-detect knows 4"),
        ("in what is no folder", "cannot be written"),
    ],
)
def test_check_says_what_run_would_of_a_ledger(
    command: Command, tmp_path: Path, how: str, words: str
) -> None:
    path = tmp_path / "l.sqlite"
    if how == "of another feed":
        Ledger(path, "csv /elsewhere.csv").close()
    elif how == "of no database":
        path.write_bytes(b"not a database" * 100)
    elif how == "of a later version":
        Ledger(path, "simulate").close()
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version = 99")
    else:
        (tmp_path / "file").touch()
        path = tmp_path / "file" / "l.sqlite"
    simulated = ("--speed", 0, "--rows", 3, "--sink", "jsonl", "--output", "o.jsonl", "--state", path)
    done = command("edge-detect", "check", *simulated, "--seconds", 0.2)
    assert done.returncode == 1
    assert f"ledger: {path}: {words}" in done.stdout.decode()
    assert command("edge-detect", "run", *simulated).returncode == 1


def test_a_terminal_on_which_nothing_can_be_drawn_gets_json_lines(tmp_path: Path) -> None:
    line = f"TERM=dumb script -qec '{PROGRAM} run --rows 3 --speed 0' /dev/null"
    done = subprocess.run(
        ["/bin/bash", "-c", line], capture_output=True, timeout=120, check=False, cwd=tmp_path
    )
    assert done.stdout.count(b'"verdict":') == 3


def test_default_is_the_built_in_bundle_and_never_a_file(command: Command, tmp_path: Path) -> None:
    words = ("edge-detect", "run", "--rows", 1, "--speed", 0, "--bundle", "default")
    assert command(*words).returncode == 0
    (tmp_path / "default").write_bytes(b"something else")
    assert_one_clear_line(command(*words), 2, "a file of this name exists here", f"{tmp_path}/default")


def test_a_server_that_is_not_there_and_a_database_that_is_not(
    command: Command, database: InfluxClient, tmp_path: Path
) -> None:
    influx = ("edge-detect", "run", *DEFAULT, "--source", "influx")
    nobody = f"http://127.0.0.1:{free_port()}"
    # It may still be starting: a gateway and its database come up together after a power cut.
    with running(tmp_path / "state", *influx, "--url", nobody, "--database", "plant") as run:
        said = run.says()
        assert said.startswith(f"edge-detect: influx: {nobody}")
        assert "cannot be reached (connection refused)" in said
        assert said.endswith("trying again\n")
        assert run.stop() == 0
    done = command(*influx, "--url", database.settings.url, "--database", "nowhere")
    assert_one_clear_line(done, 1, "nowhere")

from __future__ import annotations

import fcntl
import io
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from edge_runtime.errors import EdgeDetectError, UsageError
from edge_runtime.simulation import SENSORS, Simulator
from trainer.cli import app
from trainer.data.rows import LabelledRows
from trainer.data.tables import numeric_columns, read_table, times_ns
from trainer.labels.events import EventLabels, events_from_file
from trainer.simulate.emit import CsvTarget, Fleet, emit_history, emit_live

if TYPE_CHECKING:
    from pathlib import Path


def simulate(*words: str | Path) -> str:
    """What the command prints; its error is raised."""
    result = CliRunner().invoke(app, ["simulate", *map(str, words)])
    if isinstance(result.exception, EdgeDetectError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_rows_and_events_of_several_machines_go_to_two_tables(tmp_path: Path) -> None:
    rows, events = tmp_path / "rows.csv", tmp_path / "events.csv"
    options = ("--machines", "2", "--duration", "12h", "--rate", "30", "--severity", "2", "--seed", "7")
    simulate(*options, "-o", rows, "--events", events)
    frame = read_table(rows)
    assert list(frame.columns) == ["time", "machine_id", *SENSORS, "anomaly", "kind"]
    assert len(frame) == 2 * 12 * 3600
    assert frame["machine_id"].tolist()[:3] == ["press-1", "press-2", "press-1"]
    assert frame["time"].tolist()[:3] == ["2025-01-01T00:00:00Z"] * 2 + ["2025-01-01T00:00:01Z"]
    listed = read_table(events)
    assert list(listed.columns) == ["machine_id", "kind", "sensors", "start", "stop", "onset"]
    assert len(listed) == pytest.approx(2 * 12 * 30, rel=0.15)
    # The events, laid over the rows, give the very labels that the rows carry.
    labelled = EventLabels(events_from_file(events), {}).label(
        LabelledRows(
            times_ns(frame, "time", rows),
            frame["machine_id"].to_numpy(np.str_),
            numeric_columns(frame, SENSORS, rows),
            np.zeros(len(frame), np.bool_),
            np.full(len(frame), ""),
        )
    )
    np.testing.assert_array_equal(labelled.anomaly, frame["anomaly"].to_numpy() == 1)
    np.testing.assert_array_equal(labelled.kinds, frame["kind"].to_numpy(np.str_))


def test_one_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        simulate("--duration", "10m", "--seed", seed, "-o", tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_without_a_file_the_rows_go_to_standard_output() -> None:
    text = simulate("--duration", "3s", "--machine", "pump", "--cadence", "0.5", "--start", "2026-03-01")
    frame = pd.read_csv(io.StringIO(text))
    assert len(frame) == 6
    assert frame["time"].tolist()[:3] == [
        "2026-03-01T00:00:00.000Z",
        "2026-03-01T00:00:00.500Z",
        "2026-03-01T00:00:01.000Z",
    ]
    assert set(frame["machine_id"]) == {"pump"}


@pytest.mark.parametrize("moment", ["2h", "2025-01-01T02:00:00Z"])
def test_no_event_before_the_time_that_was_asked_for(tmp_path: Path, moment: str) -> None:
    simulate("--duration", "4h", "--rate", "40", "--events-from", moment, "-o", tmp_path / "rows.csv")
    anomaly = read_table(tmp_path / "rows.csv")["anomaly"].to_numpy()
    assert not anomaly[:7200].any()
    assert anomaly[7200:].any()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--duration", "soon"), "is not a duration"),
        (("--duration", "0s"), "contains no row"),
        (("--start", "soon"), "is not a time"),
        (("--events-from", "soon"), "is not a time"),
        (("--rate", "99"), "99 events per hour"),
        (("--severity", "-1"), "severity"),
        (("--cadence", "0"), "cadence"),
        (("--speed", "0"), "speed"),
        (("--machine", "a", "--machine", "a"), "two machines are named 'a'"),
        (("--to", "influx"), "no database was named"),
        (("--to", "influx", "--database", "x", "-o", "f.csv"), "these options require --to csv"),
        (("-o", "/nowhere/rows.csv"), "cannot write here"),
        (("--live", "-o", "/nowhere/rows.csv"), "cannot write here"),
    ],
)
def test_options_that_cannot_be_are_one_clear_error(options: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        simulate(*options)


class Clock:
    """Time that passes when it is waited for, and a little with each look."""

    def __init__(self, stop_after: float | None = None) -> None:
        self.time = 1000.0
        self._stop_at = None if stop_after is None else self.time + stop_after

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> bool:
        self.time += max(0.0, seconds)
        return self._stop_at is not None and self.time >= self._stop_at


class Arrivals:
    """A target that notes when each row came."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.seen: list[tuple[float, int]] = []

    def rows(self, rows: LabelledRows) -> None:
        self.seen += [(self._clock.time, int(t)) for t in rows.times]

    def events(self, events: object) -> None:
        """Nothing to note."""

    def flush(self) -> None:
        """Nothing is held back."""


@pytest.mark.parametrize(("cadence", "speed"), [(1.0, 1.0), (1.0, 60.0), (0.25, 4.0), (10.0, 1.0)])
def test_live_rows_come_when_their_time_has_come(cadence: float, speed: float) -> None:
    clock = Clock()
    target = Arrivals(clock)
    fleet = Fleet([Simulator("press-1", cadence=cadence)])
    done = emit_live(fleet, target, cadence=cadence, speed=speed, ticks=200, now=clock.now, wait=clock.wait)
    assert done == len(target.seen) == 200
    for came, time_ns in target.seen:
        late = came - 1000.0 - time_ns / 1e9 / speed
        assert -1e-9 <= late <= 0.0011


def test_live_catches_up_after_a_pause_without_losing_a_row() -> None:
    clock = Clock()
    target = Arrivals(clock)

    def wait(seconds: float) -> bool:
        return clock.wait(seconds if clock.time < 1010 else seconds + 60)

    fleet = Fleet([Simulator("press-1"), Simulator("press-2")])
    emit_live(fleet, target, cadence=1.0, speed=1.0, ticks=300, now=clock.now, wait=wait)
    assert [time_ns // 10**9 for _, time_ns in target.seen] == [t for t in range(300) for _ in range(2)]


def test_live_stops_when_it_is_told_to() -> None:
    clock = Clock(stop_after=30.0)
    target = Arrivals(clock)
    fleet = Fleet([Simulator("press-1")])
    done = emit_live(fleet, target, cadence=1.0, speed=1.0, ticks=None, now=clock.now, wait=clock.wait)
    assert done == len(target.seen)
    assert 29 <= done <= 31


def test_live_rows_are_those_of_history() -> None:
    history, live = io.BytesIO(), io.BytesIO()
    emit_history(
        Fleet([Simulator("a", seed=3)]), CsvTarget(history, None), ticks=500, progress=lambda _n: None
    )
    clock = Clock()
    emit_live(
        Fleet([Simulator("a", seed=3)]),
        CsvTarget(live, None),
        cadence=1.0,
        speed=7.0,
        ticks=500,
        now=clock.now,
        wait=clock.wait,
    )
    assert live.getvalue() == history.getvalue()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_live_run_ends_with_exit_code_0_when_it_is_stopped(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "trainer", "simulate", "--live", "--speed", "1000", "--machines", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = [process.stdout.readline() for _ in range(100)]
        process.send_signal(number)
        lines += process.stdout.readlines()
        said = process.stderr.read()
        assert process.wait(300) == 0, said
    assert lines[0] == "time,machine_id,temperature,vibration,pressure,power,anomaly,kind\n"
    assert all(line.count(",") == 7 and line.endswith("\n") for line in lines)
    assert f"{len(lines) - 1:,} rows" in said


@pytest.mark.parametrize(
    "words",
    [
        ("trainer", "simulate", "--live", "--speed", "1000000", "--machines", "2"),
        ("edge_runtime", "run", "--speed", "0"),
    ],
    ids=["edge-train simulate", "edge-detect run"],
)
def test_a_signal_while_the_pipe_is_full_cuts_nothing_off(words: tuple[str, ...]) -> None:
    """Without a buffer one write may take a part only: PYTHONUNBUFFERED, usual in containers, does that."""
    with subprocess.Popen(
        [sys.executable, "-m", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        pipe = process.stdout.fileno()
        room = fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ)
        until = time.monotonic() + 300
        while waiting(pipe) < room - 4096 and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        lines = process.stdout.readlines()
        said = process.stderr.read().decode()
        assert process.wait(300) == 0, said
    whole = b"}\n" if words[0] == "edge_runtime" else b"\n"
    assert all(line.endswith(whole) and line.count(b",") >= 7 for line in lines)
    rows = len(lines) - (words[0] == "trainer")
    assert f"{rows:,} rows" in said


def waiting(pipe: int) -> int:
    """How many bytes are in a pipe."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_a_terminal_sees_how_far_it_is(tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "trainer",
        "simulate",
        "--duration",
        "1d",
        "-o",
        str(tmp_path / "rows.csv"),
    ]
    with subprocess.Popen(command, stderr=follower) as process:
        os.close(follower)
        parts = []
        with suppress(OSError):  # a terminal ends with an error when its last writer is gone
            while part := os.read(leader, 100_000):  # which is a few thousand bytes at most, cut anywhere
                parts.append(part)
    os.close(leader)
    assert process.returncode == 0
    shown = b"".join(parts).decode()
    assert "simulate" in shown
    assert "100%" in shown
    assert "86,400 rows" in shown

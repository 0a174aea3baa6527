"""What single sources do beside the contract of all."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge_runtime.connector import Given
from edge_runtime.errors import InputError, SensorMismatchError, SourceError
from edge_runtime.mapping.form import Columns
from edge_runtime.sources.base import Feed
from edge_runtime.sources.csv import CsvSource
from edge_runtime.sources.simulate import SIMULATE, SimulateSource
from edge_runtime.sources.stdin import StdinSource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType


T0 = 1_767_225_600_000_000_000
SECOND = 1_000_000_000
ROWS = 13_000
COLUMNS = Columns(("a", "b"))


def test_a_checkpoint_of_another_csv_is_refused(tmp_path: Path) -> None:
    for name, first in (("one", 1), ("two", 2)):
        (tmp_path / name).write_text(f"time,a,b,{name}\n1767225600,{first},2,3\n")
    (batch,) = CsvSource(tmp_path / "one", COLUMNS).batches(None)
    with pytest.raises(SourceError, match="of another file"):
        list(CsvSource(tmp_path / "two", COLUMNS).batches(batch.checkpoint))


class Pipe:
    """A standard input that the test writes to."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        self.said: list[str] = []
        self.source = StdinSource(COLUMNS, descriptor=self.read_end, report=self.said.append)

    def write(self, text: str) -> None:
        os.write(self.write_end, text.encode())

    def end(self) -> None:
        os.close(self.write_end)


def test_a_row_on_standard_input_is_handed_on_at_once_and_half_a_line_waits() -> None:
    pipe = Pipe()
    batches = pipe.source.batches(None)
    pipe.write("time,a,b\n1767225600,1,2\n17672")
    assert next(batches).readings.values.tolist() == [[1.0, 2.0]]
    pipe.write("25601,3,4\n")
    assert next(batches).readings.values.tolist() == [[3.0, 4.0]]
    assert len(next(batches).readings) == 0  # idle: so that the loop can look at the clock
    pipe.end()
    assert list(batches) == []


def test_json_lines_are_seen_by_their_first_character() -> None:
    pipe = Pipe()
    pipe.write('{"time":"2026-01-01T00:00:00Z","machine_id":"m7","a":1,"b":null}\n')
    pipe.end()
    (batch,) = pipe.source.batches(None)
    assert batch.readings.machines.tolist() == ["m7"]
    assert batch.readings.times.tolist() == [T0]
    assert batch.readings.values[0, 0] == 1.0
    assert np.isnan(batch.readings.values[0, 1])


@pytest.mark.parametrize(
    ("first", "good", "bad"),
    [
        ("time,a,b\n", "1767225600,1,2\n", ["1767225601,1\n", "x,1,2\n", "1767225602,one,2\n"]),
        (
            "",
            '{"time":1767225600,"a":1,"b":2}\n',
            ['{"a":1,"time":"soon"}\n', "[]\n", '{"time":1,"a":"x","b":1}\n', "{\n"],
        ),
    ],
)
def test_a_bad_line_is_skipped_counted_and_told(first: str, good: str, bad: list[str]) -> None:
    pipe = Pipe()
    pipe.write(first + good + "".join(bad) + good)
    pipe.end()
    (batch,) = pipe.source.batches(None)
    assert batch.readings.values.tolist() == [[1.0, 2.0]] * 2
    assert batch.skipped == {"unreadable line": len(bad)}
    assert len(pipe.said) == len(bad)


@pytest.mark.parametrize("text", ['{"temp":1,"rpm":2}\n', "press temp=1,rpm=2\n"])
def test_lines_with_none_of_the_sensors_are_counted_and_named_when_nothing_fits(text: str) -> None:
    pipe = Pipe()
    assert pipe.source.what_came() == "no line with readings has come so far"
    pipe.write(text * 3)
    pipe.end()
    (batch,) = pipe.source.batches(None)
    assert len(batch.readings) == 0
    assert batch.skipped == {"none of the sensors in it": 3}
    assert pipe.source.what_came() == "no line has one of the sensors a, b; there are: temp, rpm"


def test_an_empty_standard_input_and_a_header_without_a_sensor_are_errors() -> None:
    pipe = Pipe()
    pipe.end()
    with pytest.raises(InputError, match="empty"):
        list(pipe.source.batches(None))
    pipe = Pipe()
    pipe.write("time,a\n")
    with pytest.raises(SensorMismatchError, match="no column 'b'"):
        next(pipe.source.batches(None))


def simulated(
    speed: float, clock: Callable[[], float], wait: Callable[[float], bool] | None
) -> SimulateSource:
    return SimulateSource(
        ("power", "temperature"),
        machines=2,
        severity=1.0,
        rate=5.0,
        seed=1,
        cadence=1.0,
        speed=speed,
        now_ns=lambda: T0 + 5,
        clock=clock,
        wait=wait,
    )


def test_simulated_machines_tick_by_the_clock_times_the_speed() -> None:
    now = [0.0]

    def wait(seconds: float) -> bool:
        now[0] += seconds
        return False

    batches = simulated(10.0, lambda: now[0], wait).batches(None)
    rows = [next(batches).readings for _ in range(30)]
    assert [len(block) for block in rows] == [2] * 30
    assert now[0] == pytest.approx(2.9, abs=0.02)
    assert rows[3].times.tolist() == [T0 + 3 * SECOND] * 2
    assert rows[3].machines.tolist() == ["machine-1", "machine-2"]
    assert 100 < rows[3].values[0, 0] < 400  # power comes first, as asked
    assert 20 < rows[3].values[0, 1] < 90


@pytest.mark.parametrize("step", range(1, 31))
def test_a_simulation_may_be_closed_between_any_two_of_its_steps(step: int) -> None:
    """As by a signal, whose handler runs in the thread that waits for the next tick."""
    source, passed = simulated(1000.0, time.monotonic, None), 0

    def look(frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        nonlocal passed
        if not frame.f_code.co_filename.endswith(("sources/simulate.py", "/threading.py")):
            return None
        if event == "line":
            passed += 1
            if passed == step:
                source.close()
        return look

    def follow() -> None:
        batches = source.batches(None)
        next(batches)
        sys.settrace(look)  # a wait comes next
        for _ in batches:
            pass

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    thread.join(60.0)
    assert not thread.is_alive()
    assert passed >= step


def test_a_sensor_that_the_simulation_does_not_have_is_named() -> None:
    with pytest.raises(SensorMismatchError, match="no sensor humidity"):
        SimulateSource(("humidity",), machines=1, severity=1, rate=1, seed=1, cadence=1, speed=1)


def test_simulated_machines_begin_at_the_time_that_the_feed_goes_by() -> None:
    feed = Feed(sensors=("power",), report=pytest.fail, now_ns=lambda: T0 + 5, future_s=60.0, owner="test")
    (name,) = SIMULATE.tables
    source = SIMULATE.make(Given.of(SIMULATE, {name: {"machines": 1, "speed": 0.0}}, "test"), feed)
    assert next(source.batches(None)).readings.times[:2].tolist() == [T0, T0 + SECOND]

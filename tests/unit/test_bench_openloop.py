from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.bundles import make_bundle

from edge_runtime import load_bundle
from edge_runtime.bench.child import cpu_seconds, csv_lines, resident_mb, run_child
from edge_runtime.bench.cpu import measure_running_cost
from edge_runtime.bench.endtoend import ROUTES, measure_route
from edge_runtime.bench.feeds import arrivals, read_growing, read_pipe, send_lines, to_pipe
from edge_runtime.bench.floor import BoundFloor
from edge_runtime.bench.histogram import Histogram
from edge_runtime.bench.neighbours import busy_neighbours
from edge_runtime.bench.openloop import offer
from edge_runtime.bench.route import descriptors
from edge_runtime.bench.rows import make_rows
from edge_runtime.engine.engine import Engine
from edge_runtime.errors import EdgeDetectError
from edge_runtime.loading.load import read_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle"))


def test_a_stall_is_in_the_latency_of_every_row_that_it_delays() -> None:
    stall_s, rate = 0.2, 100.0

    def stalls_once(number: int) -> None:
        if number == 5:
            time.sleep(stall_s)

    found = offer(stalls_once, rate=rate, rows=60)
    # Rows were due every 10 ms during the stall: they waited for 190, 180, 170 … ms. Counted from when each
    # was taken up, one row of 60 would be late.
    assert found.latency_us.max >= 1e6 * stall_s
    assert found.latency_us.mean > 1e6 * stall_s * 20 / 2 / 60 * 0.9
    assert found.latency_us.p90 > 100_000
    assert found.wake_us.max > 1e6 * (stall_s - 1 / rate) * 0.95
    assert found.wake_us.p50 < 1e6 * stall_s / 2, "what comes after it has caught up"


def test_a_row_is_never_taken_up_before_its_moment() -> None:
    moments: list[int] = []
    started = time.monotonic_ns()
    offer(lambda _: moments.append(time.monotonic_ns()), rate=500.0, rows=20)
    assert all(moment - started >= (i + 1) * 2_000_000 for i, moment in enumerate(moments))


def test_neighbours_compute_while_they_are_asked_to_and_are_gone_afterwards() -> None:
    def children() -> Iterator[int]:
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    status = (folder / "status").read_text()
                except OSError:
                    continue
                if f"PPid:\t{os.getpid()}\n" in status:
                    yield int(folder.name)

    before = set(children())
    with busy_neighbours() as number:
        started = set(children()) - before
        assert len(started) == number == len(os.sched_getaffinity(0))
        used = sum(map(cpu_seconds, started))
        time.sleep(0.2)
        assert sum(map(cpu_seconds, started)) - used > 0.02
    assert not set(children()) & started


@pytest.mark.parametrize("kind", ["plain", "memory", "time of day"])
def test_the_floor_computes_the_same_scores(kind: str, bundle: Path, tmp_path: Path) -> None:
    path: Path | None = bundle
    if kind == "memory":
        path = None  # the default bundle has one
    elif kind == "time of day":
        path = make_bundle(tmp_path, shown={"period": 60.0, "window": 2})
    loaded = load_bundle(path)
    rows = make_rows(loaded.metadata, 40)
    blocks = [rows.take(slice(i, i + 1)) for i in range(40)]
    floor, engine = BoundFloor(read_bundle(path)[1], loaded.metadata, blocks), Engine(loaded)
    for i, block in enumerate(blocks):
        floor(i)
        np.testing.assert_array_equal(floor.score, engine.feed(block).score)


def test_a_histogram_counts_every_call_between_its_edges() -> None:
    nanoseconds = (10 ** np.random.default_rng(0).uniform(3.1, 6.9, 5000)).astype(np.int64)
    found = Histogram.of(nanoseconds)
    assert len(found.edges_us) == len(found.counts) + 1
    assert sum(found.counts) == 5000
    assert found.edges_us[0] <= nanoseconds.min() / 1e3
    assert nanoseconds.max() / 1e3 < found.edges_us[-1]
    expected, _ = np.histogram(nanoseconds / 1e3, found.edges_us)
    # The edges are rounded for the file, so a call beside one may be on its other side.
    assert np.abs(expected - found.counts).sum() <= 10
    assert found.counts[0] > 0
    assert found.counts[-1] > 0


def test_lines_are_meant_for_their_moments_also_when_nobody_reads(tmp_path: Path) -> None:
    read, write = os.pipe()
    intended = send_lines(to_pipe(write), [b"a\n", b"b\n", b"c\n"], 100.0)
    came = arrivals(read_pipe(read), 3, 5.0)
    np.testing.assert_array_equal(np.diff(intended), [10_000_000] * 2)
    assert (came >= intended).all()
    os.close(write)
    with pytest.raises(EOFError):
        arrivals(read_pipe(read), 1, 5.0)
    os.close(read)
    file = tmp_path / "growing"
    with pytest.raises(EdgeDetectError, match="0 of 2 verdicts"):
        arrivals(read_growing(file), 2, 0.02)
    file.write_bytes(b"one\ntwo\n")
    assert len(arrivals(read_growing(file), 2, 1.0)) == 2


def test_a_run_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a bundle")

    def first_verdict() -> None:
        with run_child(["--source", "stdin"], tmp_path / "broken.onnx", tmp_path) as child:
            arrivals(read_pipe(descriptors(child)[1]), 1, 30.0)

    with pytest.raises(EdgeDetectError, match=r"edge-detect run: it failed: .*not an ONNX file"):
        first_verdict()


@pytest.mark.parametrize("route", ROUTES)
def test_a_route_gives_every_row_its_verdict(route: str, bundle: Path) -> None:
    metadata = load_bundle(bundle).metadata
    found = measure_route(route, bundle, metadata, rate=100.0, seconds=0.1)
    assert found.left_out is None
    if route.startswith("csv"):
        assert (found.rate, found.latency_us) == (None, None)
        assert found.rows >= 2000
        return
    assert found.latency_us is not None
    assert (found.rows, found.latency_us.calls, found.rate) == (10, 10, 100.0)
    assert 0 <= found.latency_us.p50 <= found.latency_us.max < 30e6


def test_a_simulation_without_the_bundles_sensors_is_left_out(tmp_path: Path) -> None:
    path = make_bundle(tmp_path, sensors=(("torque", "Nm", 5.0, 1.0, None), ("speed", "1/s", 9.0, 2.0, None)))
    metadata = load_bundle(path).metadata
    found = measure_route("simulate-stdout", path, metadata, rate=100.0, seconds=0.1)
    assert found.latency_us is None
    assert "other sensors" in str(found.left_out)


def test_csv_lines_are_what_the_runtime_reads() -> None:
    metadata = load_bundle(None).metadata
    rows = make_rows(metadata, 2)
    header, lines = csv_lines(metadata, rows)
    assert header.decode().strip().split(",") == ["time", "machine_id", *metadata.sensor_names]
    time_text, machine, *values = lines[1].decode().strip().split(",")
    assert (time_text, machine) == ("1970-01-01T00:00:01Z", "machine-1")
    np.testing.assert_array_equal(np.array(values, np.float32), rows.values[1])


def test_running_costs_processor_time_and_memory(bundle: Path) -> None:
    metadata = load_bundle(bundle).metadata
    found = measure_running_cost(bundle, metadata, rates=(20.0, 200.0), seconds=1.0)
    assert list(found.cpu_percent) == [20.0, 200.0]
    assert 0 < found.cpu_percent[20.0] < found.cpu_percent[200.0] < 100
    assert found.rss_mb is not None
    assert 20 < found.rss_mb < 500


def test_the_own_process_is_measured_as_the_system_does() -> None:
    before, own = cpu_seconds(os.getpid()), time.process_time()
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    assert cpu_seconds(os.getpid()) - before == pytest.approx(time.process_time() - own, abs=0.03)
    memory = resident_mb(os.getpid())
    assert memory is not None
    assert memory > 10

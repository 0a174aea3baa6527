from __future__ import annotations

import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from support.bundles import make_bundle
from support.commands import unmeasured

from edge_runtime import load_bundle
from edge_runtime.bench import environment
from edge_runtime.bench.environment import Environment
from edge_runtime.bench.fresh import measure_fresh_start
from edge_runtime.bench.latency import SLICE, Latency, Rounds, measure_in_turns
from edge_runtime.bench.rows import make_rows
from edge_runtime.errors import EdgeDetectError
from edge_runtime.version import __version__


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle"))


def test_a_latency_summarises_durations() -> None:
    # 0, 1, … 1000 µs: every quantile is its own number.
    nanoseconds = np.random.default_rng(0).permutation(np.arange(1001, dtype=np.int64) * 1000)
    assert Latency.of(nanoseconds) == Latency(
        calls=1001, mean=500.0, p50=500.0, p90=900.0, p99=990.0, p99_9=999.0, max=1000.0
    )


def test_contestants_take_turns_in_slices() -> None:
    log: list[tuple[str, int]] = []
    calls = 2 * SLICE + 3
    found = measure_in_turns(
        [lambda i: log.append(("ours", i)), lambda i: log.append(("raw", i))], Rounds(60.0, calls)
    )
    measured = log[-2 * calls :]
    assert [latency.calls for latency in found] == [calls, calls]
    assert measured[:SLICE] == [("ours", i) for i in range(SLICE)]
    assert measured[SLICE : 2 * SLICE] == [("raw", i) for i in range(SLICE)]
    assert measured[-6:] == [(who, 2 * SLICE + i) for who in ("ours", "raw") for i in range(3)]
    assert len(log) > len(measured), "there is a warm-up before"


def test_a_measurement_ends_with_its_time_but_takes_one_slice_at_least() -> None:
    assert measure_in_turns([lambda i: i], Rounds(1e-9))[0].calls == SLICE


def test_a_call_is_never_measured_as_faster_than_it_is() -> None:
    def spin(_: int) -> None:
        until = time.perf_counter_ns() + 50_000
        while time.perf_counter_ns() < until:
            pass

    slow, fast = measure_in_turns([spin, lambda i: i], Rounds(60.0, 20))
    assert slow.p50 >= 50.0
    assert slow.p50 <= slow.p90 <= slow.p99 <= slow.p99_9 <= slow.max
    assert fast.p50 < slow.p50


@pytest.mark.parametrize(
    "wrong", [{"seconds": 0.0}, {"seconds": 1.0, "calls": 0}, {"seconds": 1.0, "slice_calls": 0}]
)
def test_a_measurement_without_time_or_calls_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="some time and some calls"):
        Rounds(**wrong)  # type: ignore[arg-type]


def test_rows_lie_within_the_training_ranges_and_are_always_the_same(bundle: Path) -> None:
    metadata = load_bundle(bundle).metadata
    rows = make_rows(metadata, 500)
    for i, sensor in enumerate(metadata.sensors):
        low, high = sensor.training_range
        column = rows.values[:, i]
        assert np.float32(low) <= column.min()
        assert column.max() <= np.float32(high)
        assert np.ptp(column) > 0.9 * (high - low)
    np.testing.assert_array_equal(rows.values, make_rows(metadata, 500).values)
    assert rows.times[1] - rows.times[0] == metadata.cadence_seconds * 1e9


def test_the_environment_names_the_versions_that_are_imported() -> None:
    here = Environment.here()
    assert here.numpy == np.__version__
    assert here.onnxruntime == onnxruntime.__version__
    assert here.edge_detect == __version__ == version("edge-detect")
    assert here.python == platform.python_version()
    assert here.cpus >= 1


@pytest.mark.parametrize(
    ("cpu_info", "cpu"),
    [
        ("processor\t: 0\nmodel name\t: Imaginary 9000 @ 3 GHz\n", "Imaginary 9000 @ 3 GHz"),
        ("processor\t: 0\nBogoMIPS\t: 108\n\nModel\t\t: Board 4 Rev 1.4\n", "Board 4 Rev 1.4"),
    ],
)
def test_the_processor_or_its_board_and_the_governor_are_read_from_the_system(
    cpu_info: str, cpu: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(cpu_info)
    (tmp_path / "governor").write_text("powersave\n")
    monkeypatch.setattr(environment, "CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(environment, "GOVERNOR", tmp_path / "governor")
    assert (Environment.here().cpu, Environment.here().governor) == (cpu, "powersave")


def test_a_system_that_tells_nothing_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CPU_INFO", "GOVERNOR", "DEVICE_MODEL"):
        monkeypatch.setattr(environment, name, tmp_path / "missing")
    assert Environment.here().governor is None
    assert Environment.here().cpu


def test_peak_memory_is_the_peak_of_the_process_itself() -> None:
    code = """
from edge_runtime.bench.fresh import peak_memory_mb
before = peak_memory_mb()
block = bytearray(80_000_000)
block[::4096] = b"x" * len(block[::4096])
del block
print(before, peak_memory_mb())
"""
    # Whoever starts it is larger than it will ever be, which must not count.
    large = bytearray(300_000_000)
    large[::4096] = b"x" * len(large[::4096])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    assert before < 150
    assert 75 < after - before < 100


def test_a_fresh_process_is_timed_from_its_start_to_its_first_score(bundle: Path) -> None:
    start = time.perf_counter()
    found = measure_fresh_start(bundle, repeats=1)
    elapsed_ms = (time.perf_counter() - start) * 1e3
    # An interpreter with numpy and ONNX Runtime takes some tens of milliseconds and of megabytes anywhere.
    assert 20 < found.cold_start_ms < elapsed_ms
    assert 20 < found.rss_mb < 500


def test_a_fresh_process_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a bundle")
    with pytest.raises(EdgeDetectError, match=r"the fresh process failed: .*not an ONNX file"):
        measure_fresh_start(tmp_path / "broken.onnx", repeats=1)


def test_what_make_bench_runs_runs() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--benchmark-disable", "-p", "no:cacheprovider", "benchmarks"],
        cwd=root,
        env=unmeasured(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout

"""One row and blocks of rows through `Engine.feed`, beside ONNX Runtime alone on the same session.

The tables are grouped by block size; the figures in brackets are the ratio within the group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks.floor import plain_call
from benchmarks.workloads import BATCH_SIZES, BUNDLES, load, plant
from edge_runtime import Engine
from edge_runtime.bench.rows import rising

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from edge_runtime import Bundle


@pytest.fixture(scope="module", params=BUNDLES)
def bundle(request: pytest.FixtureRequest) -> Bundle:
    """The one that comes with edge-detect, whose model has a memory, and a plain one."""
    return load(request.param)


@pytest.mark.parametrize("rows", BATCH_SIZES)
def test_engine(benchmark: BenchmarkFixture, bundle: Bundle, rows: int) -> None:
    """The public path."""
    benchmark.group = f"{bundle.name}, blocks of {rows} rows"
    judged = benchmark(rising(Engine(bundle).feed, [plant(rows)]), 0)
    assert len(judged) == rows
    assert np.isfinite(judged.score).all()


@pytest.mark.parametrize("rows", BATCH_SIZES)
def test_onnx_runtime_alone(benchmark: BenchmarkFixture, bundle: Bundle, rows: int) -> None:
    """What no path can be faster than, on this session."""
    benchmark.group = f"{bundle.name}, blocks of {rows} rows"
    readings = plant(rows)
    score, errors, expected, *_ = benchmark(plain_call(bundle, [readings]), 0)
    assert score.shape == (rows,)
    assert errors.shape == expected.shape == readings.values.shape

"""One row and blocks of rows through `Scorer.score`, beside ONNX Runtime alone on the same session.

The tables are grouped by block size; the figures in brackets are the ratio within the group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_runtime import Scorer, load_bundle
from edge_runtime.bench.measure import BATCH_SIZES
from edge_runtime.bench.rows import make_rows, raw_call

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from edge_runtime import Bundle


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """The bundle that comes with edge-detect."""
    return load_bundle()


@pytest.mark.parametrize("rows", BATCH_SIZES)
def test_scorer(benchmark: BenchmarkFixture, bundle: Bundle, rows: int) -> None:
    """The public path."""
    benchmark.group = f"blocks of {rows} rows"
    readings = make_rows(bundle.metadata, rows)
    results = benchmark(Scorer(bundle).score, readings)
    assert len(results) == rows
    assert np.isfinite(results.scores.score).all()


@pytest.mark.parametrize("rows", BATCH_SIZES)
def test_onnx_runtime_alone(benchmark: BenchmarkFixture, bundle: Bundle, rows: int) -> None:
    """What no path can be faster than, on this session."""
    benchmark.group = f"blocks of {rows} rows"
    outputs, inputs = raw_call(bundle.metadata.model, make_rows(bundle.metadata, rows))
    score, errors, expected, *_ = benchmark(bundle.session.run, outputs, inputs)
    assert score.shape == (rows,)
    assert errors.shape == expected.shape == inputs["readings"].shape

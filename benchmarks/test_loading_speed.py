"""Loading the default bundle beside its bare session; the figures in brackets are the ratio.

What a bundle costs when this machine knows its digest: the trial in a process of its own is only for those
that it does not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edge_runtime.bundle.digest import check_content_digest, stated_digest
from edge_runtime.bundle.gate import check_graph
from edge_runtime.bundle.outline import read_outline
from edge_runtime.loading.load import load_bytes, read_bundle
from edge_runtime.scoring.session import make_session

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

pytestmark = pytest.mark.benchmark(group="loading the default bundle")


@pytest.fixture(scope="module")
def data() -> bytes:
    """The bundle that comes with edge-detect."""
    return read_bundle(None)[1]


def test_bare_session(benchmark: BenchmarkFixture, data: bytes) -> None:
    """What nobody can do without."""
    assert benchmark(make_session, data)


def test_gate_digest_and_session(benchmark: BenchmarkFixture, data: bytes) -> None:
    """What makes a file safe to hand to ONNX Runtime, and names it."""

    def load() -> Any:
        outline = read_outline(data)
        stated = stated_digest(data, outline.metadata)
        assert stated is not None
        assert check_content_digest(data, outline.metadata, stated)
        check_graph(data, outline.graph)
        return make_session(data)

    assert benchmark(load)


def test_everything(benchmark: BenchmarkFixture, data: bytes) -> None:
    """The metadata and the replay of the golden rows as well."""
    assert benchmark(load_bytes, data, "default.onnx").self_test.rows

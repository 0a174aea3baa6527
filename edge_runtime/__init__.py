"""What a gateway runs: load a bundle, score readings, deliver what was found.

    from edge_runtime import Scorer, load_bundle

    scorer = Scorer(load_bundle("bundle.onnx"))
    results = scorer.score(readings)

The names below are the public interface. They are imported when first used, so that a command that needs
none of them, such as `edge-detect --help`, starts without numpy and ONNX Runtime.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_runtime.bundle.load import Bundle, load_bundle
    from edge_runtime.errors import EdgeDetectError
    from edge_runtime.records import Readings, Reason, Results, Verdict
    from edge_runtime.scoring.scorer import Scorer

__all__ = [
    "Bundle",
    "EdgeDetectError",
    "Readings",
    "Reason",
    "Results",
    "Scorer",
    "Verdict",
    "load_bundle",
]

_HOMES = {
    "Bundle": "edge_runtime.bundle.load",
    "EdgeDetectError": "edge_runtime.errors",
    "Readings": "edge_runtime.records",
    "Reason": "edge_runtime.records",
    "Results": "edge_runtime.records",
    "Scorer": "edge_runtime.scoring.scorer",
    "Verdict": "edge_runtime.records",
    "load_bundle": "edge_runtime.bundle.load",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__

"""What a gateway runs: load a bundle, score readings, deliver what was found.

    from edge_runtime import Engine, load_bundle

    engine = Engine(load_bundle("bundle.onnx"))
    judged = engine.feed([[60.0, 1.2, 47.0, 250.0]], machine_id="press-1", time="2026-01-31T08:00:00Z")
    print(judged.verdicts)

The names below are the public interface. They are imported when first used, so that a command that needs
none of them, such as `edge-detect --help`, starts without numpy and ONNX Runtime.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_runtime.engine.engine import Engine
    from edge_runtime.engine.judged import Judged
    from edge_runtime.engine.rules import Rule
    from edge_runtime.errors import EdgeDetectError
    from edge_runtime.loading.load import Bundle, load_bundle
    from edge_runtime.records import Readings, Reason, Results, Verdict

__all__ = [
    "Bundle",
    "EdgeDetectError",
    "Engine",
    "Judged",
    "Readings",
    "Reason",
    "Results",
    "Rule",
    "Verdict",
    "load_bundle",
]

_HOMES = {
    "Bundle": "edge_runtime.loading.load",
    "EdgeDetectError": "edge_runtime.errors",
    "Engine": "edge_runtime.engine.engine",
    "Judged": "edge_runtime.engine.judged",
    "Readings": "edge_runtime.records",
    "Reason": "edge_runtime.records",
    "Results": "edge_runtime.records",
    "Rule": "edge_runtime.engine.rules",
    "Verdict": "edge_runtime.records",
    "Scorer": "edge_runtime.engine.scorer",  # the engine's earlier name
    "load_bundle": "edge_runtime.loading.load",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__

"""Two documents side by side: before, after, and their ratio."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from edge_runtime.bench.limits import NAMES, figure
from edge_runtime.errors import UsageError
from edge_runtime.reading import read_bounded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["compared", "read_document"]

MAX_BYTES = 1 << 24
MACHINE = ("cpu", "cpus", "governor", "system")
VERSIONS = ("python", "numpy", "onnxruntime", "edge_detect")


def read_document(path: Path) -> dict[str, Any]:
    """What an earlier `--json` wrote.

    Raises:
        UsageError: It cannot be read, or is something else.
    """
    try:
        document = json.loads(read_bounded(path, MAX_BYTES)[0].decode())
    except OSError as error:
        raise UsageError(f"cannot read it ({error.strerror})", where=str(path)) from None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or not all(
        isinstance(document.get(key), dict) for key in ("latency_us", "bundle", "environment")
    ):
        raise UsageError("not the figures of a bench", where=str(path), hint="name a file that --json wrote")
    return document


def compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What can be compared.

    Returns:
        `differs`: lines about what else changed: bundle, machine, versions. `figures`: short name to
        `before`, `after` and `ratio`, of what both have.
    """
    figures = {}
    for name in NAMES:
        old, new = figure(before, name), figure(after, name)
        if old is not None and new is not None:
            ratio = round(new / old, 3) if old else None
            figures[name] = {"before": old, "after": new, "ratio": ratio}
    return {"differs": _differences(before, after), "figures": figures}


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    old, new = before["environment"], after["environment"]
    parts = [
        ("machine", key, old.get(key), new.get(key)) for key in MACHINE if old.get(key) != new.get(key)
    ] + [("version", key, old.get(key), new.get(key)) for key in VERSIONS if old.get(key) != new.get(key)]
    digests = before["bundle"].get("digest"), after["bundle"].get("digest")
    if digests[0] != digests[1]:
        parts.insert(0, ("bundle", "digest", *digests))
    return [f"another {what}: {key} was {was}, is {now}" for what, key, was, now in parts]

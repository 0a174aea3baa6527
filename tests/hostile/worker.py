"""Loads every bundle of a folder under limits, in one process; a line of JSON for each says how that went.

python -m hostile.worker FOLDER
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from edge_runtime.errors import BundleError
from edge_runtime.loading.load import load_bundle
from edge_runtime.scoring.session import import_onnxruntime

ADDRESS_SPACE = 1 << 30

__all__ = ["main"]


def cpu_seconds() -> float:
    """Of this process and of those that it started and that ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main() -> None:
    """Loads them."""
    import_onnxruntime()
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ADDRESS_SPACE, used + ADDRESS_SPACE))
    opened: list[str] = []
    sys.addaudithook(lambda event, values: opened.append(str(values[0])) if event == "open" else None)
    for path in sorted(Path(sys.argv[1]).glob("*.onnx")):
        sys.stdout.write(f"{path.stem} ")
        sys.stdout.flush()
        opened.clear()
        before = cpu_seconds()
        try:
            load_bundle(path)
            outcome = "accepted"
        except BundleError as error:
            outcome = f"{type(error).__name__}: {error}"
        answer = {"outcome": outcome, "seconds": cpu_seconds() - before, "opened": opened}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

"""Fuzzing of what reads a bundle before ONNX Runtime does: `make fuzz [RUNS=…]`.

    python tests/fuzz/run.py gate|loader CORPUS -runs=N [libFuzzer's options]

Both begin with small good bundles and the files in CORPUS, and change them as a protocol buffer: a field
copied, cut, moved, its number or length changed; or a few bytes, as libFuzzer does. "gate" reads the outline
and the graph, whatever the digest. "loader" stamps each file again, so that no digest refuses it, and goes
through everything up to the metadata, and, of what passed, through ONNX Runtime in a process of its own
under limits, which must not end in a signal. Any error but the project's own is a crash, and its file is
kept.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import atheris

with atheris.instrument_imports(include=["edge_runtime.bundle"]):
    from edge_runtime.bundle import digest, gate, outline
    from edge_runtime.loading.load import load_bytes
    from edge_runtime.loading.trial import TrialLimits, run_trial
from edge_runtime.errors import BundleError, SelfTestError

sys.path.insert(0, str(Path(__file__).parents[1]))
from fuzz.mutation import mutate
from support.bundles import SENSORS, make_bundle

if TYPE_CHECKING:
    from collections.abc import Callable

LIMITS = TrialLimits(seconds=3, memory_mb=256)
STATED = re.compile(rb'("content_digest": ?"sha256:)[0-9a-f]{64}"')
# What was tried in a process of its own: each digest once, and no more than so many.
MAX_TRIED = 2000
tried: set[str] = set()


def read_gate(data: bytes) -> None:
    """The outline and the graph."""
    try:
        found = outline.read_outline(data)
        gate.check_graph(data, found.graph)
    except BundleError:
        return


class Accepted(Exception):  # noqa: N818 - nothing is wrong
    """Ends a load before this process makes a session of it."""


def load(data: bytes) -> None:
    """The whole loader, but ONNX Runtime in a child alone."""
    with suppress(BundleError, Accepted):
        load_bytes(stamped(data), "fuzzed", trial=try_once)  # type: ignore[arg-type]


def try_once(data: bytes, name: str) -> str:
    """In the place of a `Trial`."""
    if name not in tried and len(tried) < MAX_TRIED:
        tried.add(name)
        # libFuzzer ends the process without a word to Python, so this is said each time.
        sys.stderr.write(f"tried {len(tried)} accepted files in ONNX Runtime\n")
        try:
            run_trial(data, LIMITS)
        except SelfTestError as error:
            if "crashed" in error.what:
                raise RuntimeError(error.what) from error
    raise Accepted


def stamped(data: bytes) -> bytes:
    """With the content digest that it should have, if it states one."""
    found = STATED.search(data)
    if found is None:
        return data
    position = found.end(1)
    return (
        data[:position]
        + digest.content_digest(data, position).removeprefix("sha256:").encode()
        + data[position + 64 :]
    )


def seeds(folder: Path) -> None:
    """Small good bundles of several kinds, to begin with."""
    kinds: dict[str, dict[str, Any]] = {
        "plain": {"whiten": False},
        "smooth": {"smooth": 3},
        "everything": {
            "average": 0.6,
            "smooth": 3,
            "shown": {"window": 2, "rolling": 3, "period": 60.0, "harmonics": 1},
        },
        "convolutional": {"model": "convolutional"},
        "baseline": {"channels": True, "horizon": 1024.0, "smooth": 3},
    }
    for name, options in kinds.items():
        path = make_bundle(folder, f"{name}.onnx", sensors=SENSORS[:2], widths=(3, 1, 3), **options)
        (folder / name).write_bytes(path.read_bytes())
        path.unlink()
        shutil.rmtree(f"{path}.checkpoint")


def main() -> None:
    """libFuzzer's command line, with the target before it."""
    target, corpus = sys.argv[1], Path(sys.argv[2])
    work: Callable[[bytes], None] = {"gate": read_gate, "loader": load}[target]
    corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        seeds(Path(scratch))
        options = [sys.argv[0], *sys.argv[3:], str(corpus), scratch]
        atheris.Setup(options, work, custom_mutator=mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    main()

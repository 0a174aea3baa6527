"""Peers in processes of their own, that take turns; how fast each is, how soon, and with how much memory."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from benchmarks.figures import paired
from benchmarks.targets.processes import environment, memory_mb, session
from benchmarks.workloads import (
    BATCH,
    BUILD,
    QUICK_ROUNDS,
    ROUNDS,
    bundle_path,
    plain_checkpoint,
    plant,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.figures import Figure

__all__ = ["Contestant", "Missing", "contest", "make_ready", "title"]

FOLDER = BUILD / "peers"
SLICE_S = 0.05


class Missing(Exception):  # noqa: N818 - no error: the contest goes on without it
    """A peer that cannot take part here; says why."""


class Contestant:
    """A peer's process with its first row scored, within a `with` block.

    Attributes:
        start_ms: From its start to that score: interpreter, imports, loading, one row.
        memory_mb: What is resident then, of all its processes.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.start_ms = self.memory_mb = 0.0

    def __enter__(self) -> Self:
        started = time.monotonic_ns()
        self._log = (FOLDER / f"{self._name}.log").open("w+b")
        self._process = subprocess.Popen(
            _command(self._name),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**environment(), "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        try:
            self.start_ms = (self._answer() - started) / 1e6
        except BaseException:
            self.__exit__()
            raise
        # The server of MLflow comes and goes with its client, which is counted with it.
        self.memory_mb = sum(memory_mb(pid, "VmRSS") for pid in self._processes())
        return self

    def __exit__(self, *_: object) -> None:
        for pid in reversed(self._processes()):
            os.kill(pid, signal.SIGKILL)
        self._process.communicate()
        self._log.close()

    def slice(self, size: int) -> list[int]:
        """Nanoseconds of calls with so many rows each, for a while, one call at least."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{size} {SLICE_S}\n".encode())
        self._process.stdin.flush()
        return [int(each) for each in self._answer()]

    def _processes(self) -> list[int]:
        return session(self._process.pid)

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            raise Missing(_last_line(self._log.read()))
        return json.loads(line)


def make_ready(names: Sequence[str]) -> dict[str, str]:
    """Writes what peers load, each from a process of its own; returns those that cannot, and why."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    shutil.copy(bundle_path("plain"), FOLDER / "bundle.onnx")
    shutil.copytree(plain_checkpoint(), FOLDER / "checkpoint")
    np.save(FOLDER / "rows.npy", plant(16 * BATCH).values)
    missing = {}
    for name in names:
        sys.stderr.write(f"{name}: made ready\n")
        command = [*_command(name), "prepare"]
        done = subprocess.run(command, check=False, capture_output=True, env=environment())
        if done.returncode:
            missing[name] = _last_line(done.stderr)
    return missing


def contest(names: Sequence[str], missing: dict[str, str], *, quick: bool) -> Iterator[Figure]:
    """The first of them beside each of the others; those that do not start are added to the missing."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    starts: dict[str, list[float]] = {name: [] for name in names}
    memory: dict[str, list[float]] = {name: [] for name in names}
    # Those that then take turns are started once more.
    for _ in range(0 if quick else rounds - 1):
        for name in [name for name in names if name not in missing]:
            sys.stderr.write(f"{name}: started\n")
            with suppress(Missing), Contestant(name) as one:
                starts[name].append(one.start_ms)
                memory[name].append(one.memory_mb)
    with ExitStack() as stack:
        contestants: dict[str, Contestant] = {}
        for name in [name for name in names if name not in missing]:
            sys.stderr.write(f"{name}: started\n")
            try:
                one = contestants[name] = stack.enter_context(Contestant(name))
            except Missing as error:
                missing[name] = str(error)
                continue
            starts[name].append(one.start_ms)
            memory[name].append(one.memory_mb)
        rows, batches = _in_turns(contestants, rounds, slices=2 if quick else 10)
    yield from _beside("one row, p50", "µs", {name: [t / 1e3 for t in each] for name, each in rows.items()})
    rates = {name: [BATCH / t * 1e9 for t in each] for name, each in batches.items()}
    yield from _beside(f"batches of {BATCH:,} rows", "rows/s", rates)
    for target, unit, each in (
        ("import, load and first score in a fresh process", "ms", starts),
        ("resident memory after it", "MB", memory),
    ):
        yield from _beside(target, unit, {name: each[name] for name in rows})


def _in_turns(
    contestants: dict[str, Contestant], rounds: int, slices: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Each round's median of a call, in nanoseconds: with one row, and with a batch."""
    found: tuple[dict[str, list[float]], dict[str, list[float]]] = ({}, {})
    for size, medians in zip((1, BATCH), found, strict=True):
        sys.stderr.write(f"{size} rows a call, in turns\n")
        for contestant in contestants.values():
            contestant.slice(size)  # warms up
        for _ in range(rounds):
            calls: dict[str, list[int]] = {name: [] for name in contestants}
            for _ in range(slices):
                for name, contestant in contestants.items():
                    calls[name] += contestant.slice(size)
            for name, each in calls.items():
                medians.setdefault(name, []).append(median(each))
    return found


def _beside(target: str, unit: str, found: dict[str, list[float]]) -> Iterator[Figure]:
    (_, ours), *others = found.items()
    for name, theirs in others:
        yield paired(target, "edge-detect", title(name), unit, ours, theirs)


def title(name: str) -> str:
    """What its file calls it, which is not imported here."""
    text = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    return next(line.split('"')[1] for line in text.splitlines() if line.startswith("NAME = "))


def _command(name: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.peers.child", name, str(FOLDER)]


def _last_line(text: bytes) -> str:
    return (text.decode("utf-8", "replace").strip().splitlines() or ["it ended without a word"])[-1]

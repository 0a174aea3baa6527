"""Bundles that this machine has not seen are tried in a process that may die; what passed is remembered."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hostile.graphs import hostile
from support.bundles import make_bundle

from edge_runtime.bundle.digest import file_digest
from edge_runtime.errors import SelfTestError
from edge_runtime.files import state_folder
from edge_runtime.gateway.settings import RunPart
from edge_runtime.loading.load import Step, load_bundle
from edge_runtime.loading.proved import TRIAL_VERSION, Proofs
from edge_runtime.loading.trial import Trial, TrialLimits, run_trial
from edge_runtime.scoring.session import import_onnxruntime
from edge_runtime.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST, KNOWN = "in a process of its own", "passed before on this machine"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle"), widths=(8, 2, 8))


@pytest.fixture(scope="module")
def bombs(path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    with_memory = make_bundle(
        tmp_path_factory.mktemp("memory"), widths=(8, 2, 8), smooth=4, average=0.3
    ).read_bytes()
    return {name: data for name, data, _ in hostile(path.read_bytes(), with_memory)}


def finding(path: Path | None, trial: Trial | None) -> str:
    steps: list[Step] = []
    load_bundle(path, on_step=steps.append, trial=trial)
    return next(step.finding for step in steps if step.name == "trial")


def test_a_bundle_is_tried_once(path: Path, tmp_path: Path) -> None:
    assert FIRST in finding(path, Trial(state=tmp_path))
    assert finding(path, Trial(state=tmp_path)) == KNOWN
    digits = file_digest(path.read_bytes()).removeprefix("sha256:")
    assert [file.name for file in (tmp_path / "proved").iterdir()] == [digits]


def test_what_is_known_can_be_tried_again_and_is_remembered(path: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert FIRST in finding(path, Trial(state=tmp_path, again=True))
    assert finding(path, Trial(state=tmp_path)) == KNOWN


@pytest.mark.parametrize("part", [__version__, f"trial {TRIAL_VERSION}, ", import_onnxruntime().__version__])
def test_what_another_version_proved_is_tried_again(path: Path, tmp_path: Path, part: str) -> None:
    finding(path, Trial(state=tmp_path))
    (proof,) = (tmp_path / "proved").iterdir()
    assert part in proof.read_text()
    proof.write_text(proof.read_text().replace(part, "" if part.startswith("trial") else "0.0.1"))
    assert FIRST in finding(path, Trial(state=tmp_path))
    assert finding(path, Trial(state=tmp_path)) == KNOWN


def test_without_a_state_folder_it_is_tried_each_time(path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for _ in range(2):
        assert FIRST in finding(path, Trial(state=tmp_path / "file"))


def test_what_is_no_proof_is_none(tmp_path: Path) -> None:
    proofs = Proofs(tmp_path)
    assert not proofs.holds("sha256:" + "0" * 64)
    (tmp_path / "proved").mkdir()
    (tmp_path / "proved" / ("0" * 64)).write_bytes(b"\xff\xfe")
    assert not proofs.holds("sha256:" + "0" * 64)


def test_the_default_bundle_is_not_tried_unless_asked(tmp_path: Path) -> None:
    assert finding(None, None) == "not needed"
    assert FIRST in finding(None, Trial(state=tmp_path, again=True))


def test_the_state_folder_is_the_services_or_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/edge-detect:/var/lib/other")
    assert state_folder() == Path("/var/lib/edge-detect")
    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.setenv("XDG_STATE_HOME", "/home/x/state")
    assert state_folder() == Path("/home/x/state/edge-detect")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/x")
    assert state_folder() == Path("/home/x/.local/state/edge-detect")


def test_the_configurations_defaults_are_the_trials() -> None:
    part = RunPart()
    assert TrialLimits(part.trial_seconds, part.trial_memory_mb) == TrialLimits()


def test_a_memory_bomb_is_refused_and_not_remembered(bombs: dict[str, bytes], tmp_path: Path) -> None:
    tried = Trial(state=tmp_path)
    with pytest.raises(SelfTestError, match="needed more than 256 MB of memory in the trial"):
        tried(bombs["60,000 columns for each row"], "sha256:" + "0" * 64)
    assert not (tmp_path / "proved").exists()


def test_a_bomb_of_work_is_ended_at_its_limit(bombs: dict[str, bytes]) -> None:
    with pytest.raises(SelfTestError, match="did not finish within 1 s in the trial"):
        run_trial(bombs["matrix products for minutes"], TrialLimits(seconds=1))


def test_more_memory_can_be_allowed(bombs: dict[str, bytes]) -> None:
    assert FIRST in run_trial(bombs["60,000 columns for each row"], TrialLimits(seconds=60, memory_mb=4096))


@pytest.fixture
def instead(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Puts a shell script in the place of the interpreter that the trial starts."""

    def put(script: str) -> None:
        program = tmp_path / "program"
        program.write_text(f"#!/bin/sh\ncat >/dev/null\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))

    return put


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("kill -SEGV $$", r"ONNX Runtime crashed on it in the trial \(SIGSEGV\)"),
        ("kill -ABRT $$", r"ONNX Runtime crashed on it in the trial \(SIGABRT\)"),
        ("kill -KILL $$", "was killed in the trial, probably because the machine ran out of memory"),
        ("kill -XCPU $$", "did not finish within 3 s in the trial"),
        ("echo trouble >&2; exit 3", r"the trial failed with exit code 3 \(trouble\)"),
        ("echo []; exit 0", r"the trial failed with exit code 0 \(no output\)"),
        ("echo MemoryError >&2; exit 1", "needed more than 256 MB"),
    ],
)
def test_how_a_trial_ends_is_told(instead: Callable[[str], None], script: str, message: str) -> None:
    instead(script)
    with pytest.raises(SelfTestError, match=message):
        run_trial(b"", TrialLimits())


def test_a_trial_that_cannot_be_started_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(SelfTestError, match="the trial's process cannot be started"):
        run_trial(b"", TrialLimits())


def test_a_trial_knows_no_secrets(
    instead: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EDGE_DETECT_INFLUX_TOKEN", "s3cret")
    instead(f"env >{tmp_path}/environment; exit 1")
    with pytest.raises(SelfTestError):
        run_trial(b"", TrialLimits())
    assert "s3cret" not in (tmp_path / "environment").read_text()


def test_within_its_limits_a_trial_opens_no_file(tmp_path: Path) -> None:
    (tmp_path / "canary").write_text("x")
    program = f"from edge_runtime.loading import trial; trial._limit(3, 1 << 30); open('{tmp_path}/canary')"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=dict(os.environ), check=False
    )
    assert done.returncode == 1
    assert "OSError: [Errno 24]" in done.stderr

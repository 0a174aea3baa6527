"""Every hostile or broken file is refused with its own clear error; none reads outside or takes long."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hostile.child import REPOSITORY, child_environment, module
from hostile.corpus import Case, make_corpus
from hostile.watch import Watch
from support.bundles import make_bundle
from support.commands import assert_one_clear_line

if TYPE_CHECKING:
    from support.commands import Command

MAX_SECONDS = 5.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("corpus")
    (made / "canary").write_bytes(b"\x00\x00\x80\x3f" * 64)
    return made


@pytest.fixture(scope="module")
def corpus(folder: Path) -> list[Case]:
    cases = make_corpus(folder)
    (folder / "cases").mkdir()
    for number, case in enumerate(cases):
        (folder / "cases" / f"{number:03}.onnx").write_bytes(case.data)
    return cases


def load_all(cases: Path) -> list[dict[str, Any]]:
    """What became of each file, in order; a process of its own loads them."""
    done = subprocess.run(
        [*module("hostile.worker"), cases],
        cwd=cases.parent,
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-200:]}\n{done.stderr}"
    return [json.loads(line.split(" ", 1)[1]) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_every_file_of_the_corpus_is_refused_with_its_own_error(folder: Path, corpus: list[Case]) -> None:
    canary = Watch(folder / "canary")
    answers = load_all(folder / "cases")
    assert len(answers) == len(corpus)
    told = [(case.name, answer["outcome"]) for case, answer in zip(corpus, answers, strict=True)]
    refused = re.compile(r"(GateError|BundleFormatError|SelfTestError): (\S*/)?\d+\.onnx: ")
    wrong = [
        (name, case.message, outcome)
        for case, (name, outcome) in zip(corpus, told, strict=True)
        if not refused.match(outcome) or not re.search(case.message, outcome)
    ]
    assert wrong == []
    assert all(outcome.isprintable() and len(outcome) < 500 for _, outcome in told)
    assert max(answer["seconds"] for answer in answers) < MAX_SECONDS
    assert canary.opened() == 0
    outside = {
        path
        for number, answer in enumerate(answers)
        for path in answer["opened"]
        if Path(path).name != f"{number:03}.onnx" and not is_our_own(path)
    }
    assert outside == set()


def is_our_own(path: str) -> bool:
    """Modules of Python's and ours, the pipes to a trial, and the trials that passed before."""
    modules = (sys.prefix, sys.base_prefix, str(REPOSITORY))
    return path.isdigit() or path == os.devnull or path.startswith(modules) or "/edge-detect/proved/" in path


def test_the_corpus_is_large_and_no_file_is_there_twice(corpus: list[Case]) -> None:
    assert len({case.data for case in corpus}) == len({case.name for case in corpus}) == len(corpus) >= 300


def test_a_good_bundle_passes_under_the_same_limits(tmp_path: Path) -> None:
    make_bundle(tmp_path, widths=(8, 2, 8))
    answers = load_all(tmp_path)
    assert [answer["outcome"] for answer in answers] == ["accepted"]


def test_an_opened_canary_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "canary").write_bytes(b"x")
    watch = Watch(tmp_path / "canary")
    subprocess.run(["cat", tmp_path / "canary"], check=True, capture_output=True)
    assert watch.opened() == 1


SAMPLE = (
    "cut off at 50 percent",
    "a pickle",
    "one bit of a weight",
    "a second graph",
    "external data in a file beside it",
    "one NaN weight",
    "operator Loop",
    "60,000 columns for each row",
    "a hundred thousand nested lists",
    "a golden score that does not match",
)


@pytest.mark.parametrize("name", SAMPLE)
def test_verify_says_so_in_one_line(command: Command, corpus: list[Case], tmp_path: Path, name: str) -> None:
    case = next(case for case in corpus if case.name == name)
    (tmp_path / "hostile.onnx").write_bytes(case.data)
    done = command("edge-detect", "verify", "hostile.onnx")
    assert_one_clear_line(done, 1, "edge-detect: hostile.onnx: ")
    assert re.search(case.message, done.stderr.decode())
    assert b"REFUSED" in done.stdout

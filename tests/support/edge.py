"""The command lines of the project in this process, in a folder of their own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from edge_runtime import cli as detect
from edge_runtime.loading.load import read_bundle
from export import cli as export

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DEFAULT", "Edge", "edge_in", "table"]

DEFAULT = read_bundle(None)[1]


class Edge:
    """Runs a command line to its end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, program: str, *words: object) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        self.monkeypatch.setattr(sys, "argv", [program, *map(str, words)])
        with pytest.raises(SystemExit) as done:
            {"edge-detect": detect.main, "edge-export": export.main}[program]()
        return int(done.value.code or 0), *self.capsys.readouterr()

    def detect(self, *words: object) -> tuple[int, str, str]:
        return self("edge-detect", *words)


def edge_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Edge:
    """One in this folder, with the default bundle as bundle.onnx, and its state in `state`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "bundle.onnx").write_bytes(DEFAULT)
    return Edge(monkeypatch, capsys)


def table(text: str) -> dict[str, str]:
    """What a command printed as names and values."""
    return {line[:12].strip(): line[13:] for line in text.splitlines()}

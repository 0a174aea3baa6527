"""`verify` and `check` say what the service will say, and leave no trace that would make it say otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.bundles import make_bundle
from support.signing import KEY, signed

if TYPE_CHECKING:
    from pathlib import Path

    from support.commands import Command

ROW = b"time,machine_id,temperature,vibration,pressure,power\n2026-01-01T00:00:00Z,m1,55,1.2,50,235\n"


def files(folder: Path) -> dict[str, tuple[bytes, int] | None]:
    """Everything below it: content and time of change of a file, nothing of a folder."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        if path.is_file()
        else None
        for path in folder.rglob("*")
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle with its signature and key, and a configuration that keeps all state in folders of its own."""
    data = make_bundle(tmp_path, widths=(8, 2, 8)).read_bytes()
    (tmp_path / "bundle.onnx.sig").write_bytes(signed(data, expires="2099-01-01T00:00:00Z", target="default"))
    (tmp_path / "press.pub").write_text(KEY.public.to_pem())
    (tmp_path / "edge.toml").write_text(
        '[run]\nsource = "stdin"\nbundle = "bundle.onnx"\nstate = "own/ledger.sqlite"\n'
        '[trust]\nkeys = ["press.pub"]\nstate = "accepted"\n'
    )
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ("verify", "bundle.onnx"),
        ("verify", "bundle.onnx", "--trusted-key", "press.pub"),
        ("verify", "--config", "edge.toml"),
        ("verify", "--config", "edge.toml", "--json"),
        ("verify",),
        ("check", "--config", "edge.toml", "--seconds", "0.2"),
    ],
)
def test_nothing_is_written(command: Command, folder: Path, words: tuple[str, ...]) -> None:
    before = files(folder)
    done = command("edge-detect", *words, stdin=ROW)
    assert b"REFUSED" not in done.stdout
    assert b"golden" in done.stdout or b"bundle" in done.stdout
    assert files(folder) == before


def test_what_run_remembered_stays_as_it_is(command: Command, folder: Path) -> None:
    assert command("edge-detect", "run", "--config", "edge.toml", stdin=ROW).returncode == 0
    before = files(folder)
    assert [name for name in before if "proved/" in name or name.endswith("accepted.json")]
    for words in (("verify",), ("check", "--seconds", "0.2")):
        command("edge-detect", *words, "--config", "edge.toml", stdin=ROW)
    assert files(folder) == before

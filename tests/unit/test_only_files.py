"""A bundle's checks read regular files alone: a pipe or a device is refused at once, and never waited for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.bundles import make_bundle
from support.commands import assert_one_clear_line
from support.signing import KEY, Gateway, refused, signed

from edge_runtime.bundle.digest import file_digest
from edge_runtime.errors import UsageError
from edge_runtime.loading.proved import Proofs
from edge_runtime.signing.keys import read_key

if TYPE_CHECKING:
    from support.commands import Command

HANG_GUARD_S = 120.0


@pytest.fixture(params=["pipe", "device"])
def no_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A pipe that nobody writes into, or a device that never ends."""
    path = tmp_path / "no-file"
    if request.param == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    return path


@pytest.mark.parametrize("words", ["verify", "inspect", "bench --quick", "check --seconds 0.1 --bundle"])
def test_a_bundle(command: Command, no_file: Path, words: str) -> None:
    done = command("edge-detect", *words.split(), no_file, timeout=HANG_GUARD_S)
    assert_one_clear_line(done, 2, "no-file: cannot read the bundle (it is not a regular file)")


def test_the_bundle_of_score_and_of_run(command: Command, no_file: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("time,temperature\n")
    for words in (["score", "in.csv", "-o", "out.csv"], ["run", "--source", "stdin"]):
        done = command("edge-detect", *words, "--bundle", no_file, timeout=HANG_GUARD_S)
        assert_one_clear_line(done, 2, "no-file: cannot read the bundle (it is not a regular file)")


@pytest.mark.parametrize("name", ["no.pub", "no.key"])
def test_a_key(no_file: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"cannot read the key \(it is not a regular file\)"):
        read_key(no_file.rename(no_file.with_name(name)))


def test_a_signature(command: Command, no_file: Path, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, widths=(8, 2, 8))
    no_file.rename(tmp_path / "bundle.onnx.sig")
    words = ("verify", bundle, "--trusted-key", KEY.public.entry)
    assert_one_clear_line(
        command("edge-detect", *words, timeout=HANG_GUARD_S), 1, "its signature is not a file"
    )
    shown = command("edge-detect", "inspect", bundle, timeout=HANG_GUARD_S)
    assert shown.returncode == 0
    assert "cannot be read: its signature is not a file" in shown.stdout.decode()


def test_the_record_of_accepted_bundles(no_file: Path, tmp_path: Path) -> None:
    no_file.rename(tmp_path / "accepted.json")
    data = b"any bundle"
    with refused(r"cannot read which bundles were accepted before \(it is not a regular file"):
        Gateway(tmp_path).install(data, signed(data))


def test_the_proof_of_a_trial(no_file: Path, tmp_path: Path) -> None:
    digest = file_digest(b"any bundle")
    proofs = Proofs(tmp_path)
    (tmp_path / "proved").mkdir()
    no_file.rename(tmp_path / "proved" / digest.removeprefix("sha256:"))
    assert not proofs.holds(digest)

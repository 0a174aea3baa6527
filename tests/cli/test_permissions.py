"""What a gateway keeps is readable for its own user and group, whatever the umask lets through."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from support.running import WAIT_S, running

from edge_runtime.delivery import migrations
from edge_runtime.delivery.ledger import Ledger

BIN = Path(sys.executable).parent


def modes(folder: Path) -> dict[str, int]:
    """Of everything in it; of folders with a slash."""
    return {
        f"{path.relative_to(folder)}{'/' * path.is_dir()}": stat.S_IMODE(path.stat().st_mode)
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_whatever_a_run_makes_is_for_its_user_and_group(bundle: Path, tmp_path: Path, umask: int) -> None:
    shutil.copy(bundle, tmp_path / "b.onnx")
    state = tmp_path / "new" / "state"
    before = os.umask(umask)
    try:
        words = ("--bundle", tmp_path / "b.onnx", "--sink", "jsonl", "--output", state / "out.jsonl")
        state.mkdir(mode=0o750, parents=True)
        with running(tmp_path, "edge-detect", "run", *words, "--state", state / "deep" / "l.sqlite") as run:
            assert run.process.stderr is not None
            assert run.process.stderr.readline()  # it is open, with all that lies beside it
            found = modes(state)
            assert run.stop() == 0
    finally:
        os.umask(before)
    assert {"deep/l.sqlite", "deep/l.sqlite-wal", "deep/l.sqlite-shm", "deep/l.sqlite.lock"} <= found.keys()
    assert {"deep/", "deep/proved/", "out.jsonl"} <= found.keys()
    for name, mode in found.items():
        assert mode == (0o750 if name.endswith("/") else 0o640) & ~umask, name


@pytest.mark.parametrize(
    ("before", "after"),
    [(0o660, 0o660), (0o600, 0o600), (0o640, 0o640), (0o664, 0o660), (0o644, 0o640), (0o606, 0o600)],
)
def test_a_ledger_that_is_there_loses_the_rights_of_others_alone(
    tmp_path: Path, before: int, after: int
) -> None:
    path = tmp_path / "l.sqlite"
    Ledger(path, "simulate").close()
    path.chmod(before)
    ledger = Ledger(path, "simulate")
    found = modes(tmp_path)
    ledger.close()
    assert {found[name] for name in ("l.sqlite", "l.sqlite-wal", "l.sqlite-shm")} == {after}


def test_the_copy_before_a_migration_is_too(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:  # as version 2 made it
        for step in migrations.STEPS[:2]:
            step(db)
        db.execute("PRAGMA user_version = 2")
        db.execute("INSERT INTO about VALUES ('source', 'simulate')")
    before = os.umask(0)
    try:
        Ledger(path, "simulate").close()
    finally:
        os.umask(before)
    copies = {name: mode for name, mode in modes(tmp_path).items() if ".v2." in name}
    assert list(copies.values()) == [0o640]


def test_what_a_person_asks_for_follows_the_umask(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(
        "time,temperature,vibration,pressure,power\n2026-01-01T00:00:00Z,55,1.2,50,235\n"
    )
    for umask in (0o002, 0o027):
        line = f"umask {umask:o}; {BIN}/edge-detect score in.csv -o out{umask}.csv"
        subprocess.run(
            ["/bin/bash", "-c", line], check=True, cwd=tmp_path, timeout=WAIT_S, capture_output=True
        )
        assert stat.S_IMODE((tmp_path / f"out{umask}.csv").stat().st_mode) == 0o666 & ~umask

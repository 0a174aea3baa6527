"""Files that are whole or not there: what cannot be written is an error, and leaves nothing."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edge_runtime.files import write_whole, writing

if TYPE_CHECKING:
    from pathlib import Path

FULL = """
import os, resource, signal, sys
from pathlib import Path
from edge_runtime.files import write_whole, writing
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
path = Path(sys.argv[1])
try:
    WRITE
except OSError as error:
    print("said:", error.strerror)
"""


@pytest.mark.parametrize(
    "write",
    [
        "write_whole(path, b'x' * 5000)",
        "exec('with writing(path) as file: file.write(bytes(5000))')",
        "exec('with writing(path) as file: raise OSError(27, os.strerror(27))')",
    ],
)
def test_a_full_disk_is_said_and_leaves_what_was_there(tmp_path: Path, write: str) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"before")
    done = subprocess.run(
        [sys.executable, "-c", FULL.replace("WRITE", write), str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "said: File too large\n"
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_written_is_there_whole(tmp_path: Path) -> None:
    write_whole(tmp_path / "folder" / "a", b"abc")
    with writing(tmp_path / "b") as file:
        file.write(b"d")
        assert not (tmp_path / "b").exists()
    assert ((tmp_path / "folder" / "a").read_bytes(), (tmp_path / "b").read_bytes()) == (b"abc", b"d")


def test_a_full_disk_ends_score_with_an_error(tmp_path: Path) -> None:
    rows = "".join(f"2026-01-01T00:00:{i:02}Z,m1,55,1.2,50,235\n" for i in range(60))
    header = "time,machine_id,temperature,vibration,pressure,power\n"
    done = subprocess.run(
        [sys.executable, "-c", SCORE, "score", "-", "-o", str(tmp_path / "out.csv")],
        input=header + rows,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "File too large" in done.stderr
    assert not (tmp_path / "out.csv").exists()


SCORE = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
from edge_runtime.cli import main
main()
"""

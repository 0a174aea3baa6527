"""ONNX Runtime's warnings at its import are not seen; its errors, other threads and a crash are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
IMPORT = "from edge_runtime.scoring.session import import_onnxruntime; import_onnxruntime()"
# A stand-in for the versions that warn when they are imported, straight to descriptor 2, as C++ does.
WARNS = """
import os, sys, threading
yellow = "\\x1b[0;93m2026-01-01 00:00:00.1 [{0}:onnxruntime:Default, discovery.cc:164] card{0}\\x1b[m\\n"
for kind in "WIVEF":
    os.write(2, yellow.format(kind).encode())
os.write(2, b"another library speaks\\n")
thread = threading.Thread(target=lambda: print("a thread of ours", file=sys.stderr, flush=True))
thread.start()
thread.join()
"""


def imports(folder: Path, stand_in: str, program: str = IMPORT) -> subprocess.CompletedProcess[str]:
    (folder / "onnxruntime").mkdir()
    (folder / "onnxruntime" / "__init__.py").write_text(stand_in)
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "PYTHONPATH": f"{folder}:{ROOT}"},
    )


def test_warnings_are_kept_back_and_nothing_else(tmp_path: Path) -> None:
    done = imports(tmp_path, WARNS, f"{IMPORT}; import os; os.write(2, b'afterwards')")
    assert done.returncode == 0
    said = done.stderr.splitlines()
    assert [line[-8:-3] for line in said[:2]] == ["cardE", "cardF"]
    assert said[2:] == ["another library speaks", "a thread of ours", "afterwards"]


def test_an_import_that_fails_says_what_it_said(tmp_path: Path) -> None:
    done = imports(tmp_path, "import os\nos.write(2, b'no such library\\n')\nraise ImportError('broken')")
    assert done.returncode == 1
    assert done.stderr.startswith("no such library\nTraceback")


def test_an_import_that_kills_the_process_is_not_silent(tmp_path: Path) -> None:
    done = imports(tmp_path, "import os\nos.abort()")
    assert done.returncode < 0
    assert done.stderr.startswith("Fatal Python error: Aborted")


def test_a_session_is_made_without_a_word() -> None:
    program = f"{IMPORT}; from edge_runtime import load_bundle; load_bundle()"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, timeout=300, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (0, b"")

"""A page's commands, which run as they stand there, and what they print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

__all__ = ["PAGES", "assert_prints_what_stands_there"]

PAGES = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
# When a word was said, and until when something is shelved, depends on the day.
NOW = re.compile(r"20\d\d-\d\d-\d\dT[\d:.]+Z")
SIMULATED = "2026-11-20T"
# What a file takes depends on the libraries that wrote it.
SIZE = re.compile(r"[\d.,]+ MB")


def comparable(text: str, folder: Path) -> list[list[str]]:
    """Lines as words: columns may be wider or narrower, and a day is another one."""
    text = NOW.sub(lambda found: found[0] if found[0].startswith(SIMULATED) else "TODAY", text)
    text = SIZE.sub("SIZE", text.replace(f"{folder}{os.sep}", ""))
    return [line.split() for line in text.splitlines() if line.split()]


def assert_prints_what_stands_there(page: str, folder: Path) -> int:
    """Runs the commands of a page one after another; returns how many there were."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    ran = 0
    for block in BLOCK.findall((PAGES / page).read_text(encoding="utf-8")):
        for part in block.split("$ ")[1:]:
            command, _, wanted = part.partition("\n")
            done = subprocess.run(
                ["/bin/bash", "-c", command],
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=240,
                check=False,
            )
            assert done.returncode == 0, done.stdout
            assert comparable(done.stdout, folder) == comparable(wanted, folder), command
            ran += 1
    return ran

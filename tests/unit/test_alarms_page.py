"""`docs/alarms.md` is true: its commands print what stands there, and its fields are those of an alarm."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from edge_runtime.engine.alarms import Alarm, Change
from edge_runtime.engine.condition import Condition

PAGE = Path(__file__).parents[2] / "docs" / "alarms.md"
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
# When a word was said, and until when something is shelved, depends on the day.
NOW = re.compile(r"20\d\d-\d\d-\d\dT[\d:.]+Z")
SIMULATED = "2026-11-20T"


def comparable(text: str, folder: Path) -> list[list[str]]:
    """Lines as words: columns may be wider or narrower, and a day is another one."""
    text = NOW.sub(lambda found: found[0] if found[0].startswith(SIMULATED) else "TODAY", text)
    return [line.split() for line in text.replace(f"{folder}{os.sep}", "").splitlines() if line.split()]


def test_the_pages_commands_print_what_stands_there(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    ran = 0
    for block in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        for part in block.split("$ ")[1:]:
            command, _, wanted = part.partition("\n")
            done = subprocess.run(
                ["/bin/bash", "-c", command],
                cwd=tmp_path,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=240,
                check=False,
            )
            assert done.returncode == 0, done.stdout
            assert comparable(done.stdout, tmp_path) == comparable(wanted, tmp_path), command
            ran += 1
    assert ran == 8


def test_the_pages_fields_are_those_of_an_alarm() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("## The fields")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    alarm = Alarm("press", "machine", "", 5, "sha256:" + "a" * 64, "0" * 16, "medium")
    change = Change("raised", 5, True, Condition(alarm=alarm).fields(alarm))
    assert named == list(change.to_dict())

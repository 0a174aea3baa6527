"""The documentation is true: its commands run, its options exist, its links lead somewhere."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from edge_runtime.cli import app as detect_app
from edge_runtime.cli.settings_options import SettingsCommand
from edge_runtime.connector import Given
from edge_runtime.sources.base import Feed
from export.cli import app as export_app
from trainer.cli import app as train_app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
PROGRAMS = {"edge-detect": detect_app, "edge-train": train_app, "edge-export": export_app}


def commands(page: Path) -> list[str]:
    """The lines that start with a prompt, with their continuation lines, comments cut off."""
    found = []
    for block in BLOCK.findall(page.read_text(encoding="utf-8")):
        joined = block.replace("\\\n", " ")
        found += [line[2:].split("  #")[0].strip() for line in joined.splitlines() if line.startswith("$ ")]
    return found


def test_the_readmes_own_commands_run_one_after_another(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db",
    }
    ran = 0
    for command in commands(ROOT / "README.md"):
        if shlex.split(command)[0] not in PROGRAMS or "http://" in command:
            continue
        done = subprocess.run(
            ["/bin/bash", "-o", "pipefail", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        ran += 1
    assert ran >= 5
    for program in PYTHON.findall((ROOT / "README.md").read_text(encoding="utf-8")):
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_the_connector_in_the_docs_is_one(tmp_path: Path) -> None:
    (program,) = PYTHON.findall((ROOT / "docs" / "connectors.md").read_text(encoding="utf-8"))
    (tmp_path / "plc.py").write_text(program)
    spec = importlib.util.spec_from_file_location("plc", tmp_path / "plc.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["plc"] = module
    spec.loader.exec_module(module)
    feed = Feed(sensors=("a", "b"), report=print, now_ns=lambda: 7, future_s=60.0, owner="me")
    given = Given.of(module.PLC, {"plc": {"host": "10.0.0.7"}}, "here")
    assert module.PLC.identity(given) == "plc 10.0.0.7"
    source = module.PLC.make(given, feed)
    source.check()
    batch = next(source.batches(None))
    assert batch.readings.times.tolist() == [7]
    assert batch.readings.values.shape == (1, 2)
    source.close()


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {c.split()[1] for page in PAGES for c in commands(page) if c.startswith("make ")}
    assert named
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_in_a_command_exists(page: Path) -> None:
    for command in commands(page):
        for part in re.split(r"\||&&|>", command):
            words = shlex.split(part)
            if not words or words[0] not in PROGRAMS:
                continue
            click_command = typer.main.get_command(PROGRAMS[words[0]])
            while hasattr(click_command, "get_command") and len(words) > 1:
                if words[1].startswith("-"):
                    break
                found = click_command.get_command(None, words.pop(1))
                assert found is not None, command
                click_command = found
            if isinstance(click_command, SettingsCommand):
                known = click_command.flags()
            else:
                known = {
                    flag for option in click_command.params for flag in option.opts + option.secondary_opts
                }
            used = {word.split("=")[0] for word in words[1:] if word.startswith("-") and word != "-"}
            assert used <= known | {"--help"}, command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_heading_leads_to_one(page: Path) -> None:
    for name, anchor in re.findall(r"\]\(([^)#:\s]*)#([^)]+)\)", page.read_text(encoding="utf-8")):
        target = page.parent / name if name else page
        headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in {_anchor(heading) for heading in headings}, f"{name}#{anchor}"


def _anchor(heading: str) -> str:
    """What a heading is called in a link: its letters, in lower case, with hyphens for spaces."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_in_backticks_or_links_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(
        re.findall(r"`((?:docs|edge_runtime|trainer|export|packaging|benchmarks|tests)/[\w./-]*\w/?)`", text)
    )
    named |= set(re.findall(r"\]\(([^)#:]+)\)", text))
    for name in named:
        assert (ROOT / name).exists() or (page.parent / name).exists(), name


def test_every_command_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = set()
    for program, app in PROGRAMS.items():
        click_command: Any = typer.main.get_command(app)
        # A single command has no names; edge-detect makes its own when they are asked for.
        names = click_command.list_commands(None) if hasattr(click_command, "list_commands") else [""]
        for name in names:
            assert f"`{program} {name}".strip() in text, f"{program} {name}"
            shown.add(f"{program} {name}".strip())
    assert {"edge-detect run", "edge-detect connectors", "edge-train fit", "edge-export"} <= shown

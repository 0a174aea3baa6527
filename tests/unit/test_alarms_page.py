"""`docs/alarms.md` is true: its commands print what stands there, and its fields are those of an alarm."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from support.pages import PAGES, assert_prints_what_stands_there

from edge_runtime.engine.alarms import Alarm, Change
from edge_runtime.engine.condition import Condition

if TYPE_CHECKING:
    from pathlib import Path


def test_the_pages_commands_print_what_stands_there(tmp_path: Path) -> None:
    assert assert_prints_what_stands_there("alarms.md", tmp_path) == 14


def test_the_pages_fields_are_those_of_an_alarm() -> None:
    table = (
        (PAGES / "alarms.md").read_text(encoding="utf-8").partition("## The fields")[2].partition("\n## ")[0]
    )
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    alarm = Alarm("press", "machine", "", 5, "sha256:" + "a" * 64, "0" * 16, "medium")
    change = Change("raised", 5, True, Condition(alarm=alarm).fields(alarm))
    assert named == list(change.to_dict())

"""What docs/notifications.md says can be set is what can be set."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge_runtime.engine.alarms import CHANGES
from edge_runtime.gateway.settings import load_settings
from edge_runtime.sinks.base import ALARMS, SinkKind
from edge_runtime.sinks.outlet import FOR_PEOPLE
from edge_runtime.sinks.registry import SINKS

PAGE = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
OWN: list[SinkKind] = [SINKS.get(name) for name in SINKS.built_in]


def test_there_are_examples_of_every_sink_for_alarms_that_has_to_be_set_up() -> None:
    shown = set(re.findall(r"(?m)^\[(\w+)\]", "".join(EXAMPLES)))
    assert shown >= {
        "email",
        "mqtt_sink",
        "webhook",
        "alertmanager",
        "ntfy",
        "slack",
        "teams",
        "tls",
        "alarms",
    }


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_every_example_is_accepted(tmp_path: Path, number: int) -> None:
    file = tmp_path / "edge-detect.toml"
    file.write_text(EXAMPLES[number], encoding="utf-8")
    settings = load_settings(file, {"run": {"source": "simulate"}})
    for sink in settings.sinks:
        sink.kind.chosen(sink.given)


def test_the_table_of_changes_is_what_sinks_get() -> None:
    rows = dict(re.findall(r"(?m)^\| ((?:`\w+`(?:, )?)+) \| (.*) \|$", PAGE))
    by_sink = {name: text for names, text in rows.items() for name in re.findall(r"\w+", names)}
    for kind in OWN:
        if ALARMS in kind.takes:
            text = by_sink[kind.name]
            words = {
                "all": text.startswith("all, also those"),
                "told": text.startswith("all of alarms that are to be told"),
                "people": [word for word in re.findall(r"`([\w ]+)`", text) if word in CHANGES]
                == [*FOR_PEOPLE],
            }
            assert words[kind.tells], kind.name

"""The configuration: TOML, overridden by options, wrong names and values refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.config import Settings, load_settings
from edge_runtime.errors import UsageError

ROOT = Path(__file__).parents[2]


def test_without_anything_the_defaults_hold() -> None:
    assert load_settings(None, {}) == Settings()
    assert Settings().run.source == "simulate"


def test_options_override_the_file_and_empty_ones_do_not(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(
        '[run]\nsource = "influx"\nsinks = ["influx", "stdout"]\n'
        '[influx]\nurl = "http://a:1"\ndatabase = "x"\npoll = 2\n'
    )
    settings = load_settings(file, {"run": {"source": None, "sinks": []}, "influx": {"database": "y"}})
    assert settings.run.source == "influx"
    assert settings.run.sinks == ("influx", "stdout")
    assert (settings.influx.url, settings.influx.database, settings.influx.poll) == ("http://a:1", "y", 2.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[run", "not TOML"),
        ("[sauce]\n", "no table 'sauce'; there are: run"),
        ("run = 1\n", "'run' is not a table"),
        ('[influx]\npassword = "x"\n', "no 'password' in \\[influx\\]"),
        ("[influx]\npoll = true\n", "wrong type"),
        ("[influx]\nurl = 5\n", "wrong type"),
        ('[influx]\nmachines = "m1"\n', "not a list of texts"),
        ('[run]\nsource = "kafka"\n', "no 'kafka'; choose from simulate, csv, stdin, influx"),
        ('[run]\nsinks = ["stdout", "stdout"]\n', "each once"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=words):
        load_settings(file, {})


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the configuration"):
        load_settings(tmp_path / "nothing", {})


def test_the_example_configuration_is_one() -> None:
    settings = load_settings(ROOT / "packaging" / "systemd" / "edge-detect.toml", {})
    assert settings.run.source == "influx"

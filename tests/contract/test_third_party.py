"""Source and sink of a package of somebody else's, in the real commands: as good as what is built in."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from support.commands import assert_one_clear_line
from support.thirdparty import SINK_GROUP, SOURCE_GROUP, install, install_plc_link

from edge_runtime.loading.load import load_bundle
from edge_runtime.sinks.registry import SINKS
from edge_runtime.sources.registry import SOURCES
from edge_runtime.timeparse import parse_time

if TYPE_CHECKING:
    from pathlib import Path

    from support.commands import Command

SENSORS = load_bundle(None).metadata.sensor_names
# The middle of what the default bundle was trained on.
VALUES = [sum(sensor.training_range) / 2 for sensor in load_bundle(None).metadata.sensors]
T0 = 1_767_225_600_000_000_000
ROWS = 250
CONFIG = """
[run]
source = "plc"
sinks = ["horn"]
bundle = "default"
state = "ledger.sqlite"

[plc]
file = "rows.txt"

[horn]
log = "horn.log"
"""

KIND = """
from __future__ import annotations
from dataclasses import dataclass
from edge_runtime.sources.base import SourceKind

@dataclass(frozen=True)
class Table:
    {setting}

SOURCE = SourceKind(name="lost", summary="A.", guarantee="A.", tables={tables}, make=None, identity=str)
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where plc_link is installed, for every program that is started."""
    folder = install_plc_link(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


@pytest.fixture
def plc(site: Path, tmp_path: Path, command: Command) -> Command:  # noqa: ARG001 - it is installed
    """Runs a program in a folder with the controller's file and a configuration."""
    (tmp_path / "rows.txt").write_text("".join(line(i) for i in range(ROWS)))
    (tmp_path / "plc.toml").write_text(CONFIG)
    return command


def readings(i: int) -> list[float]:
    """The sensors' readings in a row, which move by so much that none stands still."""
    return [value * (1 + i % 7 / 200) for value in VALUES]


def line(i: int) -> str:
    cells = (f"{sensor}={value}" for sensor, value in zip(SENSORS, readings(i), strict=True))
    return f"{T0 + i * 10**9};press {i % 2};{';'.join(cells)}\n"


def logged(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in (folder / "horn.log").read_text().splitlines()]


def test_it_is_listed_with_the_package_that_brings_it(plc: Command) -> None:
    done = plc("edge-detect", "connectors")
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode()
    sources, sinks = text.removeprefix("sources:\n").split("sinks:\n")
    for part, own, built_in in ((sources, "plc", SOURCES.names()), (sinks, "horn", SINKS.names())):
        listed = re.findall(r"^  (\S+)", part, re.MULTILINE)
        assert listed == [*built_in, own]
        assert part.count("From plc_link 1.0.") == 1
    assert "Reads the text file of a controller." in sources
    assert "Appends a line to a file for each row." in sinks


def test_its_table_is_printed_as_toml(plc: Command) -> None:
    done = plc("edge-detect", "connectors", "plc")
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode()
    assert text.startswith("# source plc: plc_link 1.0.\n")
    assert "# Text file that the controller writes. (--plc-file)\n#file = " in text
    assert "# Number of rows that are handed on together. (in rows, --plc-block)\nblock = 100" in text
    assert tomllib.loads(text) == {"plc": {"block": 100}}
    assert tomllib.loads(text.replace("#file", "file")) == {"plc": {"file": "", "block": 100}}


def test_its_options_have_a_section_in_the_help(plc: Command) -> None:
    done = plc("edge-detect", "run", "--help")
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode()
    section = text.partition("[plc] of the source plc:\n")[2].partition("\n\n")[0]
    assert "--plc-file PATH" in section
    assert "Text file that the controller writes." in " ".join(section.split())
    assert "[default: 100 rows]" in " ".join(section.split())
    assert "--horn-log PATH" in text.partition("[horn] of the sink horn:\n")[2]


@pytest.mark.parametrize(
    "words", [("--plc-file", "rows.txt"), ("--plc-file=rows.txt",), ("--set", "plc.file=rows.txt")]
)
def test_its_rows_are_judged(plc: Command, words: tuple[str, ...]) -> None:
    done = plc("edge-detect", "run", "--bundle", "default", "--source", "plc", *words, "--sink", "stdout")
    assert done.returncode == 0, done.stderr
    found = [json.loads(text) for text in done.stdout.splitlines()]
    assert [(row["machine_id"], parse_time(row["time"], 0)) for row in found] == [
        (f"press {i % 2}", T0 + i * 10**9) for i in range(ROWS)
    ]
    assert all(row["verdict"] in {"normal", "anomaly"} for row in found)
    assert list(found[7]["readings"]) == list(SENSORS)
    assert list(found[9]["readings"].values()) == pytest.approx(readings(9), rel=1e-6)
    assert f"{ROWS} rows read" in done.stderr.decode()


def test_with_a_ledger_every_row_is_there_once_and_what_is_new_follows(plc: Command, tmp_path: Path) -> None:
    for _ in range(2):
        done = plc("edge-detect", "run", "--config", "plc.toml")
        assert done.returncode == 0, done.stderr
        assert [row["time"] for row in logged(tmp_path)] == [T0 + i * 10**9 for i in range(ROWS)]
    with (tmp_path / "rows.txt").open("a") as file:
        file.write(line(ROWS))
    done = plc("edge-detect", "run", "--config", "plc.toml")
    assert done.returncode == 0, done.stderr
    assert "\n1 row" in f"\n{done.stderr.decode()}"
    assert [row["time"] for row in logged(tmp_path)] == [T0 + i * 10**9 for i in range(ROWS + 1)]
    assert {row["machine_id"] for row in logged(tmp_path)} == {"press 0", "press 1"}


def test_an_option_and_an_assignment_override_the_file(plc: Command, tmp_path: Path) -> None:
    (tmp_path / "few.txt").write_text(line(0))
    words = ("--set", "plc.file=few.txt", "--horn-log", "few.log", "--set", "run.state=few.sqlite")
    done = plc("edge-detect", "run", "--config", "plc.toml", *words)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "few.log").read_text().splitlines()) == 1
    assert not (tmp_path / "horn.log").exists()
    assert (tmp_path / "few.sqlite").exists()


def test_a_ledger_of_another_file_is_refused(plc: Command, tmp_path: Path) -> None:
    assert plc("edge-detect", "run", "--config", "plc.toml").returncode == 0
    (tmp_path / "other.txt").write_text(line(0))
    done = plc("edge-detect", "run", "--config", "plc.toml", "--plc-file", "other.txt")
    assert done.returncode == 1
    assert "rows.txt" in done.stderr.decode()
    assert len(logged(tmp_path)) == ROWS


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ('[plc]\nfil = "x"\n', ("there is no 'fil' in [plc]", "did you mean file?")),
        ("[plc]\nblock = 1.5\n", ("[plc] block", "1.5 is not a whole number")),
        ('[plcs]\nfile = "x"\n', ("there is no table [plcs]", "did you mean plc?")),
    ],
)
def test_what_is_wrong_in_its_table_is_named(
    plc: Command, tmp_path: Path, written: str, words: tuple[str, ...]
) -> None:
    (tmp_path / "wrong.toml").write_text(f'[run]\nsource = "plc"\nbundle = "default"\n{written}')
    assert_one_clear_line(plc("edge-detect", "run", "--config", "wrong.toml"), 2, "wrong.toml", *words)


def test_what_it_refuses_is_one_clear_line(plc: Command) -> None:
    start = ("edge-detect", "run", "--bundle", "default", "--source", "plc", "--sink", "stdout")
    assert_one_clear_line(plc(*start), 2, "the source plc needs a file", "--plc-file")
    assert_one_clear_line(plc(*start, "--plc-file", "none.txt"), 1, "none.txt: cannot read it")
    done = plc(*start, "--plc-block", "many")
    assert done.returncode == 2
    assert b"Invalid value for '--plc-block': 'many'" in done.stderr
    assert_one_clear_line(
        plc(*start[:-3], "simulate", "--plc-block", "1"), 2, "is an option of the source plc"
    )


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (None, "ModuleNotFoundError: No module named 'lost'"),
        ("import nothing_of_the_kind\n", "No module named 'nothing_of_the_kind'"),
        ("SOURCE = 1 / 0\n", "ZeroDivisionError: division by zero"),
        ("SOURCE = (\n", "SyntaxError"),
        ("", "AttributeError"),
        ("SOURCE = 5\n", "this entry point must be a SourceKind whose name is 'lost'"),
        ("raise SystemExit(3)\n", "SystemExit"),
        (KIND.format(setting="x: int = 1", tables='{"lost": dict}'), "lost"),
        (KIND.format(setting='x: "Nothing" = 1', tables='{"lost": Table}'), "Nothing"),
        (KIND.format(setting="x: int = 1", tables="None"), "tables"),
    ],
    ids=["module", "import", "raises", "syntax", "constant", "number", "exits", "dict", "type", "tables"],
)
def test_one_that_cannot_be_used_is_one_clear_line_and_the_others_are_listed(
    plc: Command, site: Path, module: str | None, words: str
) -> None:
    install(site, "lost", "0.3", module, {SOURCE_GROUP: "lost = lost:SOURCE"})
    done = plc("edge-detect", "run", "--bundle", "default", "--source", "lost")
    assert_one_clear_line(done, 2, "source lost", words)
    listed = plc("edge-detect", "connectors")
    assert listed.returncode == 0, listed.stderr
    text = listed.stdout.decode()
    assert b"Traceback" not in listed.stderr
    assert "lost 0.3" in text
    assert words in text
    assert text.count("From plc_link 1.0.") == 2
    for name in (*SOURCES.names(), *SINKS.names()):
        assert f"  {name} " in text
    helped = plc("edge-detect", "run", "--help")
    assert helped.returncode == 0, helped.stderr
    assert b"--plc-file" in helped.stdout


def test_a_package_cannot_take_the_place_of_what_is_built_in(plc: Command, site: Path) -> None:
    points = {SOURCE_GROUP: "csv = plc_link:PLC", SINK_GROUP: "stdout = plc_link:HORN"}
    install(site, "taker", "1", None, points)
    done = plc("edge-detect", "connectors", "csv")
    assert done.stdout.startswith(b"# source csv: built in.\n"), done.stderr


def test_one_of_another_name_than_its_entry_point_is_refused(plc: Command, site: Path) -> None:
    install(site, "renamed", "1", None, {SINK_GROUP: "bell = plc_link:HORN"})
    done = plc("edge-detect", "run", "--sink", "bell")
    assert_one_clear_line(done, 2, "sink bell (plc_link:HORN)", "must be a SinkKind whose name is 'bell'")

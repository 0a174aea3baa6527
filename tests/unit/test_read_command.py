"""`edge-detect read`: each column's role and why, the times, and the settings that change it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from support.commands import Command

ROWS = 200


def table(folder: Path, **columns: Any) -> Path:
    """A file of a row a second, whose columns are functions of the row."""
    names = ["time", *columns]
    lines = [",".join(names)]
    for row in range(ROWS):
        moment = f"2026-01-31T08:{row // 60:02}:{row % 60:02}Z"
        lines.append(",".join([moment, *(str(cell(row)) for cell in columns.values())]))
    path = folder / "plant.csv"
    path.write_text("\n".join([*lines, ""]))
    return path


def wave(row: int) -> float:
    return 55 + (row * 7 % 23) / 4


RULES: dict[str, tuple[Any, str, str]] = {
    "temp": (wave, "sensor", "numbers from 55 to 60.5"),
    "gaps": (lambda row: "" if row % 9 == 0 else wave(row) + 1, "sensor", "23 of 200 empty"),
    "late": (lambda row: "" if row < 150 else wave(row) + 2, "sensor", "150 of 200 empty"),
    "site": (lambda _: "A", "left out", "it is text, such as 'A'"),
    "empty": (lambda _: "", "left out", "it is empty"),
    "fixed": (lambda _: 7.5, "left out", "it is always 7.5"),
    "Unnamed: 0": (lambda row: row, "left out", "as an index of pandas has"),
    "seq": (lambda row: 1000 + row, "left out", "it numbers the rows"),
    "energy": (lambda row: 4000 + row * 3 + row % 2, "left out", "it only rises, as a counter does"),
    "epoch_ms": (lambda row: 1_769_846_400_000 + 1000 * row, "left out", "it is a second clock"),
    "local": (lambda row: f"2026-01-31T09:00:{row % 60:02}", "left out", "it is a second time"),
    "pump": (lambda row: row // 50 % 2, "left out", "it is 0 or 1"),
    "running": (lambda row: row % 3 == 0, "left out", "it is true or false ('False', 'True')"),
    "quality": (lambda row: 192 if row % 5 else 0, "left out", "it is a code of quality or state"),
    "order": (lambda row: f"00{row * 7 % 10}", "left out", "leading zeros, as names do"),
    "wide": (lambda row: 4_000_000_000 + row * 7 % 23, "left out", "too close together for float32"),
    "twin": (wave, "left out", "it is a copy of 'temp'"),
    "is_anomaly": (lambda row: int(row > 190), "label", "by its name"),
}


def test_each_column_has_a_role_and_the_rule_for_it(command: Command, tmp_path: Path) -> None:
    path = table(tmp_path, **{name: cell for name, (cell, _, _) in RULES.items()})
    done = command("edge-detect", "read", str(path), "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    found = {column["name"]: (column["role"], column["why"]) for column in document["columns"]}
    assert found.pop("time") == ("time", "by its name")
    assert {name: role for name, (role, _) in found.items()} == {
        name: rule[1] for name, rule in RULES.items()
    }
    for name, (_, why) in found.items():
        assert RULES[name][2] in why, name
    assert (document["rows"], document["step_seconds"], document["gaps"]) == (ROWS, 1.0, 0)
    assert document["map"] == {"time.from": ["time"], "decimal": ".", "delimiter": ","}


def test_a_sensor_that_is_named_is_one(command: Command, tmp_path: Path) -> None:
    path = table(tmp_path, **{name: cell for name, (cell, _, _) in RULES.items()})
    done = command("edge-detect", "read", str(path), "--json", "--sensor", "pump", "--sensor", "twin")
    roles = {column["name"]: column["role"] for column in json.loads(done.stdout)["columns"]}
    assert [name for name, role in roles.items() if role == "sensor"] == ["pump", "twin"]
    done = command("edge-detect", "read", str(path), "--sensor", "heat")
    assert done.returncode == 1
    assert b"no column 'heat'; its columns are: time, temp" in done.stderr


def test_numbers_but_for_a_few_words_are_refused_with_the_words_to_type(
    command: Command, tmp_path: Path
) -> None:
    path = table(tmp_path, a=wave, b=lambda row: "I/O Timeout" if row == 99 else wave(row) / 2)
    done = command("edge-detect", "read", str(path))
    assert done.returncode == 1
    assert b"column 'b' holds numbers, and 'I/O Timeout' in 1 of 200 rows, first in line 101" in done.stderr
    hint = done.stderr.decode().rpartition("; ")[2].strip()
    assert hint == '--missing "I/O Timeout"'
    done = command("edge-detect", "read", str(path), "--missing", "I/O Timeout", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [column["role"] for column in document["columns"]] == ["time", "sensor", "sensor"]
    assert document["map"]["missing"] == ["I/O Timeout"]


def test_a_sensor_that_fails_for_most_of_the_time_is_not_left_out_as_text(
    command: Command, tmp_path: Path
) -> None:
    path = table(tmp_path, a=wave, b=lambda row: "Bad" if row > 80 else wave(row))
    done = command("edge-detect", "read", str(path))
    assert done.returncode == 1
    assert b"column 'b' holds numbers, and 'Bad' in 119 of 200 rows, first in line 83" in done.stderr
    assert b'--missing "Bad"' in done.stderr


def test_gaps_and_times_that_go_back_are_shown_to_people(command: Command, tmp_path: Path) -> None:
    lines = [
        f"2026-01-31 08:{row // 60:02}:{row % 60:02};press;{str(wave(row)).replace('.', ',')}"
        for row in [*range(50), *range(600, 650), 620]
    ]
    (tmp_path / "plant.csv").write_text("\n".join(["# a historian", "time;machine;a", *lines, ""]))
    done = command("edge-detect", "read", "plant.csv")
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().splitlines() == [
        "plant.csv: 101 rows of 1 machine",
        "from 2026-01-31T08:00:00Z to 2026-01-31T08:10:49Z, one every 1 s",
        "  nothing of press for 551 s after 2026-01-31T08:00:49Z",
        "  the time of 1 row is before that of the row before it, of the same machine",
        "  times have no zone, such as 2026-01-31 08:00:00, and are taken as UTC",
        "",
        "column   role     why                      first cells",
        "time     time     by its name              2026-01-31 08:00:00, 2026-01-31 08",
        "machine  machine  by its name              press, press, press",
        "a        sensor   numbers from 55 to 60.5  55,0, 56,75, 58,5",
        "",
        "[map]",
        'time.from = ["time"]',
        'machine = "machine"',
        'decimal = ","',
        'delimiter = ";"',
    ]


def test_what_is_printed_is_a_configuration_that_reads_it_so(command: Command, tmp_path: Path) -> None:
    names = ("temperature", "vibration", "pressure", "power")
    lines = ["Datum;Uhrzeit;device;" + ";".join(names)]
    for row in range(30):
        cells = (55 + row % 3, 1.2, 50.5, 235)
        numbers = ";".join(str(cell).replace(".", ",") for cell in cells)
        lines.append(f"01/31/2026;09:00:{row:02};press-{row % 2};{numbers}")
    (tmp_path / "plant.csv").write_text("\n".join([*lines, ""]))
    how = ["--time-column", "Datum", "--time-column", "Uhrzeit", "--time-format", "%m/%d/%Y %H:%M:%S"]
    how += ["--time-zone", "Europe/Berlin", "--machine-column", "device"]
    done = command("edge-detect", "read", "plant.csv", *how)
    assert done.returncode == 0, done.stderr
    table_of_map = done.stdout.decode().partition("[map]")[2]
    (tmp_path / "run.toml").write_text(
        f'[run]\nsource = "csv"\nbundle = "default"\n[csv]\ninput = "plant.csv"\n[map]{table_of_map}'
    )
    done = command("edge-detect", "run", "--config", "run.toml")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["time"] for row in rows] == [f"2026-01-31T08:00:{row:02}Z" for row in range(30)]
    assert {row["machine_id"] for row in rows} == {"press-0", "press-1"}
    done = command("edge-detect", "score", "plant.csv", "-o", "out.csv", *how)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.csv").read_text().splitlines()[1].startswith("01/31/2026 09:00:00,press-0,")


@pytest.mark.parametrize(
    ("content", "said", "code"),
    [
        (b"", "the file is empty", 1),
        (b'{"time":1}\n', "JSON, not a CSV", 2),
        (b"PAR1....", "not a CSV", 2),
        (
            b"a,b\n1,2\n",
            "no column 'time' for the time; its columns are: a, b; name one with --time-column",
            1,
        ),
        (b"time,a\n20260131080000,2\n", '--time-format "%Y%m%d%H%M%S"', 1),
        (b"time,a\n2026-01-31,x\n", None, 0),
    ],
)
def test_what_cannot_be_read_is_one_line(
    command: Command, tmp_path: Path, content: bytes, said: str | None, code: int
) -> None:
    (tmp_path / "in.csv").write_bytes(content)
    done = command("edge-detect", "read", "in.csv")
    assert done.returncode == code
    assert (said or "no column is one of a sensor") in done.stderr.decode()
    assert len(done.stderr.splitlines()) == 1

"""Times without a zone are said, once, by each source that reads written times."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from edge_runtime.timeparse import zone_remark

if TYPE_CHECKING:
    from pathlib import Path

    from support.commands import Command

REMARK = "times have no zone, such as 2026-01-31 08:00:00, and are taken as UTC"


@pytest.mark.parametrize(
    "text", ["2026-01-31T08:00:00", "2026-01-31 08:00:00", "2026-01-31 08:00", " 2026-01-31T08:00:00.123 "]
)
def test_a_time_of_the_day_without_a_zone_is_remarked(text: str) -> None:
    assert zone_remark(text) == f"times have no zone, such as {text.strip()}, and are taken as UTC"


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T08:00:00Z",
        "2026-01-31 08:00:00+02:00",
        "2026-01-31T08:00-0130",
        "1767225600",
        "2026-01-31",
        "x",
    ],
)
def test_a_zone_an_epoch_and_a_date_alone_are_not(text: str) -> None:
    assert zone_remark(text) is None


@pytest.mark.parametrize("zone", ["", "Z"])
def test_a_file_and_standard_input_say_it_once(command: Command, tmp_path: Path, zone: str) -> None:
    moments = [f"2026-01-31 08:00:{second:02}{zone}" for second in range(5)]
    rows = [("m1", 55, 1.2, 50, 235)] * len(moments)
    names = ("machine_id", "temperature", "vibration", "pressure", "power")
    text = "time,machine_id,temperature,vibration,pressure,power\n"
    text += "".join(
        f"{moment},{','.join(map(str, row))}\n" for moment, row in zip(moments, rows, strict=True)
    )
    documents = [
        json.dumps({"time": moment, **dict(zip(names, row, strict=True))})
        for moment, row in zip(moments, rows, strict=True)
    ]
    (tmp_path / "in.csv").write_text(text)
    run = ("edge-detect", "run", "--bundle", "default", "--source")
    wanted = 0 if zone else 1
    for done in (
        command(*run, "csv", "--input", "in.csv"),
        command(*run, "stdin", stdin=text.encode()),
        command(*run, "stdin", stdin="\n".join([*documents, ""]).encode()),
    ):
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == 5
        assert done.stderr.decode().count(REMARK) == wanted
        assert done.stderr.decode().count("no zone") == wanted

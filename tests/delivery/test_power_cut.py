"""Power cuts: whatever of what was not synced is lost, each row is in the file once when `run` has gone on.

A first life is watched by strace. Then the ledger and the output are laid out anew as they may be after a cut
at some moment of it, and `run` goes on from there. `make soak` cuts 500 times, `make test` ten.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from influxd import unpack
from support.bundles import SENSORS, normal_rows
from support.lives import Ending, Lives
from support.pastfiles import assert_whole, rows_in, table
from support.points import SMALL
from support.powercut import Disk, record

if TYPE_CHECKING:
    from collections.abc import Iterator

SOAK = bool(os.environ.get("EDGE_DETECT_SOAK"))
CUTS = 500 if SOAK else 10
ROWS = 240
MAX_MB = 150
# A life from the first row; one after `kill -9`; one with files that are renamed when they are large.
BEGINNINGS = ("nothing", "killed", "rotating")


@pytest.fixture(scope="module")
def strace() -> Path:
    """The program. Where none can be had the test fails: it never skips."""
    if found := shutil.which("strace"):
        return Path(found)
    into = Path(__file__).parents[2] / "build" / "strace-package"
    program = into / "usr/bin/strace"
    assert unpack(["strace"], program, into), "no strace on PATH, and Debian's package cannot be fetched"
    return program


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lives]:
    with Lives(tmp_path_factory.mktemp("lives")) as found:
        yield found


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def output(folder: Path) -> bytes:
    """What is in the output, those files first that were renamed."""
    older = sorted(folder.glob("out.jsonl.[0-9]*"), key=lambda path: -int(path.suffix[1:]))
    return b"".join(path.read_bytes() for path in [*older, folder / "out.jsonl"] if path.exists())


def check_history(folder: Path, log: str) -> int:
    """It is whole, and says so if rows are missing; how many are."""
    path = folder / "history" / "l"
    assert_whole(path)
    missing = ROWS - sum(len(rows) for rows in rows_in(path).values())
    assert missing >= 0
    assert not missing or table(path, "SELECT * FROM gaps") or "a new one begins" in log, log
    return missing


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_power_cut_or_killed_each_row_is_there_exactly_once(
    strace: Path, lives: Lives, tmp_path: Path, beginning: str
) -> None:
    chance = random.Random(beginning)  # noqa: S311 - for moments, not for secrets
    source = tmp_path / "in.csv"
    rows = (f"{1_760_000_000 + i // 3},m{i % 3}," for i in range(ROWS))
    values = (",".join(map(str, row)) for row in normal_rows(ROWS).round(3).tolist())
    lines = [first + row for first, row in zip(rows, values, strict=True)]
    source.write_text("\n".join([",".join(["time", "machine_id", *(s[0] for s in SENSORS)]), *lines, ""]))
    words: list[object] = ["run", "--bundle", "default", "--source", "csv", "--input", source]
    words += ["--sink", "jsonl", "--state", "l"]
    if beginning == "rotating":
        config = tmp_path / "edge-detect.toml"
        config.write_text('[jsonl]\noutput = "out.jsonl"\nmax_mb = 0.015\nkeep = 50\n')
        words += ["--config", config]
    else:
        words += ["--output", "out.jsonl"]

    whole, first = tmp_path / "whole", tmp_path / "first"
    whole.mkdir()
    first.mkdir()
    assert lives.live(whole, words, numbers=SMALL).code == 0
    wanted = output(whole)
    assert wanted.count(b"\n") == ROWS
    if beginning == "killed":
        lives.live(first, words, Ending(at=20), numbers=SMALL)
    before = files_in(first)
    events = record(strace, first, lives.command(first, words, numbers=SMALL))
    assert output(first) == wanted
    # All that was done to the disk is in it, but for the index of the log, which SQLite maps and never syncs.
    seen = {name: file for name, file in Disk(before, events).written().items() if not name.endswith("-shm")}
    assert {name: content for name, (_, content) in seen.items()} == files_in(first)
    inodes = tmp_path / "inodes"
    inodes.mkdir()
    for name, (born, _) in seen.items():
        (inodes / born).parent.mkdir(exist_ok=True)
        (inodes / born).hardlink_to(first / name)

    lost = missing = 0
    for number in range(-(-CUTS // len(BEGINNINGS))):
        files = Disk(before, events[: chance.randrange(len(events) + 1)]).after_cut(chance)
        folder = tmp_path / str(number)
        folder.mkdir()
        same = chance.random() < 0.5  # inodes, or others, as in a copy of the folder
        for name, (born, content) in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            if same and (inodes / born).exists():
                (folder / name).hardlink_to(inodes / born)
            (folder / name).write_bytes(content)
        lost += output(folder) != wanted
        life = lives.live(folder, words, numbers=SMALL)
        assert life.code == 0, life.log
        assert output(folder) == wanted, life.log
        missing += check_history(folder, life.log)
        shutil.rmtree(folder)
    assert lost > 0
    print(f"\n{missing} rows are missing in histories")  # noqa: T201
    assert lives.peak_mb < MAX_MB

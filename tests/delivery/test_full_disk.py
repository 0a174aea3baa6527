"""A disk of 2 MB that is full: nothing is lost, nothing is there twice, and `run` recovers by itself.

The ledger, the output or both lie on it, and another program's file, which goes when `run` has said that the
disk is full. Where nothing can be mounted, no file of the process may grow beyond a bound until it is raised.
"""

from __future__ import annotations

import os
import random
import resource
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.bundles import SENSORS, normal_rows
from support.lives import KILLED, Ending, Lives
from support.points import SMALL
from support.smalldisk import DISK_BYTES, small_disk

if TYPE_CHECKING:
    from collections.abc import Iterator

SOAK = bool(os.environ.get("EDGE_DETECT_SOAK"))
TIMES = 10 if SOAK else 1
ROWS = 1500
MAX_MB = 150
FULL = ("No space left on device", "disk is full", "File too large", "disk I/O error")
NUMBERS = {**SMALL, "edge_runtime.text.csvblocks.READ_BYTES": 4096}


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lives]:
    with Lives(tmp_path_factory.mktemp("lives")) as found:
        yield found


class FullDisk:
    """A disk with little room, of which there is more once `run` has said twice how it is, or was killed.

    Args:
        folder: Where it is mounted.
        mounted: Whether it is a disk of its own.
        room: Bytes that are free on it.
        log: What `run` says.
    """

    def __init__(self, folder: Path, *, mounted: bool, room: int, log: Path) -> None:
        self._mounted, self._log, self._room = mounted, log, room
        self._ballast = folder / "ballast"
        self._looks = 0
        self._lives: Lives | None = None

    def fill(self, lives: Lives) -> int | None:
        """Makes it full; the bound of files, where it is no disk of its own."""
        self._lives, self._looks = lives, 0
        if not self._mounted:
            return self._room
        disk = os.statvfs(self._ballast.parent)
        self._ballast.write_bytes(bytes(max(0, disk.f_bavail * disk.f_frsize - self._room)))
        return None

    def look(self) -> None:
        """Makes room, if it is time."""
        said = self._log.read_text() if self._log.exists() else ""
        self._looks += any(words in said for words in FULL)
        if self._looks == 20:
            self.make_room()

    def make_room(self) -> None:
        """As another program that deletes its file, or a person."""
        self._ballast.unlink(missing_ok=True)
        if not self._mounted and self._lives is not None and self._lives.living is not None:
            resource.prlimit(
                self._lives.living, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            )


@pytest.fixture(scope="module")
def wanted(lives: Lives, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """Rows, and what is written of them where there is room."""
    folder = tmp_path_factory.mktemp("wanted")
    source = folder / "in.csv"
    values = (",".join(map(str, row)) for row in normal_rows(ROWS).round(3).tolist())
    lines = [f"{1_760_000_000 + i // 3},m{i % 3},{row}" for i, row in enumerate(values)]
    source.write_text("\n".join([",".join(["time", "machine_id", *(s[0] for s in SENSORS)]), *lines, ""]))
    words = ("run", "--bundle", "default", "--source", "csv", "--input", source, "--state", "l")
    life = lives.live(folder, [*words, "--sink", "jsonl", "--output", "out.jsonl"], numbers=NUMBERS)
    assert life.code == 0, life.log
    return source, (folder / "out.jsonl").read_bytes()


@pytest.mark.parametrize("full", ["state", "output", "both"])
def test_full_or_killed_each_row_is_there_once_when_there_is_room_again(
    lives: Lives, wanted: tuple[Path, bytes], tmp_path: Path, full: str
) -> None:
    source, text = wanted
    chance = random.Random(full)  # noqa: S311 - for moments, not for secrets
    assert len(text) < DISK_BYTES // 2
    for number in range(2 * TIMES):
        disk, folder = tmp_path / f"disk{number}", tmp_path / str(number)
        folder.mkdir()
        output = (folder if full == "state" else disk) / "out.jsonl"
        state = (folder if full == "output" else disk) / "l"
        words: list[object] = ["run", "--bundle", "default", "--source", "csv", "--input", source]
        words += ["--state", state, "--sink", "jsonl", "--output", output]
        with small_disk(disk) as mounted:
            room = chance.randrange(180_000, 240_000)
            small = FullDisk(disk, mounted=mounted, room=room, log=tmp_path / f"{number}.log")
            if number % 2:
                bound = small.fill(lives)
                # Killed while it is full; another life begins on the full disk, and may say that it cannot.
                for _ in range(2):
                    killed = Ending(after_s=chance.uniform(0.2, 1.0), file_bytes=bound)
                    life = lives.live(folder, words, killed, numbers=NUMBERS)
                    assert life.code in (KILLED, 1), life.log
                small.make_room()
                life = lives.live(folder, words, numbers=NUMBERS)
            else:
                ending = Ending(meanwhile=small.look, file_bytes=small.fill(lives))
                life = lives.live(folder, words, ending, numbers=NUMBERS)
                assert any(words in life.log for words in FULL), life.log
                assert "is writable again" in life.log or "delivers again" in life.log, life.log
            assert life.code == 0, life.log
            assert output.read_bytes() == text, life.log
    assert lives.peak_mb < MAX_MB

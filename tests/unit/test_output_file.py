"""The file behind the sink jsonl: after any crash, copy, rotation or full disk each line is there once."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edge_runtime.sinks.outfile import OutputFile
from edge_runtime.sinks.rotation import Rotation

LINE = b'{"time":%d}\n'


def lines(first: int, count: int) -> bytes:
    return b"".join(LINE % number for number in range(first, first + count))


def numbers(path: Path) -> list[int]:
    return [json.loads(line)["time"] for line in path.read_bytes().splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def test_what_came_after_the_mark_is_cut_off(path: Path) -> None:
    first = OutputFile(path)
    first.resume(None)
    first.mark()
    first.append(lines(0, 3))
    known = first.mark()
    first.append(lines(3, 2))
    first.close()
    second = OutputFile(path)
    second.resume(known, lines(3, 9))
    second.append(lines(3, 1))
    assert numbers(path) == [0, 1, 2, 3]


def test_a_crash_at_the_first_delivery_leaves_nothing_twice(path: Path) -> None:
    first = OutputFile(path)
    first.resume(None)
    known = first.mark()
    first.append(lines(0, 3))
    first.close()
    second = OutputFile(path)
    second.resume(known, lines(0, 3))
    second.append(lines(0, 3))
    assert numbers(path) == [0, 1, 2]


def test_a_copy_has_other_inodes_and_is_known_all_the_same(path: Path, tmp_path: Path) -> None:
    first = OutputFile(path)
    first.mark()
    first.append(lines(0, 3))
    known = first.mark()
    first.append(lines(3, 2))
    first.close()
    copy = tmp_path / "copy"
    shutil.copy(path, copy)
    assert copy.stat().st_ino != path.stat().st_ino
    second = OutputFile(copy)
    second.resume(known, lines(3, 2))
    second.append(lines(3, 1))
    assert numbers(copy) == [0, 1, 2, 3]


def test_an_inode_that_is_used_again_for_another_file_cuts_nothing_off(path: Path) -> None:
    first = OutputFile(path)
    first.append(lines(0, 3))
    known = json.loads(first.mark() or "")
    first.close()
    path.write_bytes(b"something else altogether\n" * 20)
    known["inode"] = path.stat().st_ino
    before = path.read_bytes()
    second = OutputFile(path)
    second.resume(json.dumps(known))
    second.append(lines(3, 1))
    assert path.read_bytes() == before + lines(3, 1)


def test_a_copy_of_a_file_that_was_empty_is_known_by_what_waits(path: Path, tmp_path: Path) -> None:
    first = OutputFile(path)
    known = first.mark()
    first.append(lines(0, 3))
    first.close()
    copy = tmp_path / "copy"
    shutil.copy(path, copy)
    second = OutputFile(copy)
    second.resume(known, lines(0, 5))
    second.append(lines(0, 5))
    assert numbers(copy) == [0, 1, 2, 3, 4]


def test_what_another_feed_or_program_wrote_after_the_mark_stays(path: Path) -> None:
    said: list[str] = []
    first = OutputFile(path)
    first.append(lines(0, 3))
    known = first.mark()
    first.close()
    path.write_bytes(path.read_bytes() + b"a note\n" + lines(100, 2))
    second = OutputFile(path, report=said.append)
    second.resume(known, lines(3, 2))
    second.append(lines(3, 2))
    assert path.read_bytes() == lines(0, 3) + b"a note\n" + lines(100, 2) + lines(3, 2)
    assert "bytes after the last delivery are not of this feed; they stay" in said[0]


@pytest.mark.parametrize("left", [b"my own file\n", lines(100, 3)])
def test_a_file_that_was_empty_and_now_has_other_lines_keeps_them(path: Path, left: bytes) -> None:
    first = OutputFile(path)
    known = first.mark()
    first.close()
    path.write_bytes(left)
    second = OutputFile(path)
    second.resume(known, lines(0, 3))
    second.append(lines(0, 3))
    assert path.read_bytes() == left + lines(0, 3)


def test_a_file_that_somebody_made_shorter_keeps_what_is_left(path: Path) -> None:
    first = OutputFile(path)
    first.append(lines(0, 100))
    known = first.mark()
    first.close()
    with path.open("r+b") as file:  # the same inode
        file.write(lines(90, 10))
        file.truncate()
    second = OutputFile(path)
    second.resume(known, lines(100, 2))
    second.append(lines(100, 2))
    assert numbers(path) == list(range(90, 102))


@pytest.mark.parametrize("seed", range(30))
def test_what_a_power_cut_left_is_cut_off_with_its_holes(path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a test's chance
    first = OutputFile(path)
    first.append(lines(0, chance.randint(0, 300)))
    before = path.read_bytes()
    known = first.mark()
    first.close()
    waiting = lines(1000, 400)
    whole = bytearray(before + waiting[: chance.randint(1, len(waiting))])
    for start in range(len(before) // 512 * 512, len(whole), 512):
        if start >= len(before) and chance.random() < 0.5:
            whole[start : start + 512] = bytes(len(whole[start : start + 512]))
    path.unlink()
    path.write_bytes(whole)
    second = OutputFile(path)
    second.resume(known, waiting)
    assert path.read_bytes() == before


def test_a_mark_of_an_earlier_version_counts(path: Path) -> None:
    path.write_bytes(lines(0, 5))
    known = json.dumps({"size": len(lines(0, 3)), "inode": path.stat().st_ino})
    file = OutputFile(path)
    file.resume(known, lines(3, 2))
    assert numbers(path) == [0, 1, 2]


@pytest.mark.parametrize("known", ["[]", "null", "{}", "1", "nonsense", '{"size":"x","inode":1}'])
def test_what_is_no_mark_is_said(path: Path, known: str) -> None:
    with pytest.raises(ValueError, match=r"mark|Expecting|invalid literal"):
        OutputFile(path).resume(known)


def test_a_file_that_is_renamed_is_followed_by_a_new_one(path: Path) -> None:
    file = OutputFile(path)
    file.mark()
    file.append(lines(0, 2))
    moved = path.with_name("out.jsonl.1")
    path.rename(moved)
    known = json.loads(file.mark() or "")
    file.append(lines(2, 2))
    assert (numbers(moved), numbers(path)) == ([0, 1], [2, 3])
    assert known["size"] == 0  # of the new file, before anything is in it
    assert known["inode"] == path.stat().st_ino


@pytest.mark.parametrize("earlier", [0, 3])
def test_between_a_mark_and_what_is_written_after_it_no_other_file_is_begun(path: Path, earlier: int) -> None:
    file = OutputFile(path)
    if earlier:
        file.append(lines(0, earlier))
    known = file.mark()
    moved = path.with_name("out.jsonl.1")
    path.rename(moved)
    file.append(lines(earlier, 2))  # and here the power goes
    file.close()
    second = OutputFile(path)
    second.resume(known, lines(earlier, 2))
    second.append(lines(earlier, 2))
    assert (numbers(moved), numbers(path)) == (list(range(earlier)), list(range(earlier, earlier + 2)))


def test_what_came_after_the_mark_is_cut_off_a_renamed_file_too(path: Path) -> None:
    file = OutputFile(path)
    file.append(lines(0, 3))
    known = file.mark()
    file.append(lines(3, 2))
    file.close()
    moved = path.with_name("out.jsonl-20261127")
    path.rename(moved)
    second = OutputFile(path)
    second.resume(known, lines(3, 2))
    second.append(lines(3, 2))
    assert (numbers(moved), numbers(path)) == ([0, 1, 2], [3, 4])


def test_a_file_that_was_copied_and_truncated_while_nobody_wrote_is_known_by_its_copy(path: Path) -> None:
    file = OutputFile(path)
    file.append(lines(0, 3))
    known = file.mark()
    file.append(lines(3, 2))
    file.close()
    copy = path.with_name("out.jsonl.1")
    shutil.copy(path, copy)
    os.truncate(path, 0)
    second = OutputFile(path)
    second.resume(known, lines(3, 2))
    second.append(lines(3, 2))
    assert (numbers(copy), numbers(path)) == ([0, 1, 2], [3, 4])


def test_a_file_that_is_copied_and_truncated_goes_on_from_its_beginning(path: Path) -> None:
    file = OutputFile(path)
    file.append(lines(0, 3))
    file.mark()
    shutil.copy(path, path.with_name("out.jsonl.1"))
    os.truncate(path, 0)
    known = file.mark()
    file.append(lines(3, 2))
    assert numbers(path) == [3, 4]
    file.close()
    second = OutputFile(path)
    second.resume(known, lines(3, 2))
    assert path.stat().st_size == 0


def test_a_file_that_was_truncated_since_the_mark_holds_nothing_that_is_known(path: Path) -> None:
    file = OutputFile(path)
    file.append(lines(0, 9))
    known = file.mark()
    os.truncate(path, 0)
    file.append(lines(9, 2))
    file.close()
    second = OutputFile(path)
    second.resume(known, lines(9, 2))
    second.append(lines(9, 2))
    assert numbers(path) == [9, 10]


def test_a_file_that_is_deleted_while_it_is_written_to_takes_nothing(path: Path) -> None:
    file = OutputFile(path)
    file.mark()
    path.unlink()
    with pytest.raises(OSError, match="deleted"):
        file.append(lines(0, 2))
    file.mark()
    file.append(lines(0, 2))
    assert numbers(path) == [0, 1]


def test_another_process_cannot_write_to_it(path: Path) -> None:
    file = OutputFile(path)
    file.open()
    code = f"""
from pathlib import Path
from edge_runtime.sinks.outfile import OutputFile
OutputFile(Path({str(path)!r})).open()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "another edge-detect writes to it" in done.stderr
    file.close()
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_line_of_another_program_without_an_end_is_ended_and_kept(path: Path) -> None:
    path.write_bytes(b"a header of mine")
    file = OutputFile(path)
    file.resume(None)
    file.append(lines(0, 1))
    assert path.read_bytes() == b"a header of mine\n" + lines(0, 1)


def test_a_whole_line_of_another_program_without_an_end_is_ended_and_kept_too(path: Path) -> None:
    path.write_bytes(lines(0, 2)[:-1])
    file = OutputFile(path)
    file.resume(None)
    file.append(lines(2, 1))
    assert numbers(path) == [0, 1, 2]


def test_a_link_stays_a_link_and_its_file_is_renamed(path: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    data = tmp_path / "data" / "real.jsonl"
    path.symlink_to(data)
    file = OutputFile(path, Rotation(20, None, keep=2))
    for number in range(3):
        file.mark()
        file.append(lines(number * 2, 2))
        file.mark()
    assert path.is_symlink()
    assert sorted(one.name for one in data.parent.iterdir()) == ["real.jsonl", "real.jsonl.1", "real.jsonl.2"]
    assert numbers(path) == [4, 5]


def test_a_disk_that_is_full_in_the_middle_leaves_nothing(path: Path) -> None:
    code = f"""
import resource, signal
from pathlib import Path
from edge_runtime.sinks.outfile import OutputFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
file = OutputFile(Path({str(path)!r}))
file.append({lines(0, 3)!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
try:
    file.append({lines(3, 50)!r})
except OSError as error:
    print(error.strerror)
file.mark()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
file.append({lines(3, 50)!r})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "File too large" in done.stdout
    assert numbers(path) == list(range(53))
    assert resource.RLIM_INFINITY  # the parent's own limits were not touched


def test_a_pipe_gets_each_byte_once_though_it_is_full(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    file = OutputFile(pipe)
    with pytest.raises(OSError, match="No such device"):  # nobody reads
        file.open()
    got: list[bytes] = []

    def read() -> None:
        with pipe.open("rb") as stream:
            got.append(stream.read())

    reader = threading.Thread(target=read)
    reader.start()
    data, done = lines(0, 40_000), False
    while not done:
        try:
            file.append(data)
            done = True
        except OSError:
            continue
    assert file.mark() is None
    file.close()
    reader.join(60)
    assert got == [data]


def test_by_size_the_file_is_renamed_and_the_oldest_deleted(path: Path) -> None:
    file = OutputFile(path, Rotation(100, None, keep=2))
    for number in range(50):
        file.mark()
        file.append(lines(number, 1))
        file.mark()
    kept = [path.with_name("out.jsonl.2"), path.with_name("out.jsonl.1"), path]
    found = [number for one in kept for number in numbers(one)]
    assert found == list(range(found[0], 50))
    assert found[0] > 0
    assert sorted(path.parent.iterdir()) == sorted(kept)
    assert all(one.stat().st_size < 100 + len(LINE) for one in kept)


def test_by_age_the_file_is_renamed(path: Path) -> None:
    now = [0.0]
    file = OutputFile(path, Rotation(None, 60.0, keep=2, clock=lambda: now[0]))
    for number, moment in enumerate((0.0, 59.0, 61.0, 100.0)):
        now[0] = moment
        file.mark()
        file.append(lines(number, 1))
        file.mark()
    assert (numbers(path.with_name("out.jsonl.1")), numbers(path)) == ([0, 1], [2, 3])


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_in_between_each_line_is_in_one_file_once(path: Path, seed: int) -> None:
    """Deliveries as the sender makes them, with crashes, renamings and rotation."""
    chance = random.Random(seed)  # noqa: S311 - a test's chance
    file, known, done, moved = OutputFile(path, Rotation(300, None, keep=99)), None, 0, 0
    file.resume(None)
    for _ in range(200):
        known = file.mark()
        what = chance.random()
        count = chance.randint(1, 5)
        file.append(lines(done, count))
        if what < 0.2:  # a crash before the ledger knew
            file.close()
            file = OutputFile(path, Rotation(300, None, keep=99))
            file.resume(known, lines(done, 9))
            continue
        done += count
        known = file.mark()
        if what < 0.3:
            moved += 1
            path.rename(path.with_name(f"out.jsonl.moved.{moved}"))
        elif what < 0.4:
            file.close()
            file = OutputFile(path, Rotation(300, None, keep=99))
            file.resume(known)
    file.close()
    found = [number for one in path.parent.iterdir() for number in numbers(one)]
    assert sorted(found) == list(range(done))

"""Pipes and devices are written to, never replaced; a file is whole or not there, and none that is read."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.commands import assert_one_clear_line

from edge_runtime.errors import UsageError
from edge_runtime.files import refuse_same, unwritable, write_whole, writing

if TYPE_CHECKING:
    from support.commands import Command

BIN = Path(sys.executable).parent
HEADER = "time,machine_id,temperature,vibration,pressure,power\n"
FULL = os.makedev(1, 7)


@pytest.fixture
def place(tmp_path: Path, bundle: Path) -> Path:
    (tmp_path / "in.csv").write_text(HEADER + "2026-01-01T00:00:00Z,m1,55,1.2,50,235\n")
    shutil.copy(bundle, tmp_path / "b.onnx")
    return tmp_path


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to(pipe)
    for name in ("pipe", "link"):
        came: list[bytes] = []
        reader = threading.Thread(target=lambda: came.append(pipe.read_bytes()))  # noqa: B023 - joined below
        reader.start()
        write_whole(tmp_path / name, b"all of it")
        reader.join(60)
        assert came == [b"all of it"]
        assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe"]


def test_a_link_to_a_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("folder/file")
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder" / "file").read_bytes() == b"new"


@pytest.mark.parametrize("there", [True, False])
def test_score_writes_to_the_file_that_a_link_leads_to(place: Path, command: Command, *, there: bool) -> None:
    target = place / "folder" / "scores.csv"
    target.parent.mkdir()
    if there:
        target.write_bytes(b"old")
    (place / "link.csv").symlink_to("folder/scores.csv")
    done = command("edge-detect", "score", place / "in.csv", "-o", place / "link.csv")
    assert done.returncode == 0, done.stderr
    assert (place / "link.csv").readlink() == Path("folder/scores.csv")
    assert len(target.read_text().splitlines()) == 2
    assert [one.name for one in target.parent.iterdir()] == ["scores.csv"]
    assert sorted(one.name for one in place.iterdir()) == ["b.onnx", "folder", "in.csv", "link.csv"]


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")

    def fail() -> None:
        with writing(tmp_path / "file") as stream:
            stream.write(b"new")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"old")]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize("mode", [0o666, 0o640])
def test_the_umask_takes_of_the_permissions(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_whole(tmp_path / "file", b"", mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode & ~umask


def test_a_full_disk_has_another_hint_than_a_wrong_name() -> None:
    for number, hint in ((errno.EACCES, "name a file in a folder"), (errno.ENOSPC, "free some disk space")):
        said = str(unwritable(OSError(number, "reason"), Path("f")))
        assert said.startswith(f"f: cannot write it (reason); {hint}")


def test_the_same_file_is_found_by_any_name_and_a_device_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "hard").hardlink_to(tmp_path / "file")
    (tmp_path / "soft").symlink_to(tmp_path / "file")
    for name in ("file", "hard", "soft", "../" + tmp_path.name + "/file"):
        with pytest.raises(UsageError, match="is the input; name another file"):
            refuse_same(tmp_path / name, {"the input": tmp_path / "file"}, "-o")
    with pytest.raises(UsageError, match="is the ledger"):
        refuse_same(tmp_path / "new", {"the ledger": tmp_path / "folder" / ".." / "new"}, "-o")
    refuse_same(tmp_path / "other", {"the input": tmp_path / "file", "nothing": None}, "-o")
    refuse_same(Path("/dev/null"), {"the input": Path("/dev/null")}, "-o")


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["/bin/bash", "-c", line],
        capture_output=True,
        timeout=300,
        check=False,
        cwd=folder,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "XDG_STATE_HOME": str(folder / "state")},
    )


# A link of its own in place of /dev/stdout: whoever replaces it does no harm.
@pytest.mark.parametrize("kind", ["csv", "parquet", "arrow"])
@pytest.mark.parametrize("how", ["| cat >out", ">out", ">>out"])
def test_score_writes_to_standard_output_by_its_name(place: Path, kind: str, how: str) -> None:
    (place / "stdout").symlink_to("/proc/self/fd/1")
    done = shell(f"edge-detect score in.csv --format {kind} -o stdout {how}", place)
    assert done.returncode == 0, done.stderr
    assert (place / "stdout").is_symlink()
    shell(f"edge-detect score in.csv --format {kind} -o file", place)
    assert (place / "out").read_bytes() == (place / "file").read_bytes()


@pytest.mark.parametrize(
    "command",
    [
        "edge-detect bench --quick --seconds 0.3 --json {}",
        "edge-detect bench --quick --seconds 0.3 --html {}",
        "edge-detect score in.csv -o {}",
        "edge-train simulate --machines 1 --duration 1m -o {}",
        "edge-train simulate --machines 1 --duration 1h -o x --events {}",
        "edge-train simulate --live --machines 1 --duration 2s -o {}",
    ],
)
def test_a_device_that_is_full_is_one_line_and_stays_a_device(place: Path, command: str) -> None:
    if os.geteuid():
        pytest.skip("only root could replace a device")
    device = place / "full"
    os.mknod(device, 0o666 | stat.S_IFCHR, FULL)
    try:
        done = shell(command.format(device), place)
    except PermissionError:
        pytest.skip("no device can be opened here")
    assert_one_clear_line(done, 2, "No space left on device", str(device))
    assert stat.S_ISCHR(device.stat().st_mode)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("score", "in.csv", "-o", "in.csv"), "in.csv is the input"),
        (("score", "in.csv", "-o", "hard.csv"), "hard.csv is the input"),
        (("score", "in.csv", "--bundle", "b.onnx", "-o", "b.onnx"), "b.onnx is the bundle"),
        (("bench", "b.onnx", "--quick", "--json", "b.onnx"), "b.onnx is the bundle"),
        (("bench", "b.onnx", "--quick", "--html", "b.onnx"), "b.onnx is the bundle"),
        (("bench", "--quick", "--html", "x", "--json", "x"), "x is also the file of --json"),
        (("bench", "--quick", "--config", "c.toml", "--json", "c.toml"), "c.toml is the configuration"),
        (("bench", "--quick", "--config", "c.toml", "--json", "led"), "led is the ledger"),
        (("RUN", "--output", "led"), "led is the ledger"),
        (("RUN", "--output", "led-wal"), "led-wal is the ledger's -wal"),
        (("RUN", "--output", "led-shm"), "led-shm is the ledger's -shm"),
        (("RUN", "--output", "history/led-wal"), "history/led-wal is the history's -wal"),
        (("RUN", "--output", "operator/operator.sqlite"), "is the record of what people say about alarms"),
        (("RUN", "--output", "c.toml"), "c.toml is the configuration"),
        (
            ("RUN", "--sink", "alarmlog", "--output", "out", "--alarm-log", "./out"),
            "out is the output of the sink jsonl",
        ),
        (("RUN", "--bundle", "b.onnx", "--output", "b.onnx"), "b.onnx is the bundle"),
        (
            ("RUN", "--bundle", "b.onnx", "--source", "csv", "--input", "in.csv", "--output", "hard.csv"),
            "reads",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_the_output_is_no_file_that_is_read_or_kept(
    command: Command, place: Path, words: tuple[str, ...], named: str
) -> None:
    (place / "c.toml").write_text(
        '[run]\nsource = "simulate"\nrows = 3\nstate = "led"\n[simulate]\nspeed = 0\n'
    )
    (place / "hard.csv").hardlink_to(place / "in.csv")
    before = {path.name: path.read_bytes() for path in place.iterdir()}
    commands = [words]
    if words[0] == "RUN":
        rest = ("--config", "c.toml", "--sink", "jsonl", *words[1:])
        commands = [("run", *rest), ("check", "--seconds", "0.1", *rest)]
    for each in commands:
        assert_one_clear_line(command("edge-detect", *each), 2, named, "name another file")
    for name, content in before.items():
        assert (place / name).read_bytes() == content


def test_prepare_does_not_replace_the_folder_that_it_reads(command: Command, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.csv").write_text(HEADER)
    done = command("edge-train", "prepare", "--csv", "data/train.csv", "-o", "data")
    assert_one_clear_line(done, 2, "data/train.csv is read, and lies in it")
    assert (tmp_path / "data" / "train.csv").read_text() == HEADER


def test_an_export_does_not_replace_the_key_or_the_checkpoint(command: Command, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.json").write_text("{}")
    command("edge-detect", "keys", "new", "press")
    key = (tmp_path / "press.key").read_bytes()
    words = ("edge-export", "model", "--sign", "press.key", "-o")
    assert_one_clear_line(command(*words, "press.key"), 2, "press.key is the private key")
    assert_one_clear_line(command(*words, "model/model.json"), 2, "is the checkpoint's model.json")
    assert (tmp_path / "press.key").read_bytes() == key
    assert (tmp_path / "model" / "model.json").read_text() == "{}"

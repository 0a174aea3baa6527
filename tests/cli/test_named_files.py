"""Files that a person names: endless ones, silent pipes and nonsense are one line; a written pipe works."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.commands import assert_one_clear_line

if TYPE_CHECKING:
    from support.commands import Command

BIN = Path(sys.executable).parent
CONFIG = '[run]\nsource = "simulate"\nrows = 2\n[simulate]\nspeed = 0\n'
MIB = 1 << 20
COMMANDS = (("run",), ("check",), ("verify",), ("inspect",), ("bench", "--quick"))
OF_INFLUX = ("run", "--bundle", "default", "--source", "influx", "--database", "x")
SECRETS = ("--token-file", "--password-file")


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
@pytest.mark.parametrize(
    ("content", "named"),
    [
        (Path("/dev/zero"), "it is longer than 1,048,576 bytes"),
        (Path(), "Is a directory"),
        (b"#" * (MIB + 1), "it is longer than 1,048,576 bytes"),
        (b"a = " + b"[" * 100_000, "nested too deeply"),
        (b"a = 1\x00", "not TOML"),
        (b"\xff\xfe", "not TOML"),
        (b"a = " + b"9" * 5000, "not TOML"),
        (b"[simulate]\nspeed = 1" + b"0" * 400, "a number too large for any setting"),
        (b'[run]\nbundle = "a\\u0000b"\n', "no path has a NUL in it"),
        (Path("n" * 300), "File name too long"),
    ],
    ids=["endless", "folder", "long", "deep", "nul", "binary", "digits", "large", "nul path", "name"],
)
def test_a_configuration_that_is_none_is_one_line(
    command: Command, tmp_path: Path, words: tuple[str, ...], content: bytes | Path, named: str
) -> None:
    path = content if isinstance(content, Path) else tmp_path / "c.toml"
    if isinstance(content, bytes):
        path.write_bytes(content)
    assert_one_clear_line(command("edge-detect", *words, "--config", path), 2, named)


def test_a_pipe_that_nothing_is_written_to_is_one_line(command: Command, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    secret, key = "cannot read the secret", "cannot read the key"
    silent = [
        *((*words, "--config", "pipe", 2, "nothing is written to it") for words in COMMANDS),
        *((*OF_INFLUX, option, "pipe", 2, secret) for option in SECRETS),
        ("bench", "--quick", "--compare", "pipe", None, "nothing is written to it"),
        ("verify", "--trusted-key", "pipe", None, key),
    ]
    # Each waits for some seconds: all of them at once.
    with ThreadPoolExecutor(len(silent)) as pool:
        ended = list(pool.map(lambda each: command("edge-detect", *each[:-2]), silent))
    for done, (*_, code, named) in zip(ended, silent, strict=True):
        assert_one_clear_line(done, code or done.returncode or 3, str(named))


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["/bin/bash", "-c", line],
        capture_output=True,
        timeout=120,
        check=False,
        cwd=folder,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "XDG_STATE_HOME": str(folder / "state")},
    )


def test_a_configuration_may_come_out_of_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(CONFIG)
    done = shell("edge-detect run --config <(sleep 0.3; cat c.toml)", tmp_path)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2), done.stderr


def test_a_secret_may_come_out_of_a_pipe_for_source_and_sink_alike(tmp_path: Path) -> None:
    line = (
        "edge-detect check --seconds 0.1 --bundle default --source influx --sink influx --database x"
        " --url http://127.0.0.1:1 --token-file <(echo secret)"
    )
    done = shell(line, tmp_path)
    assert b"cannot be reached" in done.stdout
    assert b"secret (" not in done.stdout + done.stderr


@pytest.mark.parametrize("option", SECRETS)
def test_a_secret_without_an_end_is_one_line(command: Command, option: str) -> None:
    done = command("edge-detect", *OF_INFLUX, option, "/dev/zero")
    assert_one_clear_line(done, 2, "cannot read the secret")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("score", "/dev/zero", "-o", "out.csv"), "longer than 1 MiB"),
        (("run", "--source", "csv", "--bundle", "default", "--input", "/dev/zero"), "longer than 1 MiB"),
        (("bench", "--quick", "--compare", "/dev/zero"), "cannot read it"),
        (("verify", "--trusted-key", "/dev/zero"), "cannot read the key"),
    ],
)
def test_other_files_without_an_end_are_one_line(
    command: Command, words: tuple[str, ...], named: str
) -> None:
    done = command("edge-detect", *words)
    assert_one_clear_line(done, done.returncode or 3, named)


def test_rows_may_come_out_of_a_pipe(tmp_path: Path) -> None:
    rows = "".join(f"2026-01-01T00:00:{i:02}Z,m1,55,1.2,50,235\n" for i in range(30))
    (tmp_path / "in.csv").write_text("time,machine_id,temperature,vibration,pressure,power\n" + rows)
    for reader in ("cat in.csv", "gzip <in.csv"):
        done = shell(f"edge-detect score <({reader}) -o out.csv", tmp_path)
        assert done.returncode == 0, done.stderr
        assert len((tmp_path / "out.csv").read_text().splitlines()) == 31
        done = shell(f"edge-detect run --bundle default --source csv --input <({reader})", tmp_path)
        assert (done.returncode, len(done.stdout.splitlines())) == (0, 30), done.stderr

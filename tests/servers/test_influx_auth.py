"""Logins at a real InfluxDB: the right one reads and writes, a wrong one is told, and none is ever shown."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from influxd import Influxd
from support.bundles import SENSORS, normal_rows
from support.commands import assert_one_clear_line
from support.logins import until_known
from support.reading import read_all
from support.running import running

from edge_runtime.errors import SinkUnavailableError, SourceError
from edge_runtime.influxdb import (
    InfluxClient,
    InfluxSettings,
    ReadingsQuery,
    check_readings,
    check_write,
    create_database,
    encode_lines,
    open_reader,
    query,
    write,
)
from edge_runtime.influxdb.query import identifier, text
from edge_runtime.records import Readings, Results, Scores
from edge_runtime.sinks.influx import InfluxSink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.commands import Command

T0 = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z
SECOND = 1_000_000_000
ROWS = 60
NAMES = tuple(sensor[0] for sensor in SENSORS)
WANTED = ReadingsQuery(NAMES)
PASSWORDS = {"admin": "4dmin-s3cret", "reader": "r3ad: 'n' \"☃\" \\ s3cret", "operator": "0perate, s3cret"}
WRONG = "wr0ng-s3cret"
UNPACKED = Path(__file__).parents[2] / "build" / "influxdb-package"
WAIT_S = 60.0


class Plant:
    """A server that wants logins, with an admin, a reader, and an operator who may write too."""

    def __init__(self, server: Influxd, folder: Path) -> None:
        self.url = server.url
        self.log = folder / "influxd.log"
        self.do(f"CREATE USER admin WITH PASSWORD {text(PASSWORDS['admin'])} WITH ALL PRIVILEGES", user=None)
        create_database(until_known(self.client("admin")))
        for user, privilege in (("reader", "READ"), ("operator", "ALL")):
            self.do(f"CREATE USER {identifier(user)} WITH PASSWORD {text(PASSWORDS[user])}")
            self.do(f"GRANT {privilege} ON plant TO {user}")
        values = normal_rows(ROWS)
        fields = {name: values[:, i] for i, name in enumerate(NAMES)}
        times = T0 + np.arange(ROWS, dtype=np.int64) * SECOND
        lines = encode_lines("sensors", times, tags={"machine_id": ["press-1"] * ROWS}, fields=fields)
        write(self.client("operator"), lines)

    def client(self, user: str | None, password: str | None = None) -> InfluxClient:
        password = password or (PASSWORDS[user] if user else None)
        return InfluxClient(InfluxSettings(url=self.url, database="plant", username=user, password=password))

    def do(self, statement: str, *, user: str | None = "admin") -> None:
        with self.client(user).request("POST", "/query", {"q": statement}) as response:
            assert b"error" not in response.read()

    def options(self, user: str) -> tuple[str, ...]:
        where = ("--source", "influx", "--url", self.url, "--database", "plant", "--username", user)
        return (*where, "--start", "2026-01-01T00:00:00Z")


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    folder = tmp_path_factory.mktemp("plant")
    with Influxd(folder, unpack_into=UNPACKED, auth=True) as server:
        yield Plant(server, folder)


def count(plant: Plant, measurement: str) -> int:
    (series,) = query(plant.client("admin"), f"SELECT COUNT(verdict) FROM {measurement}")  # noqa: S608
    return int(series.values[0][1])


@pytest.mark.parametrize("user", ["admin", "reader", "operator"])
def test_the_right_password_reads_whatever_characters_it_has(plant: Plant, user: str) -> None:
    client = plant.client(user)
    check_readings(open_reader(client), WANTED, T0, T0 + ROWS * SECOND)
    assert len(read_all(client, WANTED, T0, T0 + ROWS * SECOND)) == ROWS


@pytest.mark.parametrize(
    ("user", "password", "words"),
    [
        ("reader", WRONG, "authorization failed"),
        ("nobody", WRONG, "authorization failed"),
        (None, None, "unable to parse authentication credentials"),
    ],
)
def test_a_wrong_login_neither_reads_nor_writes(
    plant: Plant, user: str | None, password: str | None, words: str
) -> None:
    client = plant.client(user, password)
    hint = "set EDGE_DETECT_INFLUX_TOKEN, or --username with EDGE_DETECT_INFLUX_PASSWORD"
    with pytest.raises(SourceError, match=rf"refuses the login \({words}.*{hint}") as reading:
        read_all(client, WANTED, T0, T0 + ROWS * SECOND)
    with pytest.raises(SinkUnavailableError, match=rf"refuses the login \({words}.*{hint}"):
        write(client, b"m a=1 1\n")
    with pytest.raises(SinkUnavailableError, match=rf"refuses the login \({words}.*{hint}"):
        check_write(client)
    assert WRONG not in str(reading.value)


def test_who_may_read_alone_may_not_write_and_the_check_knows_before(plant: Plant) -> None:
    with pytest.raises(
        SinkUnavailableError,
        match=r"lacks the right to write here \(.*reader.* not authorized to write.*give its token or user",
    ):
        check_write(plant.client("reader"))
    with pytest.raises(
        SinkUnavailableError,
        match=r"lacks the right to write here \(.*reader.* not authorized to write.*give its token or user",
    ):
        write(plant.client("reader"), b"m a=1 1\n")
    check_write(plant.client("operator"))


def test_rows_outlast_a_grant_that_is_taken_away(plant: Plant) -> None:
    plant.do(f"CREATE USER guest WITH PASSWORD {text(WRONG)}")
    plant.do("GRANT ALL ON plant TO guest")
    sink = InfluxSink(plant.client("guest", WRONG).settings, NAMES, "sha256:0", measurement="guests")
    sink.check()
    plant.do("REVOKE ALL ON plant FROM guest")
    readings = Readings(np.array(["press-1"]), np.array([T0]), np.ones((1, len(NAMES)), np.float32))
    nothing, unknown = np.full(1, np.nan, np.float32), np.array([2], np.int8)
    payload = sink.encode(Results(readings, Scores.unknown(1, len(NAMES)), nothing, unknown, unknown))
    with pytest.raises(
        SinkUnavailableError, match="lacks the right to write here .*guest.* not authorized to write"
    ):
        sink.deliver([payload])
    plant.do("GRANT ALL ON plant TO guest")
    sink.deliver([payload, payload])
    assert count(plant, "guests") == 1


@pytest.mark.parametrize("by", ["environment", "file"])
def test_the_right_password_runs_from_the_first_row_to_the_last_point(
    plant: Plant, command: Command, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    words: tuple[object, ...] = ("--until", "2026-01-01T00:01:00Z", "--sink", "influx")
    words = (*words, "--sink-measurement", f"verdicts_by_{by}")
    if by == "file":
        file = tmp_path / "password"
        file.write_text(PASSWORDS["operator"] + "\n")
        file.chmod(0o600)
        words = (*words, "--password-file", file)
    else:
        monkeypatch.setenv("EDGE_DETECT_INFLUX_PASSWORD", PASSWORDS["operator"])
    done = command("edge-detect", "run", "--bundle", bundle, *plant.options("operator"), *words)
    assert done.returncode == 0, done.stderr.decode()
    assert f"{ROWS} rows read" in done.stderr.decode()
    assert count(plant, f"verdicts_by_{by}") == ROWS
    assert PASSWORDS["operator"].encode() not in done.stdout + done.stderr


def test_the_users_name_may_come_from_the_environment_too(
    plant: Plant, command: Command, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_DETECT_INFLUX_USERNAME", "reader")
    monkeypatch.setenv("EDGE_DETECT_INFLUX_PASSWORD", PASSWORDS["reader"])
    options = [word for word in plant.options("") if word not in ("--username", "")]
    done = command("edge-detect", "run", "--bundle", bundle, *options, "--until", "2026-01-01T00:01:00Z")
    assert done.returncode == 0, done.stderr.decode()
    assert len(done.stdout.splitlines()) == ROWS


@pytest.mark.parametrize("user", ["reader", "nobody"])
def test_a_wrong_password_is_one_line_and_exit_code_1(
    plant: Plant, command: Command, bundle: Path, monkeypatch: pytest.MonkeyPatch, user: str
) -> None:
    monkeypatch.setenv("EDGE_DETECT_INFLUX_PASSWORD", WRONG)
    done = command("edge-detect", "run", "--bundle", bundle, *plant.options(user))
    place = f"{plant.url} (database plant)"
    assert_one_clear_line(
        done, 1, place, "refuses the login (authorization failed)", "EDGE_DETECT_INFLUX_PASSWORD"
    )
    assert done.stdout == b""
    assert WRONG.encode() not in done.stderr


def test_without_any_login_the_mend_is_named(plant: Plant, command: Command, bundle: Path) -> None:
    options = [word for word in plant.options("") if word not in ("--username", "")]
    done = command("edge-detect", "run", "--bundle", bundle, *options)
    assert_one_clear_line(done, 1, "refuses the login", "set EDGE_DETECT_INFLUX_TOKEN, or --username")


def test_a_reader_is_told_at_the_start_that_the_sink_does_not_take_anything_yet(
    plant: Plant, bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Somebody may give it the right: until then it scores, and results wait."""
    monkeypatch.setenv("EDGE_DETECT_INFLUX_PASSWORD", PASSWORDS["reader"])
    words = ("--bundle", bundle, *plant.options("reader"), "--sink", "influx")
    with running(tmp_path / "state", "edge-detect", "run", *words) as run:
        said = run.says()
        assert "lacks the right to write here" in said
        assert "not authorized to write" in said
        assert "results wait in the ledger" in said
        assert PASSWORDS["reader"] not in said
        assert run.stop() == 0


@pytest.mark.parametrize("by", ["environment", "file"])
def test_a_secret_shows_up_nowhere_while_a_run_goes_on_and_after_it(
    plant: Plant, bundle: Path, tmp_path: Path, by: str
) -> None:
    secret = PASSWORDS["operator"]
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    words = ["--sink", "jsonl", "--output", str(tmp_path / "out.jsonl")]
    if by == "file":
        file = tmp_path / "hidden" / "password"
        file.parent.mkdir()
        file.write_text(secret)
        file.chmod(0o600)
        words += ["--password-file", str(file)]
    else:
        environment["EDGE_DETECT_INFLUX_PASSWORD"] = secret
    words = ["edge-detect", "run", "--bundle", str(bundle), *plant.options("operator"), *words]
    words[0] = str(Path(sys.executable).parent / words[0])
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            until = time.monotonic() + WAIT_S
            while not _lines(tmp_path / "out.jsonl") >= ROWS and time.monotonic() < until:
                assert process.poll() is None
                time.sleep(0.05)
            seen = Path(f"/proc/{process.pid}/cmdline").read_bytes()
            if by == "file":
                seen += Path(f"/proc/{process.pid}/environ").read_bytes()
            process.send_signal(signal.SIGTERM)
            output, errors = process.communicate(timeout=WAIT_S)
        finally:
            process.kill()
    assert process.returncode == 0, errors.decode()
    assert f"{ROWS} rows read" in errors.decode()
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "password"]
    assert any(path.suffix == ".sqlite" for path in left)
    for place in (seen, output, errors, plant.log.read_bytes(), *(path.read_bytes() for path in left)):
        assert secret.encode() not in place


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0

"""`edge-detect check` at a server that does not answer, does not let in, or is another one."""

from __future__ import annotations

import socket
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from influxd import Influxd
from support.checking import check, influx_words, put
from support.logins import until_known

from edge_runtime.influxdb import InfluxClient, InfluxSettings, create_database
from edge_runtime.influxdb.query import text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mosquitto import Mosquitto
    from support.commands import Command

UNPACKED = Path(__file__).parents[2] / "build" / "influxdb-package"
PASSWORD = "a s3cret"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxClient]:
    """The admin of a server that wants logins, and its users: reader, writer, and stranger."""
    with Influxd(tmp_path_factory.mktemp("guarded"), unpack_into=UNPACKED, auth=True) as server:
        settings = InfluxSettings(url=server.url, database="plant", username="admin", password=PASSWORD)
        admin = InfluxClient(settings)
        nobody = InfluxClient(replace(settings, username=None, password=None))

        def do(client: InfluxClient, statement: str) -> None:
            with client.request("POST", "/query", {"q": statement}) as response:
                assert b"error" not in response.read()

        do(nobody, f"CREATE USER admin WITH PASSWORD {text(PASSWORD)} WITH ALL PRIVILEGES")
        create_database(until_known(admin))
        for user in ("reader", "writer", "stranger"):
            do(admin, f"CREATE USER {user} WITH PASSWORD {text(PASSWORD)}")
        do(admin, "GRANT READ ON plant TO reader")
        do(admin, "GRANT WRITE ON plant TO writer")
        put(admin, "press-1", [-i for i in range(600)])
        yield admin


@pytest.mark.parametrize(
    ("user", "password", "words"),
    [
        ("reader", "wrong", "refuses the login (authorization failed)"),
        ("writer", PASSWORD, "lacks the right to read"),
        ("stranger", PASSWORD, "lacks the right to read"),
        ("reader", PASSWORD, None),
    ],
)
def test_a_login_that_is_not_enough(
    command: Command,
    guarded: InfluxClient,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    user: str,
    password: str,
    words: str | None,
) -> None:
    monkeypatch.setenv("EDGE_DETECT_INFLUX_PASSWORD", password)
    found = check(command, *influx_words(guarded, bundle), "--username", user)
    if words is None:
        assert found.wrong == []
    else:
        assert words in found.only_wrong("source")


def test_who_may_not_write_is_told_before_results_are_lost(
    command: Command, guarded: InfluxClient, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_DETECT_INFLUX_PASSWORD", PASSWORD)
    found = check(command, *influx_words(guarded, bundle), "--username", "reader", "--sink", "influx")
    assert "lacks the right to write" in found.only_wrong("sink")


def test_a_database_that_is_not_there(command: Command, database: InfluxClient, bundle: Path) -> None:
    name = f"no_{uuid.uuid4().hex}"
    nowhere = InfluxClient(replace(database.settings, database=name))
    text = check(command, *influx_words(nowhere, bundle)).only_wrong("source")
    assert f"InfluxDB cannot find the database or bucket (database not found: {name})" in text


def test_nobody_listens(command: Command, database: InfluxClient, bundle: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        nobody = InfluxClient(replace(database.settings, url=url))
        found = check(command, *influx_words(nobody, bundle))
    assert "InfluxDB cannot be reached (connection refused)" in found.only_wrong("source")


def test_a_broker_is_no_influxdb(
    command: Command, mosquitto: Mosquitto, database: InfluxClient, bundle: Path
) -> None:
    url = f"http://127.0.0.1:{mosquitto.port}"
    other = InfluxClient(replace(database.settings, url=url))
    text = check(command, *influx_words(other, bundle)).only_wrong("source")
    assert text == f"{url}: an MQTT broker answers there, not an InfluxDB; check the address and the port"

"""Fixtures that more than one folder uses: a real InfluxDB, a bundle, and commands as a user runs them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import pytest
from alertmanager import Alertmanager
from influxd import Influxd
from mosquitto import Mosquitto
from support.bundles import make_bundle
from support.commands import unmeasured
from support.receiving import receiving

from edge_runtime.influxdb import InfluxClient, InfluxSettings, create_database

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from support.commands import Command, Here
    from support.receiving import Receiver

UNPACKED = Path(__file__).parents[1] / "build" / "influxdb-package"
UNPACKED_BROKER = UNPACKED.with_name("mosquitto-package")
UNPACKED_ALERTMANAGER = UNPACKED.with_name("alertmanager-package")
MEASURED = 4  # of so many tests, one has its children measured


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, bool | None, bool | None]:
    """Measures the children of one test in four: coverage takes each of thousands a third of a second.

    Which ones does not change from run to run. What tests call in their own process is always measured.
    """
    if crc32(item.nodeid.encode()) % MEASURED == 0:
        return (yield)
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ.keys() - unmeasured().keys():
            patch.delenv(name)
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def _interrupts() -> None:
    """A shell lets what it starts in the background, and all that this starts, ignore Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _state_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a test remembers, such as a bundle's trial, is no one else's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influxd]:
    """A server without logins. Where none can be had the test fails: it never skips."""
    with Influxd(tmp_path_factory.mktemp("influxd"), unpack_into=UNPACKED) as server:
        yield server


@pytest.fixture(scope="session")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A broker without logins. Where none can be had the test fails: it never skips."""
    with Mosquitto(tmp_path_factory.mktemp("mosquitto"), unpack_into=UNPACKED_BROKER) as server:
        yield server


@pytest.fixture(scope="session")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    """An Alertmanager that notifies nobody. Where none can be had the test fails: it never skips."""
    folder = tmp_path_factory.mktemp("alertmanager")
    with Alertmanager(folder, unpack_into=UNPACKED_ALERTMANAGER) as server:
        yield server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server that takes posts."""
    with receiving() as server:
        yield server


@pytest.fixture
def database(influxd: Influxd) -> InfluxClient:
    """A client of a fresh database."""
    client = InfluxClient(
        InfluxSettings(url=influxd.url, database=f"db_{uuid.uuid4().hex[:8]}", timeout=10.0)
    )
    create_database(client)
    return client


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bundle over temperature, vibration, pressure and power."""
    return make_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Runs one of the project's programs in the test's own folder."""

    def run(*words: object, stdin: bytes = b"", timeout: float = 120.0) -> subprocess.CompletedProcess[bytes]:
        program, *arguments = map(str, words)
        return subprocess.run(
            [Path(sys.executable).parent / program, *arguments],
            input=stdin,
            capture_output=True,
            cwd=tmp_path,
            env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")},
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture
def here(tmp_path: Path) -> Here:
    """Runs one of the project's programs in the test's own folder and in its process: seconds faster."""
    from support.inprocess import run_here  # noqa: PLC0415 - most tests need neither PyTorch nor MLflow

    return lambda *words: run_here(tmp_path, *words)

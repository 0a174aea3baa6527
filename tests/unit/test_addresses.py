"""Addresses: two spellings of one server, and who answers at a port."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from edge_runtime import addresses
from edge_runtime.addresses import HTTP, MQTT, TLS, same_server, who_answers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_S = 60.0
CONNACK = b"\x20\x02\x00\x00"
ALERT = b"\x15\x03\x01\x00\x02\x02\x32"
GATE = b"HTTP/1.1 400 Bad Request\r\n\r\n"


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("http://localhost:8086", "http://127.0.0.1:8086"),
        ("http://127.0.0.2:8086/", "http://127.0.0.1:8086"),
        ("http://[::1]:8086", "http://127.0.0.1:8086"),
        ("http://0.0.0.0:8086", "http://127.0.0.1:8086"),
        ("http://DB.Plant:8086//", "http://db.plant:8086"),
        ("http://db", "http://db:80"),
        ("https://db/influx/", "https://db:443/influx"),
        ("mqtt://LOCALHOST", "mqtt://127.0.0.1:1883"),
        ("mqtts://broker", "mqtts://broker:8883"),
        ("mqtt://[FE80::2]:99", "mqtt://[fe80::2]:99"),
        ("other://h", "other://h"),
        ("http://h:port", "http://h:port"),
        ("http://[", "http://["),
    ],
)
def test_what_names_one_server_is_one_address(url: str, same: str) -> None:
    assert same_server(url) == same
    assert same_server(same) == same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://db", "https://db"),
        ("http://db:8086", "http://db:8087"),
        ("http://db/a", "http://db/b"),
        ("http://127.0.0.1", "http://127-0-0-1.example"),
    ],
)
def test_what_differs_stays_different(one: str, other: str) -> None:
    assert same_server(one) != same_server(other)


@contextmanager
def answering(to: dict[bytes, bytes | None], *, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server's port; it answers a question by its first byte, and None is said by hanging up."""
    stopped = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)

        def serve() -> None:
            open_ones: list[socket.socket] = []
            while not stopped.is_set():
                with suppress(OSError):
                    connection, _ = listener.accept()
                    open_ones.append(connection)
                    connection.settimeout(WAIT_S)
                    if context is not None:
                        connection = context.wrap_socket(connection, server_side=True)
                    question = connection.recv(64)
                    answer = to.get(question[:1], b"")
                    if answer is None:
                        connection.close()
                    elif answer:
                        connection.sendall(answer)
            for connection in open_ones:
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            stopped.set()
            thread.join(WAIT_S)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that says nothing is waited for, and here need not be waited for long."""
    monkeypatch.setattr(addresses, "ANSWER_WITHIN_S", 0.5)


@pytest.mark.parametrize(
    ("connect", "get", "who"),
    [
        (CONNACK, b"", MQTT),
        (b"\x20\x02\x00\x05", None, MQTT),  # which wants a login
        (GATE, b"", HTTP),
        (b"", b"HTTP/1.0 404 Not Found\r\n\r\n", HTTP),
        (None, GATE, HTTP),
        (ALERT, b"", TLS),
        (None, ALERT, TLS),
        (b"\x16\x03\x03\x00\x31\x02", b"", TLS),
        (b"\x16\x02\x00", b"\x15", None),
        (b"SSH-2.0-OpenSSH_9.6\r\n", b"220 mail ready\r\n", None),
        (b"", b"", None),
        (None, None, None),
    ],
)
def test_an_answer_tells_what_it_is(connect: bytes | None, get: bytes | None, who: str | None) -> None:
    with answering({b"\x10": connect, b"G": get}) as port:
        assert who_answers("127.0.0.1", port) == who


def test_where_nobody_listens_or_no_such_host_is_nobody_answers() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        assert who_answers("127.0.0.1", taken.getsockname()[1]) is None
    assert who_answers("nowhere.invalid", 80) is None


def test_a_real_server_of_tls_is_one(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    assert openssl, "the tests need openssl"
    words = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -keyout key.pem -out own.pem"
    subprocess.run([openssl, *words.split()], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "own.pem", tmp_path / "key.pem")
    with answering({}, context=context) as port:
        assert who_answers("127.0.0.1", port) == TLS

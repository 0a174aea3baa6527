"""Mail servers that hang, never end, or are none: each is away, and none is waited for without an end."""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from support.alarmtargets import some_changes
from support.hanging import Silent
from support.postbox import Playing
from support.targets import DIGEST, SENSORS

from edge_runtime.connector import Given
from edge_runtime.errors import SinkUnavailableError
from edge_runtime.sinks.base import Verdicts
from edge_runtime.sinks.mail import EMAIL

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

RAISED = some_changes()[0]
SECRET = "wr0ng-secret"
HELLO = b"220 mail\r\n"
EHLO = b"250-mail\r\n250 AUTH PLAIN LOGIN\r\n"
READ_LIMIT_S = 300.0

pytestmark = pytest.mark.timeout(600)


def deliver(port: int, *, timeout: float = 60.0, security: str = "none", username: str = "") -> None:
    email = {"port": port, "security": security, "timeout": timeout, "username": username}
    email |= {"sender": "edge@plant.example", "to": ["ada@plant.example"]}
    sink = EMAIL.made(
        Given.of(EMAIL, {"email": email}, "edge.toml"),
        Verdicts(sensors=SENSORS, digest=DIGEST, report=pytest.fail),
    )
    sink.deliver([sink.encode_alarm(RAISED)])  # type: ignore[attr-defined]


def answering(*answers: bytes) -> Callable[[socket.socket], None]:
    """Says the first, and each of the others after something was read; then it waits for the end."""

    def play(connection: socket.socket) -> None:
        connection.settimeout(READ_LIMIT_S)
        for number, answer in enumerate(answers):
            if number and not connection.recv(1 << 16):
                return
            connection.sendall(answer)
        while connection.recv(1 << 16):
            pass

    return play


def endless(connection: socket.socket, piece: bytes) -> None:
    while True:
        connection.sendall(piece)


def test_a_server_that_never_says_a_word() -> None:
    with Silent() as server, pytest.raises(SinkUnavailableError, match="no answer in time; check host, port"):
        deliver(server.port, timeout=0.2)
    with Silent() as server, pytest.raises(SinkUnavailableError, match="no answer in time|TLS"):
        deliver(server.port, timeout=0.2, security="tls")


@pytest.mark.parametrize(
    "answers",
    [
        (HELLO,),
        (HELLO, EHLO),
        (HELLO, EHLO, b"250 ok\r\n"),
        (HELLO, EHLO, b"250 ok\r\n", b"250 ok\r\n"),
        (HELLO, EHLO, b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"),
    ],
)
def test_a_server_that_falls_silent_in_the_middle(answers: tuple[bytes, ...]) -> None:
    with (
        Playing(answering(*answers)) as server,
        pytest.raises(SinkUnavailableError, match="no answer in time"),
    ):
        deliver(server.port, timeout=0.2)


@pytest.mark.parametrize("piece", [b"220-hello\r\n", b"2", b"220-" + b"x" * 1000, b"\0" * 1000])
def test_an_answer_without_an_end(piece: bytes) -> None:
    with (
        Playing(lambda connection: endless(connection, piece)) as server,
        pytest.raises(SinkUnavailableError, match="something other than a mail server answers"),
    ):
        deliver(server.port)


def test_an_answer_that_comes_so_slowly_that_it_never_ends() -> None:
    """Each letter comes in time, and the line never does."""

    def play(connection: socket.socket) -> None:
        connection.settimeout(0.05)
        while True:
            connection.sendall(b"2")
            with suppress(TimeoutError):
                if not connection.recv(1):
                    return

    with Playing(play) as server, pytest.raises(SinkUnavailableError, match="no answer in time"):
        deliver(server.port, timeout=0.3)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (b"", "it hung up"),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            r"something other than a mail server answers \(HTTP/1.1 400 Bad",
        ),
        (b"554 no service here\r\n", r"does not take connections now \(554 no service here\)"),
        (b"421 too many\r\n", r"does not take connections now \(421 too many\); it is tried again later"),
        (b"220-a\r\nnonsense\r\n", r"something other than a mail server answers \(nonsense\)"),
    ],
)
def test_what_is_no_greeting(said: bytes, message: str) -> None:
    with (
        Playing(lambda connection: connection.sendall(said)) as server,
        pytest.raises(SinkUnavailableError, match=message),
    ):
        deliver(server.port)


def test_a_mail_that_nobody_asked_for_is_not_taken() -> None:
    """A server that answers 250 where it should ask for the mail has not got it."""
    answers = (HELLO, EHLO, b"250 ok\r\n", b"250 ok\r\n", b"250 ok\r\n")
    with (
        Playing(answering(*answers)) as server,
        pytest.raises(SinkUnavailableError, match=r"does not take the mail \(250 ok\)"),
    ):
        deliver(server.port)


def test_what_is_said_before_tls_is_not_taken_for_what_comes_with_it() -> None:
    answers = (HELLO, b"250-mail\r\n250 STARTTLS\r\n", b"220 go\r\n250-mail\r\n250 AUTH PLAIN\r\n")
    with (
        Playing(answering(*answers)) as server,
        pytest.raises(SinkUnavailableError, match="says more than was asked before TLS begins"),
    ):
        deliver(server.port, security="starttls")


@pytest.mark.parametrize("begins", [b"535 ", b"535-what\r\n535 ", b""])
def test_a_server_that_repeats_what_it_was_sent_makes_no_secret_public(
    begins: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_DETECT_SMTP_PASSWORD", SECRET)
    packed = [base64.b64encode(text.encode()) for text in (SECRET, f"\0ada\0{SECRET}")]

    def play(connection: socket.socket) -> None:
        connection.settimeout(READ_LIMIT_S)
        connection.sendall(HELLO)
        connection.recv(1 << 16)
        connection.sendall(EHLO)
        login = connection.recv(1 << 16).strip()
        assert packed[1] in login
        connection.sendall(
            begins + login + b" " + packed[0] + b" " + SECRET.encode() + b" " + login[:30] + b"\r\n"
        )
        connection.recv(1)

    with Playing(play) as server, pytest.raises(SinkUnavailableError, match="…") as caught:
        deliver(server.port, username="ada")
    said = str(caught.value)
    for secret in (SECRET, *(part.decode() for part in packed)):
        assert secret[:8] not in said


def test_a_recipient_after_whom_the_server_hangs_up_is_not_the_last_word() -> None:
    answers = (HELLO, EHLO, b"250 ok\r\n")

    def play(connection: socket.socket) -> None:
        connection.settimeout(READ_LIMIT_S)
        for number, answer in enumerate(answers):
            if number:
                connection.recv(1 << 16)
            connection.sendall(answer)
        connection.recv(1 << 16)

    with Playing(play) as server, pytest.raises(SinkUnavailableError, match="it hung up"):
        deliver(server.port)

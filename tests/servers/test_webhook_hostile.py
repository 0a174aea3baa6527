"""Receivers that break HTTP, or never come to an end: none holds a post beyond its time, or fills memory."""

from __future__ import annotations

import itertools
import os
import socket
import struct
import threading
import tracemalloc
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import pytest
from influxd import free_ports
from support.hanging import Silent
from support.receiving import Reply, breaking
from support.webhooks import change, sink_of

from edge_runtime.errors import SinkError, SinkUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.receiving import Receiver

    Answer = Callable[[socket.socket], None]

# A time that is to pass, and one that is not, on however busy a machine.
WITHIN_S, PATIENCE_S = 0.3, 120.0
MOST_BYTES = 32 << 20
OK = b"HTTP/1.1 200 OK\r\n"


def slowly(*parts: bytes) -> Answer:
    """Sends the first part, and then the bytes of the others again and again, one by one, to no end."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(parts[0])
        for byte in itertools.cycle(b"".join(parts[1:])):
            connection.sendall(bytes([byte]))
            over.wait(0.02)

    over = threading.Event()
    return answer


def at_once(*parts: bytes) -> Answer:
    """The same as fast as it is read."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(parts[0])
        while True:
            connection.sendall(b"".join(parts[1:]))

    return answer


def only(data: bytes) -> Answer:
    """Sends this, and hangs up."""
    return lambda connection: connection.sendall(data)


def reset(connection: socket.socket) -> None:
    """Hangs up at once, and rudely."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def posted(url: str, within: float = PATIENCE_S) -> int:
    """What comes of a post to it, in bounded memory."""
    sink: Any = sink_of("webhook", url=url, timeout=within)
    payload = [sink.encode_alarm(change())]
    tracemalloc.start()
    try:
        count: int = sink.deliver(payload)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MOST_BYTES
    return count


IN_TIME = f"no answer within {WITHIN_S:g} s"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(slowly(b"", b"H"), IN_TIME, id="a status line that trickles"),
        pytest.param(slowly(OK, b"a: b\r\n"), IN_TIME, id="headers that trickle"),
        pytest.param(slowly(OK, b"x"), IN_TIME, id="a header that trickles"),
        pytest.param(slowly(b"", b"HTTP/1.1 100 Go on\r\n\r\n"), IN_TIME, id="going on that trickles"),
        pytest.param(at_once(b"", b"HTTP/1.1 100 Go on\r\n\r\n" * 100), IN_TIME, id="going on and on"),
        pytest.param(at_once(OK, b"a: b\r\n" * 1000), "not HTTP", id="headers without an end"),
        pytest.param(at_once(OK + b"a: ", b"x" * 65536), "not HTTP", id="a header without an end"),
        pytest.param(at_once(b"HTTP/1.1 200 ", b"x" * 65536), "not HTTP", id="a status without an end"),
        pytest.param(at_once(b"", b"\0" * 65536), "not HTTP", id="zeros"),
        pytest.param(only(b"HTTP/1.1 2"), "not HTTP", id="a status that breaks off"),
        pytest.param(only(b"HTTP/1.1 -20 OK\r\n\r\n"), "not HTTP", id="a negative status"),
        pytest.param(only(b"SSH-2.0-OpenSSH_9.2\r\n"), "not HTTP", id="another protocol"),
        pytest.param(only(b"HTTP/3.0 200 OK\r\n\r\n"), "not HTTP", id="another version"),
        pytest.param(only(b""), "hung up without an answer", id="nothing"),
        # What of a reset is seen depends on what was read before it.
        pytest.param(reset, "cannot be reached|hung up without an answer", id="a reset"),
        pytest.param(only(b"HTTP/1.1 101 Switching\r\n\r\n"), "it answers 101", id="a switch"),
        pytest.param(
            only(b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabc\r\n"),
            "it answers 500",
            id="a chunk of negative length",
        ),
        pytest.param(
            only(b"HTTP/1.1 500 No\r\nContent-Length: 99999999999999\r\n\r\nabc"),
            r"it answers 500 \(abc\)",
            id="a body that breaks off",
        ),
    ],
)
def test_what_is_no_answer_is_waited_for_within_bounds(answer: Answer, words: str) -> None:
    within = WITHIN_S if words == IN_TIME else PATIENCE_S
    with breaking(answer) as url, pytest.raises(SinkUnavailableError, match=words) as caught:
        posted(url, within)
    assert caught.value.where == url


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(at_once(OK + b"\r\n", b"x" * 65536), id="a body without an end"),
        pytest.param(
            at_once(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nabcde\r\n" * 1000), id="chunks"
        ),
        pytest.param(
            at_once(OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", b"x" * 65536), id="a negative chunk"
        ),
        pytest.param(only(OK + b"Content-Length: 100\r\n\r\nabc"), id="a body that breaks off"),
        pytest.param(only(OK + b"Content-Length: -100\r\n\r\nabc"), id="a negative length"),
        pytest.param(only(OK + b"Transfer-Encoding: chunked\r\n\r\nzzz"), id="a chunk of no length"),
    ],
)
def test_a_success_is_one_whatever_follows_it(answer: Answer) -> None:
    with breaking(answer) as url:
        assert posted(url) == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(
            at_once(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n" * 1000), id="trailers"
        ),
        pytest.param(slowly(OK + b"\r\n", b"x"), id="a body that trickles"),
    ],
)
def test_a_success_whose_rest_takes_too_long_is_one(answer: Answer) -> None:
    with breaking(answer) as url:
        for within in (WITHIN_S, 3.0, 30.0):  # until this machine has the time to hear of the success
            with suppress(SinkUnavailableError):
                assert posted(url, within) == 1
                return
    pytest.fail("it is none")


def test_a_refusal_without_an_end_is_cut() -> None:
    answer = at_once(b"HTTP/1.1 422 No\r\n\r\n", b"\x1b[2Jno \xff\xfe" * 5000)
    with breaking(answer) as url, pytest.raises(SinkError, match="it answers 422") as caught:
        posted(url)
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()


def test_a_server_that_is_silent_is_left_in_time() -> None:
    with Silent() as server:
        url = f"http://127.0.0.1:{server.port}"
        with pytest.raises(SinkUnavailableError, match=IN_TIME):
            posted(url, WITHIN_S)


def test_a_server_that_reads_nothing_is_left_in_time() -> None:
    with Silent() as server:
        sink = sink_of("webhook", url=f"http://127.0.0.1:{server.port}", timeout=WITHIN_S)
        payload = sink.encode_alarm(change(comment="x" * 20_000_000))
        with pytest.raises(SinkUnavailableError, match=IN_TIME):
            sink.deliver([payload])


def test_a_silent_server_of_tls_is_left_in_time() -> None:
    with Silent() as server:
        sink = sink_of("webhook", url=f"https://127.0.0.1:{server.port}", timeout=WITHIN_S)
        for attempt in (sink.check, lambda: sink.deliver([sink.encode_alarm(change())])):
            with pytest.raises(SinkUnavailableError, match=IN_TIME):
                attempt()


def test_a_redirect_to_itself_is_asked_once(receiver: Receiver) -> None:
    receiver.replies = [Reply(307, headers={"Location": receiver.url})] * 3
    with pytest.raises(SinkUnavailableError, match="redirects are not followed"):
        posted(receiver.url)
    assert len(receiver.posts) == 1


def test_no_connection_is_left_open() -> None:
    with breaking(only(OK + b"Content-Length: 100\r\n\r\nabc")) as url:
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a list of numbers
        for _ in range(20):
            assert posted(url) == 1
            with suppress(SinkUnavailableError):
                posted(f"http://127.0.0.1:{free_ports(1)[0]}")
        after = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    assert after <= before + 10  # those of the server's side, which may still be closing


def test_an_address_that_takes_no_packets_leaves_time_for_the_next_one(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)  # what does not fit into its queue is left without an answer
        for _ in range(4):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        port = int(receiver.url.rpartition(":")[2])
        places = [full.getsockname(), ("127.0.0.1", port)]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", place) for place in places]
        monkeypatch.setattr("edge_runtime.sinks.posting.http.socket.getaddrinfo", lambda *_: found)
        for timeout in (2.0, 8.0, 60.0):  # until this machine has the time for the next one
            sink = sink_of("webhook", url=f"{receiver.url}/x", timeout=timeout)
            with suppress(SinkUnavailableError):
                assert sink.deliver([sink.encode_alarm(change(1))]) == 1
                return
    pytest.fail("it was not reached")

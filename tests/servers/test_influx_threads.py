"""One client of an InfluxDB that several threads use at the same time."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from support.influx2 import client

from edge_runtime.errors import SinkUnavailableError
from edge_runtime.influxdb import write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge_runtime.influxdb.client import InfluxClient

LIMIT_S = 300.0
LINE = b"m,machine_id=a score=1 1\n"


@contextmanager
def answering(answer: Callable[[str, bytes], int]) -> Iterator[str]:
    """A server whose answers to posts are what this makes of token and body."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(answer(self.headers["Authorization"].removeprefix("Token "), body))
            self.send_header("X-Influxdb-Version", "v2.9.1")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def at_the_same_time(made: InfluxClient, lines: bytes) -> tuple[list[threading.Thread], list[str]]:
    said: list[str] = []

    def post() -> None:
        try:
            write(made, lines)
        except SinkUnavailableError as error:
            said.append(str(error))

    threads = [threading.Thread(target=post, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    return threads, said


def ended(threads: list[threading.Thread]) -> bool:
    for thread in threads:
        thread.join(LIMIT_S)
    return not any(thread.is_alive() for thread in threads)


def test_interrupting_ends_every_request_that_is_under_way() -> None:
    both, over = threading.Barrier(3), threading.Event()

    def hang(_token: str, _body: bytes) -> int:
        both.wait(LIMIT_S)
        over.wait(LIMIT_S)
        return 204

    with answering(hang) as url:
        made = client(url, timeout=2 * LIMIT_S)
        threads, said = at_the_same_time(made, LINE)
        both.wait(LIMIT_S)
        made.interrupt()
        assert ended(threads)
        over.set()
    assert len(said) == 2
    assert made._sockets == set()


def test_a_token_that_is_replaced_is_taken_up_by_all(tmp_path: Path) -> None:
    file, taken = tmp_path / "token", list[str]()
    file.write_text("old")
    file.chmod(0o600)

    def replace() -> None:
        file.write_text("new")

    both = threading.Barrier(2, action=replace)

    def check(token: str, _body: bytes) -> int:
        if token == "old":
            both.wait(LIMIT_S)
            return 401
        taken.append(token)
        return 204

    with answering(check) as url:
        threads, said = at_the_same_time(client(url, token="old", token_file=file), LINE)
        assert ended(threads)
    assert (said, taken) == ([], ["new", "new"])


def test_posts_that_are_too_large_at_the_same_time_make_the_next_ones_smaller_once() -> None:
    both, lines = threading.Barrier(2), LINE * 20_000

    def limited(_token: str, body: bytes) -> int:
        if len(body) == len(lines):
            both.wait(LIMIT_S)
        return 413 if len(body) > 300_000 else 204

    with answering(limited) as url:
        made = client(url)
        threads, said = at_the_same_time(made, lines)
        assert ended(threads)
    assert said == []
    assert made.max_post_bytes == len(lines) // 2

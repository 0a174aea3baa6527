"""`edge-detect run` beside a sink that is away, answers something else, or refuses: nothing is lost."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest
from influxd import free_ports
from support.lives import Lives

if TYPE_CHECKING:
    from collections.abc import Iterator

EDGE_DETECT = Path(sys.executable).parent / "edge-detect"
SOAK = bool(os.environ.get("EDGE_DETECT_SOAK"))
ROWS = 500
PATIENCE_S = 300


class Database(BaseHTTPRequestHandler):
    """Answers what it is told to; keeps the lines that it took."""

    status: ClassVar[int] = 204
    lines: ClassVar[list[bytes]] = []
    answered: ClassVar[list[int]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status = Database.status if body else 204
        if status == 204:
            Database.lines += body.splitlines()
        Database.answered.append(status)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "http://portal.example/login")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def port() -> int:
    return free_ports(1)[0]


@contextmanager
def database(port: int, status: int) -> Iterator[None]:
    Database.status, Database.lines, Database.answered = status, [], []
    server = ThreadingHTTPServer(("127.0.0.1", port), Database)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def words(port: int, rows: int = ROWS) -> list[str]:
    feed = ["--source", "simulate", "--speed", "0", "--rows", str(rows), "--state", "l.sqlite"]
    return [
        "run",
        *feed,
        "--sink",
        "influx",
        "--set",
        "influx_sink.takes=rows",
        "--url",
        f"http://127.0.0.1:{port}",
        "--database",
        "d",
    ]


def start(folder: Path, port: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [EDGE_DETECT, *words(port)], cwd=folder, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )


def end(run: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = run.communicate(timeout=PATIENCE_S)
    assert "Traceback" not in said
    return run.returncode, said


def balanced(said: str, **parts: int) -> bool:
    found = re.search(
        r"influx: ([\d,]+) rows wait in the ledger; of ([\d,]+) since it was made ([\d,]+) were delivered, "
        r"([\d,]+) are dead letters",
        said,
    )
    assert found, said
    waiting, encoded, delivered, dead = (int(number.replace(",", "")) for number in found.groups())
    wanted = {"waiting": 0, "delivered": 0, "dead": 0, **parts}
    return (encoded, {"waiting": waiting, "delivered": delivered, "dead": dead}) == (ROWS, wanted)


def wait_for(status: int) -> None:
    until = time.monotonic() + PATIENCE_S
    while status not in Database.answered and time.monotonic() < until:
        time.sleep(0.02)
    assert status in Database.answered


def test_a_start_while_the_sink_is_away_scores_and_delivers_when_it_is_there(
    tmp_path: Path, port: int
) -> None:
    run = start(tmp_path, port)
    assert run.stderr is not None
    first = run.stderr.readline()
    assert "cannot be reached (connection refused)" in first
    assert "results wait in the ledger" in first
    with database(port, 204):
        code, said = end(run)
    assert (code, len(Database.lines), len(set(Database.lines))) == (0, ROWS, ROWS)
    assert balanced(said, delivered=ROWS)


@pytest.mark.parametrize("status", [302, 403, 404, 405, 429, 500, 503])
def test_what_another_server_answers_makes_no_dead_letter(tmp_path: Path, port: int, status: int) -> None:
    with database(port, status):
        run = start(tmp_path, port)
        wait_for(status)
        Database.status = 204
        code, said = end(run)
    assert (code, len(set(Database.lines))) == (0, ROWS)
    assert balanced(said, delivered=ROWS)
    assert str(status) in said or "lacks the right" in said or "cannot find the database" in said


def test_a_feed_that_ends_says_what_waits_and_the_next_start_delivers_it(tmp_path: Path, port: int) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    # So long the sink is waited for when the feed has ended; outside the soak less than in a plant.
    numbers = {} if SOAK else {"edge_runtime.delivery.sender.LAST_S": 2}
    with database(port, 503), Lives(tmp_path / "state") as lives:
        life = lives.live(folder, words(port), numbers=numbers)
        assert "Traceback" not in life.log
        assert life.code == 1
        assert "500 rows wait in the ledger for the sink influx; start again with the same ledger" in life.log
        assert balanced(life.log, waiting=ROWS)
        Database.status = 204
        assert lives.live(folder, words(port, 1)).code == 0
    assert len(set(Database.lines)) == ROWS + 1


def test_rows_that_are_refused_are_dead_letters_and_no_success(tmp_path: Path, port: int) -> None:
    with database(port, 400):
        code, said = end(start(tmp_path, port))
    assert code == 1
    assert (
        "500 rows were refused by the sink influx; `edge-detect outbox list` shows the dead letters" in said
    )
    assert balanced(said, dead=ROWS)
    assert len([line for line in said.splitlines() if "moved to the dead letters" in line]) <= 2

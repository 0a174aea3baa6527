"""`edge-train prepare` out of a bucket of InfluxDB 2: Flux queries in, annotated CSV out."""

from __future__ import annotations

import json
import re
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from edge_runtime.errors import EdgeDetectError
from edge_runtime.timeparse import parse_time
from trainer.cli import app
from trainer.tables import read_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

T0 = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
ROWS = 3 * 3600
FIELDS = """#datatype,string,long,string\r
#group,false,false,false\r
#default,_result,,\r
,result,table,_value\r
,,0,a\r
,,0,b\r
\r
"""
HEADER = """#datatype,string,long,dateTime:RFC3339,string,double,double\r
#group,false,false,false,false,false,false\r
#default,_result,,,,,\r
,result,table,_time,machine_id,a,b\r
"""


class Bucket(BaseHTTPRequestHandler):
    """Answers the way a server with three hours of one machine does, one row a second."""

    asked: list[tuple[str, str, str]]

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["query"]
        self.asked.append((self.path, self.headers["Authorization"], query))
        body = (FIELDS if "measurementFieldKeys" in query else self._rows(query)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/csv; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _rows(self, query: str) -> str:
        found = re.search(r"range\(start: (\S+?), stop: (\S+?)\)", query)
        assert found is not None
        start, stop = (parse_time(text, 0) for text in found.groups())
        times = [t for t in range(T0, T0 + ROWS) if start <= t * 10**9 < stop]
        if "limit(n: 1)" in query:
            times = times[:1]
        if "tail(n: 1)" in query:
            times = times[-1:]
        lines = [
            f",,0,{datetime.fromtimestamp(t, UTC):%Y-%m-%dT%H:%M:%SZ},m1,{t - T0}.5,1\r\n" for t in times
        ]
        return HEADER + "".join(lines) + "\r\n" if lines else "\r\n"

    def log_message(self, *words: object) -> None:
        """Keeps the test's output clean."""


@pytest.fixture
def bucket() -> Iterator[ThreadingHTTPServer]:
    Bucket.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Bucket) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def prepare(server: ThreadingHTTPServer, folder: Path, token: Path, *more: str) -> str:
    result = CliRunner().invoke(
        app,
        [
            *(
                "prepare",
                "--url",
                f"http://127.0.0.1:{server.server_port}",
                "--org",
                "plant",
                "--bucket",
                "line 1",
            ),
            *("--token-file", str(token), "--start", "2025-12-31", "--stop", "2026-01-02"),
            *("--sensor", "a", "--sensor", "b", "-o", str(folder), *more),
        ],
    )
    if isinstance(result.exception, EdgeDetectError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("s3cret\n")
    path.chmod(0o600)
    return path


def test_a_bucket_gives_its_rows_in_pages_of_an_hour(
    bucket: ThreadingHTTPServer, tmp_path: Path, token: Path
) -> None:
    text = prepare(bucket, tmp_path / "out", token, "--gap", "0")
    seconds: list[float] = []
    for name in ("train", "val", "test"):
        frame = read_table(tmp_path / "out" / f"{name}.csv")
        assert set(frame["machine_id"]) == {"m1"}
        seconds += frame["a"].tolist()
    assert seconds == [second + 0.5 for second in range(ROWS)]
    assert f"{ROWS:,} rows" in text
    pages = [
        query for _, _, query in Bucket.asked if "n: 1" not in query and "measurementFieldKeys" not in query
    ]
    assert len(pages) == 3
    for path, authorization, query in Bucket.asked:
        assert path == "/api/v2/query?org=plant"
        assert authorization == "Token s3cret"
        assert 'bucket: "line 1"' in query
    metadata = (tmp_path / "out" / "metadata.json").read_text()
    assert json.loads(metadata)["query"]["bucket"] == "line 1"
    assert "s3cret" not in metadata


def test_what_a_bucket_lacks_is_one_clear_error(
    bucket: ThreadingHTTPServer, tmp_path: Path, token: Path
) -> None:
    with pytest.raises(EdgeDetectError, match="no field 'c'.*there are: a, b"):
        prepare(bucket, tmp_path / "out", token, "--sensor", "c")
    with pytest.raises(EdgeDetectError, match="no rows from 2026-05-01T00:00:00Z"):
        prepare(bucket, tmp_path / "out", token, "--start", "2026-05-01", "--stop", "2026-05-02")
    with pytest.raises(EdgeDetectError, match="give an --events-file"):
        prepare(bucket, tmp_path / "out", token, "--labels", "events")
    assert not (tmp_path / "out").exists()

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
from trainer.data.tables import read_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

T0 = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
ROWS = 3 * 3600
EVENT = (T0 + 600, T0 + 900)
HEADER = """#datatype,string,long,dateTime:RFC3339,string,double,double\r
#group,false,false,false,false,false,false\r
#default,_result,,,,,\r
,result,table,_time,machine_id,a,b\r
"""
EVENTS = f"""#datatype,string,long,dateTime:RFC3339,string,long,string\r
#group,false,false,false,false,false,false\r
#default,_result,,,,,\r
,result,table,_time,kind,stop,machine_id\r
,,0,{datetime.fromtimestamp(EVENT[0], UTC):%Y-%m-%dT%H:%M:%SZ},SPIKE,{EVENT[1]}000000000,m1\r
\r
"""


class Bucket(BaseHTTPRequestHandler):
    """Answers as a server with three hours of one machine, a row a second, and one labelled event."""

    asked: list[tuple[str, str, str]]
    measurements: dict[str, tuple[str, ...]]

    def do_GET(self) -> None:
        """No bucket is listed to this login, so there is no mapping."""
        self._say(b'{"buckets":[]}', "application/json")

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["query"]
        self.asked.append((self.path, self.headers["Authorization"], query))
        self._say(self._answer(query).encode(), "text/csv; charset=utf-8")

    def _say(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("X-Influxdb-Version", "v2.9.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, query: str) -> str:
        found = re.search(r'measurement(?:: | == )"(\w+)"', query)
        name = found[1] if found else ""
        if "measurements(" in query:
            return names(*self.measurements)
        if name not in self.measurements:
            return "\r\n"
        fields = self.measurements[name]
        listed = {
            "FieldKeys": fields,
            "TagKeys": ("_start", "_measurement", "machine_id"),
            "TagValues": ("m1",),
            'distinct(column: "_field")': tuple(field for field in fields if field != "note"),
        }
        found_names = next((values for word, values in listed.items() if word in query), None)
        return self._rows(query, name) if found_names is None else names(*found_names)

    def _rows(self, query: str, name: str) -> str:
        found = re.search(r"range\(start: (\S+?), stop: (\S+?)\)", query)
        assert found is not None
        start, stop = (parse_time(text, 0) for text in found.groups())
        if name == "events":
            return EVENTS if start <= EVENT[0] * 10**9 < stop else "\r\n"
        times = [t for t in range(T0, T0 + ROWS) if start <= t * 10**9 < stop]
        if "first()" in query:
            times = times[:1]
        if "last()" in query:
            times = times[-1:]
        lines = [
            f",,0,{datetime.fromtimestamp(t, UTC):%Y-%m-%dT%H:%M:%SZ},m1,{t - T0}.5,1\r\n" for t in times
        ]
        return HEADER + "".join(lines) + "\r\n" if lines else "\r\n"

    def log_message(self, *words: object) -> None:
        """Keeps the test's output clean."""


def names(*found: str) -> str:
    """A column of names, as the functions of the package `schema` answer."""
    head = "#datatype,string,long,string\r\n#group,false,false,false\r\n#default,_result,,\r\n"
    rows = "".join(f",,0,{name}\r\n" for name in found)
    return f"{head},result,table,_value\r\n{rows}\r\n"


@pytest.fixture
def bucket() -> Iterator[ThreadingHTTPServer]:
    Bucket.asked = []
    Bucket.measurements = {"sensors": ("a", "b", "note")}
    with ThreadingHTTPServer(("127.0.0.1", 0), Bucket) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def prepare(server: ThreadingHTTPServer, folder: Path, token: Path, *more: str) -> tuple[str, str]:
    """What the command says on standard output and on standard error; its error is raised."""
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
            *("-o", str(folder), *more),
        ],
    )
    if isinstance(result.exception, EdgeDetectError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("s3cret\n")
    path.chmod(0o600)
    return path


def test_a_bucket_gives_its_rows_in_pages_of_an_hour(
    bucket: ThreadingHTTPServer, tmp_path: Path, token: Path
) -> None:
    text, said = prepare(bucket, tmp_path / "out", token, "--gap", "0")
    seconds: list[float] = []
    for name in ("train", "val", "test"):
        frame = read_table(tmp_path / "out" / f"{name}.csv")
        assert set(frame["machine_id"]) == {"m1"}
        seconds += frame["a"].tolist()
    assert seconds == [second + 0.5 for second in range(ROWS)]
    assert f"{ROWS:,} rows in " in text
    assert f"read {ROWS:,} rows of the database: {ROWS:,} taken" in text
    assert said.splitlines() == [
        "edge-train: fields that hold no numbers in the range were left out: note",
        "edge-train: the tables are unlabelled: they have no column 'anomaly'",
    ]
    pages = [query for _, _, query in Bucket.asked if "union(tables: [numbers" in query]
    assert len(pages) == 3
    # A field is a sensor if a series begins or ends with a number in it, whatever its type is in between.
    (types,) = (query for _, _, query in Bucket.asked if "distinct(" in query)
    assert "|> first()" in types
    assert "|> last()" in types
    for path, authorization, query in Bucket.asked:
        assert path == "/api/v2/query?org=plant"
        assert authorization == "Token s3cret"
        assert 'bucket: "line 1"' in query
    metadata = (tmp_path / "out" / "metadata.json").read_text()
    assert json.loads(metadata)["query"]["bucket"] == "line 1"
    assert json.loads(metadata)["query"]["fields"] == ["a", "b"]
    assert json.loads(metadata)["labels"]["method"] == "none"
    assert "s3cret" not in metadata


def test_what_a_bucket_lacks_is_one_clear_error(
    bucket: ThreadingHTTPServer, tmp_path: Path, token: Path
) -> None:
    for more, words in (
        (("--sensor", "c"), "no field 'c'.*there are: a, b"),
        (("--measurement", "nix"), "there is no such measurement; there are: sensors"),
        (("--machine-tag", "host"), "there is no tag 'host'.*there are: machine_id"),
        (("--machine", "m2"), "no machine 'm2'.*there are: m1"),
        (
            ("--start", "2026-05-01", "--stop", "2026-05-02"),
            "no rows from 2026-05-01.*there are some from 2026-01",
        ),
        (("--labels", "events"), "no such measurement from which labels could be taken"),
    ):
        with pytest.raises(EdgeDetectError, match=words):
            prepare(bucket, tmp_path / "out", token, *more)
    assert not (tmp_path / "out").exists()


def test_labels_are_taken_from_the_measurement_of_events_as_out_of_a_database(
    bucket: ThreadingHTTPServer, tmp_path: Path, token: Path
) -> None:
    Bucket.measurements["events"] = ("kind", "stop")
    prepare(bucket, tmp_path / "out", token, "--gap", "0")
    frame = read_table(tmp_path / "out" / "train.csv")
    faulty = frame[frame["anomaly"] == 1]
    assert faulty["a"].tolist() == [second + 0.5 for second in range(600, 900)]
    assert set(faulty["kind"]) == {"SPIKE"}

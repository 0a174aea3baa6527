"""A real InfluxDB 1.x behind the pages of InfluxDB 2 that lead to it: a bucket with its virtual mapping."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.influxdb import InfluxClient

__all__ = ["BUCKET", "mapped_bucket"]

BUCKET = {"id": "0a1b2c3d4e5f6071", "orgID": "01", "type": "user", "name": "line 1"}
MAPPING = {"id": "01", "orgID": "01", "bucketID": BUCKET["id"], "database": "line 1", "virtual": True}
TOKEN = "m4pped"


class _Front(ThreadingHTTPServer):
    behind: InfluxClient


class _Handler(BaseHTTPRequestHandler):
    server: _Front

    def do_GET(self) -> None:
        path, parameters = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if self.headers["Authorization"] != f"Token {TOKEN}":
            self._say(401, b'{"code":"unauthorized","message":"unauthorized access"}')
        elif path == "/api/v2/buckets":
            found = [BUCKET] if parameters["name"] == [BUCKET["name"]] else []
            self._say(200, json.dumps({"buckets": found}).encode())
        elif path == "/api/v2/dbrps":
            mapping = {**MAPPING, "retention_policy": "autogen", "default": True}
            self._say(200, json.dumps({"content": [mapping]}).encode())
        elif path == "/query" and parameters["db"] == ["line 1"] and parameters["rp"] == ["autogen"]:
            self._say(200, self._asked({**parameters, "db": [self.server.behind.settings.database]}))
        else:
            self._say(404, b'{"code":"not found","message":"path not found"}')

    def _asked(self, parameters: dict[str, list[str]]) -> bytes:
        """What the server behind answers."""
        address = urlsplit(self.server.behind.settings.url)
        connection = HTTPConnection(address.hostname or "", address.port)
        try:
            connection.request("GET", f"/query?{urlencode(parameters, doseq=True)}")
            return connection.getresponse().read()
        finally:
            connection.close()

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Influxdb-Version", "v2.9.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        """Keeps the test's output clean."""


@contextmanager
def mapped_bucket(behind: InfluxClient) -> Iterator[tuple[str, ...]]:
    """The options that name the bucket "line 1", which holds what the database behind holds.

    The token, `TOKEN`, has to be in the environment.
    """
    with _Front(("127.0.0.1", 0), _Handler) as front:
        front.behind = behind
        thread = threading.Thread(target=front.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield "--url", f"http://127.0.0.1:{front.server_port}", "--org", "plant", "--bucket", "line 1"
        finally:
            front.shutdown()
            thread.join()

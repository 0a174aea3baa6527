"""A server that speaks as much of MLflow's REST as one recorded run needs, and refuses what it is told to."""

from __future__ import annotations

import json
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["FakeMlflow", "fake_mlflow"]


@dataclass
class FakeMlflow:
    """One.

    Attributes:
        artifacts: Where it has clients put artifacts.
        refused: End of a path, such as "runs/set-tag", to the code and body that it answers with.
        asked: The ends of the paths that were asked for, in order.
        statuses: That the run was given, in order.
        run_id: Of every run; its own, since MLflow keeps in mind where a run's artifacts go.
        url: Of the server.
    """

    artifacts: Path
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    url: str = ""

    def answer(self, path: str, body: bytes) -> tuple[int, str]:
        """Code and body."""
        what = path.partition("?")[0].partition("/mlflow/")[2]
        self.asked.append(what)
        if what in self.refused:
            return self.refused[what]
        info = {"run_id": self.run_id, "experiment_id": "1", "status": "RUNNING", "start_time": 0}
        info |= {"artifact_uri": str(self.artifacts), "lifecycle_stage": "active"}
        experiment = {"experiment_id": "1", "name": "edge-detect", "lifecycle_stage": "active"}
        answers: dict[str, dict[str, Any]] = {
            "experiments/get-by-name": {"experiment": experiment},
            "runs/create": {"run": {"info": info}},
            "runs/get": {"run": {"info": info}},
            "runs/update": {"run_info": info},
        }
        if what == "runs/update":
            self.statuses.append(json.loads(body)["status"])
        return 200, json.dumps(answers.get(what, {}))


@contextmanager
def fake_mlflow(artifacts: Path) -> Iterator[FakeMlflow]:
    """Runs one."""
    fake = FakeMlflow(artifacts)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            code, text = fake.answer(self.path, body)
            self.send_response(code)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_PATCH = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        fake.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()

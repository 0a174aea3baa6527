"""MLflow's own server, `mlflow models serve` with one worker, over one kept connection on loopback."""

from __future__ import annotations

import atexit
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks.peers.mlflow_pyfunc import prepare

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["NAME", "load", "prepare"]

NAME = "MLflow server"
HEADERS = {"Content-Type": "application/json"}
READY_WITHIN_S = 90.0


def load(folder: Path) -> Callable[[NDArray[np.float32]], object]:
    """Starts it; it ends with this process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    mlflow = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    options = ["-m", str(folder / "mlflow"), "-h", "127.0.0.1", "-p", str(port), "--workers", "1"]
    log = (folder / "mlflow-server.log").open("wb")
    server = subprocess.Popen([*mlflow, *options], stdout=log, stderr=log, process_group=0)
    atexit.register(os.killpg, server.pid, signal.SIGKILL)
    until = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < until and server.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.connect()
        except OSError:
            time.sleep(0.02)
            continue
        return lambda rows: _ask(connection, rows)
    raise RuntimeError(f"the server does not start: see {log.name}")


def _ask(connection: http.client.HTTPConnection, rows: NDArray[np.float32]) -> Any:
    body = json.dumps({"inputs": rows.tolist()})
    try:
        connection.request("POST", "/invocations", body, HEADERS)
        response = connection.getresponse()
    except (ConnectionError, http.client.RemoteDisconnected):
        # It hangs up after some seconds without a question.
        connection.close()
        connection.request("POST", "/invocations", body, HEADERS)
        response = connection.getresponse()
    answer = json.loads(response.read())
    if response.status != http.client.OK:
        raise RuntimeError(f"the server answers {response.status}: {answer}")
    return answer

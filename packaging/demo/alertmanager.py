"""An Alertmanager of one's own, on loopback, with its own folder and port, for the tests."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Self

from influxd import die_with_parent, free_ports, unpack

__all__ = ["Alertmanager"]

READY_WITHIN_S = 60.0
STOP_WITHIN_S = 30.0
PROGRAM = "prometheus-alertmanager"
# Debian's program looks for its texts here alone; without the first sign, that is a place in its own folder.
TEXTS = b"/usr/share/prometheus/alertmanager"
CONFIG = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"


class Alertmanager:
    """The server, running within a `with` block; it notifies nobody.

    Args:
        folder: Its data; made when missing, kept at the end.
        unpack_into: Where to unpack the package when the program is not on PATH.

    Raises:
        RuntimeError: There is no Alertmanager, or it does not start.
    """

    def __init__(self, folder: Path, *, unpack_into: Path) -> None:
        self._folder = folder.resolve()
        self._unpack_into = unpack_into.resolve()
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts it and waits until it answers."""
        program, where = self._program()
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "alertmanager.yml"
        config.write_text(CONFIG, encoding="utf-8")
        with (self._folder / "alertmanager.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    program,
                    f"--config.file={config}",
                    f"--storage.path={self._folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                    "--cluster.listen-address=",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=where,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - makes one system call, takes no lock
            )
        until = time.monotonic() + READY_WITHIN_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise RuntimeError(f"alertmanager does not start: see {self._folder / 'alertmanager.log'}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stops it."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that are not over, as its API has them."""
        status, body = self._get("/api/v2/alerts")
        if status != http.client.OK:
            raise RuntimeError(f"alertmanager answers {status}")
        found: list[dict[str, Any]] = json.loads(body)
        return found

    def _program(self) -> tuple[Path, Path | None]:
        """The program, from PATH or else out of Debian's package, and the folder to start it in."""
        if found := shutil.which(PROGRAM):
            return Path(found), None
        program = self._unpack_into / "usr/bin" / PROGRAM
        if not unpack([PROGRAM], program, self._unpack_into):
            raise RuntimeError(f"no {PROGRAM} on PATH, and Debian's package of this name cannot be fetched")
        here = program.with_name("alertmanager-here")
        if not here.exists():
            made = program.with_name(f"alertmanager-{self.port}")
            made.write_bytes(program.read_bytes().replace(TEXTS, TEXTS[1:] + b"/", 1))
            made.chmod(0o755)
            made.rename(here)
        return here, self._unpack_into

    def _answers(self) -> bool:
        try:
            return self._get("/-/ready")[0] == http.client.OK
        except (OSError, http.client.HTTPException):
            return False

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

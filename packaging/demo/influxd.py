"""An InfluxDB 1.6 of one's own, on loopback, with its own folder and ports, for the demo and the tests."""

from __future__ import annotations

import ctypes
import http.client
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Influxd", "die_with_parent", "find_influxd", "free_ports", "unpack"]

READY_WITHIN_S = 60.0
STOP_WITHIN_S = 30.0
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)

CONFIG = """\
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  auth-enabled = {auth}
  log-enabled = false
  flux-enabled = false
[monitor]
  store-enabled = false
[logging]
  level = "warn"
"""


def find_influxd(unpack_into: Path) -> Path | None:
    """The server's program: from PATH, else out of Debian's package, unpacked without installing anything.

    Args:
        unpack_into: A folder of one's own for the package.

    Returns:
        None where there is neither.
    """
    if found := shutil.which("influxd"):
        return Path(found)
    program = unpack_into.resolve() / "usr/bin/influxd"
    return program if unpack(["influxdb"], program, unpack_into) else None


def unpack(packages: Sequence[str], program: Path, into: Path) -> bool:
    """Unpacks Debian's packages into a folder without installing anything, which could start a service.

    Args:
        packages: Their names.
        program: What is then there; with it, nothing is done.
        into: The folder, one's own.

    Returns:
        Whether the program is there.
    """
    if program.exists():
        return True
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return False
    into.parent.mkdir(parents=True, exist_ok=True)
    # In a folder beside it, and renamed when all is there: one that was interrupted must not look whole.
    with tempfile.TemporaryDirectory(dir=into.parent) as scratch:
        unpacked = Path(scratch) / "unpacked"
        if not _quietly("apt-get", "download", *packages, folder=scratch):
            return False
        found = list(Path(scratch).glob("*.deb"))
        if all(_quietly("dpkg-deb", "-x", file.name, unpacked.name, folder=scratch) for file in found):
            shutil.rmtree(into, ignore_errors=True)
            unpacked.rename(into)
    return program.exists()


def _quietly(*command: str, folder: str) -> bool:
    quiet = subprocess.DEVNULL
    return subprocess.run(command, cwd=folder, check=False, stdout=quiet, stderr=quiet).returncode == 0


class Influxd:
    """The server, running within a `with` block; stopped by its own pid, also when the block is interrupted.

    Args:
        folder: Its data; made when missing, kept at the end.
        unpack_into: Where to unpack the package when the program is not on PATH.
        auth: Whether a login is needed; the first user must be made as its admin.

    Raises:
        RuntimeError: There is no influxd, or it does not start.
    """

    def __init__(self, folder: Path, *, unpack_into: Path, auth: bool = False) -> None:
        self._folder = folder.resolve()
        self._unpack_into = unpack_into
        self._auth = auth
        self._process: subprocess.Popen[bytes] | None = None
        self.port, self._rpc = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # an interruption too: nobody else knows the process yet
            self.stop()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts it and waits until it answers."""
        program = find_influxd(self._unpack_into)
        if program is None:
            raise RuntimeError("no influxd on PATH, and Debian's package 'influxdb' cannot be fetched")
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "influxdb.conf"
        auth = str(self._auth).lower()
        config.write_text(
            CONFIG.format(folder=self._folder, port=self.port, rpc=self._rpc, auth=auth), encoding="utf-8"
        )
        with (self._folder / "influxd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, "-config", config],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - makes one system call, takes no lock
            )
        until = time.monotonic() + READY_WITHIN_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop(kill=True)
                raise RuntimeError(f"influxd does not start: see {self._folder / 'influxd.log'}")
            time.sleep(0.05)

    def stop(self, *, kill: bool = False) -> None:
        """Stops it; `kill` pulls the plug."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def restart(self, *, kill: bool = False) -> None:
        """Stops it and starts it again, on the same port and data."""
        self.stop(kill=kill)
        self.start()

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().status == http.client.NO_CONTENT
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses; all held at once, so that they differ."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def die_with_parent() -> None:
    """In the child: end with the parent, even when that is killed without warning. Linux alone knows how."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

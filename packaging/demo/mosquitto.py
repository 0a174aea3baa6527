"""A Mosquitto of one's own, on loopback, with its own folder and port, for the tests and benchmarks."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from influxd import die_with_parent, free_ports, unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Mosquitto"]

READY_WITHIN_S = 30.0
# The server's package and what of its libraries a small Debian lacks.
PACKAGES = ["mosquitto", "libmosquitto1", "libcjson1", "libdlt2", "libwrap0", "libnsl2", "libtirpc3"]
LIBRARIES = ("usr/lib/*-linux-gnu", "lib/*-linux-gnu")


class Mosquitto:
    """The broker, running within a `with` block; what it queued for a client survives a restart.

    Args:
        folder: Its data; made when missing, kept at the end.
        unpack_into: Where to unpack the packages when the program is not on PATH.
        login: User and password that are asked for; None for nobody.
        tls: Files with the authority's certificate, the server's own and its key: it talks TLS, and with
            clients alone that have a certificate of that authority. None for no TLS.
        more: Further lines of its configuration.

    Raises:
        RuntimeError: There is no mosquitto, or it does not start.
    """

    def __init__(
        self,
        folder: Path,
        *,
        unpack_into: Path,
        login: tuple[str, str] | None = None,
        tls: tuple[Path, Path, Path] | None = None,
        more: Sequence[str] = (),
    ) -> None:
        self._folder = folder.resolve()
        self._unpack_into = unpack_into.resolve()
        self._login = login
        self._tls = tls
        self._more = more
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_ports(1)[0]
        self.url = f"mqtt{'s' * bool(tls)}://127.0.0.1:{self.port}"

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
        program, environment = self._program("mosquitto", "usr/sbin")
        self._folder.mkdir(parents=True, exist_ok=True)
        lines = [
            f"listener {self.port} 127.0.0.1",
            "user root",
            "persistence true",
            f"persistence_location {self._folder}/",
            "max_inflight_messages 1000",
            "max_queued_messages 0",
            f"allow_anonymous {str(self._login is None).lower()}",
        ]
        if self._login is not None:
            passwords = self._folder / "passwords"
            tool, _ = self._program("mosquitto_passwd", "usr/bin")
            subprocess.run([tool, "-c", "-b", passwords, *self._login], check=True, env=environment)
            lines.append(f"password_file {passwords}")
        if self._tls is not None:
            names = ("cafile", "certfile", "keyfile")
            lines += [f"{name} {path}" for name, path in zip(names, self._tls, strict=True)]
            lines.append("require_certificate true")
        lines += self._more
        config = self._folder / "mosquitto.conf"
        config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, "-c", config],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - makes one system call, takes no lock
            )
        until = time.monotonic() + READY_WITHIN_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise RuntimeError(f"mosquitto does not start: see {self._folder / 'mosquitto.log'}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stops it."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it at once: what it has not written down is lost."""
        self._end(signal.SIGKILL)

    def _end(self, by: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(by)
            process.wait(30)

    def _program(self, name: str, folder: str) -> tuple[Path, dict[str, str]]:
        """A program and its environment: from PATH, else out of Debian's packages."""
        if found := shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin"):
            return Path(found), dict(os.environ)
        program = self._unpack_into / folder / name
        if not unpack(PACKAGES, program, self._unpack_into):
            raise RuntimeError(f"no {name} on PATH, and Debian's package 'mosquitto' cannot be fetched")
        libraries = [str(path) for pattern in LIBRARIES for path in self._unpack_into.glob(pattern)]
        return program, {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)}

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

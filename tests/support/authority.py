"""An authority of the plant's own, with certificates for a server on the loopback and for a client."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Authority"]

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
NAMED = "subjectAltName=IP:127.0.0.1"


class Authority:
    """Files of one.

    Args:
        folder: Where they are made.
        named: For whom the server's certificate is.

    Attributes:
        cert: The authority's certificate.
        server: The server's certificate, and its key.
        client: The client's certificate, and its key.
    """

    def __init__(self, folder: Path, named: str = NAMED) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.cert = folder / "authority.pem"
        self._run("req", "-x509", *KEY, "-days", "2", "-subj", "/CN=plant", *_files("authority"))
        self.server = self._signed("server", "-addext", named)
        self.client = self._signed("client")

    @property
    def tables(self) -> dict[str, str]:
        """The table `[tls]` of a client."""
        cert, key = self.client
        return {"ca_file": str(self.cert), "cert_file": str(cert), "key_file": str(key)}

    def _signed(self, name: str, *more: str) -> tuple[Path, Path]:
        by = ("-CA", "authority.pem", "-CAkey", "authority.key")
        self._run("req", "-x509", *by, *KEY, "-days", "2", "-subj", f"/CN={name}", *more, *_files(name))
        return self._folder / f"{name}.pem", self._folder / f"{name}.key"

    def _run(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self._folder, capture_output=True, check=True)


def _files(name: str) -> tuple[str, ...]:
    return ("-keyout", f"{name}.key", "-out", f"{name}.pem")

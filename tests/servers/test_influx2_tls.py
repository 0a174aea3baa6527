"""InfluxDB 2.x behind an authority of the plant's own."""

from __future__ import annotations

import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.exchanges import playing
from support.influx2 import (
    HEADER,
    ROWS,
    asked,
    client,
    posted,
    read,
)

from edge_runtime.errors import (
    EdgeDetectError,
    SourceUnavailableError,
    UsageError,
)
from edge_runtime.influxdb import (
    write,
)
from edge_runtime.tls import TlsSettings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """A server's side of TLS, and the certificate that a client must know."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=plant"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"),
        ],
        cwd=folder,
        capture_output=True,
        check=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context, folder / "cert.pem"


class TestTls:
    """An authority of the plant's own."""

    def test_a_certificate_that_nobody_vouches_for_is_refused_with_the_mend(
        self, authority: tuple[ssl.SSLContext, Path]
    ) -> None:
        with playing(tls=authority[0]) as url:
            for attempt in (
                lambda: read(url),
                lambda: client(url).version(),
                lambda: write(client(url), b"m a=1 1\n"),
            ):
                with pytest.raises(
                    EdgeDetectError, match="certificate is not trusted.*set SSL_CERT_FILE"
                ) as e:
                    attempt()
                assert not isinstance(e.value, SourceUnavailableError)

    def test_the_mend_works(
        self, authority: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority[1]))
        with playing(asked(answer=(HEADER + ROWS).encode()), posted(b"m a=1 1\n"), tls=authority[0]) as url:
            assert len(read(url)) == 3
            write(client(url), b"m a=1 1\n")

    def test_a_server_without_tls_is_unavailable(self) -> None:
        with playing() as url:
            address = url.replace("http:", "https:")
            with pytest.raises(SourceUnavailableError, match=r"cannot be reached \(TLS: "):
                read(address)
            with pytest.raises(SourceUnavailableError, match=r"cannot be reached \(TLS: "):
                client(address).version()

    def test_files_of_tls_say_whom_to_trust_and_who_one_is(
        self, authority: tuple[ssl.SSLContext, Path], tmp_path: Path
    ) -> None:
        certificate = authority[1]
        asks = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        asks.load_cert_chain(certificate, certificate.with_name("key.pem"))
        asks.load_verify_locations(certificate)
        asks.verify_mode = ssl.CERT_REQUIRED
        trusting = TlsSettings(ca_file=certificate)
        known = TlsSettings(certificate, certificate, certificate.with_name("key.pem"))
        with playing(asked(answer=(HEADER + ROWS).encode()), posted(b"m a=1 1\n"), tls=asks) as url:
            assert len(read(url, tls=known)) == 3
            write(client(url, tls=known), b"m a=1 1\n")
            with pytest.raises(EdgeDetectError):
                write(client(url, tls=trusting), b"m a=1 1\n")
        for wrong in (
            TlsSettings(ca_file=tmp_path / "none.pem"),
            TlsSettings(ca_file=certificate.with_name("key.pem")),
            TlsSettings(cert_file=certificate),
            TlsSettings(key_file=certificate.with_name("key.pem")),
            TlsSettings(cert_file=certificate, key_file=tmp_path / "none.pem"),
        ):
            with pytest.raises(UsageError):
                client("https://127.0.0.1:1", tls=wrong)
        shown = tmp_path / "key.pem"
        shown.write_bytes(certificate.with_name("key.pem").read_bytes())
        shown.chmod(0o644)
        with pytest.raises(UsageError, match="others may read this secret"):
            client("https://127.0.0.1:1", tls=TlsSettings(cert_file=certificate, key_file=shown))

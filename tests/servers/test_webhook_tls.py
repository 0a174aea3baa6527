"""Posts over TLS: an authority of the plant's own, a certificate that the receiver asks for, and neither."""

from __future__ import annotations

import ssl
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest
from support.receiving import receiving
from support.webhooks import change, private, sink_of

from edge_runtime.errors import SinkUnavailableError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from support.receiving import Receiver


class Plant(NamedTuple):
    """The authority's certificate, two with their keys that it vouches for, and one of a stranger."""

    authority: Path
    server: Path
    client: Path
    stranger: Path

    def context(self, *, asks: bool = False) -> ssl.SSLContext:
        """A server's side."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server)
        if asks:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.authority)
        return context


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    folder = tmp_path_factory.mktemp("plant")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, capture_output=True, check=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")

    def together(name: str) -> Path:
        parts = (folder / f"{name}.{end}" for end in ("crt", "key"))
        return private(folder / f"{name}.pem", "".join(part.read_text() for part in parts))

    for name in ("plant", "stranger"):
        names = ("-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.crt")
        openssl("req", "-x509", *key, "-days", "2", *names)
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    for name in ("server", "client"):
        openssl("req", *key, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        signs = ("-CA", "plant.crt", "-CAkey", "plant.key", "-CAcreateserial", "-days", "2")
        openssl("x509", "-req", "-in", f"{name}.csr", *signs, "-extfile", "names", "-out", f"{name}.crt")
    return Plant(folder / "plant.crt", *map(together, ("server", "client", "stranger")))


def test_an_authority_of_the_plants_own_is_trusted_when_it_is_named(plant: Plant) -> None:
    with receiving(plant.context()) as server:
        sink = sink_of("webhook", {"ca_file": str(plant.authority)}, url=f"{server.url}/alarms")
        sink.check()
        assert server.posts == []
        payloads = [sink.encode_alarm(change(number)) for number in range(3)]
        assert sink.deliver(payloads) == 3
        assert len({post.connection for post in server.posts}) == 1


def test_one_that_nobody_named_is_refused_with_the_mend(plant: Plant) -> None:
    with receiving(plant.context()) as server:
        sink = sink_of("webhook", url=server.url)
        for attempt in (sink.check, lambda: sink.deliver([sink.encode_alarm(change())])):
            with pytest.raises(SinkUnavailableError, match="not trusted .*; set ca_file in .tls."):
                attempt()
        assert server.posts == []


def test_a_certificate_for_another_host_is_refused(plant: Plant) -> None:
    with receiving(plant.context()) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        sink = sink_of("webhook", {"ca_file": str(plant.authority)}, url=url)
        with pytest.raises(SinkUnavailableError, match="not trusted"):
            sink.check()


def test_a_receiver_that_asks_for_a_certificate_gets_ours(plant: Plant) -> None:
    with receiving(plant.context(asks=True)) as server:
        tls = {"ca_file": str(plant.authority)}
        without = sink_of("slack", tls, url=f"{server.url}/hook")
        with pytest.raises(SinkUnavailableError, match=r"TLS fails|cannot be reached") as caught:
            without.deliver([without.encode_alarm(change())])
        assert caught.value.hint
        sink = sink_of("slack", {**tls, "cert_file": str(plant.client)}, url=f"{server.url}/hook")
        assert sink.deliver([sink.encode_alarm(change())]) == 1
        assert len(server.posts) == 1


def test_a_certificate_that_was_renewed_is_read_again(plant: Plant, tmp_path: Path) -> None:
    mine = private(tmp_path / "mine.pem", plant.stranger.read_text())
    with receiving(plant.context(asks=True)) as server:
        tls = {"ca_file": str(plant.authority), "cert_file": str(mine)}
        sink = sink_of("webhook", tls, url=server.url)
        payload = [sink.encode_alarm(change())]
        with pytest.raises(SinkUnavailableError):
            sink.deliver(payload)
        mine.write_text("nothing")
        with pytest.raises(SinkUnavailableError, match="cannot read the certificate"):
            sink.deliver(payload)
        mine.write_bytes(plant.client.read_bytes())
        assert sink.deliver(payload) == 1


def test_a_server_without_tls_and_one_with_it_are_told_apart(plant: Plant, receiver: Receiver) -> None:
    sink = sink_of("webhook", url=receiver.url.replace("http:", "https:"))
    with pytest.raises(SinkUnavailableError, match=r"TLS fails .*; check that it is https"):
        sink.check()
    with receiving(plant.context()) as server:
        sink = sink_of("webhook", url=server.url.replace("https:", "http:"))
        with pytest.raises(SinkUnavailableError):
            sink.deliver([sink.encode_alarm(change())])


def test_a_file_with_certificate_and_key_is_for_its_owner_alone(plant: Plant, tmp_path: Path) -> None:
    mine = private(tmp_path / "mine.pem", plant.client.read_text())
    sink_of("webhook", {"cert_file": str(mine)}, url="https://127.0.0.1")
    mine.chmod(0o644)
    with pytest.raises(UsageError, match="others may read this secret; chmod 600"):
        sink_of("webhook", {"cert_file": str(mine)}, url="https://127.0.0.1")


def test_files_that_hold_no_certificate_are_named(tmp_path: Path) -> None:
    empty = private(tmp_path / "empty.pem", "")
    with pytest.raises(UsageError, match="cannot read certificates"):
        sink_of("webhook", {"ca_file": str(empty)}, url="https://127.0.0.1")
    with pytest.raises(UsageError, match="cannot read the certificate with its key"):
        sink_of("ntfy", {"cert_file": str(empty)}, url="https://127.0.0.1/topic")

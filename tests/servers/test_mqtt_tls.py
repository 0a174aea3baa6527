"""The source mqtt and a broker that talks TLS, only with clients that have a certificate of its authority."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mosquitto import Mosquitto
from support.authority import Authority

from edge_runtime.connector import Given
from edge_runtime.errors import SourceUnavailableError, UsageError
from edge_runtime.mqtt.broker import Broker
from edge_runtime.mqtt.publisher import Publisher
from edge_runtime.sources.base import Feed
from edge_runtime.sources.mqtt import MQTT
from edge_runtime.tls import TlsSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.sources.base import Probe

UNPACKED = Path(__file__).parents[2] / "build" / "mosquitto-package"
FEED = Feed(sensors=("a",), report=lambda _: None, now_ns=lambda: 0, future_s=60.0, owner="test")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def broker(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    folder, tls = tmp_path_factory.mktemp("mosquitto"), (authority.cert, *authority.server)
    with Mosquitto(folder, unpack_into=UNPACKED, tls=tls) as server:
        yield server


def given(url: str, tls: dict[str, str], root: str = "t") -> Given:
    tables: dict[str, dict[str, Any]] = {"mqtt": {"url": url, "topic": f"{root}/{{machine}}"}, "tls": tls}
    return Given.of(MQTT, tables, "here")


def first_row(source: Any) -> list[float]:
    """The first row that comes."""
    for batch in source.batches(None):
        if len(batch.readings):
            return [float(value) for value in batch.readings.values[0]]
    raise AssertionError


def test_source_and_check_read_by_the_files_of_tls(broker: Mosquitto, authority: Authority) -> None:
    root = uuid.uuid4().hex
    settings = given(broker.url, authority.tables, root)
    probe: Probe = MQTT.probed(settings, FEED)
    assert [fact.text for fact in probe.facts()] == [broker.url, f"{root}/+"]
    context = TlsSettings(**{name: Path(path) for name, path in authority.tables.items()}).context()
    with Publisher(broker.url, f"{root}/m", uuid.uuid4().hex, None, None, context) as publisher:
        publisher.retain(json.dumps({"time": 1_767_225_600, "a": 3}).encode())
        assert first_row(probe.source) == [3.0]
        assert first_row(MQTT.make(settings, FEED)) == [3.0]
        assert f"{root}/m" in {topic for fact in probe.instead() for topic in fact.text.split(" ")}


def test_a_client_without_a_certificate_is_told_to_set_one(broker: Mosquitto, authority: Authority) -> None:
    source = MQTT.make(given(broker.url, {"ca_file": str(authority.cert)}), FEED)
    with pytest.raises(SourceUnavailableError, match=r"asks for a certificate, set cert_file in \[tls\]"):
        first_row(source)


def test_an_authority_that_nobody_named_is_not_trusted(broker: Mosquitto) -> None:
    with pytest.raises(SourceUnavailableError, match=r"certificate is not trusted .*ca_file in \[tls\]"):
        first_row(MQTT.make(given(broker.url, {}), FEED))


def test_a_certificate_for_another_host_is_not_trusted(broker: Mosquitto, authority: Authority) -> None:
    elsewhere = broker.url.replace("127.0.0.1", "localhost")
    with pytest.raises(SourceUnavailableError, match=r"not trusted \(.*write the name that the certificate"):
        first_row(MQTT.make(given(elsewhere, authority.tables), FEED))


def test_a_broker_without_tls_is_said_to_be_one(mosquitto: Mosquitto) -> None:
    with pytest.raises(SourceUnavailableError, match="cannot be reached .*and whether it talks TLS"):
        first_row(MQTT.make(given(mosquitto.url.replace("mqtt:", "mqtts:"), {}), FEED))


def test_files_that_cannot_be_used_are_named_before_it_starts(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.pem")
    for make in (MQTT.make, MQTT.probed):
        with pytest.raises(UsageError, match="cannot read certificates") as found:
            make(given("mqtts://127.0.0.1:1", {"ca_file": missing}), FEED)
        assert found.value.where == missing
    MQTT.make(given("mqtt://127.0.0.1:1", {"ca_file": missing}), FEED)  # which nobody uses


@pytest.mark.parametrize("url", ["mqtt://ada:geheim@h", "mqtts://ada:ge@heim@h", "mqtt://ada:geheim@h:x"])
def test_a_login_in_the_address_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(UsageError) as found:
        Broker.of(url, "c", username=None, password_file=None)
    assert "heim" not in str(found.value)

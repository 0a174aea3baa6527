"""`edge-detect bench --config`: end to end through a gateway's own servers, which are left as they were."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from support.commands import assert_one_clear_line

from edge_runtime.bench.endtoend import measure_route, routes_of
from edge_runtime.bench.route import EndToEnd, Gateway
from edge_runtime.errors import SinkUnavailableError
from edge_runtime.gateway.settings import load_settings
from edge_runtime.influxdb.query import query
from edge_runtime.loading.load import load_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from mosquitto import Mosquitto
    from support.commands import Command

    from edge_runtime.influxdb.client import InfluxClient


def gateway(folder: Path, text: str) -> Gateway:
    config = folder / "edge-detect.toml"
    config.write_text(text)
    return Gateway(config, load_settings(config, {}))


def influx(database: InfluxClient, *more: str) -> str:
    where = (
        f'[influx]\nurl = "{database.settings.url}"\ndatabase = "{database.settings.database}"\npoll = 0.2\n'
    )
    return '[run]\nsource = "influx"\nsinks = ["influx"]\n' + where + "\n".join(more)


def measured(name: str, bundle: Path, own: Gateway) -> EndToEnd:
    metadata = load_bundle(bundle).metadata
    return measure_route(name, bundle, metadata, rate=50.0, seconds=0.4, gateway=own)


def test_the_routes_are_those_of_the_configuration(tmp_path: Path, database: InfluxClient) -> None:
    assert routes_of(None) == ()
    assert routes_of(gateway(tmp_path, influx(database))) == ("influx-stdout", "stdin-influx")
    assert routes_of(gateway(tmp_path, '[run]\nsource = "mqtt"\n')) == ("mqtt-stdout",)
    assert routes_of(gateway(tmp_path, '[run]\nsource = "csv"\nsinks = ["jsonl"]\n')) == ()


@pytest.mark.parametrize("route", ["influx-stdout", "stdin-influx"])
def test_a_database_gives_every_row_its_verdict_and_keeps_none(
    route: str, tmp_path: Path, database: InfluxClient, bundle: Path
) -> None:
    own = gateway(tmp_path, influx(database, '[data]\ntime_column = "when"\nmachine_column = "who"\n'))
    found = measured(route, bundle, own)
    assert found.latency_us is not None, found.left_out
    assert (found.rows, found.latency_us.calls) == (20, 20)
    assert found.latency_us.p50 > 0
    assert list(query(database, "SHOW MEASUREMENTS")) == []


def test_a_broker_gives_every_row_its_verdict_and_keeps_none(
    tmp_path: Path, mosquitto: Mosquitto, bundle: Path
) -> None:
    before = retained(mosquitto)
    own = gateway(tmp_path, f'[run]\nsource = "mqtt"\n[mqtt]\nurl = "{mosquitto.url}"\n')
    found = measured("mqtt-stdout", bundle, own)
    assert found.latency_us is not None, found.left_out
    assert (found.rows, found.latency_us.calls) == (20, 20)
    assert retained(mosquitto) <= before


def retained(mosquitto: Mosquitto) -> set[str]:
    """The topics of what the broker keeps."""
    left: list[str] = []
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda _client, _data, message: left.append(message.topic)
    client.connect("127.0.0.1", mosquitto.port)
    client.loop_start()
    client.subscribe("#")
    time.sleep(0.5)
    client.disconnect()
    client.loop_stop()
    return set(left)


def test_what_cannot_be_taken_away_again_is_left_out(
    tmp_path: Path, database: InfluxClient, bundle: Path
) -> None:
    (tmp_path / "own.flux").write_text("from(bucket: …)")
    own = gateway(tmp_path, influx(database, f'flux_file = "{tmp_path / "own.flux"}"\n'))
    assert "flux_file" in str(measured("influx-stdout", bundle, own).left_out)
    bucket = influx(database).replace("database =", 'org = "works"\nbucket =')
    assert "1.x" in str(measured("stdin-influx", bundle, gateway(tmp_path, bucket)).left_out)


def test_a_broker_that_is_away_is_one_clear_error(tmp_path: Path, bundle: Path) -> None:
    own = gateway(tmp_path, '[run]\nsource = "mqtt"\n[mqtt]\nurl = "mqtt://127.0.0.1:1"\n')
    with pytest.raises(SinkUnavailableError, match="cannot be reached"):
        measured("mqtt-stdout", bundle, own)


def test_the_command_measures_the_configured_bundle_and_servers(
    command: Command, tmp_path: Path, database: InfluxClient, bundle: Path
) -> None:
    text = influx(database).replace("[run]\n", f'[run]\nbundle = "{bundle}"\n')
    config = gateway(tmp_path, text).config
    quick = ["--quick", "--seconds", "0.2", "--rows", "50", "--rates", "100", "--json", "-"]
    done = command("edge-detect", "bench", "--config", config, *quick)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["bundle"]["name"] == bundle.name
    assert {"stdin-stdout", "influx-stdout", "stdin-influx"} <= set(document["end_to_end"])
    assert document["end_to_end"]["stdin-influx"]["latency_us"]["p50"] > 0
    config.write_text("[run]\nsource = 3\n")
    assert_one_clear_line(command("edge-detect", "bench", "--config", config, *quick), 2, str(config))

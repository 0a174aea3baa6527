"""A feed finds its ledger again, however its settings are spelled, and never takes that of another feed."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from typing import TYPE_CHECKING, Any

import pytest

from edge_runtime.delivery.ledger import Ledger
from edge_runtime.delivery.reading import reading
from edge_runtime.errors import LedgerError, UsageError
from edge_runtime.gateway.place import place_of_ledger
from edge_runtime.gateway.settings import Settings, load_settings
from edge_runtime.sources.base import Feed
from edge_runtime.sources.mqtt_feed import MqttSource

if TYPE_CHECKING:
    from pathlib import Path

    from support.commands import Command


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "edge-detect"


def influx(**given: Any) -> Settings:
    return load_settings(None, {"run": {"source": "influx"}, "influx": {"database": "plant", **given}})


def mqtt(**given: Any) -> Settings:
    return load_settings(None, {"run": {"source": "mqtt"}, "mqtt": given})


def earlier(folder: Path, identity: str) -> Path:
    """A ledger as versions before this one made it: identity and name out of the settings as written."""
    path = (
        folder
        / f"{identity.split(maxsplit=1)[0]}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}.sqlite"
    )
    Ledger(path, identity).close()
    return path


SAME_INFLUX = (
    {"url": "http://localhost:8086"},
    {"url": "http://LOCALHOST:8086/"},
    {"url": "http://[::1]:8086"},
    {"url": "http://127.0.0.1:8086", "machines": ("m1", "m2")},
    {"machines": ("m1",), "poll": 5.0, "start": "-1h"},
)


@pytest.mark.parametrize("given", SAME_INFLUX)
def test_the_same_feed_has_the_same_ledger(given: dict[str, Any], folder: Path) -> None:
    path, identity = place_of_ledger(influx())
    assert identity == 'influx http://127.0.0.1:8086 database="plant" measurement="sensors"'
    assert place_of_ledger(influx(**given)) == (path, identity)
    Ledger(path, identity).close()
    assert place_of_ledger(influx(**given)) == (path, identity)
    assert path.parent == folder


@pytest.mark.parametrize(
    "given",
    [
        {"url": "http://10.0.0.7:8086"},
        {"url": "http://127.0.0.1:8087"},
        {"database": "other"},
        {"measurement": "more"},
        {"database": None, "bucket": "b", "org": "o"},
    ],
)
def test_another_feed_has_another(given: dict[str, Any]) -> None:
    path, identity = place_of_ledger(influx())
    Ledger(path, identity).close()
    other, its = place_of_ledger(influx(**given))
    assert other != path
    assert its != identity


@pytest.mark.parametrize(
    ("stored", "given"),
    [
        ("influx http://localhost:8086 plant sensors", {}),
        ("influx http://localhost:8086 plant sensors", {"machines": ("m1",)}),
        ("influx http://localhost:8086/ plant sensors m1", {"machines": ("m1",)}),
        ("influx http://localhost:8086/ plant sensors m1", {"machines": ("m2", "m1")}),
        ("influx http://127.0.0.1:8086 plant sensors m1 m2", {"machines": ("m2", "m3", "m1")}),
        ("influx http://127.0.0.1:8086 plant sensors press 1", {"machines": ("press 1", "press 2")}),
    ],
)
def test_a_ledger_of_an_earlier_version_is_found_and_keeps_what_it_says(
    stored: str, given: dict[str, Any], folder: Path
) -> None:
    path = earlier(folder, stored)
    earlier(folder, "influx http://localhost:8086 plant sensors2 m1")
    earlier(folder, "influx http://localhost:8086 other sensors")
    if given:
        earlier(folder, "influx http://localhost:8086 plant sensors other-machine")
    for url in ("http://127.0.0.1:8086", "http://localhost:8086"):
        assert place_of_ledger(influx(url=url, **given)) == (path, stored)
    Ledger(path, stored).close()


def test_of_several_earlier_ledgers_each_feed_keeps_its_own(folder: Path) -> None:
    """Two services, one for each machine, and one for all, as they ran beside each other before."""
    written = "influx http://localhost:8086 plant sensors"
    of_all, of_m1, of_m2 = (earlier(folder, f"{written}{more}") for more in ("", " m1", " m2"))
    url = "http://localhost:8086"
    assert place_of_ledger(influx(url=url))[0] == of_all
    assert place_of_ledger(influx(url=url, machines=("m1",)))[0] == of_m1
    assert place_of_ledger(influx(url=url, machines=("m2",)))[0] == of_m2
    with pytest.raises(UsageError, match="several ledgers fit influx .*; name one with --state"):
        place_of_ledger(influx(url=url, machines=("m1", "m2")))


def test_from_some_machines_to_all_the_ledger_stays_the_same(folder: Path) -> None:
    stored = "influx http://localhost:8086 plant sensors m1"
    path = earlier(folder, stored)
    assert place_of_ledger(influx()) == (path, stored)


def test_an_earlier_ledger_that_cannot_be_read_now_is_not_left_behind(folder: Path) -> None:
    """A new one would begin at now, and nobody would hear of what lies between."""
    written = "influx http://localhost:8086 plant sensors"
    path = earlier(folder, written)
    path.write_bytes(b"damaged" * 1000)
    assert place_of_ledger(influx(url="http://localhost:8086")) == (path, written)
    with pytest.raises(LedgerError, match="cannot be used"):
        Ledger(path, written)


def test_a_name_with_a_space_in_it_is_taken_for_nothing_else(folder: Path) -> None:
    """Identities tell where a name ends; those of before are taken only where nothing is left over."""
    earlier(folder, "influx http://127.0.0.1:8086 plant sensors hot")
    assert not place_of_ledger(influx(machines=("cold",)))[0].exists()
    (folder / place_of_ledger(influx(measurement="sensors hot"))[0]).unlink()
    path, identity = place_of_ledger(influx())
    assert not path.exists()
    Ledger(*place_of_ledger(influx(measurement="sensors warm"))).close()
    assert place_of_ledger(influx()) == (path, identity)
    identities = [
        place_of_ledger(influx(**given))[1]
        for given in (
            {"database": "a b", "measurement": "c"},
            {"database": "a", "measurement": "b c"},
            {"database": None, "bucket": "a", "org": "b", "measurement": "c"},
            {"database": None, "bucket": "a", "org": "d", "measurement": "c"},
            {"database": "a", "measurement": "c"},
            {"database": "a", "measurement": "c", "retention_policy": "long"},
        )
    ]
    assert len(set(identities)) == len(identities)


def test_a_ledger_that_is_named_is_taken_if_it_is_of_this_feed(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    Ledger(path, "influx http://localhost:8086 plant sensors m1").close()
    run = {"source": "influx", "state": path}
    settings = load_settings(None, {"run": run, "influx": {"database": "plant", "machines": ("m1", "m2")}})
    assert place_of_ledger(settings) == (path, "influx http://localhost:8086 plant sensors m1")
    settings = load_settings(None, {"run": run, "influx": {"database": "plan"}})
    named = place_of_ledger(settings)
    assert named == (path, 'influx http://127.0.0.1:8086 database="plan" measurement="sensors"')
    with pytest.raises(LedgerError, match="belongs to another source"):
        Ledger(*named)


def test_a_file_that_is_no_ledger_is_left_to_who_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    path.write_bytes(b"not a database, but long enough to be looked at" * 10)
    settings = load_settings(None, {"run": {"source": "csv", "state": path}, "csv": {"input": "x.csv"}})
    assert place_of_ledger(settings) == (path, f"csv {os.getcwd()}/x.csv")  # noqa: PTH109
    with pytest.raises(LedgerError, match="cannot be used"):
        Ledger(*place_of_ledger(settings))


def client_id(settings: Settings, state: Path) -> str:
    """Under which the broker keeps the session."""
    feed = Feed(
        sensors=("a",),
        report=print,
        now_ns=lambda: 0,
        future_s=60.0,
        owner=f"{os.uname().nodename} {place_of_ledger(settings)[1]} {state}",
    )
    source = settings.source.kind.make(settings.source.given, feed)
    assert isinstance(source, MqttSource)
    source.close()
    return source._broker.client_id


def test_the_broker_keeps_the_session_of_an_earlier_version_and_of_another_spelling(folder: Path) -> None:
    """A new client's id would leave what is queued for the old one behind."""
    host = os.uname().nodename
    written = "mqtt mqtt://localhost:1883 sensors/{machine}"
    own = hashlib.sha256(f"{host} {written} {folder}".encode()).hexdigest()[:12]
    fresh = client_id(mqtt(url="mqtt://127.0.0.1"), folder)
    assert fresh == client_id(mqtt(), folder) == client_id(mqtt(url="mqtt://localhost:1883"), folder)
    assert fresh != client_id(mqtt(topic="a/{machine}"), folder)
    path = earlier(folder, written)
    assert place_of_ledger(mqtt(url="mqtt://127.0.0.1:1883")) == (path, written)
    assert client_id(mqtt(url="mqtt://127.0.0.1:1883"), folder) == f"edge-detect-{own}"
    assert client_id(mqtt(client_id="mine"), folder) == "mine"


def test_the_command_goes_on_in_the_ledger_when_the_settings_are_spelled_otherwise(
    command: Command, tmp_path: Path
) -> None:
    """The file by another way to it: what is read is the same."""
    rows = "".join(f"2026-01-01T00:00:{i:02}Z,m1,55,1.2,50,235\n" for i in range(10))
    (tmp_path / "in.csv").write_text("time,machine_id,temperature,vibration,pressure,power\n" + rows)
    (tmp_path / "link.csv").symlink_to("in.csv")
    words = ("edge-detect", "run", "--bundle", "default", "--source", "csv")
    for name, read in (
        ("in.csv", b"10 rows read"),
        ("./in.csv", b"0 rows read"),
        ("link.csv", b"0 rows read"),
    ):
        done = command(*words, "--input", name, "--sink", "jsonl", "--output", "out.jsonl")
        assert done.returncode == 0, done.stderr
        assert done.stderr.splitlines()[1].startswith(read), done.stderr
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 10


def _open_and_close(path: Path, times: int) -> None:
    for _ in range(times):
        ledger = Ledger(path, "x")
        ledger.commit(checkpoint=None, states=[], payloads=[], counters={"read": 1})
        ledger.close()


def test_a_ledger_is_read_at_any_moment_while_a_process_opens_and_closes_it(tmp_path: Path) -> None:
    path, opened = tmp_path / "ledger", 100
    _open_and_close(path, 1)
    process = multiprocessing.get_context("spawn").Process(target=_open_and_close, args=(path, opened))
    process.start()
    found = []
    while process.is_alive():
        with reading(path) as db:
            found.append(db.execute("SELECT value FROM counters WHERE name = 'read'").fetchone()[0])
    process.join()
    assert process.exitcode == 0
    assert found == sorted(found)
    assert found[0] < found[-1] <= 1 + opened

"""The same as the played exchanges, at a real InfluxDB 2.x: runs where the environment names one.

EDGE_DETECT_TEST_INFLUX2_URL, _TOKEN, _ORG and _BUCKET; the token must read and write the bucket, which keeps
its points for ever or at least from 2026-01-01 on. What a test writes it deletes.
"""

from __future__ import annotations

import dataclasses
import json
import os
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.bundles import SENSORS, normal_rows
from support.commands import assert_one_clear_line
from support.reading import check_flux, read_flux
from typer.testing import CliRunner

from edge_runtime.errors import EdgeDetectError, SinkError, SinkUnavailableError, SourceError
from edge_runtime.influxdb import (
    InfluxClient,
    InfluxSettings,
    ReadingsQuery,
    check_readings,
    check_write,
    encode_lines,
    write,
)
from edge_runtime.influxdb.dbrp import mapped_client
from edge_runtime.influxdb.flux import FluxReader, literal
from edge_runtime.influxdb.influxql import InfluxqlReader
from edge_runtime.records import Readings
from trainer.cli import app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from support.commands import Command

    from edge_runtime.influxdb import Reader

URL, TOKEN, ORG, BUCKET = (
    os.environ.get(f"EDGE_DETECT_TEST_INFLUX2_{name}", "") for name in ("URL", "TOKEN", "ORG", "BUCKET")
)
pytestmark = pytest.mark.skipif(
    not (URL and TOKEN and ORG and BUCKET),
    reason="no InfluxDB 2.x here: set EDGE_DETECT_TEST_INFLUX2_URL, _TOKEN, _ORG and _BUCKET",
)

T0 = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z
SECOND = 1_000_000_000
DAY = 86_400 * SECOND
NAMES = tuple(sensor[0] for sensor in SENSORS)
WRONG = "wr0ng-tok3n=="


def client(**changes: Any) -> InfluxClient:
    options = {"url": URL, "token": TOKEN, "org": ORG, "bucket": BUCKET, "timeout": 20.0, **changes}
    return InfluxClient(InfluxSettings(**options))


@pytest.fixture
def measurement() -> Iterator[str]:
    """A name that nobody uses; its points are deleted afterwards."""
    name = f"edge_detect_test_{uuid.uuid4().hex}"
    yield name
    for used in (name, f"{name}_verdicts", f"{name}_events"):
        body = {
            "start": "1970-01-01T00:00:00Z",
            "stop": "2100-01-01T00:00:00Z",
            "predicate": f'_measurement="{used}"',
        }
        where = {"org": ORG, "bucket": BUCKET}
        with client().request("POST", "/api/v2/delete", where, body=json.dumps(body).encode()) as response:
            response.read()


def put(measurement: str, *lines: str) -> None:
    write(client(), "".join(f"{measurement},{line}\n" for line in lines).encode())


def prepare(measurement: str, folder: Path, *more: str) -> tuple[str, dict[str, Any]]:
    """What `edge-train prepare` complains of, and its metadata; its error is raised."""
    result = CliRunner().invoke(
        app,
        [
            *("prepare", "--url", URL, "--org", ORG, "--bucket", BUCKET, "--measurement", measurement),
            *("--labels-measurement", f"{measurement}_events", "--start", "2026-01-01", "--gap", "0"),
            *("-o", str(folder), *more),
        ],
        env={"EDGE_DETECT_INFLUX_TOKEN": TOKEN},
    )
    if isinstance(result.exception, EdgeDetectError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stderr, json.loads((folder / "metadata.json").read_text())


def joined(blocks: Iterable[Readings]) -> Readings:
    found = [*blocks]
    return Readings(
        np.concatenate([block.machines for block in found]),
        np.concatenate([block.times for block in found]),
        np.concatenate([block.values for block in found]),
    )


def test_the_version_is_one_of_2() -> None:
    assert client().version().removeprefix("v").startswith("2.")


def test_the_rows_of_a_bucket_come_with_their_times_machines_and_gaps(measurement: str) -> None:
    put(measurement, f"machine_id=press-1 a=1.5,b=2i {T0}", f"machine_id=press\\,\\ 2 a=-0.25 {T0 + 1}")
    write(client(), f"{measurement} b=4i {T0 + 59 * SECOND}\n".encode())
    wanted = ReadingsQuery(("a", "b"), measurement)
    rows = joined(read_flux(client(), wanted, T0, T0 + 60 * SECOND))
    assert rows.times.tolist() == [T0, T0 + 1, T0 + 59 * SECOND]
    assert rows.machines.tolist() == ["press-1", "press, 2", "machine"]
    np.testing.assert_array_equal(rows.values, np.array([[1.5, 2], [-0.25, np.nan], [np.nan, 4]], np.float32))


def test_many_rows_come_in_the_order_of_time_and_in_bounded_blocks(measurement: str) -> None:
    rows, machines = 12_000, ("m1", "m2")
    times = np.repeat(T0 + np.arange(rows, dtype=np.int64) * SECOND, len(machines))
    a = np.arange(len(times), dtype=np.float64)
    tags = {"machine_id": np.tile(np.array(machines), rows)}
    write(client(), encode_lines(measurement, times, tags=tags, fields={"a": a}))
    blocks = list(read_flux(client(), ReadingsQuery(("a",), measurement), T0, T0 + rows * SECOND))
    assert max(map(len, blocks)) <= 5_000 + len(machines)
    found = joined(blocks)
    assert (np.diff(found.times) >= 0).all()
    assert sorted(found.values[:, 0].tolist()) == a.tolist()


def test_the_range_is_half_open_and_machines_are_chosen(measurement: str) -> None:
    put(
        measurement,
        *(f"machine_id={m} a={s} {T0 + s * SECOND}" for m in ("m1", "m2", "it's") for s in range(9)),
    )
    wanted = ReadingsQuery(("a",), measurement, machines=("it's", "m2"))
    rows = joined(read_flux(client(), wanted, T0 + 2 * SECOND, T0 + 4 * SECOND))
    assert sorted(set(rows.machines.tolist())) == ["it's", "m2"]
    assert sorted(set(rows.times.tolist())) == [T0 + 2 * SECOND, T0 + 3 * SECOND]
    assert list(read_flux(client(), wanted, T0 - SECOND, T0)) == []


@pytest.mark.parametrize("name", ['a"b', "a b", "a'b", "a,b=c", "时间", "${x}", "a\\b"])
def test_names_are_quoted_whatever_is_in_them(measurement: str, name: str) -> None:
    fields = {name: np.array([1.5])}
    write(client(), encode_lines(measurement, np.array([T0]), tags={f"tag {name}": [name]}, fields=fields))
    wanted = ReadingsQuery((name,), measurement, machine_tag=f"tag {name}", machines=(name,))
    rows = joined(read_flux(client(), wanted, T0, T0 + 1))
    assert rows.machines.tolist() == [name]
    assert rows.values.tolist() == [[1.5]]


def test_a_query_of_ones_own_gets_the_range(measurement: str) -> None:
    put(measurement, f"machine_id=m1 x=1.5 {T0}", f"machine_id=m1 x=2.5 {T0 + SECOND}")
    template = (
        f"from(bucket: {literal(BUCKET)}) |> range(start: {{start}}, stop: {{stop}})"
        f" |> filter(fn: (r) => r._measurement == {literal(measurement)})"
        " |> map(fn: (r) => ({_time: r._time, machine_id: r.machine_id, a: r._value * 2.0}))"
        ' |> sort(columns: ["_time"])'
    )
    wanted = ReadingsQuery(("a",), measurement)
    rows = joined(read_flux(client(), wanted, T0 + 1, T0 + 2 * SECOND, template=template))
    assert rows.times.tolist() == [T0 + SECOND]
    assert rows.values.tolist() == [[5.0]]


def test_the_fields_are_looked_up_before_anything_is_read(measurement: str) -> None:
    with pytest.raises(SourceError, match="no such measurement|no measurements yet"):
        check_flux(client(), ReadingsQuery(("a",), measurement), T0 - DAY, T0 + DAY)
    put(measurement, f"machine_id=m1 a=1,b=2 {T0}", f"machine_id=m2 a=1,b=2 {T0}")
    check_flux(client(), ReadingsQuery(("a", "b"), measurement), T0 - DAY, T0 + DAY)
    for wanted, words in (
        (ReadingsQuery(("a", "d"), measurement), "no field 'd'; there are: a, b"),
        (ReadingsQuery(("a",), measurement, "host"), "no tag 'host'.*there are: machine_id"),
        (ReadingsQuery(("a",), measurement, "b"), "'b' is a field, not a tag"),
        (ReadingsQuery(("a",), measurement, machines=("m3",)), "no machine 'm3' .*there are: m1, m2"),
    ):
        with pytest.raises(SourceError, match=words):
            check_flux(client(), wanted, T0 - DAY, T0 + DAY)


READERS = {
    "flux": FluxReader,
    "influxql": lambda client: InfluxqlReader(mapped_client(client) or client),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_numbers_of_two_types_are_numbers_and_text_is_unreadable(
    measurement: str, reader: Callable[[InfluxClient], Reader]
) -> None:
    later = T0 + 8 * DAY  # in another shard, where a field may have another type
    put(measurement, *(f"machine_id=m1 a={i}.5,b=1 {T0 + i}" for i in range(10)))
    put(measurement, *(f"machine_id=m1 a={i}i,b=1 {later + i}" for i in range(10)))
    last = T0 + 16 * DAY
    put(measurement, *(f'machine_id=m2 a="n/a",b=2 {last + i}' for i in range(10)))
    found = [*reader(client()).rows(ReadingsQuery(("a", "b"), measurement), T0, last + 10)]
    values = joined(rows.readings for rows in found).values
    expected = [[i + 0.5, 1] for i in range(10)] + [[i, 1] for i in range(10)] + [[np.nan, 2]] * 10
    np.testing.assert_array_equal(values, np.array(expected, np.float32))
    assert sum(int(rows.unreadable.sum()) for rows in found if rows.unreadable is not None) == 10


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_two_series_that_contradict_each_other_are_found(
    measurement: str, reader: Callable[[InfluxClient], Reader]
) -> None:
    put(
        measurement,
        *(f"machine_id=m1,host={h} a={v} {T0 + i}" for i in range(10) for h, v in (("b", 5), ("a", 4))),
    )
    wanted = ReadingsQuery(("a",), measurement)
    with pytest.raises(SourceError, match="series of machine 'm1' have different values.*in the tag 'host'"):
        check_readings(reader(client()), wanted, T0 - DAY, T0 + DAY)
    found = [*reader(client()).rows(dataclasses.replace(wanted, other_tags=("host",)), T0, T0 + 10)]
    assert joined(rows.readings for rows in found).values.tolist() == [[4.0]] * 10
    assert sum(int(rows.conflicts.sum()) for rows in found if rows.conflicts is not None) == 10


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_history_is_prepared_with_its_sensors_events_and_accounts(
    measurement: str,
    reader: Callable[[InfluxClient], Reader],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trainer.prepare.influx.open_reader", reader)
    edge = T0 + 4 * DAY  # a Monday, where one shard ends: in the next a field may have another type
    put(measurement, *(f'machine_id=m1 a={i}.5,b=1,note="x" {edge + (i - 40) * SECOND}' for i in range(40)))
    put(measurement, *(f"machine_id=m1,host=x a={i}i,b=1 {edge + i * SECOND}" for i in range(40)))
    put(measurement, *(f"machine_id=m1,host=y b=1 {edge + i * SECOND}" for i in range(5)))
    put(measurement, *(f"machine_id=m2 a={i}i {edge + i * SECOND}" for i in range(30)))
    events = f"{measurement}_events"
    put(events, f'machine_id=m1 kind="WEAR",stop={edge - 38 * SECOND}i {T0 - 30 * DAY}')
    put(events, f'machine_id=m1 kind="SPIKE",stop={edge + 3 * SECOND}i {edge}')
    bounds = ("--stop", "2026-01-08")
    complained, metadata = prepare(measurement, tmp_path / "out", *bounds, "--split", "50/25/25")
    assert "fields that hold no numbers in the range were left out: note" in complained
    assert "there is no reading of 'b' from m2 (30 rows)" in complained
    account = metadata["query"]["account"]
    assert {name: account[name] for name in ("read", "taken", "repeated", "conflicting")} == {
        "read": 115,
        "taken": 110,
        "repeated": 5,
        "conflicting": 0,
    }
    assert account["machines"]["m1"]["complete"] == 80
    assert [metadata["splits"][name]["anomalies"] for name in ("train", "val")] == [2, 3]
    with pytest.raises(EdgeDetectError, match="there is no such measurement"):
        prepare(f"{measurement}_none", tmp_path / "none", *bounds)


def test_a_wrong_token_neither_reads_nor_writes(measurement: str) -> None:
    stranger = client(token=WRONG)
    with pytest.raises(
        SourceError, match="refuses the login .unauthorized access.*EDGE_DETECT_INFLUX_TOKEN"
    ) as e:
        list(read_flux(stranger, ReadingsQuery(("a",), measurement), T0, T0 + 1))
    assert WRONG not in str(e.value)
    with pytest.raises(SinkUnavailableError, match="refuses the login .unauthorized access"):
        write(stranger, f"{measurement} a=1 {T0}\n".encode())
    with pytest.raises(SinkUnavailableError, match="refuses the login .unauthorized access"):
        check_write(stranger)


def test_a_bucket_or_organisation_that_is_not_there_is_named(measurement: str) -> None:
    nowhere = client(bucket=f"no_{measurement}")
    with pytest.raises(SourceError, match=f"could not find bucket.*no_{measurement}"):
        list(read_flux(nowhere, ReadingsQuery(("a",), measurement), T0, T0 + 1))
    with pytest.raises(SinkUnavailableError, match=f"no_{measurement}.*not found.*--bucket, or create it"):
        check_write(nowhere)
    with pytest.raises(SinkUnavailableError):
        write(client(org=f"no_{measurement}"), f"{measurement} a=1 {T0}\n".encode())


def test_a_query_that_fails_is_said_in_the_servers_words(measurement: str) -> None:
    wanted = ReadingsQuery(("a",), measurement)
    with pytest.raises(SourceError, match="undefined identifier nothing"):
        list(read_flux(client(), wanted, T0, T0 + 1, template="nothing()"))
    put(measurement, f"machine_id=m1 a=1 {T0}")
    template = (
        'import "array"\narray.from(rows: [{_time: 2026-01-01T00:00:00Z, a: 1.0}])'
        ' |> map(fn: (r) => ({r with a: if r.a > 0.0 then die(msg: "stopped half-way") else 0.0}))'
    )
    with pytest.raises(SourceError, match="stopped half-way"):
        list(read_flux(client(), wanted, T0, T0 + 1, template=template))


def test_a_check_writes_nothing_and_is_content() -> None:
    check_write(client())


def test_what_will_never_be_taken_is_given_up(measurement: str) -> None:
    put(measurement, f"machine_id=m1 a=1i {T0}")
    for line, words in (
        (
            f"{measurement},machine_id=m1 a=1.5 {T0}",
            "answers 422 .*field type conflict.*write to another measurement",
        ),
        (f"{measurement},machine_id=m1", "answers 400 .*missing fields"),
    ):
        with pytest.raises(SinkError, match=words) as caught:
            write(client(), f"{line}\n".encode())
        assert not isinstance(caught.value, SinkUnavailableError)


def test_a_point_that_comes_again_replaces_itself(measurement: str) -> None:
    put(measurement, f"machine_id=m1 a=1 {T0}", f"machine_id=m1 a=2 {T0}")
    put(measurement, f"machine_id=m1 a=3 {T0}")
    rows = joined(read_flux(client(), ReadingsQuery(("a",), measurement), T0, T0 + 1))
    assert rows.values.tolist() == [[3.0]]


def test_a_bucket_is_followed_and_its_verdicts_written_back(
    command: Command, bundle: Path, measurement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = 60
    values = normal_rows(rows)
    times = T0 + np.arange(rows, dtype=np.int64) * SECOND
    fields = {name: values[:, i] for i, name in enumerate(NAMES)}
    write(client(), encode_lines(measurement, times, tags={"machine_id": ["m1"] * rows}, fields=fields))
    options = (
        *("--source", "influx", "--url", URL, "--org", ORG, "--bucket", BUCKET, "--measurement", measurement),
        *("--start", "2026-01-01", "--until", "2026-01-01T00:01:00Z"),
        *("--sink", "influx", "--sink-measurement", f"{measurement}_verdicts"),
    )
    monkeypatch.setenv("EDGE_DETECT_INFLUX_TOKEN", WRONG)
    refused = command("edge-detect", "run", "--bundle", bundle, *options)
    assert_one_clear_line(refused, 1, "refuses the login", "EDGE_DETECT_INFLUX_TOKEN")
    monkeypatch.setenv("EDGE_DETECT_INFLUX_TOKEN", TOKEN)
    done = command("edge-detect", "run", "--bundle", bundle, *options)
    assert done.returncode == 0, done.stderr.decode()
    assert f"{rows} rows read" in done.stderr.decode()
    wanted = ReadingsQuery(("score", "severity"), f"{measurement}_verdicts")
    found = joined(read_flux(client(), wanted, T0, T0 + 60 * SECOND))
    assert found.times.tolist() == times.tolist()
    assert found.machines.tolist() == ["m1"] * rows
    assert np.isfinite(found.values).all()
    for output in (refused.stdout, refused.stderr, done.stdout, done.stderr):
        assert WRONG.encode() not in output
        assert TOKEN.encode() not in output

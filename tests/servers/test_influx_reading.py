"""Reading from a real InfluxDB: order, types, gaps, hostile names, and what goes wrong."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest
from influxd import Influxd
from support.logins import until_known
from support.reading import read_all, read_blocks

from edge_runtime.errors import SinkUnavailableError, SourceError, SourceUnavailableError, UsageError
from edge_runtime.influxdb import (
    InfluxClient,
    InfluxSettings,
    ReadingsQuery,
    check_readings,
    encode_lines,
    influx_settings,
    open_reader,
    query,
    write,
)
from edge_runtime.influxdb.influxql import InfluxqlReader

if TYPE_CHECKING:
    from pathlib import Path

T0 = 1_760_000_000_000_000_000
SECOND = 1_000_000_000
DAY = 86_400 * SECOND


def check(client: InfluxClient, wanted: ReadingsQuery) -> ReadingsQuery:
    return check_readings(open_reader(client), wanted, T0 - DAY, T0 + DAY)


def put(
    client: InfluxClient, rows: int, *, machines: tuple[str, ...] = ("m1",), measurement: str = "sensors"
) -> None:
    times = np.repeat(T0 + np.arange(rows, dtype=np.int64) * SECOND, len(machines))
    ids = np.tile(np.asarray(machines), rows)
    a = np.arange(rows * len(machines), dtype=np.float32)
    write(client, encode_lines(measurement, times, tags={"machine_id": ids}, fields={"a": a, "b": a * 2}))


def test_rows_come_whole_in_time_order_and_in_bounded_chunks(database: InfluxClient) -> None:
    put(database, 30_000, machines=("m1", "m2"))
    wanted = ReadingsQuery(("b", "a"))
    reader = InfluxqlReader(database, page_ns=7_001 * SECOND)
    blocks = [rows.readings for rows in reader.rows(wanted, T0, T0 + 30_000 * SECOND)]
    times = np.concatenate([block.times for block in blocks])
    assert len(times) == 60_000
    assert (np.diff(times) >= 0).all()
    assert max(map(len, blocks)) <= 5_000
    values = np.concatenate([block.values for block in blocks])
    order = np.sort(values[:, 1])
    assert (order == np.arange(60_000)).all()
    assert (values[:, 0] == values[:, 1] * 2).all()


def test_the_range_is_half_open_and_machines_are_chosen(database: InfluxClient) -> None:
    put(database, 10, machines=("m1", "m2", "it's"))
    wanted = ReadingsQuery(("a",), machines=("it's", "m2"))
    (block,) = read_blocks(database, wanted, T0 + 2 * SECOND, T0 + 4 * SECOND)
    assert sorted(set(block.machines.tolist())) == ["it's", "m2"]
    assert sorted(set(block.times.tolist())) == [T0 + 2 * SECOND, T0 + 3 * SECOND]
    reader = open_reader(database)
    assert reader.first(wanted, T0 - DAY, T0 + DAY) == T0
    assert reader.last(wanted, T0 - DAY, T0 + DAY) == T0 + 9 * SECOND
    assert reader.first(wanted, T0 + 100 * SECOND, T0 + DAY) is None
    assert reader.last(wanted, T0 + 100 * SECOND, T0 + DAY) is None


def test_a_missing_value_is_nan_and_whole_numbers_are_numbers(database: InfluxClient) -> None:
    points = (
        f"sensors,machine_id=m1 a=1.5,b=2i {T0}",
        f"sensors,machine_id=m1 a=2.5 {T0 + 1}",
        f"sensors a=3,b=4i {T0 + 2}",
    )
    write(database, "\n".join(points).encode())
    (block,) = read_blocks(database, ReadingsQuery(("a", "b")), T0, T0 + 10)
    assert block.values[0].tolist() == [1.5, 2.0]
    assert block.values[1, 0] == 2.5
    assert np.isnan(block.values[1, 1])
    assert block.machines.tolist() == ["m1", "m1", "machine"]


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a b", "a'b", "a,b=c", "时间", "a;DROP DATABASE x"])
def test_names_are_quoted_whatever_is_in_them(database: InfluxClient, name: str) -> None:
    lines = encode_lines(
        name, np.asarray([T0]), tags={f"tag {name}": [name]}, fields={name: np.asarray([1.5])}
    )
    write(database, lines)
    wanted = ReadingsQuery((name,), measurement=name, machine_tag=f"tag {name}", machines=(name,))
    (block,) = read_blocks(database, wanted, T0, T0 + 1)
    assert block.machines.tolist() == [name]
    assert block.values.tolist() == [[1.5]]


@pytest.mark.parametrize(("value", "kind"), [('"1.5"', "string"), ("true", "boolean")])
def test_a_field_that_holds_no_numbers_is_refused_by_name(
    database: InfluxClient, value: str, kind: str
) -> None:
    write(database, f"sensors,machine_id=m1 a={value} {T0}\n".encode())
    with pytest.raises(SourceError, match=f"field 'a' holds {kind}"):
        check(database, ReadingsQuery(("a",)))
    (rows,) = open_reader(database).rows(ReadingsQuery(("a",)), T0, T0 + 1)
    assert rows.unreadable is not None
    assert rows.unreadable.tolist() == [[True]]
    assert np.isnan(rows.readings.values).all()


def test_a_field_or_measurement_that_is_not_there_is_named_with_those_that_are(
    database: InfluxClient,
) -> None:
    put(database, 1)
    with pytest.raises(SourceError, match="no field 'c'.*a, b"):
        check(database, ReadingsQuery(("a", "c")))
    with pytest.raises(SourceError, match="no such measurement; there are: sensors"):
        check(database, ReadingsQuery(("a",), measurement="nothing"))


def test_a_missing_database_says_so_when_read_and_when_written(influxd: Influxd) -> None:
    client = InfluxClient(InfluxSettings(url=influxd.url, database="not_there"))
    with pytest.raises(SourceError, match="database not found: not_there.*--database"):
        check(client, ReadingsQuery(("a",)))
    # Rows are worth keeping until somebody has made it.
    with pytest.raises(SinkUnavailableError, match="not found"):
        write(client, b"m a=1 1\n")


def test_a_server_that_is_not_there_is_unavailable() -> None:
    client = InfluxClient(InfluxSettings(url="http://127.0.0.1:1", database="x", timeout=2.0))
    with pytest.raises(SourceUnavailableError, match="connection refused"):
        list(query(client, "SHOW MEASUREMENTS"))


def test_with_logins_the_right_password_reads_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    with Influxd(tmp_path / "influxd", unpack_into=tmp_path / "package", auth=True) as server:
        admin = InfluxSettings(url=server.url, database="plant", username="admin", password="s3cret, really")
        nobody = InfluxClient(dataclasses.replace(admin, username=None, password=None))
        with nobody.request(
            "POST", "/query", {"q": "CREATE USER admin WITH PASSWORD 's3cret, really' WITH ALL PRIVILEGES"}
        ):
            pass
        client = until_known(InfluxClient(admin))
        with client.request("POST", "/query", {"q": "CREATE DATABASE plant"}):
            pass
        put(client, 3)
        assert len(read_all(client, ReadingsQuery(("a",)), T0, T0 + 3 * SECOND)) == 3
        wrong = InfluxClient(dataclasses.replace(admin, password="wr0ng"))
        for stranger in (nobody, wrong):
            with pytest.raises(SourceError, match="refuses the login") as caught:
                list(query(stranger, "SHOW MEASUREMENTS"))
            assert "wr0ng" not in str(caught.value)


def test_a_secret_is_read_from_a_private_file_alone(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("abc\n")
    file.chmod(0o644)
    with pytest.raises(UsageError, match="others may read this secret; chmod 600"):
        influx_settings(url="http://127.0.0.1:1", database="x", token_file=file)
    file.chmod(0o600)
    settings = influx_settings(url="http://127.0.0.1:1", database="x", token_file=file)
    assert settings.token == "abc"
    assert "abc" not in repr(settings)

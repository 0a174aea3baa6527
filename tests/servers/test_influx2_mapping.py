"""InfluxDB 2.x by InfluxQL, exchange by exchange: buckets with a database mapping."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.exchanges import Exchange, playing
from support.influx2 import (
    BUCKETS,
    JSON,
    LOGIN,
    MAPPINGS,
    SECOND,
    T0,
    TAG_KEYS,
    UNMAPPED,
    VERSION,
    WANTED,
    client,
    mappings,
    refusal,
)
from support.reading import read_all

from edge_runtime.errors import (
    SinkUnavailableError,
    SourceError,
)
from edge_runtime.influxdb import (
    InfluxClient,
    check_readings,
    open_reader,
    write,
)
from edge_runtime.influxdb.flux import FluxReader
from edge_runtime.influxdb.refusals import LoginRefusedError


def test_the_version_is_the_one_that_ping_names() -> None:
    ping = Exchange("GET /ping", sent=LOGIN, status=204, headers=VERSION)
    with playing(ping, Exchange("GET /ping", status=204)) as url:
        assert client(url).version() == "v2.7.12"
        assert client(url).version() == ""


class TestBucketWithAMapping:
    """A bucket is read by InfluxQL where the server says by which names."""

    def test_the_mapping_is_taken_from_the_servers_list(self) -> None:
        question = Exchange(
            "GET /query",
            {
                "db": "line 1",
                "rp": "autogen",
                "epoch": "ns",
                "chunked": "true",
                "chunk_size": "5000",
                "q": "SHOW MEASUREMENTS",
            },
            LOGIN,
            headers=JSON,
            answer=b'{"results":[{"statement_id":0}]}\n',
        )
        with playing(BUCKETS, mappings(("line 1", "autogen")), question) as url:
            reader = open_reader(client(url))
            assert reader.measurements() == ()

    @pytest.mark.parametrize(
        "exchanges",
        [
            (UNMAPPED,),
            (BUCKETS, MAPPINGS),
            (dataclasses.replace(BUCKETS, **refusal(403, "forbidden", "no right")),),
            (dataclasses.replace(BUCKETS, **refusal(404, "not found", "organization not found")),),
            (dataclasses.replace(BUCKETS, answer=b"<html>"),),
            (BUCKETS, dataclasses.replace(MAPPINGS, answer=b'{"content":[{"database":"x"}]}')),
            (BUCKETS, dataclasses.replace(MAPPINGS, **refusal(401, "unauthorized", "no right"))),
        ],
    )
    def test_without_one_flux_is_what_is_left(self, exchanges: tuple[Exchange, ...]) -> None:
        with playing(*exchanges) as url:
            if exchanges[-1].status == 401:
                with pytest.raises(LoginRefusedError):
                    open_reader(client(url))
            else:
                assert isinstance(open_reader(client(url)), FluxReader)

    def test_a_mapping_of_another_bucket_is_not_taken(self) -> None:
        other = mappings(("line 1", "autogen"))
        assert isinstance(other.answer, bytes)
        other = dataclasses.replace(
            other, answer=other.answer.replace(b'"bucketID": "0a', b'"bucketID": "ff')
        )
        with playing(BUCKETS, other) as url:
            assert isinstance(open_reader(client(url)), FluxReader)


class TestMappedDatabase:
    """A bucket with a database mapping is read and written as 1.x is, with the token."""

    def asked(self, statement: str, *answer: str) -> Exchange:
        return Exchange(
            "GET /query",
            {"db": "plant", "epoch": "ns", "chunked": "true", "chunk_size": "5000", "q": statement},
            {**LOGIN, "Accept": "application/json"},
            headers=JSON,
            answer=tuple(part.encode() for part in answer),
        )

    def client(self, url: str) -> InfluxClient:
        return client(url, bucket=None, org=None, database="plant")

    def check(self, url: str) -> None:
        check_readings(open_reader(self.client(url)), WANTED, T0, T0 + SECOND)

    def test_rows_come_by_influxql(self) -> None:
        fields = (
            '{"results":[{"statement_id":0,"series":[{"name":"sensors","columns":["fieldKey","fieldType"],'
        )
        rows = (
            '{"results":[{"statement_id":0,"series":[{"name":"sensors","columns":["time","a","b","machine_id"],'
            f'"values":[[{T0},1.5,2,"press-1"],[{T0 + 1},null,3,null]]}}]}}]}}\n'
        )
        statement = (
            'SELECT "a", "b", "machine_id" FROM "sensors" '  # noqa: S608
            f"WHERE time >= {T0} AND time < {T0 + SECOND} ORDER BY time"
        )
        with playing(
            self.asked(
                'SHOW FIELD KEYS FROM "sensors"', fields, '"values":[["a","float"],["b","integer"]]}]}]}\n'
            ),
            self.asked('SHOW TAG KEYS FROM "sensors"', TAG_KEYS),
            self.asked(statement, rows),
        ) as url:
            self.check(url)
            found = read_all(self.client(url), WANTED, T0, T0 + SECOND)
        assert found.times.tolist() == [T0, T0 + 1]
        assert found.machines.tolist() == ["press-1", "machine"]
        np.testing.assert_array_equal(found.values, np.array([[1.5, 2], [np.nan, 3]], np.float32))

    def test_a_retention_policy_is_named_in_every_question_and_post(self) -> None:
        settings = {"bucket": None, "org": None, "database": "plant", "retention_policy": "a year"}
        question = self.asked('SHOW FIELD KEYS FROM "sensors"')
        question = dataclasses.replace(question, query={**question.query, "rp": "a year"})
        parameters = {"db": "plant", "rp": "a year", "precision": "ns"}
        with playing(question, Exchange("POST /write", parameters, LOGIN, b"m a=1 1\n", status=204)) as url:
            assert open_reader(client(url, **settings)).fields("sensors") == {}
            write(client(url, **settings), b"m a=1 1\n")

    def test_without_a_mapping_the_mend_names_it(self) -> None:
        answer = '{"results":[{"statement_id":0,"error":"database not found: plant"}]}\n'
        missing = refusal(404, "not found", "no dbrp mapping found")
        wrote = Exchange("POST /write", {"db": "plant", "precision": "ns"}, LOGIN, b"m a=1 1\n", **missing)
        with playing(self.asked('SHOW FIELD KEYS FROM "sensors"', answer), wrote) as url:
            with pytest.raises(
                SourceError, match="database not found: plant.*InfluxDB 2 needs a mapping for it"
            ):
                self.check(url)
            with pytest.raises(SinkUnavailableError, match="no dbrp mapping found.*needs a mapping for it"):
                write(self.client(url), b"m a=1 1\n")

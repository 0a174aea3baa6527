"""InfluxDB 2.x, exchange by exchange: tokens, Flux and annotated CSV, /api/v2/write, and its errors."""

from __future__ import annotations

import dataclasses
import json
import re
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.exchanges import Exchange, playing
from support.reading import check_flux, read_all, read_flux

from edge_runtime.errors import (
    EdgeDetectError,
    MissingExtraError,
    SinkError,
    SinkUnavailableError,
    SourceError,
    SourceUnavailableError,
)
from edge_runtime.influxdb import (
    InfluxClient,
    InfluxSettings,
    ReadingsQuery,
    check_readings,
    check_write,
    encode_lines,
    open_reader,
    write,
)
from edge_runtime.influxdb.flux import FluxReader
from edge_runtime.influxdb.refusals import LoginRefusedError
from edge_runtime.records import Readings, Results, Scores
from edge_runtime.sinks.influx import InfluxSink

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from support.commands import Command

T0 = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z
SECOND = 1_000_000_000
TOKEN = "uT-tok3n_of-2x=="
LOGIN = {"Authorization": f"Token {TOKEN}"}
VERSION = {"X-Influxdb-Build": "OSS", "X-Influxdb-Version": "v2.7.12"}
JSON = {**VERSION, "Content-Type": "application/json; charset=utf-8"}
CSV = {**VERSION, "Content-Type": "text/csv; charset=utf-8"}
WANTED = ReadingsQuery(("a", "b"))
# Whatever influxdb-client asks for must keep the annotations that the reader goes by.
DIALECT = {
    "header": True,
    "delimiter": ",",
    "annotations": ["datatype", "group", "default"],
    "commentPrefix": "#",
    "dateTimeFormat": "RFC3339",
}
OF = 'types.isType(v: r._value, type: "{}")'
QUERY = f"""import "types"
readings = from(bucket: "line 1")
  |> range(start: 2026-01-01T00:00:00Z, stop: 2026-01-01T00:01:00Z)
  |> filter(fn: (r) => r._measurement == "sensors")
  |> filter(fn: (r) => (r._field == "a" or r._field == "b") and (true))
numbers = readings
  |> filter(fn: (r) => {OF.format("float")} or {OF.format("int")} or {OF.format("uint")})
  |> toFloat()
others = readings
  |> filter(fn: (r) => {OF.format("string")} or {OF.format("bool")})
  |> map(fn: (r) => ({{r with _value: float(v: "NaN")}}))
union(tables: [numbers, others])
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> keep(columns: ["_time", "machine_id", "a", "b"])
  |> group()
  |> sort(columns: ["_time"])
"""
FIELDS_QUERY = """import "influxdata/influxdb/schema"
schema.measurementFieldKeys(bucket: "line 1", measurement: "sensors", start: 1970-01-01T00:00:00Z)
"""
TAGS_QUERY = FIELDS_QUERY.replace("FieldKeys", "TagKeys")
MEASUREMENTS_QUERY = FIELDS_QUERY.replace("measurementFieldKeys", "measurements").replace(
    ', measurement: "sensors"', ""
)
HEADER = """#datatype,string,long,dateTime:RFC3339,string,double,long\r
#group,false,false,false,false,false,false\r
#default,_result,,,,,\r
,result,table,_time,machine_id,a,b\r
"""
ROWS = ''',,0,2026-01-01T00:00:00Z,press-1,1.5,2\r
,,0,2026-01-01T00:00:00.000000001Z,"press, ""2""",-0.25,\r
,,0,2026-01-01T00:00:59.25Z,,,4\r
\r
'''
EDGE_QUERY = """from(bucket: "line 1")
  |> range(start: 2026-01-01T00:00:00Z, stop: 2026-01-01T00:01:00Z)
  |> filter(fn: (r) => r._measurement == "sensors")
  |> filter(fn: (r) => (r._field == "a" or r._field == "b") and (true))
  |> first()
  |> keep(columns: ["_time"])
  |> group()
  |> sort(columns: ["_time"], desc: false)
  |> limit(n: 1)
"""
POINTS_QUERY = """from(bucket: "line 1")
  |> range(start: 2026-01-01T00:00:00Z, stop: 2026-01-01T00:00:00.000000001Z)
  |> filter(fn: (r) => r._measurement == "sensors")
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> keep(columns: [{columns}])
  |> group()
  |> sort(columns: ["_time"])
"""
FAILED = """#datatype,string,string\r
#group,true,true\r
#default,,\r
,error,reference\r
,"runtime error @3:6-3:70: filter: cannot compare
values",\r
"""


def client(url: str, **changes: Any) -> InfluxClient:
    options = {"org": "plant", "bucket": "line 1", "token": TOKEN, "timeout": 20.0, **changes}
    return InfluxClient(InfluxSettings(url=url, **options))


def asked(query: str = QUERY, *, path: str = "/api/v2/query", **answer: Any) -> Exchange:
    """A Flux query and its answer."""
    return Exchange(
        f"POST {path}",
        {"org": "plant"},
        LOGIN,
        {"query": query, "dialect": DIALECT, "extern": {"imports": [], "body": []}},
        **{"headers": CSV, **answer},
    )


def posted(body: bytes | re.Pattern[bytes], *, path: str = "/api/v2/write", **answer: Any) -> Exchange:
    """Lines and what is said to them; nothing, where they are taken."""
    return Exchange(
        f"POST {path}",
        {"org": "plant", "bucket": "line 1", "precision": "ns"},
        {**LOGIN, "Content-Encoding": None},
        body,
        **{"status": 204, "headers": JSON, **answer},
    )


def refusal(status: int, code: str, message: str) -> dict[str, Any]:
    answer = json.dumps({"code": code, "message": message}, separators=(",", ":")).encode()
    return {"status": status, "headers": {**JSON, "X-Platform-Error-Code": code}, "answer": answer}


def field_names(*names: str) -> bytes:
    """What `schema.measurementFieldKeys` answers."""
    head = "#datatype,string,long,string\r\n#group,false,false,false\r\n#default,_result,,\r\n"
    rows = "".join(f",,0,{name}\r\n" for name in names)
    return f"{head},result,table,_value\r\n{rows}\r\n".encode()


UNAUTHORIZED = refusal(401, "unauthorized", "unauthorized access")
NO_SUCH_BUCKET = refusal(404, "not found", 'bucket "line 1" not found')
NO_BUCKET_TO_READ = refusal(
    404, "not found", 'failed to initialize execute state: could not find bucket "line 1"'
)
NO_POINTS = refusal(400, "invalid", "writing requires points")
TOO_LARGE = refusal(413, "request too large", "unable to read data: points batch is too large")
OVERLOADED = refusal(503, "unavailable", "queue length exceeded")
LIMITED = refusal(429, "too many requests", "exceeded rate limit")
LIMITED["headers"] = {**LIMITED["headers"], "Retry-After": "3600"}
BROKEN = refusal(500, "internal error", "unexpected error writing points to database: timeout")


def read(url: str, wanted: ReadingsQuery = WANTED, **options: Any) -> Readings:
    """A minute of readings, put together."""
    return joined(read_flux(client(url), wanted, T0, T0 + 60 * SECOND, **options), len(wanted.sensors))


def joined(blocks: Iterable[Readings], sensors: int) -> Readings:
    found = [*blocks] or [Readings.empty(sensors)]
    return Readings(
        np.concatenate([block.machines for block in found]),
        np.concatenate([block.times for block in found]),
        np.concatenate([block.values for block in found]),
    )


def check(url: str, wanted: ReadingsQuery) -> ReadingsQuery:
    return check_flux(client(url), wanted, T0, T0 + 60 * SECOND)


class TestReading:
    """Flux, by way of influxdb-client."""

    def test_the_rows_of_a_bucket_come_with_their_times_machines_and_gaps(self) -> None:
        with playing(asked(answer=(HEADER + ROWS).encode())) as url:
            rows = read(url)
        assert rows.times.tolist() == [T0, T0 + 1, T0 + 59 * SECOND + SECOND // 4]
        assert rows.machines.tolist() == ["press-1", 'press, "2"', "machine"]
        np.testing.assert_array_equal(
            rows.values, np.array([[1.5, 2], [-0.25, np.nan], [np.nan, 4]], np.float32)
        )

    @pytest.mark.parametrize("size", [1, 7, 64])
    def test_an_answer_may_be_cut_into_chunks_anywhere(self, size: int) -> None:
        text = (HEADER + ROWS.replace("press-1", "prüfstand-1")).encode()
        parts = tuple(text[start : start + size] for start in range(0, len(text), size))
        with playing(asked(answer=parts)) as url:
            rows = read(url)
        assert rows.machines.tolist() == ["prüfstand-1", 'press, "2"', "machine"]
        assert np.nansum(rows.values) == 7.25

    def test_a_range_without_rows_is_an_answer_without_tables(self) -> None:
        with playing(asked(answer=b"\r\n")) as url:
            assert len(read(url)) == 0

    def test_a_table_without_rows_and_one_with_other_columns_are_read_one_after_the_other(self) -> None:
        other = HEADER.replace("double,long", "unsignedLong,double").replace(",a,b", ",b,a")
        empty = HEADER.replace("_result,,", "_result,0,")
        answer = f"{empty}\r\n{other},,1,2026-01-01T00:00:01Z,m,7,+Inf\r\n\r\n"
        with playing(asked(answer=answer.encode())) as url:
            assert read(url).values.tolist() == [[np.inf, 7.0]]

    def test_a_default_stands_for_an_empty_cell(self) -> None:
        header = HEADER.replace("#default,_result,,,,,", "#default,_result,,,press-9,,5")
        with playing(asked(answer=(header + ROWS).encode())) as url:
            rows = read(url)
        assert rows.machines.tolist() == ["press-1", 'press, "2"', "press-9"]
        assert rows.values[:, 1].tolist() == [2.0, 5.0, 4.0]

    def test_names_and_machines_are_quoted_whatever_is_in_them(self) -> None:
        wanted = ReadingsQuery(('a"b', "\\c"), measurement="${x}", machine_tag="n\n", machines=("m1", 'm"2'))
        query = (
            QUERY.replace('== "sensors"', r'== "\${x}"')
            .replace('r._field == "a" or r._field == "b"', r'r._field == "a\"b" or r._field == "\\c"')
            .replace("(true)", r'(r["n\n"] == "m1" or r["n\n"] == "m\"2")')
            .replace('"machine_id", "a", "b"', r'"n\n", "a\"b", "\\c"')
        )
        with playing(asked(query, answer=b"\r\n")) as url:
            assert len(read(url, wanted)) == 0

    def test_a_query_of_ones_own_gets_the_range_to_the_nanosecond(self) -> None:
        template = (
            'from(bucket: "x") |> range(start: {start}, stop: {stop}) |> map(fn: (r) => ({r with a: 1.0}))'
        )
        query = (
            'from(bucket: "x") |> range(start: 2026-01-01T00:00:00.000000001Z, stop: 2026-01-01T00:00:00.5Z)'
            " |> map(fn: (r) => ({r with a: 1.0}))"
        )
        with playing(asked(query, answer=(HEADER + ROWS).encode())) as url:
            blocks = read_flux(client(url), WANTED, T0 + 1, T0 + SECOND // 2, template=template)
            assert sum(map(len, blocks)) == 3

    def test_a_server_behind_a_path_is_asked_there(self) -> None:
        with playing(
            asked(path="/influx/api/v2/query", answer=b"\r\n"),
            posted(b"m a=1 1\n", path="/influx/api/v2/write"),
        ) as url:
            assert len(read(f"{url}/influx/")) == 0
            write(client(f"{url}/influx/"), b"m a=1 1\n")

    def test_the_fields_are_looked_up_before_anything_is_read(self) -> None:
        fields = asked(FIELDS_QUERY, answer=field_names("a", "b", "c"))
        tags = asked(
            TAGS_QUERY, answer=field_names("_start", "_stop", "_field", "_measurement", "machine_id")
        )
        with playing(*[fields, tags] * 4) as url:
            assert check(url, WANTED) == WANTED
            for wanted, words in (
                (ReadingsQuery(("a", "d")), "line 1.*measurement sensors: no field 'd'; there are: a, b, c"),
                (ReadingsQuery(("a",), machine_tag="host"), "no tag 'host'.*there are: machine_id; or =NAME"),
                (ReadingsQuery(("a",), machine_tag="b"), "'b' is a field, not a tag.*there are: machine_id"),
            ):
                with pytest.raises(SourceError, match=words):
                    check(url, wanted)

    def test_a_measurement_that_is_not_there_is_named_with_those_that_are_and_an_empty_bucket_waited_for(
        self,
    ) -> None:
        nothing = asked(FIELDS_QUERY, answer=b"\r\n")
        with playing(
            nothing,
            asked(MEASUREMENTS_QUERY, answer=field_names("motors", "events")),
            nothing,
            asked(MEASUREMENTS_QUERY, answer=b"\r\n"),
        ) as url:
            with pytest.raises(SourceError, match="no such measurement; there are: events, motors") as caught:
                check(url, WANTED)
            assert not isinstance(caught.value, SourceUnavailableError)
            with pytest.raises(SourceUnavailableError, match="no measurements yet"):
                check(url, WANTED)

    def test_machines_that_are_not_there_are_named_with_those_that_are(self) -> None:
        fields = asked(FIELDS_QUERY, answer=field_names("a", "b"))
        tags = asked(TAGS_QUERY, answer=field_names("machine_id"))
        values = FIELDS_QUERY.replace("FieldKeys", "TagValues").replace(
            'measurement: "sensors"', 'measurement: "sensors", tag: "machine_id"'
        )
        with (
            playing(fields, tags, asked(values, answer=field_names("press-1", "press-2"))) as url,
            pytest.raises(SourceError, match="no machine 'press-3' .*there are: press-1, press-2"),
        ):
            check(url, ReadingsQuery(("a",), machines=("press-1", "press-3")))

    def test_two_series_that_contradict_each_other_are_found_and_told_apart(self) -> None:
        edge = EDGE_QUERY.replace("first()", "last()").replace("desc: false", "desc: true")
        newest = HEADER.replace(",string,double,long", "").replace(",false,false,false\r", "\r", 1)
        newest = (
            "#datatype,string,long,dateTime:RFC3339\r\n#group,false,false,false\r\n#default,_result,,\r\n"
        )
        newest += ",result,table,_time\r\n,,0,2026-01-01T00:00:00Z\r\n\r\n"
        wide = "#datatype,string,long,dateTime:RFC3339,string,string,double,double\r\n#group" + ",false" * 7
        wide += "\r\n#default,_result,,,,,,\r\n,result,table,_time,machine_id,host,a,b\r\n"
        rows = "".join(
            f",,0,2026-01-01T00:00:00Z,press-1,{host},{a},{b}\r\n"
            for host, a, b in (("b", 55.5, 1), ("a", 50.5, 1), ("c", "", 1))
        )
        found = QUERY.replace("T00:01:00Z", "T00:00:00.000000001Z").replace(
            '"machine_id", "a"', '"machine_id", "host", "a"'
        )
        points = POINTS_QUERY.replace("{columns}", '"_time", "a", "b", "host", "machine_id"')
        with (
            playing(
                asked(FIELDS_QUERY, answer=field_names("a", "b")),
                asked(TAGS_QUERY, answer=field_names("machine_id", "host")),
                asked(edge, answer=newest.encode()),
                asked(found, answer=(wide + rows + "\r\n").encode()),
                asked(points, answer=(wide + rows + "\r\n").encode()),
            ) as url,
            pytest.raises(
                SourceError, match=r"'press-1' .*\(a 50.5 and 55.5\).*they differ in the tag 'host'"
            ),
        ):
            check(url, WANTED)

    def test_of_two_series_the_first_by_its_tags_stays_and_the_other_is_counted(self) -> None:
        wide = "#datatype,string,long,dateTime:RFC3339,string,string,double,double\r\n#group" + ",false" * 7
        wide += "\r\n#default,_result,,,,,,\r\n,result,table,_time,machine_id,host,a,b\r\n"
        times = [f"2026-01-01T00:00:{second:02}Z" for second in range(10)]
        rows = "".join(f",,0,{t},press-1,b,55.5,1\r\n,,0,{t},press-1,a,50.5,1\r\n" for t in times)
        query = QUERY.replace('"machine_id", "a"', '"machine_id", "host", "a"')
        with playing(asked(query, answer=(wide + rows + "\r\n").encode())) as url:
            wanted = dataclasses.replace(WANTED, other_tags=("host",))
            found = [*FluxReader(client(url)).rows(wanted, T0, T0 + 60 * SECOND)]
        assert [v for rows in found for v in rows.readings.values[:, 0].tolist()] == [50.5] * 10
        assert sum(int(rows.conflicts.sum()) for rows in found if rows.conflicts is not None) == 10

    def test_text_is_marked_by_the_query_and_costs_that_reading_alone(self) -> None:
        rows = ",,0,2026-01-01T00:00:00Z,press-1,50,1\r\n,,0,2026-01-01T00:00:01Z,press-2,NaN,1\r\n"
        with playing(asked(answer=(HEADER + rows + "\r\n").encode())) as url:
            (found,) = FluxReader(client(url)).rows(WANTED, T0, T0 + 60 * SECOND)
        np.testing.assert_array_equal(found.readings.values, np.array([[50, 1], [np.nan, 1]], np.float32))
        assert found.unreadable is not None
        assert found.unreadable.tolist() == [[False, False], [True, False]]

    def test_a_range_is_read_hour_by_hour_and_days_without_rows_are_stepped_over(self) -> None:
        hour = 3_600 * SECOND

        def page(start: str, stop: str) -> str:
            return QUERY.replace("2026-01-01T00:00:00Z", start).replace("2026-01-01T00:01:00Z", stop)

        late = ",,0,2026-01-05T00:00:05Z,press-1,1,2\r\n\r\n"
        edge = EDGE_QUERY.replace("T00:00:00Z", "T01:00:00Z").replace(
            "2026-01-01T00:01:00Z", "2026-01-05T02:00:00Z"
        )
        found = (
            "#datatype,string,long,dateTime:RFC3339\r\n#group,false,false,false\r\n#default,_result,,\r\n"
            ",result,table,_time\r\n,,0,2026-01-05T00:00:05Z\r\n\r\n"
        )
        with playing(
            asked(page("2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"), answer=b"\r\n"),
            asked(edge, answer=found.encode()),
            asked(page("2026-01-05T00:00:05Z", "2026-01-05T01:00:05Z"), answer=(HEADER + late).encode()),
            asked(page("2026-01-05T01:00:05Z", "2026-01-05T02:00:00Z"), answer=b"\r\n"),
        ) as url:
            rows = joined(read_flux(client(url), WANTED, T0, T0 + 4 * 24 * hour + 2 * hour), 2)
        assert rows.times.tolist() == [T0 + 4 * 24 * hour + 5 * SECOND]

    def test_a_query_of_ones_own_is_tried_on_an_empty_range(self) -> None:
        query = "q 1970-01-01T00:00:00Z 1970-01-01T00:00:00.000000001Z"
        wrong = refusal(400, "invalid", "compilation failed: error @1:1-1:2: undefined identifier q")
        with playing(asked(query, answer=b"\r\n"), asked(query, **wrong)) as url:
            list(read_flux(client(url), WANTED, 0, 1, template="q {start} {stop}"))
            with pytest.raises(SourceError, match="undefined identifier q.*check --bucket and the query"):
                list(read_flux(client(url), WANTED, 0, 1, template="q {start} {stop}"))

    @pytest.mark.parametrize(
        ("answer", "kind", "words"),
        [
            (
                UNAUTHORIZED,
                LoginRefusedError,
                r"refuses the login \(unauthorized access\); set EDGE_DETECT_INFLUX_TOKEN",
            ),
            (
                refusal(403, "forbidden", "read:orgs/1/buckets/2 is unauthorized"),
                SourceError,
                "lacks the right to read here .*give its token or user the right to read the bucket line 1",
            ),
            (
                NO_BUCKET_TO_READ,
                SourceError,
                'no such bucket, or the token lacks the right to read it .*could not find bucket "line 1"',
            ),
            (
                refusal(400, "invalid", 'failed to decode request body: organization name "plant" not found'),
                SourceError,
                "answers 400 .*; check --org",
            ),
            (
                refusal(404, "not found", 'organization name "plant" not found'),
                SourceError,
                "organization name",
            ),
            (
                refusal(400, "invalid", "compilation failed:\n error"),
                SourceError,
                "400 .compilation failed: error",
            ),
            (LIMITED, SourceUnavailableError, r"answers 429 \(exceeded rate limit\)"),
            (OVERLOADED, SourceUnavailableError, r"answers 503 \(queue length exceeded\)"),
            (BROKEN, SourceUnavailableError, "answers 500"),
            ({"status": 520, "headers": {}, "answer": b"a proxy"}, SourceUnavailableError, "answers 520"),
        ],
    )
    def test_what_the_server_refuses_is_said_in_its_words(
        self, answer: dict[str, Any], kind: type[EdgeDetectError], words: str
    ) -> None:
        with playing(asked(**answer)) as url:
            with pytest.raises(SourceError, match=words) as caught:
                read(url)
            assert type(caught.value) is kind
            assert url in str(caught.value)
        assert TOKEN not in str(caught.value)

    @pytest.mark.parametrize("before", ["", HEADER + ROWS])
    def test_an_error_half_way_is_an_error_and_not_an_end(self, before: str) -> None:
        with (
            playing(asked(answer=(before + FAILED).encode())) as url,
            pytest.raises(
                SourceError,
                match=r"refuses the query \(runtime error @3:6-3:70: filter: cannot compare values",
            ),
        ):
            read(url)

    @pytest.mark.parametrize("answer", [(HEADER + ROWS).encode(), (HEADER.encode(), ROWS.encode())])
    def test_an_answer_that_breaks_off_is_asked_for_again(self, answer: bytes | tuple[bytes, ...]) -> None:
        with (
            playing(asked(answer=answer, cut=True)) as url,
            pytest.raises(SourceUnavailableError, match=r"InfluxDB cannot be reached.*check that it runs"),
        ):
            read(url)

    def test_silence_ends_with_the_timeout(self) -> None:
        with (
            playing(asked(answer=None)) as url,
            pytest.raises(SourceUnavailableError, match=r"cannot be reached \(no answer in time\)"),
        ):
            list(read_flux(client(url, timeout=0.1), WANTED, T0, T0 + 60 * SECOND))

    def test_a_server_that_is_not_there_is_unavailable(self) -> None:
        with pytest.raises(
            SourceUnavailableError, match=r"127.0.0.1:1 .*cannot be reached \(connection refused\)"
        ):
            read("http://127.0.0.1:1")

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            ("<html>\n<body>Please log in</body>\n</html>\n", "not annotated CSV; check the address"),
            ('{"results":[{"statement_id":0}]}\n', "not annotated CSV"),
            (HEADER + ",,0,2026-01-01T00:00:00Z,press-1\r\n", "not annotated CSV"),
            (HEADER + ",,0,2026-01-01T00:00:00Z,press-1,1.5,2,3\r\n", "not annotated CSV"),
            (
                HEADER.replace("#default", "#other") + ",,0,2026-01-01T00:00:00Z,m,1,2,3\r\n",
                "not annotated CSV",
            ),
            (HEADER + ",,0,2026-01-01T00:00:00Z,press-1,1.5,x\r\n", "not annotated CSV"),
            (HEADER.replace("string,double", "double") + ROWS, "not annotated CSV"),
            (HEADER.replace("_time", "time") + ROWS, "no column '_time' with times; keep it in the query"),
            (HEADER + ",,0,,press-1,1.5,2\r\n", "no column '_time' with times"),
            (HEADER + ",,0,2026-01-01T00:00:00Z,m,1,2\r\n,,0,,m,1,2\r\n", "no column '_time' with times"),
            (HEADER + ",,0,yesterday,press-1,1.5,2\r\n", "no column '_time' with times"),
            (
                HEADER.replace("a,b", "c,d") + ROWS,
                r"no column of a sensor \(a, b\).*there are: result, table, _time",
            ),
            (HEADER + ROWS + HEADER + ROWS, "not in the order of time; end the query with"),
        ],
    )
    def test_rows_that_cannot_be_used_are_an_error_that_says_why(self, answer: str, words: str) -> None:
        with playing(asked(answer=answer.encode())) as url, pytest.raises(SourceError, match=words) as caught:
            read(url)
        assert "the Flux query's answer" in str(caught.value)

    def test_without_the_extra_the_mend_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "influxdb_client.client.influxdb_client", None)
        with pytest.raises(
            MissingExtraError, match=r"reading with Flux needs the extra 'influx'.*pip install"
        ):
            read("http://127.0.0.1:1")


class TestWriting:
    """/api/v2/write."""

    def test_lines_go_to_the_bucket_as_they_are_with_the_token(self) -> None:
        lines = b"anomaly,machine=press-1 score=0.5 1767225600000000001\n"
        with playing(posted(lines)) as url:
            write(client(url), lines)

    def test_a_login_in_the_settings_gives_way_to_the_token(self) -> None:
        with playing(posted(b"m a=1 1\n")) as url:
            write(client(url, username="ada", password="x"), b"m a=1 1\n")

    def test_a_check_writes_nothing_and_is_content_when_points_are_all_that_is_missing(self) -> None:
        with playing(posted(b"", **NO_POINTS), posted(b"")) as url:
            check_write(client(url))
            check_write(client(url))

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (UNAUTHORIZED, r"refuses the login \(unauthorized access\); set EDGE_DETECT_INFLUX_TOKEN"),
            (
                refusal(403, "forbidden", "insufficient permissions for write"),
                "lacks the right to write here .insufficient.*right to write the bucket line 1",
            ),
            (NO_SUCH_BUCKET, r'does not have it \(bucket "line 1" not found\).*--bucket, or create it'),
            (refusal(404, "not found", 'organization name "plant" not found'), "does not have it"),
            (LIMITED, r"answers 429 \(exceeded rate limit\); try again later"),
            (OVERLOADED, r"answers 503 \(queue length exceeded\)"),
            (BROKEN, r"answers 500 \(unexpected error writing points"),
            (
                {"status": 502, "headers": {}, "answer": b"<html>\r\nBad Gateway"},
                r"502 \(<html> Bad Gateway\)",
            ),
            ({"status": 503, "headers": {}, "answer": b""}, r"answers 503 \(without a word\)"),
        ],
    )
    def test_what_somebody_can_mend_keeps_the_rows_and_fails_the_check(
        self, answer: dict[str, Any], words: str
    ) -> None:
        with playing(posted(b"m a=1 1\n", **answer), posted(b"", **answer)) as url:
            with pytest.raises(SinkUnavailableError, match=words) as caught:
                write(client(url), b"m a=1 1\n")
            with pytest.raises(SinkUnavailableError, match=words):
                check_write(client(url))
        assert TOKEN not in str(caught.value)

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (
                refusal(
                    422,
                    "unprocessable entity",
                    "failure writing points to database: partial write: field type conflict: input field "
                    '"a" on measurement "m" is type float, already exists as type integer dropped=1',
                ),
                "answers 422 .*dropped=1.*write to another measurement",
            ),
            (
                refusal(400, "invalid", "unable to parse 'm': missing fields"),
                "answers 400 .unable to parse 'm'",
            ),
            (TOO_LARGE, r"takes no line that long \(unable to read data: points batch is too large\)"),
        ],
    )
    def test_what_will_never_be_taken_is_given_up(self, answer: dict[str, Any], words: str) -> None:
        with playing(posted(b"m a=1 1\n", **answer)) as url:
            with pytest.raises(SinkError, match=words) as caught:
                write(client(url), b"m a=1 1\n")
            assert not isinstance(caught.value, SinkUnavailableError)

    def test_a_post_that_is_too_large_is_halved_between_lines_until_it_is_taken(self) -> None:
        lines = [f"m a={i} {i}\n".encode() for i in range(4)]
        with playing(
            posted(b"".join(lines), **TOO_LARGE),
            posted(lines[0] + lines[1] + lines[2], **TOO_LARGE),
            posted(lines[0] + lines[1]),
            posted(lines[2]),
            posted(lines[3]),
        ) as url:
            write(client(url), b"".join(lines))

    def test_lines_are_posted_in_parts_that_any_server_takes(self) -> None:
        row = b"m,machine=press-1 a=1.5 1767225600000000001\n"
        rows = 900_000 // len(row)
        with playing(posted(row * rows), posted(row * rows), posted(row)) as url:
            write(client(url), row * (2 * rows + 1))

    def test_a_line_longer_than_a_part_goes_alone(self) -> None:
        long = b'm s="' + b"x" * 950_000 + b'" 1\n'
        with playing(posted(b"m a=1 1\n"), posted(long), posted(b"m a=2 2\n")) as url:
            write(client(url), b"m a=1 1\n" + long + b"m a=2 2\n")

    def test_nothing_to_write_asks_nothing(self) -> None:
        with playing() as url:
            write(client(url), b"")

    def test_silence_and_a_broken_connection_keep_the_rows(self) -> None:
        with (
            playing(posted(b"m a=1 1\n", answer=None)) as url,
            pytest.raises(SinkUnavailableError, match=r"cannot be reached \(no answer in time\)"),
        ):
            write(client(url, timeout=0.1), b"m a=1 1\n")
        with pytest.raises(SinkUnavailableError, match="connection refused"):
            write(client("http://127.0.0.1:1"), b"m a=1 1\n")

    def test_the_sink_writes_a_point_a_row_with_all_that_was_found(self) -> None:
        lines = (
            b"anomaly,bundle=0123456789ab,machine=press-1 score=0.5,severity=2.0,"
            b'verdict="anomaly",error_a=0.25,expected_a=1.0,error_b=0.25,expected_b=2.0 1767225600000000000\n'
            b'anomaly,bundle=0123456789ab,machine=press-2 verdict="unknown",'
            b'reason="missing" 1767225600000000001\n'
        )
        nothing = Scores.unknown(1, 2)
        results = Results(
            Readings(np.array(["press-1", "press-2"]), np.array([T0, T0 + 1]), np.ones((2, 2), np.float32)),
            Scores(
                np.concatenate([np.array([0.5], np.float32), nothing.score]),
                np.concatenate([np.array([[0.25, 0.25]], np.float32), nothing.errors]),
                np.concatenate([np.array([[1, 2]], np.float32), nothing.expected]),
            ),
            np.array([2.0, np.nan], np.float32),
            np.array([1, 2], np.int8),
            np.array([0, 2], np.int8),
        )
        with playing(posted(b"", **NO_POINTS), posted(lines * 2), posted(lines, **OVERLOADED)) as url:
            sink = InfluxSink(client(url).settings, ("a", "b"), "sha256:0123456789abcdef")
            sink.check()
            payload = sink.encode(results)
            sink.deliver([payload, payload])
            with pytest.raises(SinkUnavailableError):
                sink.deliver([payload])
            sink.close()


def test_the_version_is_the_one_that_ping_names() -> None:
    ping = Exchange("GET /ping", sent=LOGIN, status=204, headers=VERSION)
    with playing(ping, Exchange("GET /ping", status=204)) as url:
        assert client(url).version() == "v2.7.12"
        assert client(url).version() == ""


TAG_KEYS = (
    '{"results":[{"statement_id":0,"series":[{"name":"sensors","columns":["tagKey"],'
    '"values":[["machine_id"]]}]}]}\n'
)
BUCKETS = Exchange("GET /api/v2/buckets", {"org": "plant", "name": "line 1"}, LOGIN, headers=JSON)
BUCKETS = dataclasses.replace(
    BUCKETS,
    answer=b'{"links":{"self":"/api/v2/buckets"},"buckets":[{"id":"0a1b2c3d4e5f6071","orgID":"01","type":"user",'
    b'"name":"line 1","retentionRules":[]}]}\n',
)
MAPPINGS = Exchange(
    "GET /api/v2/dbrps",
    {"org": "plant", "bucketID": "0a1b2c3d4e5f6071"},
    LOGIN,
    headers=JSON,
    answer=b'{"content":[]}\n',
)
# Where it lists no bucket to this login, Flux is what is left.
UNMAPPED = dataclasses.replace(BUCKETS, answer=b'{"buckets":[]}\n')


def mappings(*found: tuple[str, str]) -> Exchange:
    """What the server lists for a bucket; the virtual mapping of its name looks the same."""
    content = [
        {
            "id": "0a1b2c3d4e5f6071",
            "orgID": "01",
            "bucketID": "0a1b2c3d4e5f6071",
            "database": database,
            "retention_policy": policy,
            "default": True,
            "virtual": True,
        }
        for database, policy in found
    ]
    return dataclasses.replace(MAPPINGS, answer=json.dumps({"content": content}).encode())


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


class TestCommand:
    """`edge-detect run` over a bucket, from the first question to the last point."""

    SENSORS = ("temperature", "vibration", "pressure", "power")
    OPTIONS = ("--source", "influx", "--org", "plant", "--bucket", "line 1", "--start", "2026-01-01")

    def test_a_bucket_is_followed_and_its_verdicts_written_back(
        self, command: Command, bundle: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EDGE_DETECT_INFLUX_TOKEN", TOKEN)
        columns = ",".join(self.SENSORS)
        rows = (
            "#datatype,string,long,dateTime:RFC3339,string,double,double,double,double\r\n"
            "#group,false,false,false,false,false,false,false,false\r\n#default,_result,,,,,,,\r\n"
            f",result,table,_time,machine_id,{columns}\r\n"
            ",,0,2026-01-01T00:00:00Z,press-1,55.1,1.2,50.1,235\r\n"
            ",,0,2026-01-01T00:00:01Z,press-1,95.1,9.2,10.1,635\r\n\r\n"
        )
        query = QUERY.replace('"a" or r._field == "b"', '"' + '" or r._field == "'.join(self.SENSORS) + '"')
        query = query.replace('"a", "b"', '"' + '", "'.join(self.SENSORS) + '"')
        row = r'anomaly,bundle=[0-9a-f]{{12}},machine=press-1 score=[^ ]+,verdict="{}",[^ ]+ {}\n'
        lines = row.format("normal", T0) + row.format("anomaly", T0 + SECOND)
        with playing(
            UNMAPPED,
            asked(FIELDS_QUERY, answer=field_names(*self.SENSORS)),
            asked(TAGS_QUERY, answer=field_names("machine_id")),
            posted(b"", **NO_POINTS),
            asked(query, answer=rows.encode()),
            posted(re.compile(lines.encode())),
        ) as url:
            done = command(
                *("edge-detect", "run", "--bundle", bundle, *self.OPTIONS, "--url", url),
                *("--until", "2026-01-01T00:01:00Z", "--sink", "influx"),
            )
        assert done.returncode == 0, done.stderr.decode()
        assert "2 rows read" in done.stderr.decode()
        assert TOKEN.encode() not in done.stdout + done.stderr

    @pytest.mark.parametrize(
        ("exchanges", "words"),
        [
            (
                (dataclasses.replace(BUCKETS, **UNAUTHORIZED),),
                "InfluxDB refuses the login (unauthorized access); set EDGE_DETECT_INFLUX_TOKEN",
            ),
            (
                (UNMAPPED, asked(FIELDS_QUERY, **NO_BUCKET_TO_READ)),
                'could not find bucket "line 1"); check --bucket, or give the token the right to read',
            ),
        ],
    )
    def test_a_refusal_is_one_line_and_exit_code_1(
        self,
        command: Command,
        bundle: Path,
        monkeypatch: pytest.MonkeyPatch,
        exchanges: tuple[Exchange, ...],
        words: str,
    ) -> None:
        monkeypatch.setenv("EDGE_DETECT_INFLUX_TOKEN", TOKEN)
        with playing(*exchanges) as url:
            done = command("edge-detect", "run", "--bundle", bundle, *self.OPTIONS, "--url", url)
        assert done.returncode == 1
        (line,) = done.stderr.decode().splitlines()
        assert line.startswith(f"edge-detect: {url} (bucket line 1): ")
        assert words in line
        assert TOKEN.encode() not in done.stdout + done.stderr


def test_what_the_encoder_writes_is_what_the_bucket_gets() -> None:
    lines = encode_lines("m", np.array([T0]), tags={"machine_id": ["ä b"]}, fields={"a": np.array([1.5])})
    with playing(posted("m,machine_id=ä\\ b a=1.5 1767225600000000000\n".encode())) as url:
        write(client(url), lines)

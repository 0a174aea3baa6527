"""InfluxDB 2.x by Flux, exchange by exchange: annotated CSV, what is checked, and its errors."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import numpy as np
import pytest
from support.exchanges import playing
from support.influx2 import (
    BROKEN,
    EDGE_QUERY,
    FAILED,
    FIELDS_QUERY,
    HEADER,
    LIMITED,
    MEASUREMENTS_QUERY,
    NO_BUCKET_TO_READ,
    OVERLOADED,
    POINTS_QUERY,
    QUERY,
    ROWS,
    SECOND,
    T0,
    TAGS_QUERY,
    TOKEN,
    UNAUTHORIZED,
    WANTED,
    asked,
    check,
    client,
    field_names,
    joined,
    posted,
    read,
    refusal,
)
from support.reading import read_flux

from edge_runtime.errors import (
    EdgeDetectError,
    MissingExtraError,
    SourceError,
    SourceUnavailableError,
)
from edge_runtime.influxdb import (
    ReadingsQuery,
    write,
)
from edge_runtime.influxdb.flux import FluxReader
from edge_runtime.influxdb.refusals import LoginRefusedError


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

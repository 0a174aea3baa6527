"""InfluxDB 3 Core, exchange by exchange: InfluxQL by /query, lines by /write, and its errors."""

from __future__ import annotations

import json
import os
import random
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.exchanges import Exchange, playing
from support.reading import read_blocks

from edge_runtime.errors import (
    EdgeDetectError,
    SinkError,
    SinkUnavailableError,
    SourceError,
    SourceUnavailableError,
    UsageError,
)
from edge_runtime.influxdb import (
    InfluxClient,
    InfluxSettings,
    ReadingsQuery,
    check_readings,
    check_write,
    open_reader,
    query,
    write,
)
from edge_runtime.influxdb.documents import documents
from edge_runtime.influxdb.query import UnfinishedAnswerError
from edge_runtime.influxdb.refusals import LoginRefusedError, QueryTooLargeError

if TYPE_CHECKING:
    from pathlib import Path

    from support.commands import Command

    from edge_runtime.records import Readings

SOAK = bool(os.environ.get("EDGE_DETECT_SOAK"))
T0 = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z
SECOND = 1_000_000_000
TOKEN = "apiv3_7Yh2-_xQ"
LOGIN = {"Authorization": f"Token {TOKEN}"}
VERSION = {"X-Influxdb-Build": "Core", "X-Influxdb-Version": "3.4.2"}
JSON = {"Content-Type": "application/json", "cluster-uuid": "5f1a0a5e-6a3c-4a0e-9a53-5b1c1a8a7f00"}
WANTED = ReadingsQuery(("a", "b"))
SELECT = (
    'SELECT "a", "b", "machine_id" FROM "sensors" '  # noqa: S608
    f"WHERE time >= {T0} AND time < {T0 + 60 * SECOND} ORDER BY time"
)
COLUMNS = ("time", "a", "b", "machine_id")


def client(url: str, **changes: Any) -> InfluxClient:
    return InfluxClient(
        InfluxSettings(**{"url": url, "database": "plant", "token": TOKEN, "timeout": 20.0, **changes})
    )


def asked(statement: str, *answer: bytes, **more: Any) -> Exchange:
    """A statement and its answer: a JSON document for each 5,000 rows, nothing for no rows."""
    return Exchange(
        "GET /query",
        {"db": "plant", "epoch": "ns", "chunked": "true", "chunk_size": "5000", "q": statement},
        {**LOGIN, "Accept": "application/json"},
        **{"headers": JSON, "answer": answer, **more},
    )


def series(name: str, columns: tuple[str, ...], *rows: list[Any], partial: bool = False) -> bytes:
    more = {"partial": True} if partial else {}
    found = {"name": name, "columns": columns, "values": rows, **more}
    document = {"results": [{"statement_id": 0, "series": [found], **more}]}
    return json.dumps(document, separators=(",", ":")).encode()


def posted(body: bytes | re.Pattern[bytes], **answer: Any) -> Exchange:
    return Exchange(
        "POST /write", {"db": "plant", "precision": "ns"}, LOGIN, body, **{"status": 204, **answer}
    )


def refusal(status: int, message: str, data: Any = None) -> dict[str, Any]:
    """What most errors look like; some are the bare message."""
    body = json.dumps({"error": message, "data": data}, separators=(",", ":")).encode()
    return {"status": status, "headers": {}, "answer": body}


UNAUTHENTICATED = refusal(401, "the request was not authenticated")
FORBIDDEN = refusal(403, "requestor is forbidden from requested resource")
NO_DATABASE = refusal(404, "query error: database not found: plant")
EMPTY = {"status": 400, "headers": {}, "answer": b"incoming write was empty"}
PARTIAL = refusal(
    400,
    "partial write of line protocol occurred",
    [
        {
            "original_line": "m a=1i 2",
            "line_number": 2,
            "error_message": "invalid column type for column 'a', expected iox::column_type::field::float, "
            "got iox::column_type::field::integer",
        },
        {"original_line": "m a=2i 3", "line_number": 3, "error_message": "the same again"},
    ],
)


def read(url: str) -> list[Readings]:
    return read_blocks(client(url), WANTED, T0, T0 + 60 * SECOND)


def check(url: str, wanted: ReadingsQuery) -> ReadingsQuery:
    return check_readings(open_reader(client(url)), wanted, T0, T0 + 60 * SECOND)


class TestReading:
    def test_rows_come_in_chunks_with_their_gaps(self) -> None:
        first = series("sensors", COLUMNS, [T0, 1.5, 2, "press-1"], [T0 + 1, None, 3, "press-2"])
        second = series("sensors", COLUMNS, [T0 + 59 * SECOND, -0.25, None, None])
        with playing(asked(SELECT, first, second)) as url:
            blocks = read(url)
        times = np.concatenate([block.times for block in blocks])
        assert times.tolist() == [T0, T0 + 1, T0 + 59 * SECOND]
        machines = np.concatenate([block.machines for block in blocks])
        assert machines.tolist() == ["press-1", "press-2", "machine"]
        values = np.concatenate([block.values for block in blocks])
        np.testing.assert_array_equal(values, np.array([[1.5, 2], [np.nan, 3], [-0.25, np.nan]], np.float32))

    @pytest.mark.parametrize("size", [1, 9, 100])
    def test_lines_may_be_cut_into_http_chunks_anywhere(self, size: int) -> None:
        rows = [[T0 + i, float(i), i, "prüfstand"] for i in range(20)]
        text = series("sensors", COLUMNS, *rows[:7]) + series("sensors", COLUMNS, *rows[7:])
        parts = tuple(text[start : start + size] for start in range(0, len(text), size))
        with playing(asked(SELECT, *parts)) as url:
            blocks = read(url)
        assert [row for block in blocks for row in block.values[:, 0].tolist()] == [row[1] for row in rows]

    def test_a_range_without_rows_is_an_empty_answer(self) -> None:
        with playing(asked(SELECT)) as url:
            assert read(url) == []

    @pytest.mark.parametrize("between", [b"", b"\n", b"\r\n"], ids=["3.7 on", "1.x and 2.x", "3 up to 3.6"])
    def test_documents_follow_each_other_with_an_end_of_line_or_nothing_between(self, between: bytes) -> None:
        names = ("a", 'x}{"', "}{", '{"r', "a\nb")
        parts = [series("sensors", COLUMNS, [T0 + i, float(i), i, name]) for i, name in enumerate(names)]
        with playing(asked(SELECT, between.join(parts) + between)) as url:
            blocks = read(url)
        machines = [str(machine) for block in blocks for machine in block.machines]
        assert machines == list(names)

    def test_an_answer_as_a_real_server_gave_it(self) -> None:
        # Twelve rows asked for in chunks of five; the last document alone does not say that there is more.
        rows = [[T0 + i * SECOND, 250, 50 + i / 10, "press-1"] for i in range(12)]
        parts = [series("sensors", COLUMNS, *rows[i : i + 5], partial=i < 10) for i in (0, 5, 10)]
        with playing(asked(SELECT, b"".join(parts))) as url:
            blocks = read(url)
        assert [t for block in blocks for t in block.times.tolist()] == [row[0] for row in rows]
        values = np.concatenate([block.values for block in blocks])
        np.testing.assert_array_equal(values, np.array([row[1:3] for row in rows], np.float32))

    def test_numbers_come_as_the_server_writes_them(self) -> None:
        rows = f'[{T0},250,1e+30,"m"],[{T0 + 1},-0,1e+300,"m"],[{T0 + 2},2.5e-3,18446744073709551615,"m"]'
        text = series("sensors", COLUMNS).replace(b'"values":[]', f'"values":[{rows}]'.encode())
        with playing(asked(SELECT, text)) as url:
            (block,) = read(url)
        np.testing.assert_array_equal(
            block.values, np.array([[250, 1e30], [0, np.inf], [0.0025, 2.0**64]], np.float32)
        )

    def test_an_answer_that_says_there_is_more_and_ends_is_asked_for_again_from_its_last_time(self) -> None:
        first = series("sensors", COLUMNS, [T0, 1.0, 1, "m1"], [T0 + 5, 2.0, 2, "m1"], partial=True)
        again = SELECT.replace(str(T0), str(T0 + 1), 1)
        rest = series("sensors", COLUMNS, [T0 + 5, 2.0, 2, "m1"], [T0 + 5, 3.0, 3, "m2"])
        with playing(asked(SELECT, first), asked(again, rest)) as url:
            blocks = read(url)
        rows = [
            (int(time - T0), str(machine))
            for block in blocks
            for time, machine in zip(block.times, block.machines, strict=True)
        ]
        assert rows == [(0, "m1"), (5, "m1"), (5, "m2")]

    def test_an_answer_that_ends_early_without_a_whole_time_is_unavailable(self) -> None:
        part = series("sensors", COLUMNS, [T0, 1.0, 1, "m1"], partial=True)
        names = series("measurements", ("name",), ["a"], partial=True)
        with playing(asked(SELECT, part), asked("SHOW MEASUREMENTS", names)) as url:
            with pytest.raises(UnfinishedAnswerError, match="cut off"):
                read(url)
            with pytest.raises(SourceUnavailableError, match="cut off"):
                open_reader(client(url)).measurements()

    def test_rows_of_one_machine_and_time_become_one_even_over_a_chunks_end(self) -> None:
        # A tag beside the machine's makes two series of what one machine measured at one time.
        first = series("sensors", COLUMNS, [T0, 1.0, None, "m1"], [T0, 9.0, 9, "m2"], [T0, None, 2, "m1"])
        second = series("sensors", COLUMNS, [T0 + 1, None, 4, "m1"])
        third = series("sensors", COLUMNS, [T0 + 1, 3.0, 5, "m1"], [T0 + 2, 6.0, 6, "m1"])
        with playing(asked(SELECT, first, second, third)) as url:
            blocks = read(url)
        rows = [
            (int(time - T0), str(machine), values.tolist())
            for block in blocks
            for time, machine, values in zip(block.times, block.machines, block.values, strict=True)
        ]
        assert rows == [
            (0, "m1", [1.0, 2.0]),
            (0, "m2", [9.0, 9.0]),
            (1, "m1", [3.0, 4.0]),
            (2, "m1", [6.0, 6.0]),
        ]

    @pytest.mark.parametrize("sensors", [(), ("a", "a")])
    def test_a_query_without_a_sensor_or_with_one_twice_is_refused(self, sensors: tuple[str, ...]) -> None:
        with pytest.raises(UsageError, match="a query needs at least one sensor, and each sensor only once"):
            ReadingsQuery(sensors)

    def test_fields_are_checked_by_their_types(self) -> None:
        keys = asked(
            'SHOW FIELD KEYS FROM "sensors"',
            series(
                "sensors",
                ("fieldKey", "fieldType"),
                *(["a", "float"], ["b", "unsigned"], ["c", "string"], ["d", "boolean"]),
            ),
        )
        tags = asked('SHOW TAG KEYS FROM "sensors"', series("sensors", ("tagKey",), ["machine_id"]))
        with playing(*[keys, tags] * 4) as url:
            check(url, WANTED)
            for sensor, words in (
                ("c", "field 'c' holds string values, not numbers"),
                ("d", "field 'd' holds boolean values"),
                ("e", "no field 'e'; there are: a, b, c, d"),
            ):
                with pytest.raises(SourceError, match=words):
                    check(url, ReadingsQuery((sensor,)))

    def test_a_measurement_that_is_not_there_is_named_with_those_that_are(self) -> None:
        keys = asked('SHOW FIELD KEYS FROM "sensors"')
        names = series("measurements", ("name",), ["events"], ["motors"])
        with playing(keys, asked("SHOW MEASUREMENTS", names), keys, asked("SHOW MEASUREMENTS")) as url:
            with pytest.raises(SourceError, match="no such measurement; there are: events, motors") as caught:
                check(url, WANTED)
            assert not isinstance(caught.value, SourceUnavailableError)
            with pytest.raises(SourceUnavailableError, match="no measurements yet"):
                check(url, WANTED)

    @pytest.mark.parametrize(
        ("answer", "kind", "words"),
        [
            (
                UNAUTHENTICATED,
                LoginRefusedError,
                "refuses the login .the request was not authenticated.; set EDGE_DETECT_",
            ),
            ({"status": 401, "answer": b""}, LoginRefusedError, r"refuses the login \(without a word\)"),
            (
                FORBIDDEN,
                SourceError,
                "lacks the right to read here .requestor is forbidden from requested resource",
            ),
            (
                NO_DATABASE,
                SourceError,
                (
                    "cannot find the database or bucket "
                    ".query error: database not found: plant.; check --database"
                ),
            ),
            (
                refusal(400, "Authorization header was malformed"),
                SourceError,
                "answers 400 .Authorization header was",
            ),
            (
                refusal(429, "slow down"),
                SourceUnavailableError,
                r"answers 429 \(slow down\); try again later",
            ),
            ({"status": 503, "answer": b"starting"}, SourceUnavailableError, r"answers 503 \(starting\)"),
        ],
    )
    def test_what_the_server_refuses_is_said_in_its_words(
        self, answer: dict[str, Any], kind: type[EdgeDetectError], words: str
    ) -> None:
        with playing(asked(SELECT, **answer)) as url:
            with pytest.raises(SourceError, match=words) as caught:
                read(url)
            assert type(caught.value) is kind
            assert f"{url} (database plant): " in str(caught.value)
        assert TOKEN not in str(caught.value)

    @pytest.mark.parametrize(
        ("error", "kind", "words"),
        [
            ("timeout reached: query-timeout", SourceUnavailableError, "gave up .timeout reached"),
            (
                "Cannot retrieve database: External error: database not found: plant",
                SourceError,
                (
                    "cannot find the database or bucket "
                    ".Cannot retrieve database: External error: database not found"
                ),
            ),
            ("mixing aggregate and non-aggregate", SourceError, "refuses the query .mixing aggregate"),
        ],
    )
    @pytest.mark.parametrize("whole", [True, False])
    def test_an_error_within_an_answer_is_an_error_too(
        self, error: str, kind: type[EdgeDetectError], words: str, *, whole: bool
    ) -> None:
        document = {"error": error} if whole else {"results": [{"statement_id": 0, "error": error}]}
        rows = series("sensors", COLUMNS, [T0, 1.5, 2, "press-1"])
        with playing(asked(SELECT, rows, json.dumps(document).encode())) as url:
            with pytest.raises(SourceError, match=words) as caught:
                read(url)
            assert type(caught.value) is kind

    def test_an_answer_that_breaks_off_is_asked_for_again(self) -> None:
        rows = series("sensors", COLUMNS, [T0, 1.5, 2, "press-1"])
        for exchange in (
            asked(SELECT, rows, cut=True),
            asked(SELECT, answer=rows, cut=True),
            asked(SELECT, rows[:30]),
            asked(SELECT, b"<html>Please log in</html>"),
            asked(SELECT, b"[]"),
        ):
            with playing(exchange) as url, pytest.raises(SourceUnavailableError):
                read(url)

    @pytest.mark.parametrize(
        ("words", "kind", "hint"),
        [
            (
                "External error: Query would scan 432 Parquet files, exceeding the file limit. \nCore.",
                QueryTooLargeError,
                "raise the server's own limit",
            ),
            (
                "datafusion error: Resources exhausted: Failed to allocate additional 1024 bytes",
                SourceUnavailableError,
                "give the server more memory if this continues",
            ),
        ],
    )
    def test_a_question_that_is_too_large_is_halved_down_to_a_minute_and_then_given_up(
        self, words: str, kind: type[SourceError], hint: str
    ) -> None:
        refused = json.dumps({"results": [{"statement_id": 0, "error": words}]}).encode()
        hour = 3_600 * SECOND
        lengths = [hour]
        while lengths[-1] > 60 * SECOND:
            lengths.append(lengths[-1] // 2)
        exchanges = [
            asked(SELECT.replace(str(T0 + 60 * SECOND), str(T0 + length)), refused) for length in lengths
        ]
        with playing(*exchanges) as url, pytest.raises(kind) as caught:
            read_blocks(client(url), WANTED, T0, T0 + hour)
        assert type(caught.value) is kind
        assert "\n" not in str(caught.value)
        assert "refuses to read this much at once" in str(caught.value)
        assert hint in str(caught.value)

    def test_silence_ends_with_the_timeout(self) -> None:
        with (
            playing(asked("SHOW MEASUREMENTS", answer=None)) as url,
            pytest.raises(SourceUnavailableError, match=r"cannot be reached \(no answer in time\)"),
        ):
            list(query(client(url, timeout=0.1), "SHOW MEASUREMENTS"))


def places(length: int) -> list[int]:
    """Where a text is cut: at every byte, or near both ends and at one byte of fifty between them."""
    if SOAK:
        return list(range(length + 1))
    ends = {*range(min(50, length + 1)), *range(max(0, length - 49), length + 1)}
    return sorted(ends | set(random.Random(length).sample(range(length + 1), length // 50)))  # noqa: S311


class TestDocuments:
    """An answer of a thousand documents, cut anywhere: into two blocks, and off."""

    ONE = b'{"results":[]}'

    @pytest.mark.parametrize(("between", "number"), [(b"", 1000), (b"\n", 100), (b"\r\n", 100)])
    def test_blocks_may_end_anywhere(self, between: bytes, number: int) -> None:
        text = between.join([self.ONE] * number)
        for place in places(len(text)):
            found = list(documents([text[:place], text[place:]]))
            assert list(map(bytes.strip, found)) == [self.ONE] * number

    def test_what_is_cut_off_anywhere_is_no_document(self) -> None:
        text = self.ONE * 1000
        for place in places(len(text))[1:-1]:
            *whole, last = documents([text[:place]])
            assert b"".join([*whole, last]) == text[:place]
            assert whole == [self.ONE] * len(whole)
            if place % len(self.ONE):
                with pytest.raises(ValueError, match="Expecting|Unterminated|Extra data"):
                    json.loads(last)
            else:
                assert last == self.ONE

    def test_an_answer_cut_off_anywhere_gives_no_row_that_is_wrong(self) -> None:
        rows = [[T0 + i * SECOND, 250, i, "press-1"] for i in range(4)]
        parts = [series("sensors", COLUMNS, *rows[i : i + 2], partial=i < 2) for i in (0, 2)]
        text = b"".join(parts)
        for place in places(len(text))[1:-1]:
            with playing(asked(SELECT, text[:place], cut=True)) as url, pytest.raises(SourceUnavailableError):
                read(url)


class TestWriting:
    def test_lines_go_to_the_database_as_they_are_with_the_token(self) -> None:
        lines = b"anomaly,machine=press-1 score=0.5 1767225600000000001\n"
        with playing(posted(lines)) as url:
            write(client(url), lines)

    def test_a_check_is_content_when_lines_are_all_that_is_missing(self) -> None:
        with playing(posted(b"", **EMPTY)) as url:
            check_write(client(url))

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (UNAUTHENTICATED, "refuses the login .the request was not authenticated"),
            (FORBIDDEN, "lacks the right to write here .requestor is forbidden"),
            (refusal(429, "slow down"), "answers 429 .slow down.; try again later"),
            ({"status": 500, "answer": b"wal buffer is full"}, "answers 500 .wal buffer is full"),
            ({"status": 503, "answer": b"starting"}, "answers 503 .starting"),
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
                PARTIAL,
                "partial write of line protocol occurred: invalid column type for .*to another measurement",
            ),
            (
                refusal(422, "Update to schema would exceed number of columns"),
                "answers 422 .Update to schema",
            ),
            (
                refusal(
                    400,
                    "parsing failed for write_lp endpoint",
                    {
                        "error_message": "invalid column type for column 'a', expected "
                        "iox::column_type::field::integer, got iox::column_type::field::float",
                        "line_number": 2,
                        "original_line": "sensors,machine_id=m",
                    },
                ),
                "answers 400 .parsing failed for write_lp endpoint: invalid column type for column 'a'",
            ),
        ],
    )
    def test_what_will_never_be_taken_is_given_up(self, answer: dict[str, Any], words: str) -> None:
        with playing(posted(b"m a=1 1\n", **answer)) as url:
            with pytest.raises(SinkError, match=words) as caught:
                write(client(url), b"m a=1 1\n")
            assert not isinstance(caught.value, SinkUnavailableError)
            assert "the same again" not in str(caught.value)


def test_a_token_may_be_given_as_the_password_of_a_user() -> None:
    # Basic is what 3 Core takes from clients of 1.x; the user's name does not matter to it.
    basic = {"Authorization": "Basic YW55Ym9keTphcGl2M183WWgyLV94UQ=="}
    exchange = Exchange("POST /write", {"db": "plant", "precision": "ns"}, basic, b"m a=1 1\n", status=204)
    with playing(exchange) as url:
        write(client(url, token=None, username="anybody", password=TOKEN), b"m a=1 1\n")


def test_a_server_without_logins_gets_none() -> None:
    nobody = {"Authorization": None}
    exchange = Exchange("POST /write", {"db": "plant", "precision": "ns"}, nobody, b"m a=1 1\n", status=204)
    with playing(exchange) as url:
        write(client(url, token=None), b"m a=1 1\n")


def test_the_version_is_the_one_that_ping_names() -> None:
    body = b'{"version":"3.4.2","revision":"4d9a2f1","process_id":"0199"}'
    with playing(Exchange("GET /ping", sent=LOGIN, headers={**JSON, **VERSION}, answer=body)) as url:
        assert client(url).version() == "3.4.2"


class TestCommand:
    SENSORS = ("temperature", "vibration", "pressure", "power")
    OPTIONS = ("--source", "influx", "--database", "plant", "--start", "2026-01-01")

    def test_a_database_is_followed_and_its_verdicts_written_back(
        self, command: Command, bundle: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EDGE_DETECT_INFLUX_TOKEN", TOKEN)
        keys = series("sensors", ("fieldKey", "fieldType"), *([name, "float"] for name in self.SENSORS))
        rows = series(
            "sensors",
            ("time", *self.SENSORS, "machine_id"),
            [T0, 55.1, 1.2, 50.1, 235, "press-1"],
            [T0 + SECOND, 95.1, 9.2, 10.1, 635, "press-1"],
        )
        statement = SELECT.replace('"a", "b"', '"' + '", "'.join(self.SENSORS) + '"')
        row = r'anomaly,bundle=[0-9a-f]{{12}},machine_id=press-1 score=[^ ]+,verdict="{}",[^ ]+ {}\n'
        lines = row.format("normal", T0) + row.format("anomaly", T0 + SECOND)
        lines += rf'alarms,kind=machine,machine_id=press-1 change="raised",[^\n]+ {T0 + SECOND + 1}\n'
        with playing(
            asked('SHOW FIELD KEYS FROM "sensors"', keys),
            asked('SHOW TAG KEYS FROM "sensors"', series("sensors", ("tagKey",), ["machine_id"])),
            posted(b"", **EMPTY),
            asked(statement, rows),
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
        ("answer", "words"),
        [(UNAUTHENTICATED, "the request was not authenticated"), (NO_DATABASE, "database not found: plant")],
    )
    def test_a_refusal_is_one_line_and_exit_code_1(
        self,
        command: Command,
        bundle: Path,
        monkeypatch: pytest.MonkeyPatch,
        answer: dict[str, Any],
        words: str,
    ) -> None:
        monkeypatch.setenv("EDGE_DETECT_INFLUX_TOKEN", TOKEN)
        with playing(asked('SHOW FIELD KEYS FROM "sensors"', **answer)) as url:
            done = command("edge-detect", "run", "--bundle", bundle, *self.OPTIONS, "--url", url)
        assert done.returncode == 1
        (line,) = done.stderr.decode().splitlines()
        assert line.startswith(f"edge-detect: {url} (database plant): ")
        assert words in line
        assert TOKEN.encode() not in done.stdout + done.stderr

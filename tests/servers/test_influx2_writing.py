"""InfluxDB 2.x written to, exchange by exchange: /api/v2/write, its refusals, and the sink."""

from __future__ import annotations

import re
import sys
import zlib
from typing import Any

import numpy as np
import pytest
from support.exchanges import playing
from support.influx2 import (
    BROKEN,
    LIMITED,
    NO_POINTS,
    NO_SUCH_BUCKET,
    OVERLOADED,
    T0,
    TOKEN,
    TOO_LARGE,
    UNAUTHORIZED,
    client,
    posted,
    refusal,
)

from edge_runtime.errors import (
    SinkError,
    SinkUnavailableError,
)
from edge_runtime.influxdb import (
    check_write,
    encode_lines,
    write,
)
from edge_runtime.influxdb.client import MAX_POST_BYTES
from edge_runtime.influxdb.write import MAX_REFUSALS, refused_lines
from edge_runtime.records import Readings, Results, Scores
from edge_runtime.sinks.base import RowsRefusedError
from edge_runtime.sinks.influx import MAX_TOGETHER, InfluxSink


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
            (
                NO_SUCH_BUCKET,
                r'cannot find the database or bucket \(bucket "line 1" not found\).*--bucket, or create it',
            ),
            (
                refusal(404, "not found", 'organization name "plant" not found'),
                "cannot find the database or bucket",
            ),
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
            (
                TOO_LARGE,
                r"does not accept a line this long \(unable to read data: points batch is too large\)",
            ),
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
        row = b"m,machine=press-1 a=" + b"1" * 10_000 + b" 1767225600000000001\n"
        rows = MAX_POST_BYTES // len(row)
        with playing(posted(row * rows), posted(row * rows), posted(row)) as url:
            write(client(url), row * (2 * rows + 1))

    def test_a_line_longer_than_a_part_goes_alone(self) -> None:
        long = b'm s="' + b"x" * 100_000 + b'" 1\n'
        with playing(posted(b"m a=1 1\n"), posted(long), posted(b"m a=2 2\n")) as url:
            careful = client(url)
            careful.max_post_bytes = careful.post_bytes = 90_000
            write(careful, b"m a=1 1\n" + long + b"m a=2 2\n")

    def test_a_proxy_s_page_that_a_post_is_too_large_halves_it_too(self) -> None:
        page: dict[str, Any] = {
            "status": 413,
            "headers": {},
            "answer": b"<html>413 Request Entity Too Large</html>",
        }
        with playing(
            posted(b"m a=1 1\nm a=2 2\n", **page), posted(b"m a=1 1\n"), posted(b"m a=2 2\n")
        ) as url:
            write(client(url), b"m a=1 1\nm a=2 2\n")

    def test_after_a_post_that_is_too_large_the_next_ones_are_smaller(self) -> None:
        lines = [f"m a={i},s={'1' * 60_000} {i}\n".encode() for i in range(4)]
        with playing(
            posted(b"".join(lines), **TOO_LARGE),
            posted(b"".join(lines[:3]), **TOO_LARGE),
            posted(b"".join(lines[:2])),
            posted(lines[2]),
            posted(lines[3]),
            *(posted(line) for line in lines),
        ) as url:
            server = client(url)
            write(server, b"".join(lines))
            write(server, b"".join(lines))

    def test_after_a_post_that_came_to_nothing_the_next_one_is_smaller_and_then_larger_again(self) -> None:
        line = f"m a=1,s={'1' * 499_975} 1\n".encode()
        with playing(posted(line * 8, **BROKEN), posted(line * 4), posted(line * 4), posted(line * 8)) as url:
            server = client(url)
            with pytest.raises(SinkUnavailableError):
                write(server, line * 8)
            write(server, line * 8)
            write(server, line * 8)

    @pytest.mark.parametrize(
        "answer",
        [
            {"status": 302, "headers": {"Location": "http://portal/login"}, "answer": b""},
            {"status": 307, "headers": {}, "answer": b""},
            {"status": 200, "headers": {}, "answer": b"<html>Please sign in</html>"},
            {"status": 200, "headers": {}, "answer": b""},
            {"status": 400, "headers": {}, "answer": b"<!DOCTYPE html><title>Bad Request</title>"},
            {"status": 403, "headers": {}, "answer": b"<html>Blocked</html>"},
            {"status": 405, "headers": {}, "answer": b"no"},
            {"status": 407, "headers": {}, "answer": b"no"},
            {"status": 408, "headers": {}, "answer": b""},
        ],
    )
    def test_what_is_not_an_influxdb_s_answer_keeps_the_rows_and_is_said(
        self, answer: dict[str, Any]
    ) -> None:
        with playing(posted(b"m a=1 1\n", **answer), posted(b"", **answer)) as url:
            words = f"something other than InfluxDB answers {answer['status']}"
            with pytest.raises(SinkUnavailableError, match=words):
                write(client(url), b"m a=1 1\n")
            with pytest.raises(SinkUnavailableError, match=words):
                check_write(client(url))

    def test_a_limit_that_somebody_can_lift_keeps_the_rows(self) -> None:
        answer: dict[str, Any] = {
            "status": 422,
            "headers": {},
            "answer": b'{"error":"Adding a new database would exceed limit of 5 databases"}',
        }
        with (
            playing(posted(b"m a=1 1\n", **answer)) as url,
            pytest.raises(SinkUnavailableError, match="reached a limit .*exceed limit of 5 databases"),
        ):
            write(client(url), b"m a=1 1\n")

    def test_a_place_that_the_server_will_never_take_fails_the_check_for_good(self) -> None:
        answer: dict[str, Any] = {
            "status": 400,
            "headers": {},
            "answer": b'{"error":"namespace name \'bad name\' contains invalid character"}',
        }
        with playing(posted(b"", **answer)) as url:
            with pytest.raises(SinkError, match="contains invalid character") as caught:
                check_write(client(url))
            assert not isinstance(caught.value, SinkUnavailableError)

    def test_the_lines_that_are_refused_are_found_and_the_others_written(self) -> None:
        lines = [f"m a={i} {i}\n".encode() for i in range(5)]
        refused = refusal(422, "unprocessable entity", "partial write: field type conflict")
        with playing(
            posted(b"".join(lines), **refused),
            posted(b"".join(lines[:2])),
            posted(b"".join(lines[2:]), **refused),
            posted(lines[2]),
            posted(b"".join(lines[3:]), **refused),
            posted(lines[3], **refused),
            posted(lines[4]),
        ) as url:
            found, error = refused_lines(client(url), b"".join(lines))
        assert found == lines[3]
        assert "field type conflict" in str(error)

    def test_many_bad_lines_among_good_ones_are_all_found(self) -> None:
        lines = b"".join(f"m a={i} {i}\n".encode() for i in range(600))
        bad = {f"m a={i} {i}\n".encode() for i in range(0, 600, 7)}
        taken: set[bytes] = set()

        class Server:
            post_bytes = max_post_bytes = MAX_POST_BYTES

        def fussy(_client: Any, body: bytes) -> None:
            part = set(body.splitlines(keepends=True))
            if part & bad:
                raise SinkError("not all of them")
            taken.update(part)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys.modules["edge_runtime.influxdb.write"], "_post", fussy)
            found, error = refused_lines(Server(), lines)  # type: ignore[arg-type]
        assert (set(found.splitlines(keepends=True)), str(error)) == (bad, "not all of them")
        assert taken | bad == set(lines.splitlines(keepends=True))

    def test_where_all_lines_are_refused_the_search_ends(self) -> None:
        lines = b"".join(f"m a={i} {i}\n".encode() for i in range(1000))
        refused = refusal(400, "invalid", "unable to parse")
        with playing(*[posted(re.compile(rb"(m a=\d+ \d+\n)+"), **refused)] * MAX_REFUSALS) as url:
            found, error = refused_lines(client(url), lines)
        assert sorted(found.splitlines()) == sorted(lines.splitlines())
        assert error is not None

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
            b"anomaly,bundle=0123456789ab,machine_id=press-1 score=0.5,severity=2.0,"
            b'verdict="anomaly",error_a=0.25,expected_a=1.0,error_b=0.25,expected_b=2.0 1767225600000000000\n'
            b'anomaly,bundle=0123456789ab,machine_id=press-2 verdict="unknown",'
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
            assert sink.deliver([payload, payload]) == 2
            with pytest.raises(SinkUnavailableError):
                sink.deliver([payload])
            sink.close()

    def test_the_sink_tells_which_rows_of_a_payload_are_refused(self) -> None:
        lines = [f"m a={i} {i}\n".encode() for i in range(2)]
        refused = refusal(422, "unprocessable entity", "field type conflict")
        with playing(
            posted(b"".join(lines), **refused),
            posted(b"".join(lines), **refused),
            posted(lines[0]),
            posted(lines[1], **refused),
        ) as url:
            sink = InfluxSink(client(url).settings, ("a",), "sha256:0123456789abcdef")
            with pytest.raises(RowsRefusedError, match="field type conflict") as caught:
                sink.deliver([zlib.compress(b"".join(lines))])
        assert (zlib.decompress(caught.value.payload), caught.value.rows) == (lines[1], 1)

    def test_of_many_payloads_as_many_go_at_once_as_a_post_holds(self) -> None:
        line = f"m a=1,s={'1' * (MAX_TOGETHER // 4)} 1\n".encode()
        with playing(posted(line * 3), posted(line * 2)) as url:
            sink = InfluxSink(client(url).settings, ("a",), "sha256:0123456789abcdef")
            payloads = [zlib.compress(line)] * 5
            assert sink.deliver(payloads) == 3
            assert sink.deliver(payloads[3:]) == 2


def test_what_the_encoder_writes_is_what_the_bucket_gets() -> None:
    lines = encode_lines("m", np.array([T0]), tags={"machine_id": ["ä b"]}, fields={"a": np.array([1.5])})
    with playing(posted("m,machine_id=ä\\ b a=1.5 1767225600000000000\n".encode())) as url:
        write(client(url), lines)

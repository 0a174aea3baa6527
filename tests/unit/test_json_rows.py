"""JSON of any depth and with any values: each object is a row, left out, or named in an error."""

from __future__ import annotations

import sys
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge_runtime.errors import InputError
from edge_runtime.mapping.cells import Unmapped
from edge_runtime.mapping.form import Columns
from edge_runtime.mqtt.broker import Topic
from edge_runtime.mqtt.messages import MessageRows
from edge_runtime.records import NO_TIME, Readings
from edge_runtime.text.jsonrows import JsonRows

COLUMNS = Columns(("a", "b"))
DEPTHS = [1, 2, 10, *range(sys.getrecursionlimit() - 60, sys.getrecursionlimit() + 20, 3), 5000, 200_000]


def parse(text: bytes) -> tuple[Readings, dict[str, int]]:
    return JsonRows(COLUMNS, "in", Unmapped()).parse(text, 1)


def messages(*payloads: bytes, topics: tuple[str, ...] = ("p/m",)) -> tuple[Readings, Any, list[str]]:
    said: list[str] = []
    reader = MessageRows(Topic("p/{machine}"), COLUMNS, "mqtt://test", report=said.append)
    of = [
        SimpleNamespace(payload=payload, topic=topics[at % len(topics)])
        for at, payload in enumerate(payloads)
    ]
    return *reader.readings(of), said


@pytest.mark.parametrize("depth", DEPTHS)
def test_nesting_of_any_depth_is_a_row_or_an_input_error(depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    objects = b'{"x":' * depth + b"1" + b"}" * depth
    for deep in (nested, objects, nested[:-1]):
        with suppress(InputError):
            readings, skipped = parse(b'{"a":1,"b":2,"other":%s}' % deep)
            assert readings.values.tolist() == [[1.0, 2.0]]
            assert skipped == {}
        for key in (b"a", b"time", b"machine_id"):
            with pytest.raises(InputError) as found:
                parse(b'{"a":1,"b":2,"%s":%s}' % (key, deep))
            assert len(str(found.value)) < 200
        for payload in (deep, b'{"a":1,"b":%s}' % deep, b"[%s]" % deep):
            readings, left_out, _ = messages(payload)
            assert len(readings) + left_out.total() >= 1


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (b"9" * 400, np.inf),
        (b"-" + b"9" * 4299, -np.inf),
        (b"1e999", np.inf),
        (b"1e-999", 0.0),
        (b"16777217", 16777216.0),
        (b"null", np.nan),
        (b"NaN", np.nan),
        (b"-Infinity", -np.inf),
    ],
)
def test_a_number_of_any_size_is_one(value: bytes, number: float) -> None:
    readings, _ = parse(b'{"a":%s,"b":1}\n{"a":1,"b":2}\n' % value)
    np.testing.assert_array_equal(readings.values[:, 0], [number, 1.0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'{"a":%s}' % (b"9" * 5000), "not a JSON object"),
        (b'{"a":"1"}', "'a' is '1', not a number"),
        (b'{"a":"\\u001b[2J%s"}' % (b"x" * 1000), r"'a' is '\?\[2Jx{36}', not a number"),
        (b'{"a":true}', "'a' is 'True', not a number"),
        (b'{"a":[1]}', "'a' is an array, not a number"),
        (b'{"a":{}}', "'a' is an object, not a number"),
        (b'{"a":1_0}', "not a JSON object"),
        (b'{"a":1,"machine_id":false}', "'machine_id' is 'False', not text or a number"),
        (b'{"a":1,"machine_id":"a\\u0000"}', "control character"),
        (b'{"a":1,"machine_id":%s}' % (b"1" * 300), "longer than 256 letters"),
        (b'{"a":1,"time":[]}', "'time' is an array, not text or a number"),
        (b'{"a":1,"time":true}', "'time' is 'True', not text or a number"),
        (b'{"a":1,"time":"1_767_225_600"}', "not a time"),
        (b'{"a":1,"time":1e300}', "not a time"),
        (b'{"a":1,"time":NaN}', "not a time"),
        (b'{"a":1,"time":-1}', "not a time"),
        (b'{"a":1,"time":99999999999}', "cannot be told"),
        (b'{"a":1,"time":"0001-01-01T00:00:00Z"}', "not a time"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'"a"', "not a JSON object"),
        (b"\xff\xfe", "not a JSON object"),
        (b'{"a":1', "not a JSON object"),
    ],
)
def test_what_is_no_reading_is_named(text: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        parse(b'{"a":1,"b":2}\n' + text)
    assert str(error.value).isprintable()
    _, left_out, said = messages(text)
    assert left_out == {"unreadable message": 1}
    assert len(said) == 1


def test_lone_surrogates_are_letters_that_cannot_be_shown() -> None:
    readings, _ = parse(b'{"a":1,"b":2,"machine_id":"m\\ud800","\\udfff":1}')
    assert readings.machines.tolist() == ["m?"]
    unmapped = Unmapped()
    JsonRows(COLUMNS, "in", unmapped).parse(b'{"\\ud800":1,"temp\\u001b":2}', 1)
    assert str(unmapped) == "?, temp?"


def test_an_array_is_one_message_good_and_bad_objects_alike() -> None:
    readings, left_out, said = messages(b'[{"a":1,"b":2},{"a":"x"},{"a":3,"b":4}]', b'{"a":5,"b":6}')
    assert readings.values.tolist() == [[5.0, 6.0]]
    assert left_out == {"unreadable message": 1}
    assert said == ["p/m: 'a' is 'x', not a number"]
    readings, left_out, _ = messages(b'[{"a":1,"b":2},{"temp_c":7},{"a":3,"b":4}]')
    assert readings.values.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert left_out == {"none of the sensors in it": 1}
    readings, left_out, _ = messages(b'[1,{"a":1,"b":2}]', b"[null]", b"[[]]", b"7", b"true")
    assert (len(readings), left_out) == (0, {"unreadable message": 5})


def test_a_message_of_comments_is_counted_also_beside_others() -> None:
    for payloads in (
        (b"# one", b"s a=1,b=2"),
        (b"s a=1,b=2", b"# one\n\n# two", b"s a=3,b=4 1767225600000000007"),
        (b"#",),
    ):
        readings, left_out, _ = messages(*payloads)
        assert len(readings) == sum(payload.startswith(b"s") for payload in payloads)
        assert left_out == {"unreadable message": 1}
    readings, left_out, _ = messages(b"# one\ns a=1,b=2")
    assert (len(readings), left_out) == (1, {})


def test_a_topic_of_any_letters_names_a_machine_or_is_counted() -> None:
    line, document = b"s a=1,b=2", b'{"a":1,"b":2}'
    topics = ("p/m\0", "p/\x1b[2J", "p/" + "m" * 300, "p/good")
    readings, left_out, said = messages(
        *[line, document] * 4, topics=tuple(one for one in topics for _ in "ab")
    )
    assert readings.machines.tolist() == ["good", "good"]
    assert left_out == {"unreadable message": 6}
    assert all(one.isprintable() for one in said)


def test_a_field_alone_without_tag_and_time_is_a_row() -> None:
    readings, left_out, _ = messages(b"s a=55.4", b"s a=55.5", b"s a=55.6")
    assert (len(readings), left_out) == (3, {})
    assert readings.times.tolist() == [NO_TIME] * 3

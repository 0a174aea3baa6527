"""An InfluxDB that answers anything of any shape: it is rows or an error of the source."""

from __future__ import annotations

import copy
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from fuzz.lines import Mutator
from support.answering import Answering, answering
from support.influxanswers import (
    DOCUMENT,
    GOOD,
    HEADER,
    ROW,
    T0,
    WANTED,
    ask,
    client,
    flux,
    influxql,
    questions,
)

from edge_runtime.errors import SourceError, SourceUnavailableError
from edge_runtime.influxdb.query import query
from edge_runtime.influxdb.reader import HOUR_NS
from edge_runtime.influxdb.survey import elsewhere

if TYPE_CHECKING:
    from collections.abc import Iterator

SOAK = bool(os.environ.get("EDGE_DETECT_SOAK"))
STRANGERS: list[Any] = [None, 7, -1.5, 10**30, True, "text", "", [], [None], [[]], {}, {"results": []}]


@pytest.fixture(scope="module")
def server() -> Iterator[Answering]:
    with answering() as found:
        yield found


@pytest.fixture(autouse=True)
def _as_at_first(server: Answering) -> None:
    server.raw, server.headers, server.answer = False, {}, lambda _: ()


def with_strangers(document: Any) -> Iterator[Any]:
    """The same with each of its values, at each depth, replaced by each kind of value."""
    yield from STRANGERS
    if isinstance(document, dict | list):
        for key in list(document) if isinstance(document, dict) else range(len(document)):
            for other in with_strangers(document[key]):
                changed = copy.copy(document)
                changed[key] = other
                yield changed
            changed = copy.copy(document)
            del changed[key]
            yield changed


def test_the_good_answer_is_understood(server: Answering) -> None:
    server.says(DOCUMENT, b"\n", DOCUMENT.replace(b"%d" % T0, b"%d" % (T0 + 2)))
    found = {name: ask(question) for name, question in questions(influxql(server)).items()}
    assert sum(found["rows"]) == 3  # one has no machine, and is in both documents
    assert found["machines"] == ("m1", "m2")
    assert found["fields"] == {"a": {"float"}, "b": {"integer"}}
    server.says(HEADER + ROW % 1 + ROW % 2)
    assert ask(questions(flux(server))["rows"]) == [2]


def test_values_of_any_kind_anywhere_are_rows_or_errors_of_the_source(server: Answering) -> None:
    outcomes: dict[str, set[str]] = {}
    number = 0
    for document in with_strangers(GOOD):
        content = json.dumps(document).encode()
        server.says(content)
        # All of them each time in the soak alone; else in turns.
        names = list(questions(influxql(server)))
        for name in names if SOAK else ("rows", names[number % len(names)]):
            found = ask(questions(influxql(server))[name])
            outcomes.setdefault(name, set()).add(str(found) if isinstance(found, type) else "answer")
        if SOAK or number % 4 == 0:
            ask(lambda: list(query(client(server), "SHOW ANYTHING")))
            elsewhere(client(server), "sensors")
        number += 1
    assert number > 400
    assert all(len(kinds) >= 2 for kinds in outcomes.values()), outcomes


@pytest.mark.parametrize("language", ["influxql", "flux"])
def test_mutated_answers_are_rows_or_errors_of_the_source(language: str, server: Answering) -> None:
    good = (
        [DOCUMENT, DOCUMENT + b"\n" + DOCUMENT, b'{"results":[{"error":"database not found: x"}]}']
        if language == "influxql"
        else [
            HEADER + ROW % 1 + ROW % 2,
            HEADER + ROW % 1 + b"\r\n" + HEADER,
            b",error,reference\r\n,failed,7\r\n",
        ]
    )
    mutator, seen = Mutator(1, good), set[str]()
    reader = influxql(server) if language == "influxql" else flux(server)
    names = list(questions(reader))
    for number in range(50_000 if SOAK else 1000):
        content = mutator.mutated()
        server.says(content[:40], content[40:])
        name = names[number % len(names)] if number % 2 else "rows"
        found = ask(questions(reader)[name])
        seen.add(str(found) if isinstance(found, type) else "answer")
    assert len(seen) >= 3, seen


def test_a_mutated_answer_of_a_thousand_documents_that_is_cut_at_any_byte_is_one_that_is_cut(
    server: Answering,
) -> None:
    documents = [
        b'{"results":[{"series":[{"name":"s","columns":["time","a","b"],"values":[[%d,1,2]]}]}]}' % (T0 + at)
        for at in range(1000)
    ]
    ends = {1, len(documents[0]) + 1}
    for between in (b"\n", b"\r\n", b""):
        whole = between.join(documents)
        boundaries = {0, *(at for at in range(len(whole) + 1) if whole.startswith(b'{"results', at))}
        cuts = sorted({*range(0, len(whole), 1201 if SOAK else 6007), *range(300 if SOAK else 100), *ends})
        if SOAK and not between:  # as the newest servers write it: a quarter of an hour
            cuts = list(range(len(whole)))
        for at in cuts:
            server.says(whole[:at])
            rows, error = 0, None
            try:
                for series in query(client(server), "SELECT", most_bytes=None):
                    rows += len(series)
            except SourceUnavailableError as found:
                error = found
            complete = whole[:at].count(b"]]}]}]}")
            cut_within = not whole[:at].rstrip(b"\r\n").endswith(b"]]}]}]}") and at not in boundaries
            assert (error is not None) is cut_within, (between, at)
            # Of what may go on, it is only known with the next document's first letter that it does not.
            assert complete - (error is not None) <= rows <= complete, (between, at)


def test_rows_outside_of_what_was_asked_for_are_not_asked_for_for_ever(server: Answering) -> None:
    document = copy.deepcopy(GOOD)
    document["results"][0]["partial"] = True
    document["results"][0]["series"][0]["values"] = [
        [T0 - 10**9, *GOOD["results"][0]["series"][0]["values"][0][1:]]
    ] * 2
    server.says(json.dumps(document).replace("-", "").encode())
    found = ask(lambda: list(influxql(server).rows(WANTED, T0, T0 + HOUR_NS)))
    assert found is SourceUnavailableError or issubclass(found, SourceError)

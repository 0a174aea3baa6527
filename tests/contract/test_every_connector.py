"""What every source and sink says of itself: sentences, tables, and settings that can be documented."""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.feeds import SENSORS
from support.targets import DIGEST
from support.thirdparty import SINK, SOURCE, sink_kind, source_kind

from edge_runtime.config import settings_of
from edge_runtime.connector import Connector, Given
from edge_runtime.errors import UsageError
from edge_runtime.gateway.settings import OWN_TABLES
from edge_runtime.sinks.base import SinkKind, Verdicts
from edge_runtime.sinks.registry import SINKS
from edge_runtime.sources.base import Feed, SourceKind
from edge_runtime.sources.registry import SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.config import Setting

BUILT_IN: list[Connector] = [*SOURCES.usable(), *SINKS.usable()]
NAMES = [*(("source", name) for name in SOURCES.names()), *(("sink", name) for name in SINKS.names())]
SENTENCE = re.compile(r"[A-Z].*[^.\s]\.", re.DOTALL)
KEY = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
FLAG = re.compile(r"--[a-z][a-z0-9-]*")
# What an option needs beside itself, so that nothing else is missing.
COMPLETE: dict[str, dict[str, Any]] = {
    "influx": {"database": "d"},
    "csv": {"input": "in.csv"},
    "jsonl": {"output": "out.jsonl"},
    "alarmlog": {"output": "alarms.jsonl"},
    "webhook": {"url": "http://127.0.0.1:9/alarms"},
    "alertmanager": {"url": "http://127.0.0.1:9"},
    "ntfy": {"url": "http://127.0.0.1:9/plant"},
    "slack": {"url": "http://127.0.0.1:9/hook"},
    "teams": {"url": "http://127.0.0.1:9/hook"},
    "email": {"sender": "edge@plant.example", "to": ["ada@plant.example"], "security": "none"},
}

# Faster than anything is as fast as it goes.
HARMLESS = {("simulate", "speed", math.inf)}


@pytest.fixture(params=[*NAMES, ("source", SOURCE), ("sink", SINK)], ids=" ".join)
def kind(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Connector:
    what, name = request.param
    found: Connector = (source_kind if what == "source" else sink_kind)(name, tmp_path, monkeypatch)
    assert found.name == name
    assert isinstance(found, SourceKind if what == "source" else SinkKind)
    return found


def settings(kind: Connector) -> Iterator[tuple[str, type, Setting]]:
    for name, table in kind.tables.items():
        yield from ((name, table, one) for one in settings_of(table))


def test_it_says_what_it_is_and_what_it_promises_in_sentences(kind: Connector) -> None:
    for text in (kind.summary, kind.guarantee):
        assert SENTENCE.fullmatch(text)
        assert text.isprintable()


def test_each_setting_has_a_sentence_and_a_name_that_toml_and_a_shell_take(kind: Connector) -> None:
    for table, _, one in settings(kind):
        assert KEY.fullmatch(table)
        assert KEY.fullmatch(one.name)
        assert SENTENCE.fullmatch(one.help), f"{table}.{one.name}"
        assert not one.flag or FLAG.fullmatch(one.flag), f"{table}.{one.name}"
        assert one.kind in (str, int, float, bool, Path), f"{table}.{one.name}"


def test_each_default_is_of_the_declared_type(kind: Connector) -> None:
    for name, table, one in settings(kind):
        where = f"{name}.{one.name}"
        if one.default is None:
            hint = typing.get_type_hints(table)[one.name]
            assert isinstance(hint, types.UnionType), where
            assert types.NoneType in typing.get_args(hint), where
        elif one.many:
            assert isinstance(one.default, tuple), where
            assert all(isinstance(part, one.kind) for part in one.default), where
        else:
            assert isinstance(one.default, one.kind), where
            assert isinstance(one.default, bool) is (one.kind is bool), where


def test_its_tables_are_frozen_and_filled_by_their_defaults(kind: Connector) -> None:
    given = Given.of(kind, {}, "nowhere")
    for table in kind.tables.values():
        assert given[table] == table()
        for field in dataclasses.fields(table):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(given[table], field.name, None)


def test_no_two_settings_of_what_is_built_in_have_the_same_option() -> None:
    takers: dict[str, set[tuple[str, str]]] = {}
    for name, table in OWN_TABLES.items():
        for one in settings_of(table):
            takers.setdefault(one.flag, set()).add((name, one.name))
    for kind in BUILT_IN:
        for name, _, one in settings(kind):
            takers.setdefault(one.flag, set()).add((name, one.name))
    del takers[""]
    assert "--input" in takers
    assert {flag: places for flag, places in takers.items() if len(places) > 1} == {}


def test_a_setting_of_a_shared_table_is_the_same_for_all_that_share_it() -> None:
    seen: dict[tuple[str, str], Setting] = {}
    for kind in BUILT_IN:
        for name, _, one in settings(kind):
            assert seen.setdefault((name, one.name), one) == one
    assert ("influx", "url") in seen


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("kind_", "table", "key"),
    [
        pytest.param(kind, name, one.name, id=f"{type(kind).__name__}-{name}.{one.name}")
        for kind in BUILT_IN
        for name, _, one in settings(kind)
        if one.kind is float
    ],
)
def test_a_number_that_is_not_finite_is_refused_before_it_runs(
    kind_: Connector, table: str, key: str, value: float
) -> None:
    tables: dict[str, dict[str, Any]] = {name: dict(COMPLETE.get(name, {})) for name in kind_.tables}
    tables[table][key] = value
    if (table, key, value) in HARMLESS:
        _make(kind_, tables)
        return
    with pytest.raises(UsageError):
        _make(kind_, tables)


def _make(kind: Connector, tables: dict[str, dict[str, Any]]) -> None:
    given, said = Given.of(kind, tables, "bench.toml"), list[str]()
    if isinstance(kind, SourceKind):
        feed = Feed(sensors=SENSORS, report=said.append, now_ns=lambda: 0, future_s=60.0, owner="test")
        kind.make(given, feed).check()
    elif isinstance(kind, SinkKind):
        kind.make(given, Verdicts(sensors=SENSORS, digest=DIGEST, report=said.append))

"""Every source there is, held to one contract where it really reads: files, pipes, a database, a broker."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from support.benches import BENCHES, bench_of
from support.feeds import LIMIT_S, SENSORS, T0, by_machine, rows
from support.thirdparty import SOURCE, source_kind

from edge_runtime.records import Readings
from edge_runtime.sources.registry import SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.feeds import Bench, Row

    from edge_runtime.sources.base import Batch

ROWS = 13_000
NAMES = [*SOURCES.names(), SOURCE]
JOIN_S = 120.0

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(params=NAMES)
def bench(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """The source's bench; a source without one fails here."""
    made = bench_of(request.param)(
        source_kind(request.param, tmp_path, monkeypatch), tmp_path, monkeypatch, request
    )
    yield made
    made.finish()


def number(batches: list[Batch]) -> int:
    return sum(len(batch.readings) for batch in batches)


def test_a_source_without_a_bench_is_told_where_to_add_one() -> None:
    with pytest.raises(AssertionError, match="add a bench for it to BENCHES in tests/support/benches.py"):
        bench_of("nobody")
    assert set(BENCHES) == set(NAMES)  # and none is left of a source that went away


def test_every_row_comes_once_as_written_and_in_the_order_of_time(bench: Bench) -> None:
    put = rows(ROWS)
    bench.put(put)
    source = bench.open()
    assert source.name == bench.kind.name
    assert source.live is bench.live
    source.check()
    batches = bench.read(source, None, ROWS)
    assert len(batches) >= bench.least_batches
    for batch in batches:
        assert isinstance(batch.readings, Readings)
        assert batch.readings.values.shape == (len(batch.readings), len(SENSORS))
        assert batch.skipped == {}
        assert batch.unreadable == 0
    found = by_machine(batches)
    assert found == bench.expected(put, batches)
    assert number(batches) == ROWS or (bench.makes_rows and number(batches) >= ROWS)
    for of_machine in found.values():
        times = [row[0] for row in of_machine]
        assert times == sorted(set(times))
    assert bench.said == []


def test_after_each_checkpoint_the_rest_follows_in_a_new_source(bench: Bench) -> None:
    put = rows(ROWS)
    bench.put(put)
    batches = bench.read(bench.open(), None, ROWS)
    assert number(batches) >= ROWS
    if not bench.goes_back:
        assert all(batch.checkpoint is None for batch in batches)
        return
    done, reached = 0, None
    for i, batch in enumerate(batches, 1):
        done += len(batch.readings)
        assert batch.checkpoint is not None
        reached = batch.checkpoint.on_top_of(reached)
        rest = bench.read(bench.open(), reached, ROWS)
        assert number(rest) == ROWS - done
        assert by_machine(rest) == by_machine(_after(put, by_machine(batches[:i])))
        # What a broker sends again and was committed is left out, and said to be.
        assert sum(sum(one.skipped.values()) for one in rest) == (done if bench.acknowledges else 0)


def _after(put: list[Row], before: dict[str, list[tuple[int, float, float]]]) -> list[Row]:
    """The rows that a machine has beyond those that came."""
    newest = {machine: came[-1][0] for machine, came in before.items()}
    return [row for row in put if row.time > newest.get(row.machine, T0 - 1)]


def test_what_was_acknowledged_does_not_come_again_and_what_was_not_does(bench: Bench) -> None:
    put = rows(600)
    bench.put(put)
    first = bench.read(bench.open(), None, len(put))
    again = bench.open()
    batches = again.batches(None)
    second: list[Batch] = []
    while number(second) < len(put) and (batch := next(batches, None)) is not None:
        second.append(batch)
    again.acknowledge()
    bench.end(again, batches)
    if not bench.makes_rows:
        assert by_machine(first) == by_machine(second) == by_machine(put)
    more = rows(3, start=600)
    bench.put(more)
    third = bench.read(bench.open(), None, len(more) if bench.acknowledges else 603)
    if bench.acknowledges:
        assert by_machine(third) == by_machine(more)
    else:
        assert by_machine(third) == bench.expected([*put, *more], third)


def test_closing_ends_it_at_its_next_block_and_before_its_first(bench: Bench) -> None:
    bench.put(rows(ROWS))
    source = bench.open()
    batches = source.batches(None)
    next(batches)
    bench.end(source, batches)  # which finds no further row
    early = bench.open()
    early.close()
    early.close()
    assert number(list(early.batches(None))) == 0


def test_closing_from_another_thread_ends_it_while_it_waits(bench: Bench) -> None:
    bench.put(rows(9))
    source = bench.open(bench.waiting())
    came = threading.Event()

    def read() -> None:
        for _ in source.batches(None):
            came.set()

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    assert came.wait(JOIN_S)
    if not bench.waits:
        thread.join(JOIN_S)
        assert not thread.is_alive()  # it ends by itself
        return
    thread.join(0.3)
    assert thread.is_alive()
    source.close()
    thread.join(JOIN_S)
    assert not thread.is_alive()


def test_the_identity_is_one_line_about_what_is_read(bench: Bench) -> None:
    bench.put(rows(3))
    identity = bench.kind.identity(bench.given())
    assert identity.isprintable()
    assert identity == identity.strip() != ""
    assert identity.split()[0] == bench.kind.name
    assert {bench.kind.identity(bench.given(same)) for same in bench.same_feed()} == {identity}
    others = [bench.kind.identity(bench.given(other)) for other in bench.other_feeds()]
    assert len({identity, *others}) == 1 + len(others)
    assert bool(others) != (identity == bench.kind.name)  # a feed of which there is one has no more to say


def test_what_came_is_a_line_or_nothing(bench: Bench) -> None:
    bench.put(rows(9))
    source = bench.open()
    before = source.what_came()
    bench.read(source, None, 9)
    for text in (before, source.what_came()):
        assert text is None or (text.isprintable() and text.strip() == text != "")


def test_a_source_that_cannot_work_says_so_by_an_error_of_this_project(bench: Bench) -> None:
    bench.put(rows(9))
    broken = bench.broken()
    assert broken
    wrong, until = {}, time.monotonic() + LIMIT_S
    for label, (error, make) in broken.items():
        try:
            source = make()
            source.check()
            for batch in source.batches(None):
                assert not len(batch.readings), "it works"
                assert time.monotonic() < until, "it waits"
        except error as found:
            assert found.what  # noqa: PT017 - each of them, by name
        except Exception as found:  # noqa: BLE001 - whatever it is, it is wrong
            wrong[label] = f"{type(found).__name__} instead of {error.__name__}: {found}"
        else:
            wrong[label] = "nothing was wrong"
    assert wrong == {}

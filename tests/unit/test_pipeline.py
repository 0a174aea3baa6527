"""The loop: in order, accounted for, and right through outages of its source and its disk."""

from __future__ import annotations

import dataclasses
import json
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.bundles import make_bundle, normal_rows

from edge_runtime.checkpoint import Checkpoint
from edge_runtime.delivery.backoff import Backoff
from edge_runtime.delivery.ledger import Ledger
from edge_runtime.delivery.sender import Sender
from edge_runtime.engine.engine import Engine
from edge_runtime.errors import LedgerUnavailableError, SelfTestError, SourceError, SourceUnavailableError
from edge_runtime.gateway.pipeline import Pipeline
from edge_runtime.loading.load import Bundle, load_bundle
from edge_runtime.records import Readings, Results
from edge_runtime.sinks.jsonl import JsonlSink
from edge_runtime.sources.base import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

SECOND = 1_000_000_000
Step = Readings | Exception


class ScriptedSource:
    """Gives rows by number, and fails where it is told to."""

    name = "scripted"
    live = False

    def __init__(self, rows: int, *, block: int = 10, fails: dict[int, Exception] | None = None) -> None:
        self.values = normal_rows(rows, seed=3)
        self.block = block
        self.fails = dict(fails or {})
        self.starts: list[str | None] = []
        self.closed = False
        self.instead: str | None = None
        self.skipped: dict[str, int] = {}
        self.held = False
        self.given = 0
        self.acknowledged: list[int] = []
        self.when_asked: Callable[[int], None] = lambda _at: None

    def check(self) -> None: ...

    def what_came(self) -> str | None:
        return self.instead

    def acknowledge(self) -> None:
        self.acknowledged.append(self.given)

    def close(self) -> None:
        self.closed = True

    def batches(self, checkpoint: Checkpoint | None) -> Iterator[Batch]:
        self.starts.append(checkpoint.text if checkpoint else None)
        at = int(checkpoint.text) if checkpoint else 0
        while at < len(self.values) and not self.closed:
            if at in self.fails:
                raise self.fails.pop(at)
            self.when_asked(at)
            part = self.values[at : at + self.block]
            times = np.arange(at, at + len(part), dtype=np.int64) * SECOND
            at += len(part)
            self.given = at
            readings = Readings(np.full(len(part), "press"), times, part)
            yield Batch(readings, Checkpoint(str(at)), self.skipped, self.held)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_bundle(make_bundle(tmp_path_factory.mktemp("pipeline"), smooth=3))


class Run:
    """A pipeline into a JSON lines file, with everything that was said."""

    def __init__(self, folder: Path, bundle: Bundle, source: ScriptedSource, **options: Any) -> None:
        self.file = folder / "out.jsonl"
        self.said: list[str] = []
        self.waits: list[float] = []
        self.ledger = Ledger(folder / "ledger.sqlite", "scripted")
        self.sender = Sender(
            JsonlSink(self.file, bundle.metadata.sensor_names), self.ledger, self.said.append
        )
        options = {"wait": self.waits.append, **options}
        self.pipeline = Pipeline(
            source,
            Engine(bundle),
            ledger=self.ledger,
            senders=[self.sender],
            report=self.said.append,
            **options,
        )

    def __call__(self) -> list[dict[str, Any]]:
        try:
            self.pipeline.run()
        finally:
            self.ledger.close()
        return self.rows()

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.read_text().splitlines()]


def times(rows: list[dict[str, Any]]) -> list[str]:
    return [row["time"] for row in rows]


def wanted(count: int, first: int = 0) -> list[str]:
    return [f"1970-01-01T00:{s // 60:02}:{s % 60:02}Z" for s in range(first, first + count)]


def test_every_row_comes_out_in_order_with_its_score(tmp_path: Path, loaded: Bundle) -> None:
    run = Run(tmp_path, loaded, ScriptedSource(250))
    rows = run()
    assert times(rows) == wanted(250)
    assert all(row["verdict"] in {"normal", "anomaly"} and row["score"] > 0 for row in rows)
    assert run.pipeline.accounts.balanced
    assert run.pipeline.accounts.counters["read"] == 250
    assert run.said == []


def test_what_is_skipped_is_counted_and_the_sums_balance(tmp_path: Path, loaded: Bundle) -> None:
    source = ScriptedSource(30)
    source.skipped = {"not a line": 2}
    source.values[4, 1] = np.nan
    source.values[7, 0] = 1e6
    run = Run(tmp_path, loaded, source)
    rows = run()
    counters = run.pipeline.accounts.counters
    assert counters["read"] == 36
    assert counters["skipped.not a line"] == 6
    assert counters["unknown.missing"] == 1
    assert counters["unknown.out of range"] == 1
    assert run.pipeline.accounts.balanced
    assert [row["verdict"] for row in rows].count("unknown") == 2
    assert rows[4]["score"] is None
    assert rows[4]["reason"] == "missing"


def test_an_outage_is_told_once_waited_out_and_gone_on_from_the_checkpoint(
    tmp_path: Path, loaded: Bundle
) -> None:
    source = ScriptedSource(60, fails={20: SourceUnavailableError("gone")})
    again = iter([SourceUnavailableError("still gone")])
    original = source.batches

    def twice(checkpoint: Checkpoint | None) -> Iterator[Batch]:
        if checkpoint == Checkpoint("20") and (error := next(again, None)) is not None:
            source.starts.append("20")
            raise error
        yield from original(checkpoint)

    source.batches = twice  # type: ignore[method-assign]
    run = Run(tmp_path, loaded, source)
    rows = run()
    assert times(rows) == wanted(60)
    assert source.starts == [None, "20", "20"]
    assert len(run.waits) == 2
    assert run.said == ["scripted: gone; trying again", "scripted: answers again"]


def test_a_source_that_fails_for_good_loses_nothing_that_was_read(tmp_path: Path, loaded: Bundle) -> None:
    run = Run(tmp_path, loaded, ScriptedSource(60, fails={30: SourceError("broken")}))
    with pytest.raises(SourceError, match="broken"):
        run()
    assert times(run.rows()) == wanted(30)


def test_while_the_disk_is_full_reading_waits_and_nothing_is_lost(
    tmp_path: Path, loaded: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path, loaded, ScriptedSource(300, block=100))
    full = [LedgerUnavailableError("disk full")] * 3
    commit = run.ledger.commit

    def refusing(**parts: Any) -> None:
        if full and run.pipeline.accounts.counters["read"] > 100:
            raise full.pop()
        commit(**parts)

    monkeypatch.setattr(run.ledger, "commit", refusing)
    rows = run()
    assert times(rows) == wanted(300)
    assert len(run.waits) == 3
    assert run.said == [
        "ledger: disk full; reading is paused until it can be written",
        "ledger: is writable again",
    ]


def test_a_machine_that_moved_in_a_poll_without_rows_is_stored_with_the_next_ones(
    tmp_path: Path, loaded: Bundle
) -> None:
    source = ScriptedSource(20)
    original = source.batches

    def with_an_idle_poll(checkpoint: Checkpoint | None) -> Iterator[Batch]:
        yield Batch(Readings.empty(4), Checkpoint("0", {"a": 1, "gone": None}), {})
        source.fails = {10: SourceUnavailableError("gone")} if checkpoint is None else {}
        for batch in original(checkpoint):
            assert batch.checkpoint is not None
            yield dataclasses.replace(batch, checkpoint=Checkpoint(batch.checkpoint.text, {"press": 2}))

    source.batches = with_an_idle_poll  # type: ignore[method-assign]
    run = Run(tmp_path, loaded, source)
    assert times(run()) == wanted(20)
    ledger = Ledger(tmp_path / "ledger.sqlite", "scripted")
    assert ledger.checkpoint() == Checkpoint("20", {"a": 1, "press": 2})
    ledger.close()


def test_after_the_ledger_was_mended_all_that_is_known_is_stored_again(
    tmp_path: Path, loaded: Bundle
) -> None:
    source = ScriptedSource(400, block=100)
    original = source.batches

    def of_two_machines(checkpoint: Checkpoint | None) -> Iterator[Batch]:
        for number, batch in enumerate(original(checkpoint)):
            assert batch.checkpoint is not None
            name = "first" if number == 0 else "press"
            readings = Readings([name] * 100, batch.readings.times, batch.readings.values)
            reached = Checkpoint(batch.checkpoint.text, {name: number})
            yield dataclasses.replace(batch, readings=readings, checkpoint=reached)

    def damaged(at: int) -> None:
        if at == 200:
            run.ledger._db.execute("DELETE FROM states")
            run.ledger.mended += 1

    source.batches, source.when_asked = of_two_machines, damaged  # type: ignore[method-assign]
    run = Run(tmp_path, loaded, source)
    assert len(run()) == 400
    ledger = Ledger(tmp_path / "ledger.sqlite", "scripted")
    assert ledger.checkpoint() == Checkpoint("400", {"first": 0, "press": 3})
    assert {(state.stage, state.machine) for state in ledger.states()} >= {
        ("times", "first"),
        ("times", "press"),
    }
    ledger.close()


def test_stopped_while_the_disk_is_full_the_rows_are_left_to_the_next_start(
    tmp_path: Path, loaded: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Run(tmp_path, loaded, ScriptedSource(300, block=100))
    commit = first.ledger.commit

    def refusing(**parts: Any) -> None:
        if parts["checkpoint"] != Checkpoint("100"):
            first.pipeline.stop()
            raise LedgerUnavailableError("disk full")
        commit(**parts)

    monkeypatch.setattr(first.ledger, "commit", refusing)
    first()
    assert first.said == ["ledger: disk full; 100 rows are left for the next start"]
    rows = Run(tmp_path, loaded, ScriptedSource(300, block=100))()
    assert times(rows) == wanted(300)


def test_a_second_process_scores_as_the_first_would_have(tmp_path: Path, loaded: Bundle) -> None:
    def blocks_of_5(folder: Path) -> list[float]:
        folder.mkdir()
        found: list[dict[str, Any]] = []
        for _ in range(5):
            found = Run(folder, loaded, ScriptedSource(100, block=5), max_rows=25)()
        return [row["score"] for row in found]

    parts = blocks_of_5(tmp_path / "parts")
    (tmp_path / "whole").mkdir()
    whole = [row["score"] for row in Run(tmp_path / "whole", loaded, ScriptedSource(100))()]
    assert len(parts) == 100
    np.testing.assert_allclose(parts, whole, rtol=1e-3)


def test_a_row_that_is_not_new_is_skipped_by_its_reason_and_no_sink_gets_it(
    tmp_path: Path, loaded: Bundle
) -> None:
    source = ScriptedSource(30)
    source.skipped = {"conflicting": 1}
    original = source.batches

    def with_old_rows(checkpoint: Checkpoint | None) -> Iterator[Batch]:
        for batch in original(checkpoint):
            readings = batch.readings
            again = Readings(readings.machines, readings.times, readings.values.copy())
            again.values[0] += 1
            yield batch
            yield dataclasses.replace(batch, readings=again)

    source.batches = with_old_rows  # type: ignore[method-assign]
    run = Run(tmp_path, loaded, source)
    rows = run()
    counters = run.pipeline.accounts.counters
    assert times(rows) == wanted(30)
    assert all(row["verdict"] != "unknown" for row in rows)
    assert (counters["read"], counters["skipped.repeated"], counters["skipped.conflicting"]) == (66, 27, 9)
    assert run.pipeline.accounts.balanced


def test_a_row_of_the_future_is_unknown_and_the_clock_is_stored(tmp_path: Path, loaded: Bundle) -> None:
    # A row a second from 1970 on; the clock stands at 5 s, and a row may be a minute ahead.
    run = Run(tmp_path, loaded, ScriptedSource(70), now=lambda _: 5 * SECOND)
    rows = run()
    assert [row.get("reason") for row in rows] == [None] * 66 + ["time in the future"] * 4
    assert run.pipeline.accounts.counters["unknown.time in the future"] == 4
    again = Run(tmp_path, loaded, ScriptedSource(70), now=lambda _: 6 * SECOND)
    assert again.ledger.clock() == 5 * SECOND
    again.ledger._book.about["checkpoint"] = "66"
    # What was of the future moved nothing: when its time has come it is judged.
    assert [row["verdict"] == "unknown" for row in again()[70:]] == [False, True, True, True]


def test_a_clock_that_is_not_believed_is_neither_used_nor_stored(tmp_path: Path, loaded: Bundle) -> None:
    run = Run(tmp_path, loaded, ScriptedSource(70), now=lambda _: None)
    assert all(row["verdict"] != "unknown" for row in run())
    ledger = Ledger(tmp_path / "ledger.sqlite", "scripted")
    assert ledger.clock() is None
    ledger.close()


def test_a_clock_that_is_set_while_running_lets_go_of_times_that_cannot_be(
    tmp_path: Path, loaded: Bundle
) -> None:
    # The clock begins at nothing; rows 0 to 9 come with times of far ahead, then it is set.
    source = ScriptedSource(40)
    clock: list[int | None] = [None]
    source.when_asked = lambda at: clock.__setitem__(0, None if at < 10 else 30 * SECOND)
    original = source.batches

    def with_a_wrong_start(checkpoint: Checkpoint | None) -> Iterator[Batch]:
        for number, batch in enumerate(original(checkpoint)):
            if number == 0:
                times = batch.readings.times + 10**18
                yield dataclasses.replace(
                    batch, readings=Readings(["press"] * 10, times, batch.readings.values)
                )
            else:
                yield batch

    source.batches = with_a_wrong_start  # type: ignore[method-assign]
    run = Run(tmp_path, loaded, source, now=lambda _: clock[0])
    assert times(run())[10:] == wanted(30, first=10)
    assert run.said == ["press: the newest time on record was in the future, and has been discarded"]


def test_what_fails_while_it_is_judged_is_read_again_whole(
    tmp_path: Path, loaded: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path, loaded, ScriptedSource(60))
    judged = []

    def failing(*arguments: Any) -> Any:
        judged.append(1)
        if len(judged) == 4:
            raise MemoryError
        return memory_score(*arguments)

    memory = run.pipeline._engine._graph.memory
    assert memory is not None
    memory_score = memory.score
    monkeypatch.setattr(memory, "score", failing)
    with pytest.raises(MemoryError):
        run.pipeline.run()
    run.ledger.close()
    rows = Run(tmp_path, loaded, ScriptedSource(60))()
    assert times(rows) == wanted(60)
    assert all(row["verdict"] != "unknown" for row in rows)


def test_a_sink_that_fails_at_once_costs_the_others_nothing(tmp_path: Path, loaded: Bundle) -> None:
    class Broken(Direct):
        def deliver(self, payloads: Any) -> None:
            raise OSError(f"gone with {len(payloads)}")

    run = Run(tmp_path, loaded, ScriptedSource(30), direct=[Broken([])])
    with pytest.raises(OSError, match="gone with 1"):
        run.pipeline.run()
    run.ledger.close()
    assert times(Run(tmp_path, loaded, ScriptedSource(30))()) == wanted(30)


def test_a_feed_in_which_nothing_fits_says_so_after_ten_seconds_and_then_once_an_hour(
    tmp_path: Path, loaded: Bundle
) -> None:
    source = ScriptedSource(80)
    source.values[:70, 1] = np.nan
    now = [0.0]
    source.when_asked = lambda at: now.__setitem__(
        0, {10: 9.0, 20: 10.0, 30: 3600.0, 40: 3610.0}.get(at, now[0])
    )
    run = Run(tmp_path, loaded, source, clock=lambda: now[0])
    assert times(run()) == wanted(80)
    assert [line for line in run.said if "in the last minute" not in line] == [
        "scripted: no row could be judged so far: vibration did not come in any of 30 rows",
        "scripted: no row could be judged so far: vibration did not come in any of 50 rows",
    ]


def test_a_feed_without_a_row_says_what_came_instead(tmp_path: Path, loaded: Bundle) -> None:
    source = ScriptedSource(30)
    source.values = source.values[:0]
    source.instead = "no message has one of the sensors; there are: temp_c"
    now = [0.0]

    def idle(_checkpoint: Checkpoint | None) -> Iterator[Batch]:
        for second in (5.0, 9.9, 10.0, 20.0):
            now[0] = second
            yield Batch(Readings.empty(4), None, {})

    source.batches = idle  # type: ignore[assignment, method-assign]
    run = Run(tmp_path, loaded, source, clock=lambda: now[0])
    run.pipeline.run()
    run.ledger.close()
    assert run.said == [f"scripted: {source.instead}"]


def test_a_stored_state_that_is_damaged_is_said_and_begins_anew(tmp_path: Path, loaded: Bundle) -> None:
    Run(tmp_path, loaded, ScriptedSource(20))()
    run = Run(tmp_path, loaded, ScriptedSource(40))
    run.ledger._db.execute("UPDATE states SET value = 'x' WHERE stage = 'memory'")
    assert times(run()) == wanted(40)
    assert len(run.said) == 1
    assert run.said[0].startswith("ledger: press: the stored state of 'memory' is unreadable")


def test_exactly_so_many_new_rows_are_taken_and_the_next_start_goes_on_after_them(
    tmp_path: Path, loaded: Bundle
) -> None:
    sources = [ScriptedSource(100) for _ in range(6)]
    sources[0].skipped = {"not a line": 1}
    counters = []
    for source, most in zip(sources, (22, 3, 1, 2, 10, None), strict=True):
        run = Run(tmp_path, loaded, source, max_rows=most)
        rows = run()
        counters.append(run.pipeline.accounts.counters)
        assert run.pipeline.accounts.balanced
    assert times(rows) == wanted(100)
    # Two whole blocks with two bad lines and 2 rows of a third; from there on the block is read again.
    assert [found["normal"] + found["anomaly"] for found in counters] == [22, 3, 1, 2, 10, 62]
    assert [found["skipped.repeated"] for found in counters] == [0, 2, 5, 6, 8, 8]
    assert [found["skipped.not a line"] for found in counters] == [2, 0, 0, 0, 0, 0]
    # What is cut off is left to the next start.
    assert sources[0].acknowledged == []
    assert sources[-1].acknowledged[-1] == 100


def test_a_stop_wakes_a_pipeline_that_waits_for_its_source(
    tmp_path: Path, loaded: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ScriptedSource(10, fails={0: SourceUnavailableError("gone")})
    run = Run(tmp_path, loaded, source, wait=None)
    waiting = threading.Event()

    def next_wait(_: Backoff) -> float:
        waiting.set()
        return 3600.0

    monkeypatch.setattr(Backoff, "next_wait", next_wait)
    thread = threading.Thread(target=run.pipeline.run)
    thread.start()
    assert waiting.wait(300)
    run.pipeline.stop()
    thread.join(300)
    assert not thread.is_alive()
    run.ledger.close()


@pytest.mark.parametrize("held", [False, True])
def test_what_is_acknowledged_was_committed_and_a_feed_that_holds_back_gets_it_at_once(
    tmp_path: Path, loaded: Bundle, *, held: bool
) -> None:
    source = ScriptedSource(60)
    source.held = held
    run = Run(tmp_path, loaded, source)
    committed: list[Checkpoint | None] = []
    acknowledge = source.acknowledge

    def look() -> None:
        acknowledge()
        committed.append(run.ledger.checkpoint())

    source.acknowledge = look  # type: ignore[method-assign]
    assert times(run()) == wanted(60)
    assert committed == [Checkpoint(str(at)) for at in source.acknowledged]
    assert source.acknowledged[-1] == 60
    assert len(source.acknowledged) == (6 if held else 1)


class Direct:
    """A sink that keeps nothing but the sizes of blocks."""

    name = "direct"

    def __init__(self, seen: list[int]) -> None:
        self.seen = seen

    def check(self) -> None: ...
    def resume(self, position: str | None, waiting: Sequence[bytes]) -> None: ...
    def position(self) -> str | None: ...
    def close(self) -> None: ...

    def encode(self, results: Results) -> bytes:
        self.seen.append(len(results))
        return b""

    def deliver(self, payloads: Any) -> None:
        assert payloads == [b""]


def test_without_a_ledger_exactly_so_many_rows_are_taken(loaded: Bundle) -> None:
    seen: list[int] = []
    watched: list[Results] = []
    pipeline = Pipeline(
        ScriptedSource(100),
        Engine(loaded),
        direct=[Direct(seen)],
        report=seen.append,  # type: ignore[arg-type]
        watch=watched.append,
        max_rows=25,
    )
    pipeline.run()
    assert seen == [10, 10, 5]
    assert [len(results) for results in watched] == [10, 10, 5]


def failing(bundle: Bundle) -> Bundle:
    """What a processor that began to compute otherwise looks like from outside."""
    golden = bundle.metadata.golden
    golden = dataclasses.replace(golden, scores=tuple(score * 1.01 for score in golden.scores))
    return dataclasses.replace(bundle, metadata=dataclasses.replace(bundle.metadata, golden=golden))


def test_golden_rows_that_no_longer_come_out_a_day_later_end_the_run_and_nothing_is_acknowledged(
    tmp_path: Path, loaded: Bundle
) -> None:
    now = [0.0]
    source = ScriptedSource(60)
    source.when_asked = lambda at: now.__setitem__(0, 86_400.0 if at >= 30 else 0.0)
    run = Run(tmp_path, failing(loaded), source, clock=lambda: now[0])
    with pytest.raises(SelfTestError, match="the daily replay failed: .* golden rows do not give the scores"):
        run.pipeline.run()
    assert run.ledger.checkpoint() is None
    assert run.ledger.waiting("jsonl") == 0
    assert source.acknowledged == []
    run.ledger.close()
    assert not run.file.exists() or run.rows() == []


def test_golden_rows_that_still_come_out_go_unnoticed(tmp_path: Path, loaded: Bundle) -> None:
    now = [0.0]
    source = ScriptedSource(60)
    source.when_asked = lambda at: now.__setitem__(0, at * 86_400.0)
    assert times(Run(tmp_path, loaded, source, clock=lambda: now[0])()) == wanted(60)

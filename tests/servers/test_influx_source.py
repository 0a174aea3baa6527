"""Following a real InfluxDB: nothing lost, nothing twice, across late rows, checkpoints and an outage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from influxd import Influxd

from edge_runtime.checkpoint import Checkpoint
from edge_runtime.errors import SourceError, SourceUnavailableError
from edge_runtime.influxdb import InfluxClient, InfluxSettings, ReadingsQuery, create_database, write
from edge_runtime.sources.influx_feed import InfluxSource

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.sources.base import Batch

T0 = 1_760_000_000_000_000_000
SECOND = 1_000_000_000
WANTED = ReadingsQuery(("a",))


def put(client: InfluxClient, *rows: tuple[str, int]) -> None:
    write(client, "".join(f"sensors,machine_id={m} a={s} {T0 + s * SECOND}\n" for m, s in rows).encode())


class Feed:
    """A source whose clock stands where the test sets it, read batch by batch."""

    def __init__(self, client: InfluxClient, *, until: int | None = None, now: int = 1000) -> None:
        self.now = T0 + now * SECOND
        self.waits = 0
        self.source = InfluxSource(
            client.settings,
            WANTED,
            start_ns=T0,
            until_ns=None if until is None else T0 + until * SECOND,
            lateness=10.0,
            now_ns=lambda: self.now,
            wait=self._wait,
        )
        self.checkpoint: Checkpoint | None = None

    def _wait(self, _seconds: float) -> bool:
        self.waits += 1
        return False

    def poll(self) -> list[tuple[str, int]]:
        """Everything there is until the source would wait."""
        found: list[tuple[str, int]] = []
        for batch in self.source.batches(self.checkpoint):
            if not len(batch.readings):
                break
            found += rows(batch)
            assert batch.checkpoint is not None
            self.checkpoint = batch.checkpoint.on_top_of(self.checkpoint)
        return found


def rows(batch: Batch) -> list[tuple[str, int]]:
    seconds = (batch.readings.times - T0) // SECOND
    return list(zip(batch.readings.machines.tolist(), seconds.tolist(), strict=True))


def test_new_rows_are_found_and_old_ones_are_not_repeated(database: InfluxClient) -> None:
    put(database, ("m1", 0), ("m1", 1))
    feed = Feed(database)
    assert feed.poll() == [("m1", 0), ("m1", 1)]
    assert feed.poll() == []
    put(database, ("m1", 2))
    assert feed.poll() == [("m1", 2)]


def test_a_row_that_is_late_by_less_than_the_lateness_is_found_once(database: InfluxClient) -> None:
    put(database, ("m1", 20), ("m2", 20))
    feed = Feed(database)
    feed.poll()
    put(database, ("m1", 15), ("m2", 20), ("m2", 5))
    assert feed.poll() == [("m1", 15)]
    assert feed.poll() == []


def test_a_row_from_the_future_waits_until_its_time_comes(database: InfluxClient) -> None:
    put(database, ("m1", 0), ("m1", 5000))
    feed = Feed(database)
    assert feed.poll() == [("m1", 0)]
    feed.now = T0 + 5000 * SECOND
    assert feed.poll() == [("m1", 5000)]


def test_until_ends_the_source_after_the_last_row(database: InfluxClient) -> None:
    put(database, *(("m1", s) for s in range(10)))
    feed = Feed(database, until=5)
    batches = list(feed.source.batches(None))
    assert [row for batch in batches for row in rows(batch)] == [("m1", s) for s in range(5)]
    assert feed.waits == 0


def test_an_end_that_is_to_come_gives_late_rows_their_time(database: InfluxClient) -> None:
    put(database, ("m1", 0))
    feed = Feed(database, until=1010)
    seen = []
    for batch in feed.source.batches(None):
        seen += rows(batch)
        feed.now += 4 * SECOND
        if feed.now == T0 + 1012 * SECOND:
            put(database, ("m1", 1005))
    assert seen == [("m1", 0), ("m1", 1005)]
    assert feed.now >= T0 + 1020 * SECOND


def test_from_any_checkpoint_on_the_rest_follows_exactly(database: InfluxClient) -> None:
    everything = [(m, s) for s in range(12_000) for m in ("m1", "m2")]
    put(database, *everything)
    batches = list(Feed(database, until=12_000, now=20_000).source.batches(None))
    assert len(batches) > 3
    delivered: list[tuple[str, int]] = []
    reached: Checkpoint | None = None
    for batch in batches:
        delivered += rows(batch)
        assert batch.checkpoint is not None
        reached = batch.checkpoint.on_top_of(reached)
        feed = Feed(database, until=12_000, now=20_000)
        rest = [row for later in feed.source.batches(reached) for row in rows(later)]
        assert sorted(delivered + rest) == sorted(everything)


def test_a_strange_checkpoint_is_an_error(database: InfluxClient) -> None:
    with pytest.raises(SourceError, match="checkpoint is not one of an InfluxDB"):
        next(iter(Feed(database).source.batches(Checkpoint("{}"))))


def test_an_outage_is_told_and_the_checkpoint_goes_on_after_it(tmp_path: Path) -> None:
    with Influxd(tmp_path / "influxd", unpack_into=tmp_path / "package") as server:
        client = InfluxClient(InfluxSettings(url=server.url, database="plant", timeout=5.0))
        create_database(client)
        put(client, ("m1", 0))
        feed = Feed(client)
        assert feed.poll() == [("m1", 0)]
        server.stop(kill=True)
        with pytest.raises(SourceUnavailableError, match="cannot be reached"):
            feed.poll()
        server.start()
        put(client, ("m1", 1))
        assert feed.poll() == [("m1", 1)]


def test_closing_ends_the_feed(database: InfluxClient) -> None:
    put(database, ("m1", 0))
    source = InfluxSource(database.settings, WANTED, start_ns=T0, poll=60.0)
    batches = source.batches(None)
    assert rows(next(batches)) == [("m1", 0)]
    source.close()
    assert list(batches) == []


def test_places_that_a_ledger_has_lost_are_said_once(database: InfluxClient) -> None:
    put(database, ("m1", 0), ("m2", 0))
    said: list[str] = []
    feed = Feed(database)
    feed.source._report = said.append
    lost = Checkpoint(f'{{"start":{T0},"count":2,"mark":0,"oldest":{T0}}}')
    for _ in range(2):
        assert sorted(rows(next(iter(feed.source.batches(lost))))) == [("m1", 0), ("m2", 0)]
    assert said == [
        "influx: damage to the ledger cost the places of 2 machines in the feed; rows may come again"
    ]

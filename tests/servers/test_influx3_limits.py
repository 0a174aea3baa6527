"""InfluxDB 3 Core's limits of Parquet files, memory and addresses; machines that were silent for days."""

from __future__ import annotations

import json
import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.influx3 import DAY_NS, Influx3, Table, serving
from support.reading import read_all, read_blocks
from typer.testing import CliRunner

from edge_runtime.errors import EdgeDetectError, SourceError, SourceUnavailableError
from edge_runtime.influxdb import InfluxClient, InfluxSettings, ReadingsQuery, check_readings, open_reader
from edge_runtime.influxdb.reader import HOUR_NS, Reader
from edge_runtime.sources.influx_feed import InfluxSource
from trainer.cli import app
from trainer.data.tables import read_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.commands import Command

    from edge_runtime.influxdb.rows import Rows

BACKLOG_HOURS = 90 if os.environ.get("EDGE_DETECT_SOAK") else 12
SECOND = 1_000_000_000
NOW = 1_767_830_400_000_000_000  # 2026-01-08T00:00:00Z
WEEK_AGO = NOW - 7 * DAY_NS
WANTED = ReadingsQuery(("a", "b"))
OLD = ("m", NOW - 5 * DAY_NS, SECOND, 10)
FIELDS = {"a": "float", "b": "integer", "note": "string"}


def table(*series: tuple[str, int, int, int]) -> Table:
    """Rows of machines: name, first time, step and number."""
    rows = [
        {"time": first + i * step, "machine_id": machine, "a": i + 0.5, "b": i}
        for machine, first, step, number in series
        for i in range(number)
    ]
    return Table(("machine_id",), FIELDS, sorted(rows, key=lambda row: row["time"]))


def plant(sensors: Table, **limits: Any) -> Influx3:
    return Influx3({"sensors": sensors}, NOW, **limits)


def client(url: str, **changes: Any) -> InfluxClient:
    return InfluxClient(InfluxSettings(**{"url": url, "database": "plant", "timeout": 60.0, **changes}))


MINUTELY_WEEK = table(*((f"press-{i}", WEEK_AGO, 60 * SECOND, 7 * 1440) for i in (1, 2, 3)))


def prepare(url: str, folder: Path, *more: str) -> str:
    words = ["prepare", "--url", url, "--database", "plant", "-o", str(folder), *more]
    result = CliRunner().invoke(app, words)
    if isinstance(result.exception, EdgeDetectError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


class Template(Reader):
    """A reader of somebody's own query: it answers nothing, and no other question is put to it."""

    def __init__(self, held: Influx3) -> None:
        super().__init__(client("http://127.0.0.1:1"))
        self.held = held
        self.asked: list[tuple[int, int]] = []

    def rows(self, wanted: ReadingsQuery, start_ns: int, stop_ns: int) -> Iterator[Rows]:
        del wanted
        self.asked.append((start_ns, stop_ns))
        return iter(())

    def _unexpected(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("another question than the query of one's own")

    measurements = fields = number_fields = tags = describe = _unexpected
    _page = _edge_of_page = _tag_values = _points = _unexpected


WEEK = ("--start", "2026-01-01", "--stop", "2026-01-08")


class TestPages:
    def test_a_week_is_prepared_in_questions_of_an_hour_at_most(self, tmp_path: Path) -> None:
        events = Table(
            ("machine_id",),
            {"kind": "string", "stop": "integer"},
            [
                {
                    "time": WEEK_AGO + DAY_NS,
                    "machine_id": "press-2",
                    "kind": "SPIKE",
                    "stop": WEEK_AGO + DAY_NS + HOUR_NS,
                },
            ],
        )
        held = Influx3({"sensors": MINUTELY_WEEK, "events": events}, NOW)
        with serving(held) as url:
            text = prepare(url, tmp_path / "out", *WEEK, "--gap", "0")
        assert f"{3 * 7 * 1440:,} rows" in text
        assert held.longest_ns == HOUR_NS
        train = read_table(tmp_path / "out" / "train.csv")
        assert list(train.columns) == ["time", "machine_id", "a", "b", "anomaly", "kind"]
        faulty = train[train["anomaly"] == 1]
        assert set(faulty["machine_id"]) == {"press-2"}
        assert len(faulty) in (60, 61)

    def test_a_server_that_allows_less_than_an_hour_gets_shorter_questions(self) -> None:
        for limits in ({"file_limit": 2}, {"row_limit": 100}):
            held = plant(MINUTELY_WEEK, **limits)
            with serving(held) as url:
                rows = read_all(client(url), WANTED, WEEK_AGO, WEEK_AGO + DAY_NS)
            assert len(rows) == 3 * 1440
            assert (np.diff(rows.times) >= 0).all()

    def test_a_moment_without_memory_is_waited_for_and_forgotten(self) -> None:
        held = plant(MINUTELY_WEEK, refusals=3)
        with serving(held) as url:
            reader = open_reader(client(url))
            # A poll's question is short already: nothing is gained by asking for less.
            with pytest.raises(SourceUnavailableError, match="Resources exhausted"):
                list(reader.rows(WANTED, NOW - 11 * SECOND, NOW))
            assert len(held.asked) == 1
            assert sum(map(len, reader.rows(WANTED, WEEK_AGO, WEEK_AGO + 2 * DAY_NS))) == 2 * 3 * 1440
            ranges = [held.range_ns(statement) for statement in held.asked[1:]]
            assert min(ranges) == HOUR_NS // 4
            assert ranges[-1] == HOUR_NS

    def test_answers_that_are_no_longer_wanted_are_not_asked_for(self) -> None:
        held = plant(table(("m", NOW, SECOND, 1)))
        with serving(held) as url:
            reader = open_reader(client(url), stopped=lambda: len(held.asked) >= 10)
            assert reader.first(WANTED, WEEK_AGO, NOW) is None
            assert len(held.asked) == 10
            assert list(reader.rows(WANTED, WEEK_AGO, NOW)) == []
            assert len(held.asked) == 10

    def test_what_lies_elsewhere_is_said_without_a_question_about_everything(self, tmp_path: Path) -> None:
        held = plant(MINUTELY_WEEK)
        with (
            serving(held) as url,
            pytest.raises(
                EdgeDetectError,
                match="no rows from 2025-12-20T00:00:00Z to .*; there are some from 2026-01-01T00:00:00Z",
            ),
        ):
            prepare(url, tmp_path / "out", "--start", "2025-12-20", "--stop", "2025-12-21")
        assert held.longest_ns == HOUR_NS

    @pytest.mark.parametrize("number", [4_999, 5_000, 5_001, 10_000])
    @pytest.mark.parametrize("exact_is_partial", [True, False])
    def test_an_answer_of_full_chunks_is_whole(self, number: int, *, exact_is_partial: bool) -> None:
        held = plant(table(("m", NOW - HOUR_NS, SECOND // 10, number)), exact_is_partial=exact_is_partial)
        with serving(held) as url:
            rows = read_all(client(url), WANTED, NOW - HOUR_NS, NOW)
        assert rows.times.tolist() == [NOW - HOUR_NS + i * SECOND // 10 for i in range(number)]


def rows_asked(held: Influx3, since: int) -> list[str]:
    return [statement for statement in held.asked[since:] if not statement.startswith("SHOW")]


class TestFollowing:
    def source(self, url: str, now: list[int], *, start_ns: int, **more: Any) -> InfluxSource:
        def wait(seconds: float) -> bool:
            now[0] += round(seconds * 1e9)
            return False

        return InfluxSource(
            client(url).settings, WANTED, start_ns=start_ns, now_ns=lambda: now[0], wait=wait, **more
        )

    def test_ten_days_back_and_a_machine_that_was_silent_for_five(self) -> None:
        first = NOW - 10 * DAY_NS
        held = plant(table(("old", first, 600 * SECOND, 100), ("new", NOW - 5 * DAY_NS, 600 * SECOND, 700)))
        with serving(held) as url:
            batches = self.source(url, [NOW], start_ns=first).batches(None)
            found = 0
            while found < 800:
                found += len(next(batches).readings)
        assert found == 800
        assert held.longest_ns <= HOUR_NS

    def test_a_long_silence_costs_one_question_a_poll_and_a_search_a_minute(self) -> None:
        held = plant(table(OLD))
        now = [NOW]
        with serving(held) as url:
            batches = self.source(url, now, start_ns=NOW - 6 * DAY_NS).batches(None)
            assert len(next(batches).readings) == 10
            for _ in range(3):
                assert len(next(batches).readings) == 0
            before = len(held.asked)
            for _ in range(50):
                assert len(next(batches).readings) == 0
            assert len(rows_asked(held, before)) == 50
            # Twice a minute machines are looked for whose clocks are far behind.
            assert len(held.asked) - before <= 52
            # What was cut off for four days comes in: it is found within a minute, and whole.
            held.tables["sensors"] = table(OLD, ("m", NOW - 4 * DAY_NS, HOUR_NS, 90))
            found: list[int] = []
            started = now[0]
            while len(found) < 90:
                found += next(batches).readings.times.tolist()
                assert now[0] - started <= 61 * SECOND
        assert found == [NOW - 4 * DAY_NS + i * HOUR_NS for i in range(90)]

    def test_a_backlog_that_comes_in_slowly_is_read_as_it_comes(self) -> None:
        held = plant(table(OLD))
        now = [NOW]
        with serving(held) as url:
            batches = self.source(url, now, start_ns=NOW - 6 * DAY_NS).batches(None)
            for _ in range(3):
                next(batches)
            found = 0
            for hours in range(1, BACKLOG_HOURS):
                held.tables["sensors"] = table(OLD, ("m", NOW - 4 * DAY_NS, HOUR_NS, hours))
                started = now[0]
                while found < hours:
                    found += len(next(batches).readings)
                assert now[0] - started <= (61 if hours == 1 else 2) * SECOND

    def test_new_rows_after_a_long_silence_do_not_hide_older_ones(self) -> None:
        held = plant(table(OLD))
        now = [NOW]
        with serving(held) as url:
            batches = self.source(url, now, start_ns=NOW - 6 * DAY_NS).batches(None)
            for _ in range(5):
                next(batches)
            held.tables["sensors"] = table(
                OLD,
                ("m", NOW - 3 * DAY_NS, SECOND, 5),
                ("m", now[0] - 10 * SECOND, SECOND, 5),
            )
            found: list[int] = []
            while len(found) < 10:
                found += next(batches).readings.times.tolist()
        assert found == sorted(found)
        assert found[:5] == [NOW - 3 * DAY_NS + i * SECOND for i in range(5)]

    def test_an_end_that_is_to_come_changes_nothing_about_the_cost_of_silence(self) -> None:
        held = plant(table(OLD))
        now = [NOW]
        with serving(held) as url:
            source = self.source(url, now, start_ns=NOW - 6 * DAY_NS, until_ns=NOW + 100 * SECOND)
            batches = source.batches(None)
            assert len(next(batches).readings) == 10
            next(batches)
            before = len(held.asked)
            for _ in range(50):
                next(batches)
            assert len(rows_asked(held, before)) == 50
            # Its last poll looks through everything once more.
            held.tables["sensors"] = table(OLD, ("m", NOW - 4 * DAY_NS, HOUR_NS, 5))
            assert sum(len(batch.readings) for batch in batches) == 5

    def test_a_clock_that_is_set_back_delays_no_search(self) -> None:
        held = plant(table(OLD))
        now = [NOW + 3 * DAY_NS]  # as it started, without a battery
        with serving(held) as url:
            batches = self.source(url, now, start_ns=NOW - 6 * DAY_NS).batches(None)
            for _ in range(3):
                next(batches)
            now[0] = NOW
            held.tables["sensors"] = table(OLD, ("m", NOW - 4 * DAY_NS, HOUR_NS, 90))
            found = 0
            while found < 90:
                found += len(next(batches).readings)
                assert now[0] - NOW <= 61 * SECOND

    def test_a_search_that_breaks_off_is_made_again(self) -> None:
        held = plant(table(OLD))
        with serving(held) as url:
            source = self.source(url, [NOW], start_ns=NOW - 6 * DAY_NS)
            batches = source.batches(None)
            checkpoint = next(batches).checkpoint
            next(batches)
            held.tables["sensors"] = table(OLD, ("m", NOW - 3 * DAY_NS, SECOND, 5))
            source = self.source(url, [NOW], start_ns=NOW - 6 * DAY_NS)
            source.check()
            held.refusals = 1_000
            with pytest.raises(SourceUnavailableError):
                next(source.batches(checkpoint))
            held.refusals = 0
            assert len(next(source.batches(checkpoint)).readings) == 5

    def test_a_query_of_ones_own_is_never_replaced_by_another_question(self) -> None:
        held = plant(table(OLD))
        reader = Template(held)
        with serving(held) as url, pytest.MonkeyPatch.context() as patch:
            patch.setattr("edge_runtime.sources.influx_feed.open_reader", lambda *_, **__: reader)
            source = self.source(url, [NOW], start_ns=NOW - 6 * DAY_NS, flux="from(…)")
            batches = source.batches(None)
            for _ in range(10):
                assert len(next(batches).readings) == 0
        assert [stop - start for start, stop in reader.asked][1:] == [
            6 * DAY_NS + (60 + i) * SECOND for i in range(10)
        ]

    def test_a_contradiction_that_comes_a_poll_later_is_told_and_counted_once(self) -> None:
        def rows(host: str, value: float, number: int) -> list[dict[str, Any]]:
            first = NOW - 30 * SECOND
            return [
                {"time": first + i * SECOND, "machine_id": "m", "host": host, "a": value, "b": 1}
                for i in range(number)
            ]

        def sensors(*hosts: list[dict[str, Any]]) -> Table:
            found = [row for host in hosts for row in host]
            return Table(("machine_id", "host"), FIELDS, sorted(found, key=lambda row: row["time"]))

        said: list[str] = []
        held = plant(sensors(rows("b", 60.5, 20)))
        with serving(held) as url:
            source = self.source(url, [NOW], start_ns=NOW - HOUR_NS, report=said.append)
            batches = source.batches(None)
            first = next(batches)
            assert first.readings.values[:, 0].tolist() == [60.5] * 20
            held.tables["sensors"] = sensors(rows("b", 60.5, 20), rows("a", 55.5, 20))
            late = next(batches)
            assert first.checkpoint is not None
            assert late.checkpoint is not None
            reached = late.checkpoint.on_top_of(first.checkpoint)
            assert len(late.readings) == 0
            assert late.skipped == {"conflicting": 10}  # within the lateness
            assert said == ["influx: m: two series disagree about one time; one of them is kept"]
            for _ in range(3):
                assert next(batches).skipped == {}
            # Neither after a restart from where it was.
            with pytest.raises(SourceError, match="in the tag 'host'"):
                next(self.source(url, [NOW], start_ns=NOW - HOUR_NS).batches(reached))
            again = self.source(url, [NOW], start_ns=NOW - HOUR_NS)
            again._reader = open_reader(client(url))
            assert next(again.batches(reached)).skipped == {}

    def test_a_token_that_is_replaced_in_its_file_is_taken_up(self, tmp_path: Path) -> None:
        file = tmp_path / "token"
        file.write_text("old")
        file.chmod(0o600)
        held = plant(table(("m", NOW - 10 * SECOND, SECOND, 5)), token="old")
        with serving(held) as url:
            settings = client(url, token="old", token_file=file).settings
            source = InfluxSource(
                settings, WANTED, start_ns=NOW - HOUR_NS, now_ns=lambda: NOW, wait=lambda _: False
            )
            checkpoint = next(source.batches(None)).checkpoint
            held.token = "new"
            with pytest.raises(SourceUnavailableError, match="refuses the login"):
                next(source.batches(checkpoint))
            file.write_text("new")
            held.tables["sensors"] = table(("m", NOW - 10 * SECOND, SECOND, 8))
            assert next(source.batches(checkpoint)).readings.values[:, 1].tolist() == [5, 6, 7]


class TestMachines:
    def test_machines_that_are_not_there_are_named_with_those_that_are(self) -> None:
        # Nothing in the last day, where the server would look by itself.
        held = plant(
            table(("press-1", NOW - 5 * DAY_NS, SECOND, 5), ("press-2", NOW - 3 * DAY_NS, SECOND, 5))
        )
        with serving(held) as url:
            reader = open_reader(client(url))
            check_readings(reader, ReadingsQuery(("a",), machines=("press-1",)), WEEK_AGO, NOW)
            with pytest.raises(SourceError, match="no machine 'nosuch' .*; there are: press-1, press-2"):
                check_readings(reader, ReadingsQuery(("a",), machines=("nosuch",)), WEEK_AGO, NOW)
        assert held.longest_ns <= HOUR_NS

    def test_one_that_is_silent_is_said_when_the_others_are_there(self) -> None:
        held = plant(table(("press-1", NOW - 3 * DAY_NS, SECOND, 5)))
        said: list[str] = []
        with serving(held) as url:
            wanted = ReadingsQuery(("a",), machines=("press-1", "press-2"))
            check_readings(open_reader(client(url)), wanted, WEEK_AGO, NOW, report=said.append)
        (line,) = said
        assert "no machine 'press-2' in the tag 'machine_id' since 2026-01-01T00:00:00Z" in line
        assert "there are: press-1" in line

    def test_one_without_rows_in_the_range_has_some_near_it(self, tmp_path: Path) -> None:
        held = plant(table(("press-1", NOW - 2 * DAY_NS, SECOND, 5)))
        with (
            serving(held) as url,
            pytest.raises(
                EdgeDetectError, match="no rows of machine press-1 from .*there are some from 2026-01-06"
            ),
        ):
            prepare(
                url, tmp_path / "out", "--machine", "press-1", "--start", "2025-12-20", "--stop", "2025-12-21"
            )

    def test_groups_of_machines_whose_answers_end_early_lose_nothing(self) -> None:
        names = tuple(f"press-{i:03}" for i in range(150))
        rows = table(
            *((name, NOW - HOUR_NS + i, 60 * SECOND, 42 if i < 120 else 7) for i, name in enumerate(names))
        )
        with serving(plant(rows, exact_is_partial=True)) as url:
            wanted = ReadingsQuery(("a", "b"), machines=names)
            for chunk in (7, 30, 42, 120, 840):
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(import_module("edge_runtime.influxdb.query"), "CHUNK_ROWS", chunk)
                    found = read_all(client(url), wanted, NOW - HOUR_NS, NOW)
                assert found.times.tolist() == [row["time"] for row in rows.rows]

    def test_a_quotation_mark_in_a_machines_name(self) -> None:
        names = ('q"q', 'a.b"/c', "it's")
        held = plant(table(*((name, NOW - HOUR_NS, SECOND, 2) for name in (*names, 'axb"/c'))))
        with serving(held) as url:
            rows = read_all(client(url), ReadingsQuery(("a",), machines=names), NOW - HOUR_NS, NOW)
        assert sorted(set(rows.machines.tolist())) == sorted(names)

    def test_two_thousand_machines_are_asked_for_in_several_questions(self) -> None:
        names = tuple(f"hall-{i % 7}/press-{i:04}" for i in range(2000))
        held = plant(table(*((name, NOW - HOUR_NS + i, 60 * SECOND, 5) for i, name in enumerate(names))))
        with serving(held) as url:
            wanted = ReadingsQuery(("a", "b"), machines=names[:1999])
            blocks = read_blocks(client(url), wanted, NOW - HOUR_NS, NOW)
            assert open_reader(client(url)).last(wanted, NOW - HOUR_NS, NOW) == max(
                int(block.times[-1]) for block in blocks
            )
        times = np.concatenate([block.times for block in blocks])
        assert len(times) == 5 * 1999
        assert (np.diff(times) >= 0).all()
        assert {str(m) for block in blocks for m in block.machines} == set(names[:1999])

    def test_a_field_is_no_machine(self) -> None:
        with serving(plant(MINUTELY_WEEK)) as url:
            reader = open_reader(client(url))
            with pytest.raises(
                SourceError, match="'b' is a field, not a tag .*; there are: machine_id; or =NAME"
            ):
                check_readings(reader, ReadingsQuery(("a",), machine_tag="b"), WEEK_AGO, NOW)
            with pytest.raises(
                SourceError, match="there is no tag 'host' .*; there are: machine_id; or =NAME"
            ):
                check_readings(reader, ReadingsQuery(("a",), machine_tag="host"), WEEK_AGO, NOW)

    def test_a_table_with_a_row_a_sensor_is_refused(self, tmp_path: Path) -> None:
        rows = [
            {"time": NOW - HOUR_NS + i * SECOND, "machine_id": "m", "sensor": sensor, "value": value + i}
            for i in range(100)
            for sensor, value in (("power", 250.0), ("pressure", 48.0), ("temperature", 50.0))
        ]
        held = plant(Table(("machine_id", "sensor"), {"value": "float"}, rows))
        with (
            serving(held) as url,
            pytest.raises(
                EdgeDetectError, match=r"machine 'm'.*value .*and.*they differ in the tag 'sensor'"
            ),
        ):
            prepare(url, tmp_path / "out", "--start", "2026-01-07T22:00:00Z", "--stop", "2026-01-08")
        assert not (tmp_path / "out").exists()


class TestCommand:
    SENSORS = ("temperature", "vibration", "pressure", "power")

    def run(self, command: Command, bundle: Path, url: str, *more: str) -> tuple[int, list[Any], str]:
        done = command(
            *(
                "edge-detect",
                "run",
                "--bundle",
                bundle,
                "--source",
                "influx",
                "--url",
                url,
                "--database",
                "plant",
            ),
            *("--until", "2026-01-08T00:00:00Z", *more),
        )
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode()

    def rows(self, machine: str, first: int, number: int, **more: str) -> list[dict[str, Any]]:
        values = dict(zip(self.SENSORS, (55.1, 1.2, 50.1, 235), strict=True))
        return [{"time": first + i * SECOND, "machine_id": machine, **values, **more} for i in range(number)]

    def test_more_than_a_chunk_is_read_and_every_row_accounted_for(
        self, command: Command, bundle: Path
    ) -> None:
        fields = dict.fromkeys(self.SENSORS, "float")
        sensors = Table(("machine_id",), fields, self.rows("press-1", NOW - 5 * DAY_NS, 12_000))
        held = plant(sensors)
        with serving(held) as url:
            code, lines, said = self.run(command, bundle, url, "--start", "2026-01-01")
        assert code == 0, said
        assert "12,000 rows read" in said
        assert [line["time"][:10] for line in lines] == ["2026-01-03"] * 12_000
        assert held.longest_ns <= HOUR_NS

    def test_a_bucket_is_no_part_of_this_server(self, command: Command, bundle: Path) -> None:
        with serving(plant(MINUTELY_WEEK)) as url:
            done = command(
                *("edge-detect", "run", "--bundle", bundle, "--source", "influx", "--url", url),
                *("--bucket", "plant", "--org", "works"),
            )
        assert done.returncode == 1
        (line,) = done.stderr.decode().splitlines()
        assert "this is InfluxDB 3, which has no buckets (Not found); name a database with --database" in line
